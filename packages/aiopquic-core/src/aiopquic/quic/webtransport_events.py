"""What happens on a WebTransport session, as the session of ``aiopquic.asyncio.webtransport`` tells it.

No connection of this package emits these events: the sessions of the package aiopquic-webtransport do. They are
names of :mod:`aiopquic.quic.events`.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiopquic.quic.events import QuicEvent

__all__ = [
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


@dataclass(slots=True)
class WebTransportSessionReady(QuicEvent):
    """The server has accepted the session."""


@dataclass(slots=True)
class WebTransportSessionRefused(QuicEvent):
    """The server wants no session; ``error_code`` is an HTTP status where it sent one."""

    error_code: int = 0


@dataclass(slots=True)
class WebTransportSessionClosed(QuicEvent):
    """The session has ended, with the peer's code and reason."""

    error_code: int = 0
    reason: memoryview = memoryview(b"")  # noqa: RUF009 - read-only, so that all may share it


@dataclass(slots=True)
class WebTransportSessionDraining(QuicEvent):
    """The peer asks to end the session soon."""


@dataclass(slots=True)
class WebTransportStreamDataReceived(QuicEvent):
    """Bytes arrived in order on a stream of the session; ``end_stream`` says that no more follow."""

    stream_id: int = 0
    data: memoryview = memoryview(b"")  # noqa: RUF009 - read-only, so that all may share it
    end_stream: bool = False


@dataclass(slots=True)
class WebTransportStreamReset(QuicEvent):
    """The peer gave up its side of a stream of the session."""

    stream_id: int = 0
    error_code: int = 0


@dataclass(slots=True)
class WebTransportStopSending(QuicEvent):
    """The peer wants no more of a stream of the session."""

    stream_id: int = 0
    error_code: int = 0


@dataclass(slots=True)
class WebTransportDatagramReceived(QuicEvent):
    """A datagram of the session arrived."""

    data: memoryview = memoryview(b"")  # noqa: RUF009 - read-only, so that all may share it


@dataclass(slots=True)
class WebTransportNewStream(QuicEvent):
    """The peer opened a stream of the session."""

    stream_id: int = 0
