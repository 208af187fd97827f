"""What the engine tells about one connection, handed to the objects that it concerns."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiopquic.streams import _inbox
from aiopquic.streams._base import BaseStream
from aiopquic.streams.receiving import ReceiveStream
from aiopquic.streams.stream import Stream

if TYPE_CHECKING:
    from aiopquic._binding._stream import Stream as BindingStream
    from aiopquic._paths import PathAnswer, PathEvent
    from aiopquic._sinks import HandshakeInfo
    from aiopquic.exceptions import CloseReason
    from aiopquic.streams.connection import Connection

__all__ = ["ConnectionEvents"]

logger = logging.getLogger("aiopquic.connection")

#: The application code of a connection that is closed because its application leaves too many streams waiting.
STREAMS_IGNORED = 2


class ConnectionEvents:
    """The sink of one connection; see :class:`aiopquic._sinks.ConnectionSink`."""

    __slots__ = ("_connection", "_own_bit", "on_closed", "on_ready")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._own_bit = 0 if connection.is_client else 1
        self.on_ready: Callable[[Connection], object] | None = None
        self.on_closed: Callable[[Connection], object] | None = None

    def connection_created(self) -> None:
        """The first packet is on its way."""

    def connection_ready(self, info: HandshakeInfo) -> None:
        connection = self._connection
        connection._info = info
        connection._credit.raised(*info.stream_limits)
        for waiter in connection._ready_waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self.on_ready is not None:
            self.on_ready(connection)

    def connection_closed(self, reason: CloseReason) -> None:
        connection = self._connection
        connection._ended(reason)
        if self.on_closed is not None:
            self.on_closed(connection)
        self.on_ready = self.on_closed = None

    def connection_stats(self, request: int, stats: dict[str, int]) -> None:
        self._connection._snapshots.received(request, stats)

    def connection_writable(self) -> None:
        self._connection._sender.connection_writable()

    def connection_streams(self, max_bidi: int, max_uni: int) -> None:
        self._connection._credit.raised(max_bidi, max_uni)

    def connection_ping_acked(self, uid: int) -> None:
        self._connection._ping_acked(uid)

    def connection_answered(self, request: int, answer: bytes | None) -> None:
        self._connection._requests.answered(request, answer)

    def connection_id_issued(self, connection_id: bytes) -> None:
        """Connection ids are the stack's affair."""

    def connection_id_retired(self, connection_id: bytes) -> None:
        """As above."""

    def connection_path(
        self, event: PathEvent, local_address: tuple[str, int] | None, peer_address: tuple[str, int] | None
    ) -> None:
        self._connection._paths.changed(event, local_address, peer_address)

    def connection_path_answer(self, answer: PathAnswer) -> None:
        self._connection._paths.answered(answer)

    def protocol_event(self, kind: int, uid: int, data: bytes) -> None:
        """For the protocols that have some."""

    def datagrams_readable(self) -> None:
        self._connection._datagrams.readable()

    def datagrams_writable(self) -> None:
        self._connection._datagrams.writable()

    def datagram_fate(self, uid: int, fate: int) -> None:
        self._connection._datagrams.fate(uid, fate)

    def stream_readable(self, stream: BindingStream) -> None:
        self._of(stream)._readable()

    def stream_reset(self, stream: BindingStream, error_code: int) -> None:
        self._of(stream)._peer_reset(error_code)

    def stream_stopped(self, stream: BindingStream, error_code: int) -> None:
        self._of(stream)._peer_stopped(error_code)

    def stream_writable(self, stream: BindingStream) -> None:
        self._connection._sender.stream_changed(stream.id)

    def stream_acked(self, stream: BindingStream) -> None:
        self._of(stream)._acked()

    def stream_released(self, stream: BindingStream) -> None:
        ours = self._of(stream)
        stream.state = None  # a cycle otherwise, for the garbage collector to find
        self._connection._sender.stream_changed(stream.id)
        ours._released()

    def _of(self, stream: BindingStream) -> BaseStream:
        """Our object for it; the peer's streams get theirs with their first event."""
        ours = stream.state
        if isinstance(ours, BaseStream):
            return ours
        return self._arrived(stream)

    def _arrived(self, stream: BindingStream) -> BaseStream:
        """A stream of the peer's that nobody has heard of; a protocol's own events may keep it elsewhere."""
        kind = ReceiveStream if stream.id & 2 else Stream
        arrived = kind(self._connection, stream)
        inbox = self._connection._inbox
        inbox.put(arrived)
        if inbox.waiting > _inbox.WAITING_MAX and not self._connection.is_closed:
            logger.error("%r is closed: more than %d streams wait to be accepted", self._connection, _inbox.WAITING_MAX)
            self._connection.close(STREAMS_IGNORED, "too many streams wait to be accepted")
        return arrived
