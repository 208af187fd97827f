"""What happens on a connection, as ``quic_event_received`` and ``next_event`` tell it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from aiopquic._records import Record
from aiopquic.exceptions import CloseReason

if TYPE_CHECKING:
    from aiopquic._paths import PathInfo
    from aiopquic.quic.webtransport_events import (
        WebTransportDatagramReceived,
        WebTransportNewStream,
        WebTransportSessionClosed,
        WebTransportSessionDraining,
        WebTransportSessionReady,
        WebTransportSessionRefused,
        WebTransportStopSending,
        WebTransportStreamDataReceived,
        WebTransportStreamReset,
    )

    PathChangeKind = Literal["available", "suspended", "deleted", "quality", "moved"]

__all__ = [
    "ConnectionIdIssued",
    "ConnectionIdRetired",
    "ConnectionTerminated",
    "DatagramFrameReceived",
    "HandshakeCompleted",
    "PathChanged",
    "PingAcknowledged",
    "ProtocolNegotiated",
    "QuicEvent",
    "StopSendingReceived",
    "StreamDataReceived",
    "StreamReset",
    "WebTransportDatagramReceived",
    "WebTransportNewStream",
    "WebTransportSessionClosed",
    "WebTransportSessionDraining",
    "WebTransportSessionReady",
    "WebTransportSessionRefused",
    "WebTransportStopSending",
    "WebTransportStreamDataReceived",
    "WebTransportStreamReset",
]


#: Read-only, so that all may share it.
_NO_BYTES = memoryview(b"")


class QuicEvent(Record):
    """The base of every event."""


@dataclass(slots=True, init=False, repr=False, eq=False)
class HandshakeCompleted(QuicEvent):
    """The TLS handshake is complete; data may flow."""

    alpn_protocol: str | None
    "The application protocol both sides agreed on."
    early_data_accepted: bool
    "True when the server took our 0-RTT data."
    session_resumed: bool
    "True when an earlier session was resumed."
    ech_accepted: bool
    "True when the name that was asked for was encrypted, and the server could read it (RFC 9849)."

    def __init__(
        self,
        alpn_protocol: str | None = None,
        early_data_accepted: bool = False,
        session_resumed: bool = False,
        ech_accepted: bool = False,
    ) -> None:
        self.alpn_protocol = alpn_protocol
        self.early_data_accepted = early_data_accepted
        self.session_resumed = session_resumed
        self.ech_accepted = ech_accepted


@dataclass(slots=True, init=False, repr=False, eq=False)
class ConnectionTerminated(QuicEvent):
    """The connection has ended: exactly one per connection, and its last event."""

    error_code: int
    "The application's code, or a transport error code of RFC 9000 section 20.1."
    frame_type: int | None
    "The frame that caused a transport error; None for an application close."
    reason_phrase: str
    "The reason as the closing side phrased it, or what happened in our words."
    close_reason: CloseReason | None
    "The whole story: who ended it and how."

    def __init__(
        self,
        error_code: int = 0,
        frame_type: int | None = None,
        reason_phrase: str = "",
        close_reason: CloseReason | None = None,
    ) -> None:
        self.error_code = error_code
        self.frame_type = frame_type
        self.reason_phrase = reason_phrase
        self.close_reason = close_reason


@dataclass(slots=True, init=False, repr=False, eq=False)
class ProtocolNegotiated(QuicEvent):
    """The application protocol is settled (ALPN, RFC 7301)."""

    alpn_protocol: str | None

    def __init__(self, alpn_protocol: str | None = None) -> None:
        self.alpn_protocol = alpn_protocol


@dataclass(slots=True, init=False, repr=False, eq=False)
class StreamDataReceived(QuicEvent):
    """Bytes arrived in order on a stream."""

    stream_id: int
    data: memoryview
    "Read-only; stays valid as long as it is kept."
    end_stream: bool
    "True when no more bytes follow (FIN)."

    def __init__(self, stream_id: int = 0, data: memoryview = _NO_BYTES, end_stream: bool = False) -> None:
        self.stream_id = stream_id
        self.data = data
        self.end_stream = end_stream


@dataclass(slots=True, init=False, repr=False, eq=False)
class StreamReset(QuicEvent):
    """The peer gave up its side of a stream (RFC 9000 section 19.4); no more bytes follow."""

    stream_id: int
    error_code: int
    "Chosen by the peer's application."

    def __init__(self, stream_id: int = 0, error_code: int = 0) -> None:
        self.stream_id = stream_id
        self.error_code = error_code


@dataclass(slots=True, init=False, repr=False, eq=False)
class StopSendingReceived(QuicEvent):
    """The peer wants no more of a stream (RFC 9000 section 19.5); RESET_STREAM was sent in answer."""

    stream_id: int
    error_code: int
    "Chosen by the peer's application."

    def __init__(self, stream_id: int = 0, error_code: int = 0) -> None:
        self.stream_id = stream_id
        self.error_code = error_code


@dataclass(slots=True, init=False, repr=False, eq=False)
class DatagramFrameReceived(QuicEvent):
    """A datagram arrived (RFC 9221), in the order of arrival."""

    data: memoryview
    "Read-only; stays valid as long as it is kept."

    def __init__(self, data: memoryview = _NO_BYTES) -> None:
        self.data = data


@dataclass(slots=True, init=False, repr=False, eq=False)
class PingAcknowledged(QuicEvent):
    """The peer has acknowledged a packet sent after ``send_ping(uid)``."""

    uid: int

    def __init__(self, uid: int = 0) -> None:
        self.uid = uid


@dataclass(slots=True, init=False, repr=False, eq=False)
class PathChanged(QuicEvent):
    """Something happened to a path of the connection, as :class:`~aiopquic.quic.paths.PathEvent` tells of it."""

    kind: PathChangeKind
    path: PathInfo

    def __init__(self, kind: PathChangeKind, path: PathInfo) -> None:
        self.kind = kind
        self.path = path


@dataclass(slots=True, init=False, repr=False, eq=False)
class ConnectionIdIssued(QuicEvent):
    """The peer may send to this id of ours from now on (RFC 9000 section 19.15)."""

    connection_id: bytes

    def __init__(self, connection_id: bytes = b"") -> None:
        self.connection_id = connection_id


@dataclass(slots=True, init=False, repr=False, eq=False)
class ConnectionIdRetired(QuicEvent):
    """The peer has let go of this id of ours (RFC 9000 section 19.16)."""

    connection_id: bytes

    def __init__(self, connection_id: bytes = b"") -> None:
        self.connection_id = connection_id


def __getattr__(name: str) -> object:
    """Those of WebTransport sessions: made when they are wanted, for most programs have no use for them."""
    if name not in __all__:
        raise AttributeError(f"module 'aiopquic.quic.events' has no attribute {name!r}")
    return getattr(import_module("aiopquic.quic.webtransport_events"), name)
