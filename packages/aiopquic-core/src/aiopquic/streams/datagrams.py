"""Datagrams of a connection (RFC 9221): waiting for room, waiting for arrivals, and what became of each."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal, Self

from aiopquic._sinks import DATAGRAM_ACKED, DATAGRAM_LOST
from aiopquic.exceptions import CloseReason

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from aiopquic._binding._connection import Connection as BindingConnection

__all__ = ["DatagramFate", "Datagrams", "IncomingDatagrams"]


class DatagramFate:
    """What becomes of one datagram. Made by ``send_datagram(..., track=True)``."""

    __slots__ = ("__weakref__", "_end", "_outcome", "_spurious", "_waiters")

    def __init__(self) -> None:
        self._outcome: Literal["acked", "lost"] | None = None
        self._spurious = False
        self._end: CloseReason | None = None
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def outcome(self) -> Literal["acked", "lost"] | None:
        """``"acked"`` or ``"lost"``; None as long as nobody knows."""
        return self._outcome

    @property
    def spurious(self) -> bool:
        """True when it was declared lost first and acknowledged after all: the network was slower than believed."""
        return self._spurious

    async def wait(self) -> Literal["acked", "lost"]:
        """Wait until the peer's stack has acknowledged the datagram, or ours has declared it lost; say which.

        Raises:
            QuicConnectionError: the connection ended before either.

        Cancellation: safe; nothing changes.
        """
        if self._outcome is None and self._end is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                self._waiters.remove(waiter)
        if self._outcome is not None:
            return self._outcome
        assert self._end is not None
        raise self._end.exception()

    def _told(self, fate: int) -> None:
        if fate in (DATAGRAM_ACKED, DATAGRAM_LOST):
            self._outcome = "acked" if fate == DATAGRAM_ACKED else "lost"
            self._wake()
        else:
            self._spurious = True

    def _ended(self, reason: CloseReason) -> None:
        self._end = reason
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


class Datagrams:
    """Sends and receives the datagrams of one connection."""

    __slots__ = ("_arrived", "_binding", "_count", "_fates", "_receivers", "_room", "_senders", "_turn", "close_reason")

    def __init__(self, binding: BindingConnection) -> None:
        self._binding = binding
        self.close_reason: CloseReason | None = None
        self._arrived: deque[bytes] | None = None
        "Taken and not handed out; made for the first ones: an empty deque takes 760 bytes."
        self._receivers: list[asyncio.Future[None]] = []
        self._senders = 0
        "Senders that did not find room: the one that waits for it, and those behind."
        self._turn: asyncio.Lock | None = None
        self._room: asyncio.Future[None] | None = None
        self._count = 0
        self._fates: weakref.WeakValueDictionary[int, DatagramFate] | None = None
        "Held by whoever wants to know; made for the first one."

    # ---- sending ----

    def track(self) -> tuple[int, DatagramFate]:
        """A number for the next datagram, and the object that learns of its fate."""
        self._count += 1
        fate = DatagramFate()
        if self._fates is None:
            self._fates = weakref.WeakValueDictionary()
        self._fates[self._count] = fate
        return self._count, fate

    def try_send(self, data: Buffer, number: int, prefix: bytes = b"") -> bool:
        """Send ``prefix`` and ``data`` as one; False when there is no room, or others wait for it."""
        return not self._senders and self._binding.try_send_datagram(data, number, prefix)

    async def send_all(self, datagrams: Sequence[Buffer]) -> None:
        """Send one after the other, as many at a time as there is room for."""
        sent = 0 if self._senders else self._binding.try_send_datagrams(datagrams, 0)
        if sent == len(datagrams):
            return
        async with self._in_turn():
            while (sent := self._binding.try_send_datagrams(datagrams, sent)) < len(datagrams):
                await self._wait_for_room()

    async def send(self, data: Buffer, number: int, prefix: bytes = b"") -> None:
        """Send in turn, once there is room."""
        async with self._in_turn():
            while not self._binding.try_send_datagram(data, number, prefix):
                await self._wait_for_room()

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        """Those who find no room send in the order in which they came."""
        if self._turn is None:
            self._turn = asyncio.Lock()
        self._senders += 1
        try:
            async with self._turn:
                yield
        finally:
            self._senders -= 1
            if not self._senders:
                self._turn = None

    async def _wait_for_room(self) -> None:
        if self.close_reason is not None:
            raise self.close_reason.exception()
        if not self._binding.want_datagrams_writable():
            await asyncio.sleep(0)  # there is room already, or the network thread is behind with commands
            return
        self._room = asyncio.get_running_loop().create_future()
        try:
            await self._room
        finally:
            self._room = None

    def writable(self) -> None:
        """There is room again."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def fate(self, number: int, fate: int) -> None:
        """What became of a datagram that was tracked."""
        tracked = self._fates.get(number) if self._fates is not None else None
        if tracked is not None:
            tracked._told(fate)

    # ---- receiving ----

    async def receive(self) -> bytes | None:
        """The next datagram; None when the connection has ended and no more is here."""
        while not self._arrived:
            taken = self._binding.take_datagrams()
            if taken:
                self._arrived = deque(taken)
                break
            if self.close_reason is not None:
                return None
            waiter = asyncio.get_running_loop().create_future()
            self._receivers.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.cancelled():
                    self._receivers.remove(waiter)
                else:
                    self.readable()  # for the next one
                raise
        datagram = self._arrived.popleft()
        if self._arrived and self._receivers:
            self.readable()
        return datagram

    async def receive_all(self) -> list[bytes]:
        """All that have arrived, one at least; none when the connection has ended and no more is here."""
        first = await self.receive()
        if first is None:
            return []
        datagrams = [first, *(self._arrived or ()), *self._binding.take_datagrams()]
        self._arrived = None
        return datagrams

    def readable(self) -> None:
        """Something may be there: whoever has waited longest looks."""
        for waiter in self._receivers:
            if not waiter.done():
                self._receivers.remove(waiter)
                waiter.set_result(None)
                return

    def closed(self, reason: CloseReason) -> None:
        """Everybody who waits is woken."""
        self.close_reason = reason
        self.writable()
        while any(not waiter.done() for waiter in self._receivers):
            self.readable()
        for fate in list(self._fates.values()) if self._fates is not None else ():
            fate._ended(reason)


class IncomingDatagrams:
    """Iterates over the peer's datagrams."""

    __slots__ = ("_datagrams",)

    def __init__(self, datagrams: Datagrams) -> None:
        self._datagrams = datagrams

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        arrived = self._datagrams._arrived
        if arrived:
            return arrived.popleft()
        datagram = await self._datagrams.receive()
        if datagram is None:
            raise StopAsyncIteration
        return datagram
