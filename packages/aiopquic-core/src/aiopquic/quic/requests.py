"""Questions to the network thread that bring an answer: who waits for which, and what becomes of them at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection
    from aiopquic.exceptions import CloseReason

__all__ = ["ConnectionRequests"]


class ConnectionRequests:
    """What one connection was asked and has not answered. For both kinds of connections in Python."""

    __slots__ = ("_count", "_waiters")

    def __init__(self) -> None:
        self._count = 0
        self._waiters: dict[int, asyncio.Future[bytes | None]] = {}

    async def ask(self, post: Callable[[int], object]) -> bytes | None:
        """Call ``post`` with a number and wait for the answer to it; None when it could not be done.

        Raises QuicConnectionError when the connection ends first, and whatever ``post`` raises.
        """
        self._count += 1
        number = self._count
        post(number)
        waiter: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._waiters[number] = waiter
        try:
            return await waiter
        finally:
            del self._waiters[number]

    async def export(self, connection: Connection, label: str | bytes, context: bytes, length: int) -> bytes:
        """Keying material; see ``Connection.export_keying_material``."""
        name = label.encode() if isinstance(label, str) else bytes(label)
        secret = await self.ask(lambda number: connection.export_secret(number, name, bytes(context), length))
        if secret is None:
            raise ConnectionError("there is no keying material before the handshake is complete")
        return secret

    def answered(self, number: int, answer: bytes | None) -> None:
        """An answer came."""
        waiter = self._waiters.get(number)
        if waiter is not None and not waiter.done():
            waiter.set_result(answer)

    def connection_closed(self, reason: CloseReason) -> None:
        """No answer will come any more."""
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(reason.exception())
