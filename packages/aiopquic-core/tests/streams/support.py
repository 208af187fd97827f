"""What the tests of the streams API share: a connection seen from both sides, handlers, waiting with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aiopquic
from aiopquic.streams._opening import Opening
from aiopquic.streams.server import Handler

from ..certificates import Certificates
from ..support import DEADLINE

ALPN = ["test"]

T = TypeVar("T")


async def soon(awaitable: Awaitable[T]) -> T:
    """The result of something that should not take long."""
    async with asyncio.timeout(DEADLINE):
        return await awaitable


async def started(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task that has run up to its first wait."""
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    assert not task.done() or task.exception() is None, task.exception()
    return task


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task, and see it end by that."""
    assert task.cancel()
    [result] = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(result, asyncio.CancelledError), result


async def idle(conn: aiopquic.Connection) -> None:
    """A handler that leaves everything to the test."""
    await conn.wait_closed()


async def echo(conn: aiopquic.Connection) -> None:
    """A handler that sends back what comes on each bidirectional stream, all of them at once."""
    async with asyncio.TaskGroup() as group:
        async for stream in conn.incoming_streams(bidirectional=True):
            group.create_task(echo_stream(stream))


async def echo_stream(stream: aiopquic.Stream) -> None:
    """One stream of a connection whose others may be reset, stopped or given up."""
    try:
        async with stream:
            async for chunk in stream:
                await stream.write(chunk)
    except (aiopquic.StreamError, aiopquic.QuicConnectionError):
        pass


@dataclass
class Pair:
    """The two ends of one connection."""

    server: aiopquic.Server
    client: aiopquic.Connection
    peer: aiopquic.Connection

    async def streams(self) -> tuple[aiopquic.Stream, aiopquic.Stream]:
        """A bidirectional stream that the client opened, and the peer's end of it; one byte has gone both ways."""
        ours = await soon(self.client.open_stream())
        await ours.write(b"!")
        theirs = await soon(self.peer.accept_stream(bidirectional=True))
        assert await soon(theirs.readexactly(1)) == b"!"
        await theirs.write(b"!")
        assert await soon(ours.readexactly(1)) == b"!"
        return ours, theirs

    async def round_trip(self) -> None:
        """What was sent before this has arrived, and been told, on both sides."""
        for opener, other in ((self.client, self.peer), (self.peer, self.client)):
            stream = await soon(opener.open_send_stream())
            await stream.write(b"?", end_stream=True)
            assert await soon((await soon(other.accept_stream(bidirectional=False))).read_all()) == b"?"


class Ends:
    """Starts servers and connects to them with this run's certificates."""

    def __init__(self, certificates: Certificates) -> None:
        self.certificates = certificates

    def serve(self, handler: Handler = idle, *, host: str = "127.0.0.1", **settings: Any) -> Opening[aiopquic.Server]:
        good = self.certificates.good
        settings = {"alpn": ALPN, "certificate": good.cert, "private_key": good.key, **settings}
        return aiopquic.serve(handler, host, 0, **settings)

    def connect(self, server: aiopquic.Server, **settings: Any) -> Opening[aiopquic.Connection]:
        settings = {"alpn": ALPN, "cafile": self.certificates.good.cert, **settings}
        return aiopquic.connect("127.0.0.1", server.port, **settings)

    @asynccontextmanager
    async def pair(
        self, *, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None, **settings: Any
    ) -> AsyncIterator[Pair]:
        """A connection; ``settings`` go to both sides."""
        arrived: asyncio.Future[aiopquic.Connection] = asyncio.get_running_loop().create_future()

        async def handler(conn: aiopquic.Connection) -> None:
            arrived.set_result(conn)
            await conn.wait_closed()

        async with (
            self.serve(handler, **settings, **(server or {})) as running,
            self.connect(running, **settings, **(client or {})) as connection,
        ):
            yield Pair(running, connection, await soon(arrived))
