"""Questions to the network thread that bring an answer: who waits for which, and what becomes of them at the end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiopquic._files import StrPath, qlog_folder

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

    async def update_keys(self, connection: Connection) -> None:
        """New keys; see ``Connection.update_keys``."""
        await self.ask(connection.update_keys)

    async def start_qlog(self, connection: Connection, folder: StrPath) -> None:
        """A qlog file; see ``Connection.start_qlog``."""
        name = qlog_folder(folder)
        assert name is not None
        if await self.ask(lambda number: connection.start_qlog(number, os.fsencode(name))) is None:
            raise RuntimeError(
                f"no qlog file was begun in {name!r}: one is being written for this connection already, or the folder "
                "can't be written"
            )

    async def stop_qlog(self, connection: Connection) -> None:
        """The end of the file; see ``Connection.stop_qlog``."""
        if await self.ask(connection.stop_qlog) is None:
            raise RuntimeError("no qlog file is being written for this connection")

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
