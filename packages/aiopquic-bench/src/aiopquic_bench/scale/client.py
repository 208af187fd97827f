"""A client process: it opens connections and keeps them, and does with some of them what it is told, line by line."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiopquic_bench.apis.shape import Connection, Stream
from aiopquic_bench.job import Job
from aiopquic_bench.moving import Tally, read_end, read_exactly, write_pattern
from aiopquic_bench.pattern import pattern
from aiopquic_bench.peers import tell
from aiopquic_bench.problems import ExitCode, Problem, problem_of
from aiopquic_bench.serving import HEADER_SIZE, Asked, header

__all__ = ["main"]

#: Bytes of a message, and of a write of a transfer.
MESSAGE_SIZE = 100
WRITE_SIZE = 1 << 14

#: Streams begin this far apart in the pattern, so that bytes of another connection are found.
APART = 1009

#: Seconds for all connections to close.
CLOSE_TIMEOUT = 15.0

#: Bytes of a line, which may hold a number for each echo.
LINE_MAX = 1 << 28


class Client:
    """The connections of this process."""

    def __init__(self, job: Job, port: int) -> None:
        self._job = job
        self._port = port
        self._held: list[tuple[AbstractAsyncContextManager[Connection], Connection]] = []

    async def open(self, count: int, at_once: int) -> dict[str, Any]:
        """Open connections, so many at once; how long each took, in microseconds."""
        times: list[int] = []
        left = count

        async def connect() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                opening = self._job.connect(self._port)
                begin = time.perf_counter()
                connection = await opening.__aenter__()
                times.append(_microseconds(begin))
                self._held.append((opening, connection))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(at_once, count)):
                tasks.create_task(connect())
        return {"times_us": times}

    async def echo(self, active: int, seconds: float, interval: float) -> dict[str, Any]:
        """Messages and their echoes, one at a time on each of some connections; an interval of 0 leaves no pause."""
        times: list[int] = []
        counts = [0] * active
        end = time.perf_counter() + seconds

        async def run(place: int, stream: Stream) -> None:
            position = place * APART
            await stream.write(header(Asked.ECHO, position))
            await read_exactly(stream, HEADER_SIZE)
            due = time.perf_counter() + interval * place / active
            while True:
                if interval and (pause := due - time.perf_counter()) > 0:
                    await asyncio.sleep(pause)
                if (begin := time.perf_counter()) >= end:
                    break
                due += interval
                sent = pattern(position, MESSAGE_SIZE)
                await stream.write(sent)
                if await read_exactly(stream, MESSAGE_SIZE) != sent:
                    raise Problem("an echo is not what was sent", ExitCode.WRONG_BYTES)
                position += MESSAGE_SIZE
                times.append(_microseconds(begin))
                counts[place] += 1
            await _finish(stream)

        await self._each(active, run)
        return {"times_us": times, "counts": counts, "sent": sum(counts) * MESSAGE_SIZE}

    async def send(self, active: int, seconds: float) -> dict[str, Any]:
        """A stream of each of some connections, written to as fast as it goes; bytes of each."""
        tallies = [Tally() for _ in range(active)]
        end = time.perf_counter() + seconds

        async def run(place: int, stream: Stream) -> None:
            position = place * APART
            await stream.write(header(Asked.SINK, position))
            await write_pattern(stream, position, WRITE_SIZE, tallies[place], lambda: time.perf_counter() < end)
            await _finish(stream)

        await self._each(active, run)
        counts = [tally.sent for tally in tallies]
        return {"counts": counts, "sent": sum(counts)}

    async def _each(self, active: int, run: Callable[[int, Stream], Awaitable[None]]) -> None:
        async def one(place: int) -> None:
            await run(place, await self._held[place][1].open_stream())

        async with asyncio.TaskGroup() as tasks:
            for place in range(active):
                tasks.create_task(one(place))

    async def close(self) -> dict[str, Any]:
        """Close them all."""
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await asyncio.gather(*(opening.__aexit__(None, None, None) for opening, _ in self._held))
        self._held.clear()
        return {}


async def _finish(stream: Stream) -> None:
    await stream.write(b"", True)
    await read_end(stream)


def _microseconds(begin: float) -> int:
    return round((time.perf_counter() - begin) * 1e6)


async def _obey() -> None:
    """Take a job and a port, then a command for each line, to the end of input; answer each."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    values = json.loads(await reader.readline())
    client = Client(Job.from_json(values["job"]), values["port"])
    commands: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
        "open": client.open,
        "echo": client.echo,
        "send": client.send,
        "close": client.close,
    }
    while line := await reader.readline():
        asked = json.loads(line)
        try:
            tell(await commands[asked.pop("do")](**asked))
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                raise
            tell({"problem": str(problem), "exit_code": problem.exit_code})


def main() -> None:
    """Until the standard input ends."""
    asyncio.run(_obey())


if __name__ == "__main__":
    main()
