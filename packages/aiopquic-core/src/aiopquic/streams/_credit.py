"""Opening streams: the ids of our own ones, and the peer's limits on their number (RFC 9000 section 4.6)."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from aiopquic.exceptions import QuicConnectionError

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection

__all__ = ["StreamCredit"]


#: A limit above any: nobody waits for streams of that kind.
NOBODY = (1 << 64) - 1


class _Kind:
    """The streams of one kind, bidirectional or one-way."""

    __slots__ = ("bits", "is_wanted", "limit", "opened", "reserved", "waiters")

    def __init__(self, bits: int) -> None:
        self.bits = bits
        "The two low bits of the ids."
        self.is_wanted = False
        "Somebody found no room since the limit was last told."
        self.limit = 0
        "How many may be opened altogether."
        self.opened = 0
        self.reserved = 0
        "Credit that belongs to waiters who have been woken."
        self.waiters: deque[asyncio.Future[None]] | None = None
        "Made for the first one: an empty deque takes 760 bytes."

    @property
    def room(self) -> int:
        return self.limit - self.opened - self.reserved

    def next_id(self) -> int:
        stream_id = self.opened << 2 | self.bits
        self.opened += 1
        return stream_id


class StreamCredit:
    """Hands out stream ids, to whoever asked first, as the peer allows streams."""

    __slots__ = ("_asked", "_connection", "_is_closed", "_kinds")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        own = 0 if connection.is_client else 1
        self._kinds = (_Kind(own), _Kind(own | 2))
        self._asked: tuple[int, int] | None = None
        "The wish that the engine has."
        self._is_closed = False

    def skip(self, unidirectional: bool, count: int) -> None:
        """The first streams of a kind belong to somebody else: called before any is opened here."""
        self._kinds[unidirectional].opened += count

    def try_take(self, unidirectional: bool) -> int | None:
        """The id of a new stream; None when the peer allows none now, or others wait."""
        kind = self._kinds[unidirectional]
        if kind.room > 0 and not kind.waiters:
            return kind.next_id()
        self._ask(kind)
        return None

    async def take(self, unidirectional: bool) -> int | None:
        """The id of a new stream, once the peer allows one; None when the connection ends before.

        Cancellation: safe; the credit goes to the next one.
        """
        kind = self._kinds[unidirectional]
        if kind.room > 0 and not kind.waiters:
            return kind.next_id()
        waiter = asyncio.get_running_loop().create_future()
        if kind.waiters is None:
            kind.waiters = deque()
        kind.waiters.append(waiter)
        self._ask(kind)
        try:
            await waiter
        except asyncio.CancelledError:
            if not self._is_closed:
                if waiter.cancelled():
                    assert kind.waiters is not None
                    kind.waiters.remove(waiter)
                else:
                    kind.reserved -= 1
                self._grant(kind)
            raise
        if self._is_closed:
            return None
        kind.reserved -= 1
        return kind.next_id()

    def raised(self, max_bidirectional: int, max_unidirectional: int) -> None:
        """The peer allows that many streams altogether."""
        self._asked = None
        for kind, limit in zip(self._kinds, (max_bidirectional, max_unidirectional), strict=True):
            kind.is_wanted = False
            kind.limit = max(kind.limit, limit)
            self._grant(kind)
        for kind in self._kinds:
            if kind.waiters:
                self._ask(kind)

    def closed(self) -> None:
        """Nothing more can be opened."""
        self._is_closed = True
        for kind in self._kinds:
            for waiter in kind.waiters or ():
                if not waiter.done():
                    waiter.set_result(None)
            kind.waiters = None

    def _grant(self, kind: _Kind) -> None:
        """Wake as many waiters as there is room for."""
        while kind.room > 0 and kind.waiters:
            waiter = kind.waiters[0]
            if waiter.done():
                return  # cancelled: its task takes it out of the queue and grants on
            kind.waiters.popleft()
            kind.reserved += 1
            waiter.set_result(None)

    def _ask(self, kind: _Kind) -> None:
        """Be told once when the limit of this kind rises, beside what was asked for before."""
        kind.is_wanted = True
        bidirectional, one_way = (known.limit if known.is_wanted else NOBODY for known in self._kinds)
        if self._asked != (bidirectional, one_way) and not self._is_closed:
            self._asked = bidirectional, one_way
            with suppress(QuicConnectionError):  # it ended just now, and its last event wakes everybody
                self._connection.want_streams(bidirectional, one_way)
