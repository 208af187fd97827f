"""What goes between this package's two halves: commands to the network thread, events from it, and their layouts.

Everything is big-endian. A list of headers is its count (2 bytes), then for each the length of the name (2), the name,
the length of the value (4), the value.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

__all__ = [
    "H3_NO_ERROR",
    "MAX_HEADER_BYTES",
    "MAX_REASON_BYTES",
    "OWN_STREAMS",
    "Command",
    "Ended",
    "Event",
    "PeerSettings",
    "RawHeader",
    "Setting",
    "pack_close",
    "pack_headers",
    "pack_response",
    "unpack_close",
    "unpack_headers",
    "unpack_response",
    "unpack_settings",
]

RawHeader = tuple[bytes, bytes]

OWN_STREAMS = 3
"The first one-way streams of each side are HTTP/3's own: control, QPACK encoder, QPACK decoder."
H3_NO_ERROR = 0x100
MAX_REASON_BYTES = 1024
"UTF-8, as draft-ietf-webtrans-http3 section 6 has it."
MAX_HEADER_BYTES = 8192
"Names and values of one message that an application adds, together."


class Command(IntEnum):
    """To the network thread; the uid is that of the session: the id of its CONNECT stream."""

    CONNECT = 1
    "Headers, the pseudo-headers first."
    RESPOND = 2
    "Status (2 bytes), headers. A 2xx makes the session; anything else ends the stream."
    CLOSE_SESSION = 3
    "Code (4 bytes), reason. A CONNECT that has no answer yet is cancelled."
    DRAIN_SESSION = 4
    GOAWAY = 5
    "Of the connection: the uid is 0."


class Event(IntEnum):
    """From the network thread."""

    SETTINGS = 1
    "Of the connection: see PeerSettings."
    REQUEST = 2
    "Headers, the pseudo-headers first."
    RESPONSE = 3
    "Status (2 bytes), headers; status 0 when there was none, and HTTP/3's code in decimal as ``:error``."
    SESSION_CLOSED = 4
    "How (1 byte, see Ended), code (4 bytes), reason."
    SESSION_DRAINING = 5
    GOAWAY = 6
    "Of the connection: an id (8 bytes)."
    CAPSULE = 7
    "Type (8 bytes) and the bytes of a capsule that nobody here knows."


class Ended(IntEnum):
    """How a session ended."""

    CAPSULE = 0
    "WT_CLOSE_SESSION: code and reason are the application's."
    FIN = 1
    RESET = 2
    "Reset, or stopped: the code is HTTP/3's."
    PROTOCOL_ERROR = 3
    OURS = 4
    "By CLOSE_SESSION, and now the peer has ended its side too."


class Setting(IntEnum):
    """HTTP/3 settings that say what a peer can do."""

    ENABLE_CONNECT_PROTOCOL = 0x08
    "RFC 9220."
    H3_DATAGRAM = 0x33
    "RFC 9297."
    H3_DATAGRAM_DRAFT04 = 0xFFD277
    WT_ENABLED = 0x2C7CF000
    "draft-ietf-webtrans-http3-15 and later."
    WT_MAX_SESSIONS = 0x14E9CD29
    "Drafts 13 and 14."
    WEBTRANSPORT_MAX_SESSIONS = 0xC671706A
    "Drafts 7 to 12."
    ENABLE_WEBTRANSPORT = 0x2B603742
    "Drafts 2 to 6."


def pack_headers(headers: Iterable[RawHeader]) -> bytes:
    """A list of headers."""
    parts = [b""]
    for name, value in headers:
        parts += (struct.pack(">H", len(name)), name, struct.pack(">I", len(value)), value)
    parts[0] = struct.pack(">H", len(parts) // 4)
    return b"".join(parts)


def unpack_headers(data: bytes, position: int = 0) -> list[RawHeader]:
    """The list of headers that begins at ``position``."""
    (count,) = struct.unpack_from(">H", data, position)
    position += 2
    headers = []
    for _ in range(count):
        (length,) = struct.unpack_from(">H", data, position)
        position += 2
        name = data[position : position + length]
        position += length
        (length,) = struct.unpack_from(">I", data, position)
        position += 4
        headers.append((name, data[position : position + length]))
        position += length
    return headers


def pack_response(status: int, headers: Iterable[RawHeader]) -> bytes:
    """A status and headers."""
    return struct.pack(">H", status) + pack_headers(headers)


def unpack_response(data: bytes) -> tuple[int, list[RawHeader]]:
    """A status and headers."""
    (status,) = struct.unpack_from(">H", data)
    return status, unpack_headers(data, 2)


def pack_close(code: int, reason: bytes) -> bytes:
    """The code and the reason of a session's end."""
    return struct.pack(">I", code) + reason


def unpack_close(data: bytes) -> tuple[Ended, int, str]:
    """How the peer ended a session, its code and its reason."""
    how, code = struct.unpack_from(">BI", data)
    return Ended(how), code, data[5:].decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """What the peer announces; on the wire dialect (1 byte), conforms (1), max_sessions (4), and the values."""

    dialect: int = 0
    "The newest draft that its settings name: 2, 7, 13 or 15, where each stands for those up to the next; 0 for none."
    conforms: bool = False
    "All is there that drafts 15 and 16 ask of a peer."
    max_sessions: int = 0
    "How many sessions a client may have on the connection, where it says ``webtransport``."
    values: dict[int, int] = field(default_factory=dict)
    "The settings: their count (2 bytes), then each id and value (8 bytes each)."


def unpack_settings(data: bytes) -> PeerSettings:
    """The peer's HTTP/3 settings."""
    dialect, conforms, max_sessions, count = struct.unpack_from(">BBIH", data)
    return PeerSettings(
        dialect, bool(conforms), max_sessions, dict(struct.iter_unpack(">QQ", data[8 : 8 + 16 * count]))
    )
