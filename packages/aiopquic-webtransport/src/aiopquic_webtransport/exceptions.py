"""Every exception of WebTransport; those of the connection underneath are in :mod:`aiopquic.exceptions`.

::

    WebTransportError (AiopquicError, ConnectionError)
        NotSupportedError                    the server does not offer what WebTransport needs; .missing
        SessionRefusedError                  the server answered with another status than 2xx; .status, .headers
        SessionTimeoutError (TimeoutError)   the server did not answer in time
        SessionLimitError                    the connection has as many sessions as the server allows
        SessionClosedError                   the session has ended; .close_info says who ended it and why
        StreamResetError                     the peer reset a stream: .stream_error_code; core's StreamResetError too
        StreamStoppedError                   the peer sent STOP_SENDING: as above; core's StreamStoppedError too
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from aiopquic import exceptions as core
from aiopquic.exceptions import AiopquicError, CloseReason

if TYPE_CHECKING:
    from aiopquic_webtransport.headers import Headers

__all__ = [
    "CloseInfo",
    "EndKind",
    "NotSupportedError",
    "SessionClosedError",
    "SessionLimitError",
    "SessionRefusedError",
    "SessionTimeoutError",
    "StreamResetError",
    "StreamStoppedError",
    "WebTransportError",
]


class EndKind(Enum):
    """How a session ended."""

    CLOSED = "closed"
    "By a WT_CLOSE_SESSION capsule, or the end of the CONNECT stream without one: code 0 and no reason."
    RESET = "reset"
    "The CONNECT stream was reset or stopped."
    PROTOCOL_ERROR = "protocol error"
    "The peer broke the rules of the CONNECT stream."
    REFUSED = "refused"
    "It never began."
    CONNECTION_LOST = "connection lost"
    "With its connection."


@dataclass(frozen=True, slots=True)
class CloseInfo:
    """Who ended a session, how, and why. ``code`` and ``reason`` are W3C's closeCode and reason."""

    code: int = 0
    "The application's, of 32 bits."
    reason: str = ""
    kind: EndKind = EndKind.CLOSED
    is_remote: bool = False
    "True when the peer ended it."
    connection_reason: CloseReason | None = None
    "What ended the connection, when the session ended with it."

    def __str__(self) -> str:
        who = "the peer" if self.is_remote else "this side"
        if self.connection_reason is not None:
            return f"the session ended with its connection: {self.connection_reason}"
        if self.kind is EndKind.CLOSED:
            text = f"the session was closed by {who} with code {self.code}"
        elif self.kind is EndKind.REFUSED:
            text = f"the session was refused by {who}"
        elif self.kind is EndKind.RESET:
            text = f"{who} gave up the session's CONNECT stream"
        else:
            text = "the session ended because the peer broke the rules of its CONNECT stream"
        return f"{text}: {self.reason}" if self.reason else text


class WebTransportError(AiopquicError, ConnectionError):
    """The root of WebTransport's exceptions."""


class NotSupportedError(WebTransportError):
    """The server does not offer what WebTransport needs; ``missing`` names it."""

    def __init__(self, message: str, missing: Sequence[str]) -> None:
        super().__init__(message)
        self.missing = tuple(missing)


class SessionRefusedError(WebTransportError):
    """The server answered the CONNECT with another status than 2xx, or reset it.

    Where it was reset, ``status`` is 0 and ``error_code`` HTTP/3's code (RFC 9114 section 8.1).
    """

    def __init__(self, path: str, status: int, headers: Headers, error_code: int | None = None) -> None:
        how = f"status {status}" if error_code is None else f"HTTP/3's error code {error_code:#x}"
        hint = _HINTS.get(error_code or status, "")
        super().__init__(f"the server refused the session at {path} with {how}{hint}")
        self.status = status
        self.headers = headers
        self.error_code = error_code


_HINTS = {
    400: ": it may know none of the protocols that were offered, or another draft of WebTransport",
    403: ": it does not accept this origin",
    404: ": it has no such path",
    429: ": it has too many sessions already",
    501: ": it may speak another draft of WebTransport; compatibility=True speaks the older ones",
    0x10B: " (H3_REQUEST_REJECTED): it takes no more sessions on this connection",
}


class SessionTimeoutError(WebTransportError, TimeoutError):
    """The server did not answer the CONNECT within ``handshake_timeout``."""


class SessionLimitError(WebTransportError):
    """The connection has as many sessions as the server allows on one."""


class SessionClosedError(WebTransportError):
    """The session has ended; ``close_info`` says who ended it and why."""

    def __init__(self, close_info: CloseInfo) -> None:
        super().__init__(str(close_info))
        self.close_info = close_info

    @property
    def code(self) -> int:
        """The application's code."""
        return self.close_info.code

    @property
    def reason(self) -> str:
        """The application's reason."""
        return self.close_info.reason


class StreamResetError(WebTransportError, core.StreamResetError):
    """The peer reset a stream: reading has ended.

    ``stream_error_code`` is the application's code, which is ``error_code`` too; None when the peer used a code of
    HTTP/3 that stands for none, and then ``error_code`` is that one.
    """

    def __init__(self, message: str, stream_id: int, error_code: int, stream_error_code: int | None) -> None:
        super().__init__(message, stream_id, error_code)
        self.stream_error_code = stream_error_code


class StreamStoppedError(WebTransportError, core.StreamStoppedError):
    """The peer wants no more of a stream: writing has ended; the codes are as in :class:`StreamResetError`."""

    def __init__(self, message: str, stream_id: int, error_code: int, stream_error_code: int | None) -> None:
        super().__init__(message, stream_id, error_code)
        self.stream_error_code = stream_error_code
