"""Connections that resume a session (RFC 8446 section 2.2): the handshake without a certificate, and 0-RTT."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import cast
from uuid import uuid4

from aiopquic.streams import Connection as StreamsConnection
from aiopquic_bench.apis.events import StreamsProtocol
from aiopquic_bench.apis.shape import Connection
from aiopquic_bench.cases.case import Case
from aiopquic_bench.figures import percentile
from aiopquic_bench.job import Job
from aiopquic_bench.measuring import Figures, Window, check_totals
from aiopquic_bench.moving import Tally, read_exactly
from aiopquic_bench.peers import Peer
from aiopquic_bench.problems import ExitCode, Problem
from aiopquic_bench.serving import HEADER_SIZE, message

__all__ = ["CASES"]

#: Bytes that go out with the first packet, and come back.
MESSAGE_SIZE = 100


async def measure(job: Job, peer: Peer, *, is_early: bool) -> Figures:
    """Connect and close, one after the other; each resumes the session of the one before.

    The latency is that of connecting; with 0-RTT, where that waits for nothing, that of the first echo.
    """
    tickets = Path(job.certificates) / f"tickets-{uuid4().hex}"
    tally, stop = Tally(), asyncio.Event()
    times: list[float] = []
    async with job.connect(peer.port, tickets=tickets) as connection:
        await _echo(connection, tally)  # the ticket comes before the echo
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_resume(job, peer, tickets, is_early, tally, times, stop))
        window = await Window.watch(job, peer, tally)
        stop.set()
    await check_totals(peer, tally)
    measured = sorted(times[window.begin.count : window.end.count])
    percentiles = {f"p{percent}_us": percentile(measured, percent) * 1e6 for percent in (50, 99)}
    return {**window.per_second(), **percentiles}


async def _resume(
    job: Job, peer: Peer, tickets: Path, is_early: bool, tally: Tally, times: list[float], stop: asyncio.Event
) -> None:
    while not stop.is_set():
        begin = time.perf_counter()
        async with job.connect(peer.port, tickets=tickets, is_early=is_early) as connection:
            if not is_early:
                times.append(time.perf_counter() - begin)
            await _echo(connection, tally)
            if is_early:
                times.append(time.perf_counter() - begin)
                await _wait_for_ticket(connection)
            _check(connection, is_early)
            tally.count += 1


async def _wait_for_ticket(connection: Connection) -> None:
    """The echo may be here before the handshake is complete, and the ticket comes behind that."""
    told = cast("StreamsConnection | StreamsProtocol", connection)
    await told.wait_connected()
    await told.ping()


async def _echo(connection: Connection, tally: Tally) -> None:
    sent = message(tally.sent, MESSAGE_SIZE)
    stream = await connection.open_stream()
    await stream.write(sent, True)
    tally.sent += MESSAGE_SIZE - HEADER_SIZE
    if await read_exactly(stream, MESSAGE_SIZE) != sent:
        raise Problem("an echo is not what was sent: the run is a failure and gives no figure", ExitCode.WRONG_BYTES)
    tally.received += MESSAGE_SIZE - HEADER_SIZE


def _check(connection: Connection, is_early: bool) -> None:
    """Raises Problem for a connection that did not do what is measured."""
    told = cast("StreamsConnection | StreamsProtocol", connection)
    if not told.session_resumed:
        raise Problem("a connection did not resume the session before it: the run gives no figure")
    if is_early and not told.early_data_accepted:
        raise Problem("the server did not take the 0-RTT data: the run gives no figure")


CASES = [
    Case(
        name="handshakes-resumed",
        group="handshakes",
        summary="connect by the ticket of the connection before, echo a message, close; one after the other",
        measure=partial(measure, is_early=False),
        apis=("streams", "asyncio"),
    ),
    Case(
        name="handshakes-0rtt",
        group="handshakes",
        summary="the same with the message in the first packet (0-RTT): connect and echo",
        measure=partial(measure, is_early=True),
        apis=("streams", "asyncio"),
    ),
]
