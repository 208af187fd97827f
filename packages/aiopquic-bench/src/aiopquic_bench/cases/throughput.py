"""Bytes per second: up, down, and both ways, on one stream and on a hundred."""

from __future__ import annotations

import asyncio
from functools import partial

from aiopquic_bench.apis.shape import Connection
from aiopquic_bench.cases.case import Case
from aiopquic_bench.job import Job
from aiopquic_bench.measuring import Figures, Window, check_totals
from aiopquic_bench.moving import Tally, read_pattern, write_pattern
from aiopquic_bench.pattern import LONGEST, Checker
from aiopquic_bench.peers import Peer
from aiopquic_bench.serving import Asked, header

__all__ = ["CASES"]

MANY = 100

#: Streams begin this far apart in the pattern, so that bytes of another stream are found.
APART = 1009


async def measure(job: Job, peer: Peer, *, streams: int, is_up: bool, is_down: bool) -> Figures:
    """Move bytes over ``streams`` streams of one connection until the time is over, then to their ends."""
    tally, stop = Tally(), asyncio.Event()
    async with job.connect(peer.port) as connection:
        async with asyncio.TaskGroup() as tasks:
            for number in range(streams):
                tasks.create_task(_move(job, connection, number * APART, is_up, is_down, tally, stop))
            window = await Window.watch(job, peer, tally)
            stop.set()
        await check_totals(peer, tally)
    return window.throughput()


async def _move(
    job: Job, connection: Connection, position: int, is_up: bool, is_down: bool, tally: Tally, stop: asyncio.Event
) -> None:
    stream = await connection.open_stream()
    await stream.write(header(Asked.SOURCE if is_down else Asked.SINK, position, job.size))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(read_pattern(stream, Checker(position + 1), tally))
        if is_up:
            await write_pattern(stream, position, job.size, tally, lambda: not stop.is_set())
        else:
            await stop.wait()
        await stream.write(b"", True)


def _cases(streams: int, suffix: str, where: str, sizes: tuple[int, ...]) -> list[Case]:
    return [
        Case(
            name=name + suffix,
            group="throughput",
            summary=f"{what} on {where}; the size is that of a write",
            measure=partial(measure, streams=streams, is_up=is_up, is_down=is_down),
            sizes=sizes,
            smallest=1,
            largest=LONGEST,
        )
        for name, what, is_up, is_down in (
            ("up", "client to server", True, False),
            ("down", "server to client", False, True),
            ("both", "both ways at once", True, True),
        )
    ]


CASES = [
    *_cases(1, "", "one stream", (1 << 10, 1 << 14, 1 << 20)),
    *_cases(MANY, f"-{MANY}", f"{MANY} streams", (1 << 12,)),
]
