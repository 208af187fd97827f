"""WebTransport's codes among those of HTTP/3 (draft-ietf-webtrans-http3 sections 4.4 and 9.5)."""

from __future__ import annotations

__all__ = [
    "MAX_CODE",
    "WT_ALPN_ERROR",
    "WT_BUFFERED_STREAM_REJECTED",
    "WT_REQUIREMENTS_NOT_MET",
    "WT_SESSION_GONE",
    "check_code",
    "from_http3",
    "to_http3",
]

WT_BUFFERED_STREAM_REJECTED = 0x3994BD84
"A stream came before its session, and there was no room to keep it, or the session never came."
WT_SESSION_GONE = 0x170D7B68
"The stream ended with its session."
WT_ALPN_ERROR = 0x0817B3DD
"The server chose an application protocol that was not offered."
WT_REQUIREMENTS_NOT_MET = 0x212C0D48
"The peer lacks something that WebTransport needs."

MAX_CODE = (1 << 32) - 1
"An application's code has 32 bits."

_FIRST = 0x52E4A40FA8DB
_LAST = 0x52E5AC983162


def check_code(code: int) -> int:
    """An application's code, or a ValueError."""
    if not isinstance(code, int) or not 0 <= code <= MAX_CODE:
        raise ValueError(f"an error code of WebTransport is 0 to 2**32 - 1, not {code!r}")
    return code


def to_http3(code: int) -> int:
    """What an application's code is on the wire: the codes that HTTP/3 keeps free for greasing are left out.

    Raises:
        ValueError: ``code`` is not 0 to 2**32 - 1.
    """
    return _FIRST + check_code(code) + code // 0x1E


def from_http3(code: int) -> int | None:
    """The application's code; None for a code of HTTP/3 that stands for none."""
    if not _FIRST <= code <= _LAST or (code - 0x21) % 0x1F == 0:
        return None
    shifted = code - _FIRST
    return shifted - shifted // 0x1F
