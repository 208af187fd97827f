"""What happens on a connection, as ``quic_event_received`` and ``next_event`` tell it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

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


class QuicEvent:
    """The base of every event."""


@dataclass(slots=True)
class HandshakeCompleted(QuicEvent):
    """The TLS handshake is complete; data may flow."""

    alpn_protocol: str | None = None
    "The application protocol both sides agreed on."
    early_data_accepted: bool = False
    "True when the server took our 0-RTT data."
    session_resumed: bool = False
    "True when an earlier session was resumed."
    ech_accepted: bool = False
    "True when the name that was asked for was encrypted, and the server could read it (RFC 9849)."


@dataclass(slots=True)
class ConnectionTerminated(QuicEvent):
    """The connection has ended: exactly one per connection, and its last event."""

    error_code: int = 0
    "The application's code, or a transport error code of RFC 9000 section 20.1."
    frame_type: int | None = None
    "The frame that caused a transport error; None for an application close."
    reason_phrase: str = ""
    "The reason as the closing side phrased it, or what happened in our words."
    close_reason: CloseReason | None = None
    "The whole story: who ended it and how."


@dataclass(slots=True)
class ProtocolNegotiated(QuicEvent):
    """The application protocol is settled (ALPN, RFC 7301)."""

    alpn_protocol: str | None = None


@dataclass(slots=True)
class StreamDataReceived(QuicEvent):
    """Bytes arrived in order on a stream."""

    stream_id: int = 0
    data: memoryview = memoryview(b"")  # noqa: RUF009 - read-only, so that all may share it
    "Read-only; stays valid as long as it is kept."
    end_stream: bool = False
    "True when no more bytes follow (FIN)."


@dataclass(slots=True)
class StreamReset(QuicEvent):
    """The peer gave up its side of a stream (RFC 9000 section 19.4); no more bytes follow."""

    stream_id: int = 0
    error_code: int = 0
    "Chosen by the peer's application."


@dataclass(slots=True)
class StopSendingReceived(QuicEvent):
    """The peer wants no more of a stream (RFC 9000 section 19.5); RESET_STREAM was sent in answer."""

    stream_id: int = 0
    error_code: int = 0
    "Chosen by the peer's application."


@dataclass(slots=True)
class DatagramFrameReceived(QuicEvent):
    """A datagram arrived (RFC 9221), in the order of arrival."""

    data: memoryview = memoryview(b"")  # noqa: RUF009 - read-only, so that all may share it
    "Read-only; stays valid as long as it is kept."


@dataclass(slots=True)
class PingAcknowledged(QuicEvent):
    """The peer has acknowledged a packet sent after ``send_ping(uid)``."""

    uid: int = 0


@dataclass(slots=True)
class PathChanged(QuicEvent):
    """Something happened to a path of the connection, as :class:`~aiopquic.quic.paths.PathEvent` tells of it."""

    kind: Literal["available", "suspended", "deleted", "quality", "moved"]
    path: PathInfo


@dataclass(slots=True)
class ConnectionIdIssued(QuicEvent):
    """The peer may send to this id of ours from now on (RFC 9000 section 19.15)."""

    connection_id: bytes = b""


@dataclass(slots=True)
class ConnectionIdRetired(QuicEvent):
    """The peer has let go of this id of ours (RFC 9000 section 19.16)."""

    connection_id: bytes = b""


def __getattr__(name: str) -> object:
    """Those of WebTransport sessions: made when they are wanted, for most programs have no use for them."""
    if name not in __all__:
        raise AttributeError(f"module 'aiopquic.quic.events' has no attribute {name!r}")
    return getattr(import_module("aiopquic.quic.webtransport_events"), name)
