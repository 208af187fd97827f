"""Awaited writes: parts that fit the send budgets, and the waiting between them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiopquic._binding._stream import SEND_FLOOR
from aiopquic.exceptions import CloseReason
from aiopquic.quic.configuration import QuicConfiguration

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from aiopquic._binding._connection import Connection
    from aiopquic._binding._stream import Stream

__all__ = ["Sender"]

#: The largest part of a long write: what a few round trips of a fast path take.
PART_BYTES = 1 << 18


class Sender:
    """Writes to the streams of one connection that wait for room."""

    __slots__ = ("_by_stream", "_close_reason", "_least", "_part", "budget")

    def __init__(self, configuration: QuicConfiguration) -> None:
        budget = min(configuration.stream_ring_cap, configuration.tx_max_queued_bytes or configuration.stream_ring_cap)
        self.budget = budget
        "Bytes that one write may have to fit at once: the smaller of the stream's and the connection's budget."
        # Half of the smaller budget: a part fits while the other half drains.
        self._part = max(1, min(budget // 2, PART_BYTES))
        # What fits whenever `stream_writable` was told, whatever the other streams hold.
        self._least = max(1, min(budget, SEND_FLOOR) // 2)
        self._by_stream: dict[int, list[asyncio.Future[None]]] = {}
        self._close_reason: CloseReason | None = None

    async def write(self, connection: Connection, stream: Stream, data: Buffer, end_stream: bool) -> None:
        """Queue all of ``data``; a write that fits at once takes no turn of the loop."""
        view = memoryview(data).cast("B")
        if len(view) <= self.budget and stream.try_write(view, end_stream):
            return
        position = 0
        while True:
            piece = view[position : position + max(self._least, min(stream.room, self._part))]
            is_last = position + len(piece) == len(view)
            if stream.try_write(piece, end_stream and is_last):
                position += len(piece)
                if is_last:
                    return
            else:
                await self._wait_for_room(connection, stream)

    async def _wait_for_room(self, connection: Connection, stream: Stream) -> None:
        """Return when a small write may succeed, or is certain to fail for another reason."""
        waiters = self._by_stream.setdefault(stream.id, [])
        will_tell = stream.want_writable()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters.append(waiter)
        try:
            if will_tell and not connection.is_closed:
                await waiter
            else:
                await asyncio.sleep(0)  # there is room already, or the network thread is behind with commands
        finally:
            waiters.remove(waiter)
            if not waiters and waiters is self._by_stream.get(stream.id):
                del self._by_stream[stream.id]
        if self._close_reason is not None:
            raise self._close_reason.exception()

    def stream_changed(self, stream_id: int) -> None:
        """The stream has room again, or takes no more: its writers look for themselves."""
        _wake(self._by_stream.get(stream_id, []))

    def connection_writable(self) -> None:
        """The connection's budget has room again: every writer looks for itself."""
        self._wake_all()

    def connection_closed(self, reason: CloseReason) -> None:
        """Every writer that waits raises."""
        self._close_reason = reason
        self._wake_all()

    def _wake_all(self) -> None:
        for waiters in self._by_stream.values():
            _wake(waiters)


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
