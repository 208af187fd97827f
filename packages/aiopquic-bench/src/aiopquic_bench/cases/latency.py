"""How long a message and its answer take when nothing else moves."""

from __future__ import annotations

import time

from aiopquic_bench.cases.case import Case
from aiopquic_bench.figures import percentile
from aiopquic_bench.job import Job
from aiopquic_bench.measuring import Figures, Sample, Window, check_totals
from aiopquic_bench.moving import Tally, read_end, read_exactly
from aiopquic_bench.pattern import pattern
from aiopquic_bench.peers import Peer
from aiopquic_bench.problems import ExitCode, Problem
from aiopquic_bench.serving import HEADER_SIZE, Asked, header

__all__ = ["CASES"]


async def measure(job: Job, peer: Peer) -> Figures:
    """Send a message on one stream, wait for it to come back, and so on."""
    tally = Tally()
    times: list[float] = []
    async with job.connect(peer.port) as connection:
        stream = await connection.open_stream()
        await stream.write(header(Asked.ECHO, 0))
        await read_exactly(stream, HEADER_SIZE)

        async def echo_for(seconds: float) -> None:
            end = time.perf_counter() + seconds
            while (begin := time.perf_counter()) < end:
                sent = pattern(tally.sent, job.size)
                await stream.write(sent)
                tally.sent += job.size
                received = await read_exactly(stream, job.size)
                times.append(time.perf_counter() - begin)
                if received != sent:
                    text = "an echo is not what was sent: the run is a failure and gives no figure"
                    raise Problem(text, ExitCode.WRONG_BYTES)
                tally.received += job.size

        await echo_for(job.warm_up)
        times.clear()
        begin = await Sample.take(peer, tally)
        await echo_for(job.duration)
        window = Window(begin, await Sample.take(peer, tally))
        await stream.write(b"", True)
        await read_end(stream)
        await check_totals(peer, tally)
    times.sort()
    percentiles = {f"p{percent}_us": percentile(times, percent) * 1e6 for percent in (50, 90, 99)}
    return {**percentiles, **window.per_second(len(times))}


CASES = [
    Case(
        name="echo",
        group="latency",
        summary="a message and its echo, one at a time; the size is that of a message",
        measure=measure,
        sizes=(100,),
        smallest=1,
        largest=1 << 16,
    )
]
