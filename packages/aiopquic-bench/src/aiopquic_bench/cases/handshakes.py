"""New connections: handshake, and close."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from aiopquic_bench.cases.case import Case
from aiopquic_bench.figures import percentile
from aiopquic_bench.job import Job
from aiopquic_bench.measuring import Figures, Window, check_totals
from aiopquic_bench.moving import Tally
from aiopquic_bench.peers import Peer

__all__ = ["CASES"]


async def measure(job: Job, peer: Peer, *, at_once: int) -> Figures:
    """Connect and close, ``at_once`` at a time; the latency is that of connecting."""
    tally, stop = Tally(), asyncio.Event()
    times: list[float] = []
    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(_connect(job, peer, tally, times, stop))
        window = await Window.watch(job, peer, tally)
        stop.set()
    await check_totals(peer, tally)
    measured = sorted(times[window.begin.count : window.end.count])
    percentiles = {f"p{percent}_us": percentile(measured, percent) * 1e6 for percent in (50, 99)}
    return {**window.per_second(), **percentiles}


async def _connect(job: Job, peer: Peer, tally: Tally, times: list[float], stop: asyncio.Event) -> None:
    while not stop.is_set():
        begin = time.perf_counter()
        async with job.connect(peer.port):
            times.append(time.perf_counter() - begin)
            tally.count += 1


CASES = [
    Case(
        name="handshakes",
        group="handshakes",
        summary="connect and close, one after the other",
        measure=partial(measure, at_once=1),
    ),
    Case(
        name="handshakes-32",
        group="handshakes",
        summary="connect and close, 32 at once",
        measure=partial(measure, at_once=32),
    ),
]
