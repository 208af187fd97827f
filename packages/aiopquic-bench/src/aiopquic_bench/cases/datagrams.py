"""Unreliable datagrams (RFC 9221), as fast as the sender's queue takes them."""

from __future__ import annotations

import asyncio
from typing import cast

from aiopquic.streams import Connection
from aiopquic_bench.cases.case import Case
from aiopquic_bench.job import Job
from aiopquic_bench.measuring import Figures, Window, check_totals
from aiopquic_bench.moving import WRITES_PER_TURN, Tally
from aiopquic_bench.pattern import pattern
from aiopquic_bench.peers import Peer
from aiopquic_bench.serving import DATAGRAM_NUMBER

__all__ = ["CASES"]

#: Looks at the server, this many seconds apart, until nothing more arrives.
SETTLE_INTERVAL = 0.05


async def measure(job: Job, peer: Peer) -> Figures:
    """Send until the time is over; what arrives is counted, and checked, at the server."""
    sent, tally, stop = Tally(), Tally(), asyncio.Event()
    async with job.connect(peer.port) as opened:
        connection = cast("Connection", opened)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_send(connection, job.size, sent, stop))
            window = await Window.watch(job, peer, tally)
            stop.set()
        await check_totals(peer, tally)
        arrived = await _arrived(peer, sent.count)
    figures = window.per_second(window.end.server.datagrams - window.begin.server.datagrams)
    return {**figures, "lost_percent": 100 * (1 - arrived / sent.count)}


async def _send(connection: Connection, size: int, sent: Tally, stop: asyncio.Event) -> None:
    while not stop.is_set():
        for _ in range(WRITES_PER_TURN):
            number = sent.count
            body = pattern(number, size - DATAGRAM_NUMBER.size)
            await connection.send_datagram(DATAGRAM_NUMBER.pack(number) + body)
            sent.count += 1
        await asyncio.sleep(0)


async def _arrived(peer: Peer, sent: int) -> int:
    """What the server has once nothing more comes."""
    before = -1
    while (now := (await peer.report()).datagrams) not in (sent, before):
        before = now
        await asyncio.sleep(SETTLE_INTERVAL)
    return now


CASES = [
    Case(
        name="datagrams",
        group="datagrams",
        summary="datagrams delivered to the server; the size is that of a payload",
        measure=measure,
        sizes=(100, 600, 1100),
        smallest=DATAGRAM_NUMBER.size,
        largest=1200,
        apis=("streams", "webtransport"),
    )
]
