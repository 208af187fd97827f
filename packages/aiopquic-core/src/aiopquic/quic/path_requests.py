"""Requests about a connection's paths, and those who listen to what happens to them."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from aiopquic._addresses import packed_address
from aiopquic._simulation import check_place
from aiopquic.exceptions import BindError, CloseReason, ConfigurationError, PathError, QuicConnectionError

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection
    from aiopquic._paths import PathAnswer, PathEvent, PathInfo, PathOutcome, PathWish

__all__ = ["LocalAddress", "PathEvents", "PathRequests"]

#: An IP literal, on a port that the system chooses, or an IP literal and a port.
LocalAddress = str | tuple[str, int]

#: Events that wait for a reader who does not come; then the oldest are dropped.
_EVENTS_MAX = 1024

_SENTENCES: dict[PathOutcome, str] = {
    "no_answer": "the peer did not answer on the new path: the connection stays where it was",
    "not_allowed": "the peer does not let its clients move (disable_active_migration, RFC 9000 section 18.2)",
    "wrong_family": "the local address and the peer's are of different families: give one of the peer's family",
    "no_ids": "the peer has given no connection id for another path (RFC 9000 section 9.5)",
    "too_many": "the connection has as many paths as both sides allow: abandon one first, or raise max_paths",
    "no_multipath": "the connection has one path alone: set max_paths to 2 or more on both sides",
    "unknown": "the connection has no such path, or has it no more",
    "last": "it is the last path of the connection: add another one first, or close the connection",
    "no_sockets": "further paths need aiopquic's own packet loop, of Linux: picoquic's, which AIOPQUIC_LOOP=portable "
    "asks for and other systems have, opens no further sockets",
}


class PathRequests:
    """What one connection has asked about its paths, and what it was told of them last."""

    __slots__ = ("_count", "_end", "_listeners", "_turn", "_waiters", "local_address", "peer_address")

    def __init__(self) -> None:
        self.local_address: tuple[str, int] | None = None
        self.peer_address: tuple[str, int] | None = None
        "Of the path that the connection prefers, once it is another than the handshake's."
        self._count = 0
        self._waiters: dict[int, asyncio.Future[PathAnswer | None]] = {}
        self._turn: asyncio.Lock | None = None
        "Paths are tried one after the other."
        self._listeners: weakref.WeakSet[PathEvents] | None = None
        "Made for the first one: most connections have none, and an empty set takes a kilobyte."
        self._end: CloseReason | None = None

    # ---- asking ----

    async def probe(
        self,
        connection: Connection,
        wish: PathWish,
        local_address: LocalAddress | None,
        peer_address: tuple[str, int] | None = None,
    ) -> PathInfo:
        """Try a path; return it when the peer has answered there. Cancellation: what is tried is given up."""
        if not connection.is_client:
            raise PathError("only clients move and add paths: a server stays where they have found it (RFC 9000)")
        local, peer = _checked_local(local_address), _checked_peer(peer_address)
        if self._turn is None:
            self._turn = asyncio.Lock()
        async with self._turn:
            number = self._count + 1
            try:
                answer = await self._ask(connection, wish, local_address=local, peer_address=peer)
            except asyncio.CancelledError:
                if self._end is None:
                    self._count += 1
                    connection.request_path(self._count, "cancel", number)
                raise
        if answer.outcome == "not_bound":
            where = "{} port {}".format(*local) if local is not None else "another port"
            text = f"{where} can't be bound: {os.strerror(answer.system_error)}; the connection stays where it was"
            raise BindError(answer.system_error, text)
        _check(answer)
        return answer.paths[0]

    async def order(self, connection: Connection, wish: PathWish, path_id: int) -> None:
        """Have something done to a path."""
        _check(await self._ask(connection, wish, path_id=path_id))

    async def list(self, connection: Connection) -> tuple[PathInfo, ...]:
        return (await self._ask(connection, "list")).paths

    def listen(self, connection: Connection, rtt_change: float | None, rate_change: int | None) -> PathEvents:
        if rtt_change is not None or rate_change is not None:
            self._count += 1
            rtt_change_us = round((rtt_change or 0) * 1_000_000)
            connection.request_path(self._count, "watch", rtt_change_us=rtt_change_us, rate_change=rate_change or 0)
        events = PathEvents()
        if self._listeners is None:
            self._listeners = weakref.WeakSet()
        self._listeners.add(events)
        return events

    async def _ask(
        self,
        connection: Connection,
        wish: PathWish,
        path_id: int = 0,
        local_address: tuple[str, int] | None = None,
        peer_address: tuple[str, int] | None = None,
    ) -> PathAnswer:
        self._count += 1
        number = self._count
        waiter: asyncio.Future[PathAnswer | None] = asyncio.get_running_loop().create_future()
        self._waiters[number] = waiter
        try:
            if self._end is None:
                with suppress(QuicConnectionError):  # it has just ended: its last event says how
                    connection.request_path(number, wish, path_id, local_address, peer_address)
                answer = await waiter
                if answer is not None:
                    return answer
        finally:
            del self._waiters[number]
        assert self._end is not None
        raise self._end.exception()

    # ---- being told ----

    def answered(self, answer: PathAnswer) -> None:
        waiter = self._waiters.get(answer.request)
        if waiter is not None and not waiter.done():
            waiter.set_result(answer)

    def changed(self, event: PathEvent, local: tuple[str, int] | None, peer: tuple[str, int] | None) -> None:
        self.local_address, self.peer_address = local, peer
        for listener in list(self._listeners or ()):
            listener._put(event)

    def connection_closed(self, reason: CloseReason) -> None:
        self._end = reason
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_result(None)
        for listener in list(self._listeners or ()):
            listener._close()


class PathEvents:
    """Iterates over what happens to the paths of a connection; ends with it.

    Of a path's changes of quality that nobody has taken yet, the last one is kept.
    """

    def __init__(self) -> None:
        self._events: deque[PathEvent] = deque(maxlen=_EVENTS_MAX)
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._is_closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PathEvent:
        while not self._events:
            if self._is_closed:
                raise StopAsyncIteration
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled():
                    self._wake()  # for the next one
                raise
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        return self._events.popleft()

    def _put(self, event: PathEvent) -> None:
        if event.kind == "quality":
            for older in self._events:
                if older.kind == "quality" and older.path.id == event.path.id:
                    self._events.remove(older)
                    break
        self._events.append(event)
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
                return

    def _close(self) -> None:
        self._is_closed = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


def _check(answer: PathAnswer) -> None:
    if answer.outcome != "done":
        raise PathError(_SENTENCES.get(answer.outcome, f"the engine could not do it ({answer.outcome})"))


def _checked_local(address: LocalAddress | None) -> tuple[str, int] | None:
    if address is None:
        return None
    host, port = (address, 0) if isinstance(address, str) else address
    check_place(_literal(host, port))
    return host, port


def _checked_peer(address: tuple[str, int] | None) -> tuple[str, int] | None:
    if address is None:
        return None
    host, port = address
    if not port:
        raise ConfigurationError("the peer's address needs a port")
    _literal(host, port)
    return host, port


def _literal(host: str, port: int) -> str:
    try:
        packed_address(host)
    except (AttributeError, ValueError):
        raise ConfigurationError(f"a path goes from and to IP literals, such as 192.0.2.1, not {host!r}") from None
    if not isinstance(port, int) or not 0 <= port < 65536:
        raise ConfigurationError(f"a UDP port is 0 to 65535, not {port!r}")
    return host
