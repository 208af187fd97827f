"""The connections of a server, and the tasks of their handlers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiopquic.exceptions import QuicConnectionError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.streams._events import ConnectionEvents
from aiopquic.streams.connection import Connection

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection as BindingConnection

__all__ = ["HANDLER_FAILED", "Handler", "Hosting"]

logger = logging.getLogger("aiopquic.server")

HANDLER_FAILED = 0x1
"""The application code with which a server closes a connection whose handler raised."""

Handler = Callable[[Connection], Awaitable[object]]


class Hosting:
    """Runs one handler on each connection that it is given; see :class:`aiopquic.quic.protocols.ConnectionHost`.

    ``make_events`` gives a connection the object that receives its events. Without ``wait_connected`` a handler begins
    with the first event of its connection, which early data has before its handshake is complete.
    """

    def __init__(
        self,
        handler: Handler,
        configuration: QuicConfiguration,
        make_events: Callable[[Connection], ConnectionEvents] = ConnectionEvents,
        *,
        wait_connected: bool = True,
    ) -> None:
        self._handler = handler
        self._wait_connected = wait_connected
        self._configuration = configuration
        self._make_events = make_events
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[Connection, asyncio.Task[None]] = {}
        self._is_closing = False

    @property
    def connections(self) -> list[Connection]:
        """Those whose handlers run."""
        return list(self._tasks)

    def accept(self, binding: BindingConnection) -> None:
        """Take a connection with its first event; its handler starts when the handshake is complete, or at once."""
        connection = Connection(binding, self._configuration, self._make_events)
        binding.sink = connection._events
        if self._wait_connected:
            connection._events.on_ready = self._run_handler
        else:
            self._run_handler(connection)

    def close(self, code: int, reason: str) -> None:
        """Close every connection with this code and reason, and cancel the handlers."""
        self._is_closing = True
        for connection, task in list(self._tasks.items()):
            connection.close(code, reason)
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait for the handlers, after :meth:`close`."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    def _run_handler(self, connection: Connection) -> None:
        if self._is_closing:
            connection.close()
            return
        self._tasks[connection] = self._loop.create_task(self._handle(connection))

    async def _handle(self, connection: Connection) -> None:
        try:
            result = self._handler(connection)
            if not hasattr(result, "__await__"):
                raise TypeError(f"the handler returned {result!r}: it has to be a coroutine function (async def)")
            await result
            await connection.aclose()
        except Exception as error:
            if _is_end_of(connection, error):
                logger.debug("the handler of %r ended with its connection: %s", connection, error)
            else:
                logger.error("the handler of %r raised", connection, exc_info=error)
                connection.close(HANDLER_FAILED, "the handler of this connection failed")
        finally:
            connection.close()
            del self._tasks[connection]


def _is_end_of(connection: Connection, error: BaseException) -> bool:
    """True when that is how a handler learns of the end of its own connection; in a task group, too."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_end_of(connection, inner) for inner in error.exceptions)
    return isinstance(error, QuicConnectionError) and error.close_reason in (connection._end, connection.close_reason)
