"""Short streams: bytes each way, and nothing but an opening and an end."""

from __future__ import annotations

import asyncio
from functools import partial

from aiopquic_bench.apis.shape import Connection
from aiopquic_bench.cases.case import Case
from aiopquic_bench.job import Job
from aiopquic_bench.measuring import Figures, Window, check_totals
from aiopquic_bench.moving import Tally
from aiopquic_bench.peers import Peer
from aiopquic_bench.problems import ExitCode, Problem
from aiopquic_bench.serving import HEADER_SIZE, message

__all__ = ["CASES"]

AT_ONCE = 64


async def measure(job: Job, peer: Peer, *, is_empty: bool) -> Figures:
    """Open streams, ``AT_ONCE`` at a time; each is read to its end."""
    tally, stop = Tally(), asyncio.Event()
    async with job.connect(peer.port) as connection:
        async with asyncio.TaskGroup() as tasks:
            for number in range(AT_ONCE):
                tasks.create_task(_churn(connection, number, 0 if is_empty else job.size, tally, stop))
            window = await Window.watch(job, peer, tally)
            stop.set()
        await check_totals(peer, tally)
    return window.per_second()


async def _churn(connection: Connection, number: int, size: int, tally: Tally, stop: asyncio.Event) -> None:
    while not stop.is_set():
        number += AT_ONCE
        sent = message(number, size) if size else b""
        tally.sent += max(0, size - HEADER_SIZE)
        stream = await connection.open_stream()
        await stream.write(sent, True)
        received = b""
        while (chunk := await stream.read_chunk()) is not None:
            received = received + chunk if received else bytes(chunk)
        if received != sent:
            text = f"a stream of {size} bytes came back otherwise: the run is a failure and gives no figure"
            raise Problem(text, ExitCode.WRONG_BYTES)
        tally.received += max(0, size - HEADER_SIZE)
        tally.count += 1


CASES = [
    Case(
        name="churn",
        group="churn",
        summary=f"short streams, {AT_ONCE} at once; the size is that of a stream, each way",
        measure=partial(measure, is_empty=False),
        sizes=(256,),
        smallest=HEADER_SIZE + 1,
        largest=1 << 16,
    ),
    Case(
        name="open-close",
        group="churn",
        summary=f"streams that carry nothing but their ends, {AT_ONCE} at once",
        measure=partial(measure, is_empty=True),
    ),
]
