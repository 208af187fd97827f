"""Memory that idle connections and idle streams hold."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from aiopquic_bench.cases.case import Case
from aiopquic_bench.job import Job
from aiopquic_bench.measuring import Figures, check_totals
from aiopquic_bench.moving import Tally, read_end, read_exactly
from aiopquic_bench.peers import Peer
from aiopquic_bench.serving import HEADER_SIZE, Asked, header
from aiopquic_bench.usage import resident_bytes

__all__ = ["CASES"]

CONNECTIONS = 200
STREAMS = 1000

#: What is there before the count begins: the first ones bring code and tables with them.
FIRST = 20


async def measure_connections(job: Job, peer: Peer) -> Figures:
    """Each connection has done nothing but its handshake."""
    async with AsyncExitStack() as stack:

        async def connect() -> None:
            await stack.enter_async_context(job.connect(peer.port))

        return await _growth(peer, connect, CONNECTIONS)


async def measure_streams(job: Job, peer: Peer) -> Figures:
    """Each stream has carried a few bytes both ways and stays open."""
    async with job.connect(peer.port) as connection:
        streams = []

        async def open_stream() -> None:
            stream = await connection.open_stream()
            await stream.write(header(Asked.ECHO, 0))
            await read_exactly(stream, HEADER_SIZE)
            streams.append(stream)

        figures = await _growth(peer, open_stream, STREAMS)
        for stream in streams:
            await stream.write(b"", True)
            await read_end(stream)
        return figures


async def _growth(peer: Peer, make: Callable[[], Awaitable[None]], count: int) -> Figures:
    """What ``count`` more of them take on either side."""
    for _ in range(FIRST):
        await make()
    client, server = await _resident(peer)
    for _ in range(count):
        await make()
    client_after, server_after = await _resident(peer)
    await check_totals(peer, Tally())
    figures = {"client_kb_each": (client_after - client) / count / 1e3}
    if server_after:
        figures["server_kb_each"] = (server_after - server) / count / 1e3
    return figures


async def _resident(peer: Peer) -> tuple[int, int]:
    await asyncio.sleep(0)
    gc.collect()
    return resident_bytes(), (await peer.report(with_memory=True)).resident_bytes


CASES = [
    Case(
        name="memory-connection",
        group="memory",
        summary=f"resident memory of an idle connection, over {CONNECTIONS}",
        measure=measure_connections,
    ),
    Case(
        name="memory-stream",
        group="memory",
        summary=f"resident memory of an idle stream, over {STREAMS} of one connection",
        measure=measure_streams,
    ),
]
