"""Transfers over a simulated network in one process, the same in every run, for virtual time and for instructions.

For one revision of aiopquic against another: what it takes from the library is there in both.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiopquic
from aiopquic.testing.simnet import Link, SimulatedNetwork

from .pattern import Checker, Failure, pattern
from .server import plant

__all__ = ["SCENARIOS", "main"]

ALPN = "aiopquic-bench"
SIZE = 1 << 14

#: Seconds of virtual time that the slowdown on purpose waits for each piece that arrives: what a protocol that
#: answers late would cost.
PLANTED_DELAY = 0.01


class Place:
    """A network with a server on it that echoes, and what a scenario needs to know."""

    def __init__(self, question: dict[str, Any], link: Link, seed: int) -> None:
        self.question = question
        self.network = SimulatedNetwork(seed, link=link)
        self.received = 0

    def mark(self) -> None:
        """Where what is counted begins and ends: callgrind writes down what it has when this function is called."""
        if self.question["counts_instructions"]:
            os.ctermid()

    @asynccontextmanager
    async def server(self) -> AsyncIterator[None]:
        """Until the scenario is over."""
        files = {"certificate": self.question["certificate"], "private_key": self.question["private_key"]}
        with self.network.host("server"):
            server = await aiopquic.serve(
                self._handle, "server", 443, alpn=[ALPN], max_connections=1000, max_streams_bidi=1000, **files
            )
        async with server:
            yield

    async def _handle(self, connection: Any) -> None:
        async with asyncio.TaskGroup() as tasks:
            async for stream in connection.incoming_streams(bidirectional=True):
                tasks.create_task(self._serve(stream))

    async def _serve(self, stream: Any) -> None:
        first = await stream.read_chunk()
        if first is None:
            return
        does_echo = first[0] == 1
        checker = Checker(1)
        data = first[1:]
        while data is not None:
            checker.check(data)
            self.received += len(data)
            if does_echo:
                await stream.write(data)
            await self.slow_down(data)
            data = await stream.read_chunk()
        await stream.write(b"", True)

    async def slow_down(self, data: bytes | memoryview) -> None:
        """On purpose, where that is asked for."""
        if self.question["plant"]:
            plant(self.question["plant"], data)
            if not self.question["counts_instructions"]:  # a reader that waits takes more at once, which costs less
                await asyncio.sleep(PLANTED_DELAY * self.question["plant"])

    def connect(self) -> Any:
        """From the host called localhost."""
        return aiopquic.connect("server", 443, alpn=[ALPN], cafile=self.question["certificate"])

    def counts(self) -> dict[str, float]:
        """Of the network."""
        here, there = self.network.host("localhost"), self.network.host("server")
        ways = self.network.counters(here, there), self.network.counters(there, here)
        return {"datagrams": sum(way.sent for way in ways), "wire_bytes": sum(way.sent_bytes for way in ways)}


async def send(connection: Any, size: int) -> None:
    """One stream with that many bytes, until the server has them all."""
    stream = await connection.open_stream()
    await stream.write(b"\x00")
    for position in range(1, size + 1, SIZE):
        await stream.write(pattern(position, min(SIZE, size + 1 - position)))
    await stream.write(b"", True)
    if await stream.read_chunk() is not None:
        raise Failure("bytes arrived that nobody sent")


async def bulk(place: Place, size: int, streams: int) -> float:
    """Bytes up, on one connection; the second half counts. Returns the bytes of that half."""
    async with place.connect() as connection:
        for is_counted in (False, True):
            if is_counted:
                place.mark()
            async with asyncio.TaskGroup() as tasks:
                for _ in range(streams):
                    tasks.create_task(send(connection, size // streams))
        place.mark()
    if place.received != 2 * (size // streams) * streams:
        raise Failure("bytes were lost")
    return size // streams * streams


async def echo(place: Place, count: int, size: int) -> float:
    """Messages and their echoes, one at a time; the second half counts."""
    async with place.connect() as connection:
        stream = await connection.open_stream()
        await stream.write(b"\x01")
        for number in range(2 * count):
            if number == count:
                place.mark()
            sent = pattern(1 + number * size, size)
            await stream.write(sent)
            received = b""
            while len(received) < size:
                received += bytes(await stream.read_chunk())
            if received != sent:
                raise Failure("an echo is not what was sent")
        place.mark()
        await stream.write(b"", True)
    return count


async def churn(place: Place, count: int, size: int) -> float:
    """Short streams, 16 at once; the second half counts."""

    async def one(connection: Any) -> None:
        stream = await connection.open_stream()
        sent = pattern(1, size)
        await stream.write(b"\x01" + sent, True)
        received = b""
        while (chunk := await stream.read_chunk()) is not None:
            received += bytes(chunk)
        if received != sent:
            raise Failure("a stream came back otherwise")

    async with place.connect() as connection:
        for number in range(2 * count // 16):
            if number == count // 16:
                place.mark()
            await asyncio.gather(*(one(connection) for _ in range(16)))
        place.mark()
    return count // 16 * 16


async def handshakes(place: Place, count: int) -> float:
    """Connections, one after the other; the second half counts."""
    for number in range(2 * count):
        if number == count:
            place.mark()
        async with place.connect():
            pass
    place.mark()
    return count


FAST = Link(mbps=1000, delay=0.0005, queue_bytes=1 << 20)
ACCESS = Link(mbps=50, delay=0.01, queue_bytes=250_000)
LOSSY = Link(mbps=50, delay=0.02, queue_bytes=250_000, loss=0.01)

Scenario = tuple[Link, Callable[[Place], Awaitable[float]]]

SCENARIOS: dict[str, Scenario] = {
    "bulk": (ACCESS, lambda place: bulk(place, 2_000_000, 1)),
    "bulk-lossy": (LOSSY, lambda place: bulk(place, 1_000_000, 1)),
    "bulk-100": (ACCESS, lambda place: bulk(place, 2_000_000, 100)),
    "echo": (ACCESS, lambda place: echo(place, 50, 100)),
    "churn": (ACCESS, lambda place: churn(place, 320, 256)),
    "handshakes": (ACCESS, lambda place: handshakes(place, 10)),
    "count-bulk": (FAST, lambda place: bulk(place, 1_000_000, 1)),
    "count-bulk-100": (FAST, lambda place: bulk(place, 1_000_000, 100)),
    "count-echo": (FAST, lambda place: echo(place, 100, 100)),
    "count-churn": (FAST, lambda place: churn(place, 96, 256)),
    "count-handshakes": (FAST, lambda place: handshakes(place, 4)),
}


def run(question: dict[str, Any], name: str, seed: int) -> dict[str, float]:
    """One scenario; virtual seconds, what went over the network, and how much was counted."""
    link, scenario = SCENARIOS[name]
    place = Place(question, link, seed)
    random.seed(seed)

    async def main() -> float:
        async with place.server():
            return await scenario(place)

    units = place.network.run(main())
    return {"virtual_s": place.network.time, **place.counts(), "units": units}


def main() -> None:
    """Take a question as a line of JSON, and answer with a line."""
    question = json.loads(sys.stdin.readline())
    try:
        answer: dict[str, Any] = {"results": [run(question, name, seed) for name, seed in question["runs"]]}
    except Failure as failure:
        answer = {"failure": str(failure), "kind": failure.kind}
    print(json.dumps(answer), flush=True)
