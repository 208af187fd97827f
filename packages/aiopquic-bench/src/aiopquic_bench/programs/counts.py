"""What the work over real sockets costs in things that can be counted: both ends in one process, over loopback.

System calls, wake-ups, events, turns of the loop: unlike times they hardly depend on how fast the host is, or on what
else it does. Each scenario has several rounds, for whatever disturbs one; the gate takes the least.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiopquic

from .losses import plant_loss
from .pattern import Checker, Failure, has_pattern, pattern, pieces
from .server import NUMBER, resident_bytes

__all__ = ["SCENARIOS", "main"]

ALPN = "aiopquic-bench"
HOST = "127.0.0.1"

ROUNDS = 5

#: The first byte of a stream: what the server is to do with the rest.
SINK, ECHO = b"\x00", b"\x01"

#: Figures of an engine (aiopquic.metrics) that are counted; a revision that lacks one has none of its counts.
OF_ENGINES = (
    "send_calls",
    "receive_calls",
    "datagrams_sent",
    "datagrams_received",
    "loop_wakes",
    "network_wakes",
    "sleeps",
    "sleeps_saved",
    "events",
    "commands",
)

Counts = dict[str, float]


# ---- what is counted ----


class CountingSelector(selectors.DefaultSelector):
    """Counts turns of the loop."""

    turns = 0

    def select(self, timeout: float | None = None) -> Any:
        self.turns += 1
        return super().select(timeout)


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts what a coroutine that waits has to make."""

    def __init__(self) -> None:
        self.selector = CountingSelector()
        self.made = 0
        super().__init__(self.selector)

    def create_future(self) -> asyncio.Future[Any]:
        self.made += 1
        return super().create_future()

    def create_task(self, *args: Any, **kwargs: Any) -> asyncio.Task[Any]:
        self.made += 1
        return super().create_task(*args, **kwargs)

    def call_soon(self, *args: Any, **kwargs: Any) -> asyncio.Handle:  # type: ignore[override]
        self.made += 1
        return super().call_soon(*args, **kwargs)


def engine_figures() -> Counts:
    """Those of both engines, summed, and each with ``client_`` or ``server_`` in front."""
    try:
        from aiopquic.metrics import engine_stats
    except ImportError:  # an old revision
        return {}
    counts: Counts = {}
    for stats in engine_stats():
        for name in OF_ENGINES:
            value = getattr(stats, name, None)
            if value is not None:
                counts[name] = counts.get(name, 0) + value
                counts[f"{stats.role}_{name}"] = value
    return counts


class Place:
    """A server, and what its handler has done."""

    def __init__(self, question: dict[str, Any], loop: CountingLoop) -> None:
        self._question = question
        self._loop = loop
        self.settings: dict[str, Any] = {}
        "For both ends, beside the defaults; a loss that is planted may add some."
        self.port = 0
        self.received = self.reads = self.datagrams = 0
        self.failure: BaseException | None = None

    @asynccontextmanager
    async def server(self) -> AsyncIterator[None]:
        """Until the scenario is over."""
        files = {"certificate": self._question["certificate"], "private_key": self._question["private_key"]}
        async with aiopquic.serve(
            self._handle, HOST, 0, alpn=[ALPN], max_connections=1000, max_streams_bidi=1000, **files, **self.settings
        ) as server:
            self.port = server.port
            yield
        if self.failure is not None:
            raise self.failure

    def connect(self) -> Any:
        """From the same process."""
        return aiopquic.connect(HOST, self.port, alpn=[ALPN], cafile=self._question["certificate"], **self.settings)

    async def _handle(self, connection: Any) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take_datagrams(connection))
                async for stream in connection.incoming_streams(bidirectional=True):
                    tasks.create_task(self._serve(stream))
        except* Failure as failures:
            self.failure = failures.exceptions[0]
            connection.close(1)

    async def _serve(self, stream: Any) -> None:
        first = await stream.read_chunk()
        checker = Checker(1)
        data = first[1:]
        while data is not None:
            checker.check(data)
            self.received += len(data)
            self.reads += 1
            if first[:1] == ECHO and data:
                await stream.write(bytes(data))
            data = await stream.read_chunk()
        await stream.write(b"", True)

    async def _take_datagrams(self, connection: Any) -> None:
        async for datagram in connection.incoming_datagrams():
            (number,) = NUMBER.unpack_from(datagram)
            if not has_pattern(datagram[NUMBER.size :], number):
                raise Failure("a datagram is not the one that was sent")
            self.datagrams += 1

    def now(self) -> Counts:
        """Everything until this moment."""
        own = {"loop_turns": self._loop.selector.turns, "made": self._loop.made, "reads": self.reads}
        return own | engine_figures()

    async def rounds(self, one: Callable[[], Awaitable[float]], *, warm_up: bool = True) -> list[Counts]:
        """What each round took, for each of the units that it returns."""
        found = []
        if warm_up:
            await one()
        for _ in range(ROUNDS):
            before = self.now()
            units = await one()
            after = self.now()
            found.append({name: (after[name] - before[name]) / units for name in before})
        return found


# ---- scenarios ----


