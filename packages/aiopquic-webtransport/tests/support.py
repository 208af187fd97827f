"""What the tests share: waiting with a deadline, applications."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from aiopquic_webtransport import Request, Session, Stream, WebTransportError

#: Seconds after which something that should be quick has failed, also on a busy machine.
DEADLINE = 30.0

T = TypeVar("T")


async def soon(awaitable: Awaitable[T]) -> T:
    """The result of something that should not take long."""
    async with asyncio.timeout(DEADLINE):
        return await awaitable


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that nobody tells of."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


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


async def hold(request: Request) -> None:
    """An application that leaves everything to the test."""
    await (await request.accept()).closed


async def echo(request: Request) -> None:
    """An application that sends back what comes on each bidirectional stream, and every datagram."""
    await serve_echo(await request.accept())


async def serve_echo(session: Session) -> None:
    async def datagrams() -> None:
        async for datagram in session.datagrams:
            await session.datagrams.send(datagram)

    async with asyncio.TaskGroup() as group:
        returning = group.create_task(datagrams())
        async for stream in session.incoming_streams(bidirectional=True):
            group.create_task(echo_stream(stream))
        returning.cancel()


async def echo_stream(stream: Stream) -> None:
    try:
        async with stream:
            async for chunk in stream:
                await stream.write(chunk)
    except WebTransportError:
        pass


async def round_trip(one: Session, other: Session) -> None:
    """What was sent before this has arrived, and been told, on both sides."""
    for opener, peer in ((one, other), (other, one)):
        stream = await soon(opener.open_send_stream())
        await stream.write(b"?", end_stream=True)
        arrived = await soon(peer.accept_stream(bidirectional=False))
        assert await soon(arrived.read_all()) == b"?"
