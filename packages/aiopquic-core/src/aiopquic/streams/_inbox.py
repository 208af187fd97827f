"""The peer's streams that nobody has accepted yet, and who waits for one."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Self

from aiopquic.streams.receiving import ReceiveStream
from aiopquic.streams.stream import Stream

__all__ = ["WAITING_MAX", "Inbox", "IncomingStreams"]

#: The streams that may wait to be accepted. Those that have come and gone while nobody accepted them count too, and the
#: peer may open others in their place, so the limits of open streams do not bound them.
WAITING_MAX = 1 << 14

_Arrival = tuple[int, ReceiveStream]


class Inbox:
    """Streams in the order of their arrival: each one goes to the first who waits for its kind."""

    __slots__ = ("_count", "_is_closed", "_queues", "_waiters")

    def __init__(self) -> None:
        self._count = 0
        self._queues: tuple[deque[_Arrival], deque[_Arrival]] | None = None
        """One-way and bidirectional streams, each with the number of its arrival. Made for the first that nobody waits
        for: an empty deque takes 760 bytes."""
        self._waiters: list[tuple[bool | None, asyncio.Future[_Arrival | None]]] = []
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """How many streams nobody has accepted yet."""
        return sum(map(len, self._queues or ()))

    def put(self, stream: ReceiveStream) -> None:
        """A stream of the peer's has arrived."""
        self._count += 1
        self._hand_over((self._count, stream), is_first=False)

    async def get(self, bidirectional: bool | None) -> ReceiveStream | None:
        """The next stream, of one kind or of any; None when the connection has ended and no more is here.

        Cancellation: safe; the stream stays for the next one.
        """
        queue = self._queue(bidirectional)
        if queue:
            return queue.popleft()[1]
        if self._is_closed:
            return None
        waiter: asyncio.Future[_Arrival | None] = asyncio.get_running_loop().create_future()
        entry = (bidirectional, waiter)
        self._waiters.append(entry)
        try:
            arrival = await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                if not self._is_closed:
                    self._waiters.remove(entry)
            else:
                arrival = waiter.result()
                if arrival is not None:
                    self._hand_over(arrival, is_first=True)
            raise
        return arrival[1] if arrival is not None else None

    def close(self) -> None:
        """No more will arrive."""
        self._is_closed = True
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def _queue(self, bidirectional: bool | None) -> deque[_Arrival] | None:
        if self._queues is None:
            return None
        if bidirectional is not None:
            return self._queues[bidirectional]
        one_way, both_ways = self._queues
        if one_way and (not both_ways or one_way[0][0] < both_ways[0][0]):
            return one_way
        return both_ways

    def _hand_over(self, arrival: _Arrival, is_first: bool) -> None:
        is_bidirectional = isinstance(arrival[1], Stream)
        for entry in self._waiters:
            wanted, waiter = entry
            if not waiter.done() and wanted in (None, is_bidirectional):
                self._waiters.remove(entry)
                waiter.set_result(arrival)
                return
        if self._queues is None:
            self._queues = (deque(), deque())
        queue = self._queues[is_bidirectional]
        if is_first:
            queue.appendleft(arrival)
        else:
            queue.append(arrival)


class IncomingStreams:
    """Iterates over the peer's streams."""

    __slots__ = ("_bidirectional", "_inbox")

    def __init__(self, inbox: Inbox, bidirectional: bool | None) -> None:
        self._inbox = inbox
        self._bidirectional = bidirectional

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:  # of the kind that was put in and is asked for
        stream = await self._inbox.get(self._bidirectional)
        if stream is None:
            raise StopAsyncIteration
        return stream