async def bulk(place: Place, size: int, streams: int, write: int) -> list[Counts]:
    """Bytes up; each megabyte counts."""

    async def send(connection: Any) -> None:
        stream = await connection.open_stream()
        await stream.write(SINK)
        data = pieces(1, write)
        for _ in range(size // streams // write):
            await stream.write(next(data))
        await stream.write(b"", True)
        await stream.read_chunk()

    async with place.connect() as connection:

        async def one() -> float:
            before = place.received
            async with asyncio.TaskGroup() as tasks:
                for _ in range(streams):
                    tasks.create_task(send(connection))
            sent = size // streams // write * write * streams
            if place.received - before != sent:
                raise Failure("bytes were lost")
            return sent / 1e6

        return await place.rounds(one)


async def writes(place: Place, count: int, size: int) -> list[Counts]:
    """Awaited writes for which there is room; each of them counts."""
    async with place.connect() as connection:

        async def one() -> float:
            stream = await connection.open_stream()
            await stream.write(SINK + pattern(1, size))
            await stream.wait_acked()
            before = place.now()
            for number in range(count):
                await stream.write(pattern(1 + (1 + number) * size, size))
            after = place.now()
            found.append({name: (after[name] - before[name]) / count for name in ("loop_turns", "made")})
            await stream.write(b"", True)
            await stream.read_chunk()
            return count

        found: list[Counts] = []
        for _ in range(ROUNDS):
            await one()
        return found


async def echo(place: Place, count: int, size: int) -> list[Counts]:
    """Messages and their echoes, one at a time; each echo counts."""
    async with place.connect() as connection:
        stream = await connection.open_stream()
        await stream.write(ECHO)
        position = 1

        async def one() -> float:
            nonlocal position
            for _ in range(count):
                sent = pattern(position, size)
                position += size
                await stream.write(sent)
                received = b""
                while len(received) < size:
                    received += bytes(await stream.read_chunk())
                if received != sent:
                    raise Failure("an echo is not what was sent")
            return count

        found = await place.rounds(one)
        await stream.write(b"", True)
        return found


async def churn(place: Place, count: int, size: int, at_once: int) -> list[Counts]:
    """Short streams; each of them counts."""
    sent = pattern(1, size)

    async def some(connection: Any) -> None:
        for _ in range(count // at_once):
            stream = await connection.open_stream()
            await stream.write(ECHO + sent, True)
            received = b""
            while (chunk := await stream.read_chunk()) is not None:
                received += bytes(chunk)
            if received != sent:
                raise Failure("a stream came back otherwise")

    async with place.connect() as connection:

        async def one() -> float:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(at_once):
                    tasks.create_task(some(connection))
            return count // at_once * at_once

        return await place.rounds(one)


async def datagrams(place: Place, count: int, size: int) -> list[Counts]:
    """DATAGRAM frames up, 64 at a time; each that arrives counts."""
    number = 0
    async with place.connect() as connection:

        async def one() -> float:
            nonlocal number
            before = place.datagrams
            for _ in range(count // 64):
                for _ in range(64):
                    await connection.send_datagram(NUMBER.pack(number) + pattern(number, size - NUMBER.size))
                    number += 1
                await asyncio.sleep(0)
            stream = await connection.open_stream()  # whose answer comes behind the datagrams
            await stream.write(SINK, True)
            await stream.read_chunk()
            arrived = place.datagrams - before
            if not arrived:
                raise Failure("no datagram arrived")
            return arrived

        return await place.rounds(one)


async def connections(place: Place, count: int, first: int) -> list[Counts]:
    """Idle connections: KB of both ends for each."""
    stop = asyncio.Event()

    async def hold(is_open: asyncio.Event) -> None:
        async with place.connect():
            is_open.set()
            await stop.wait()

    async with asyncio.TaskGroup() as tasks:

        async def make() -> None:
            is_open = asyncio.Event()
            tasks.create_task(hold(is_open))
            await is_open.wait()

        found = await growth(make, count, first)
        stop.set()
    return found


async def streams(place: Place, count: int, first: int) -> list[Counts]:
    """Idle streams that have carried a byte each way: KB of both ends for each."""
    kept = []
    async with place.connect() as connection:

        async def make() -> None:
            stream = await connection.open_stream()
            await stream.write(ECHO + pattern(1, 1))
            await stream.read_chunk()
            kept.append(stream)

        return await growth(make, count, first)


async def growth(make: Callable[[], Awaitable[None]], count: int, first: int) -> list[Counts]:
    """By how much the process grows, round after round."""
    for _ in range(first):
        await make()
    found = []
    for _ in range(ROUNDS):
        before = resident_bytes()
        for _ in range(count):
            await make()
        found.append({"kb": (resident_bytes() - before) / count / 1e3})
    return found


SCENARIOS: dict[str, Callable[[Place], Awaitable[list[Counts]]]] = {
    "up": lambda place: bulk(place, 32 << 20, 1, 1 << 14),
    "up-100": lambda place: bulk(place, 16 << 20, 100, 1 << 12),
    "write": lambda place: writes(place, 200, 256),
    "echo": lambda place: echo(place, 300, 100),
    "churn": lambda place: churn(place, 1024, 256, 32),
    "datagrams": lambda place: datagrams(place, 8192, 1100),
    "connection": lambda place: connections(place, 40, 40),
    "stream": lambda place: streams(place, 150, 100),
}


def run(question: dict[str, Any], name: str) -> list[Counts]:
    """One scenario, on a loop of its own."""
    loop = CountingLoop()
    place = Place(question, loop)
    plant_loss(question["plant"], place.settings)

    async def scenario() -> list[Counts]:
        async with place.server():
            return await SCENARIOS[name](place)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(scenario())


def main() -> None:
    """Take a question as a line of JSON, and answer with a line."""
    question = json.loads(sys.stdin.readline())
    try:
        answer: dict[str, Any] = {"rounds": run(question, question["scenario"])}
    except Failure as failure:
        answer = {"failure": str(failure), "kind": failure.kind}
    print(json.dumps(answer), flush=True)
