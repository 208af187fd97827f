"""Figures of a connection's path, copied by the network thread when they are asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection

__all__ = ["PathSnapshots"]


class PathSnapshots:
    """The latest snapshot, and who waits for a newer one."""

    __slots__ = ("_request", "_waiters", "latest")

    def __init__(self) -> None:
        self.latest: dict[str, int] = {}
        self._request = 0
        self._waiters: dict[int, asyncio.Future[None]] = {}

    def ask(self, connection: Connection) -> bool:
        """Ask for a newer snapshot; False when the connection is closed."""
        self._request += 1
        return connection.request_stats(self._request)

    async def fresh(self, connection: Connection) -> dict[str, int]:
        """A snapshot taken after this call; the latest one when the connection ends before."""
        if self.ask(connection):
            request = self._request
            waiter = self._waiters[request] = asyncio.get_running_loop().create_future()
            try:
                await waiter
            finally:
                del self._waiters[request]
        return dict(self.latest)

    def received(self, request: int, stats: dict[str, int]) -> None:
        """A snapshot came."""
        self.latest = stats
        waiter = self._waiters.get(request)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def connection_closed(self) -> None:
        """No snapshot will come any more."""
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_result(None)
