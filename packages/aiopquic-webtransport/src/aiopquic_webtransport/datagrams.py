"""The datagrams of a session (RFC 9297, draft-ietf-webtrans-http3 section 4.5)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Literal, Self, overload

from aiopquic.exceptions import DatagramError, QuicConnectionError
from aiopquic.streams.datagrams import DatagramFate

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from aiopquic_webtransport.session import Session

__all__ = ["Datagrams"]

#: What an arrived datagram counts beside its bytes: an object of Python, and its place in the queue.
_OVERHEAD = 64


class Datagrams:
    """Sends and receives the datagrams of one session: ``session.datagrams``.

    ``async for datagram in session.datagrams`` yields what arrives, as bytes, and ends with the session, behind what
    had arrived. Several tasks may receive: each datagram goes to one of them.
    """

    __slots__ = (
        "_arrived",
        "_arrived_size",
        "_dropped",
        "_max_buffered",
        "_prefix",
        "_received",
        "_sent",
        "_session",
        "_waiters",
    )

    def __init__(self, session: Session, prefix: bytes) -> None:
        self._session = session
        self._prefix = prefix
        "The quarter stream id."
        self._arrived: deque[bytes] = deque()
        self._arrived_size = 0
        self._max_buffered = 1 << 18
        self._dropped = self._received = self._sent = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    # ---- sending ----

    @overload
    async def send(self, data: Buffer, *, track: Literal[False] = False) -> None: ...
    @overload
    async def send(self, data: Buffer, *, track: Literal[True]) -> DatagramFate: ...
    async def send(self, data: Buffer, *, track: bool = False) -> DatagramFate | None:
        """Send an unreliable datagram, in the order of the calls; return its fate if ``track`` is set.

        Raises:
            DatagramError: larger than :attr:`max_size`, or the peer takes none.
            SessionClosedError: the session has ended.

        Backpressure: waits until the connection's queue (``datagram_ring_bytes``) has room; at once while it has.

        Cancellation: safe; the datagram is sent or not, and nothing of it is left.
        """
        self._check(data)
        connection = self._session._quic
        number, fate = connection._datagrams.track() if track else (0, None)
        try:
            if not connection._datagrams.try_send(data, number, self._prefix):
                async with self._session._while_open():
                    await connection._datagrams.send(data, number, self._prefix)
        except QuicConnectionError:
            raise await self._session._explain() from None
        self._sent += 1
        return fate

    @overload
    def try_send(self, data: Buffer, *, track: Literal[False] = False) -> bool: ...
    @overload
    def try_send(self, data: Buffer, *, track: Literal[True]) -> DatagramFate | None: ...
    def try_send(self, data: Buffer, *, track: bool = False) -> DatagramFate | bool | None:
        """Send a datagram at once: True, or its fate if ``track`` is set. False, or None, when there is no room.

        Raises:
            DatagramError, SessionClosedError: as :meth:`send`.
        """
        self._check(data)
        connection = self._session._quic
        number, fate = connection._datagrams.track() if track else (0, None)
        is_sent = connection._datagrams.try_send(data, number, self._prefix)
        self._sent += is_sent
        return (fate if is_sent else None) if track else is_sent

    @property
    def max_size(self) -> int:
        """Bytes of the largest datagram that can be sent now; 0 when the peer takes none. W3C's maxDatagramSize."""
        return max(0, self._session._quic.max_datagram_size - len(self._prefix))

    def _check(self, data: Buffer) -> None:
        self._session._require_open()
        size = memoryview(data).nbytes
        limit = self.max_size
        if size > limit:
            raise DatagramError(
                f"a datagram of this session has at most {limit} bytes now, not {size}"
                if limit
                else "no datagram can be sent: the peer takes none (RFC 9221 section 3)"
            )

    # ---- receiving ----

    async def receive(self) -> bytes:
        """Return the peer's next datagram, in the order of arrival.

        Raises:
            SessionClosedError: the session has ended, and no datagram is left that came before.

        Backpressure: none reaches the peer; beyond :attr:`max_buffered` the oldest are dropped, and counted in
        :attr:`dropped`.

        Cancellation: safe; a datagram that has arrived stays for the next one.
        """
        datagram = await self._next()
        if datagram is None:
            raise self._session._end_error()
        return datagram

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        datagram = await self._next()
        if datagram is None:
            raise StopAsyncIteration
        return datagram

    @property
    def max_buffered(self) -> int:
        """Bytes of datagrams that wait here for somebody to receive them, each counting 64 more; 256 KiB at first."""
        return self._max_buffered

    @max_buffered.setter
    def max_buffered(self, value: int) -> None:
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"max_buffered is a number of bytes, not {value!r}")
        self._max_buffered = value
        self._trim()

    @property
    def dropped(self) -> int:
        """Datagrams that arrived and were dropped, because nobody received them in time. W3C's droppedIncoming."""
        return self._dropped

    async def _next(self) -> bytes | None:
        """The next datagram; None when the session has ended and no more is here."""
        while not self._arrived:
            if self._session._end is not None:
                return None
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled():
                    self._wake()  # for the next one
                elif waiter in self._waiters:
                    self._waiters.remove(waiter)
                raise
        datagram = self._arrived.popleft()
        self._arrived_size -= len(datagram) + _OVERHEAD
        if self._arrived:
            self._wake()
        return datagram

    def _wake(self) -> None:
        """Something is there: whoever has waited longest looks."""
        for waiter in self._waiters:
            if not waiter.done():
                self._waiters.remove(waiter)
                waiter.set_result(None)
                return

    def _put(self, datagram: bytes) -> None:
        """From the drain: one has arrived."""
        self._received += 1
        self._arrived.append(datagram)
        self._arrived_size += len(datagram) + _OVERHEAD
        self._trim()
        self._wake()

    def _trim(self) -> None:
        while self._arrived_size > self._max_buffered and len(self._arrived) > 1:
            self._arrived_size -= len(self._arrived.popleft()) + _OVERHEAD
            self._dropped += 1

    def _session_over(self) -> None:
        """Everybody who waits looks again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
