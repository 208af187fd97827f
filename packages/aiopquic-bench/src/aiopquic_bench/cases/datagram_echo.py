"""How long a datagram and its echo take, how much that varies, and what is lost: alone, and beside a stream."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from itertools import pairwise
from typing import cast

from aiopquic.streams import Connection
from aiopquic_bench.cases.case import Case
from aiopquic_bench.figures import percentile
from aiopquic_bench.job import Job
from aiopquic_bench.measuring import Figures, Window, check_totals
from aiopquic_bench.moving import Tally, read_end, write_pattern
from aiopquic_bench.pattern import Checker, pattern
from aiopquic_bench.peers import Peer
from aiopquic_bench.problems import ExitCode, Problem
from aiopquic_bench.serving import DATAGRAM_NUMBER, ECHOED, Asked, header

__all__ = ["CASES"]

#: Seconds between two datagrams: so few that none waits for another.
INTERVAL = 0.001

#: Bytes of a write of the stream beside them.
LOAD_SIZE = 1 << 14

#: An echo that does not come for this many seconds is lost.
PATIENCE = 0.5


class Echoes:
    """What was sent, and how long each echo took."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.sent: list[float] = []
        "When, by the number of the datagram."
        self.times: list[float] = []
        "Seconds, in the order of arrival."

    async def send(self, connection: Connection, stop: asyncio.Event) -> None:
        """One datagram at each interval."""
        while not stop.is_set():
            number = ECHOED | len(self.sent)
            datagram = DATAGRAM_NUMBER.pack(number) + pattern(number, self.size - DATAGRAM_NUMBER.size)
            self.sent.append(time.perf_counter())
            await connection.send_datagram(datagram)
            await asyncio.sleep(INTERVAL)

    async def receive(self, connection: Connection, tally: Tally) -> None:
        """Each echo is compared with what was sent."""
        async for datagram in connection.incoming_datagrams():
            now = time.perf_counter()
            number = DATAGRAM_NUMBER.unpack_from(datagram)[0] if len(datagram) == self.size else 0
            place = number & ~ECHOED
            if not number & ECHOED or place >= len(self.sent):
                raise Problem("a datagram came back that was never sent", ExitCode.WRONG_BYTES)
            Checker(number).check(datagram[DATAGRAM_NUMBER.size :])
            self.times.append(now - self.sent[place])
            tally.count += 1

    async def settle(self) -> None:
        """Wait for those on the way, as long as any come."""
        before = -1
        while before < len(self.times) < len(self.sent):
            before = len(self.times)
            await asyncio.sleep(PATIENCE)


async def measure(job: Job, peer: Peer, *, is_loaded: bool) -> Figures:
    """Send datagrams at an even pace; the server sends each back."""
    tally, stop = Tally(), asyncio.Event()
    echoes = Echoes(job.size)
    async with job.connect(peer.port) as opened:
        connection = cast("Connection", opened)
        async with asyncio.TaskGroup() as tasks:
            if is_loaded:
                tasks.create_task(_load(connection, tally, stop))
            sender = tasks.create_task(echoes.send(connection, stop))
            receiver = tasks.create_task(echoes.receive(connection, tally))
            window = await Window.watch(job, peer, tally)
            stop.set()
            await sender
            await echoes.settle()
            receiver.cancel()
        await check_totals(peer, tally)
    figures = spread_of(echoes.times[window.begin.count : window.end.count])
    rate = window.per_second()
    if is_loaded:
        del rate["cpu_us_each"]  # most of that is the stream's
    return {**figures, **rate, "lost_percent": 100 * (1 - tally.count / len(echoes.sent))}


def spread_of(times: list[float]) -> Figures:
    """Percentiles, and the mean difference between one and the next."""
    ordered = sorted(times)
    jitter = [abs(after - before) for before, after in pairwise(times)]
    return {
        **{f"p{percent}_us": percentile(ordered, percent) * 1e6 for percent in (50, 90, 99)},
        "jitter_us": sum(jitter) / max(1, len(jitter)) * 1e6,
    }


async def _load(connection: Connection, tally: Tally, stop: asyncio.Event) -> None:
    stream = await connection.open_stream()
    await stream.write(header(Asked.SINK, 0, LOAD_SIZE))
    await write_pattern(stream, 0, LOAD_SIZE, tally, lambda: not stop.is_set())
    await stream.write(b"", True)
    await read_end(stream)


CASES = [
    Case(
        name=name,
        group="datagrams",
        summary=f"a datagram a millisecond, and its echo{beside}; the size is that of a payload",
        measure=partial(measure, is_loaded=is_loaded),
        sizes=(100, 600, 1100),
        smallest=DATAGRAM_NUMBER.size,
        largest=1200,
        apis=("streams", "webtransport"),
    )
    for name, beside, is_loaded in (
        ("datagram-echo", "", False),
        ("datagram-echo-loaded", ", beside a stream as fast as it goes", True),
    )
]
