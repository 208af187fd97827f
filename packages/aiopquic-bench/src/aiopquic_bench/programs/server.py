"""The server process: it does with each stream what the first bytes of the stream ask for, and counts."""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import struct
import sys
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator
from enum import IntEnum
from itertools import islice
from pathlib import Path
from typing import Any

from .adapters import library_of
from .pattern import Checker, Failure, has_pattern, pieces
from .shape import Connection, Job, Stream

__all__ = [
    "HEADER",
    "NUMBER",
    "WRITES_PER_TURN",
    "Asked",
    "cpu_seconds",
    "main",
    "plant",
    "resident_bytes",
    "write_turn",
]

#: What a stream is for, the size of writes that is asked for, and where its pattern begins.
HEADER = struct.Struct("!BII")

#: A datagram begins with its number, which is where its pattern begins.
NUMBER = struct.Struct("!Q")

#: A write that finds room takes no turn of the loop: one is taken after as many bytes, or writes, as this.
BYTES_PER_TURN = 1 << 18
WRITES_PER_TURN = 64


class Asked(IntEnum):
    """What the client wants."""

    ECHO = 1
    SINK = 2
    SOURCE = 3
    REPLY = 4
    "The whole stream back, once it has arrived."


def cpu_seconds() -> float:
    """CPU time of this process, all threads, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def plant(passes: int, data: bytes | memoryview) -> None:
    """The slowdown on purpose."""
    for _ in range(passes):
        zlib.crc32(data)


async def write_turn(write: Callable[[bytes], Awaitable[None]], data: Iterator[bytes], size: int) -> int:
    """Write until the loop is due a turn, and give it that; returns how many bytes."""
    count = max(1, min(WRITES_PER_TURN, BYTES_PER_TURN // size))
    for piece in islice(data, count):
        await write(piece)
    await asyncio.sleep(0)
    return count * size


class Service:
    """The handler of connections, and their account."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.sent = 0
        self.received = 0
        self.datagrams = 0
        self.failure: str | None = None

    def report(self, with_memory: bool) -> dict[str, Any]:
        """Everything until now."""
        memory = resident_bytes() if with_memory else 0
        return {
            "time": time.monotonic(),
            "cpu": cpu_seconds(),
            "sent": self.sent,
            "received": self.received,
            "datagrams": self.datagrams,
            "memory": memory,
            "failure": self.failure,
        }

    async def handle(self, connection: Connection) -> None:
        """Serve a connection to its end."""
        tasks = {asyncio.ensure_future(self._take_datagrams(connection))}
        async for stream in connection.incoming_streams():
            task = asyncio.ensure_future(self._guard(connection, stream))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        for task in tuple(tasks):
            task.cancel()

    async def _guard(self, connection: Connection, stream: Stream) -> None:
        try:
            await self._serve(stream)
        except Failure as failure:
            self.failure = str(failure)
            connection.abort()
        except (ConnectionError, OSError):
            pass  # the client went away

    async def _serve(self, stream: Stream) -> None:
        first = b""
        while len(first) < HEADER.size:
            chunk = await stream.read_chunk()
            if chunk is None:
                raise Failure("a stream ended within its header")
            first = first + bytes(chunk) if first else bytes(chunk)
        asked, size, position = HEADER.unpack_from(first)
        checker = Checker(position)
        rest = first[HEADER.size :]
        checker.check(rest)
        self.received += len(rest)
        if asked == Asked.ECHO:
            self.sent += len(rest)
            await stream.write(first)
            while (chunk := await stream.read_chunk()) is not None:
                self._take(checker, chunk)
                self.sent += len(chunk)
                await stream.write(bytes(chunk))
        elif asked == Asked.REPLY:
            pieces_back = [first]
            while (chunk := await stream.read_chunk()) is not None:
                self._take(checker, chunk)
                pieces_back.append(bytes(chunk))
            reply = first if len(pieces_back) == 1 else b"".join(pieces_back)
            self.sent += len(reply) - HEADER.size
            await stream.write(reply, True)
            return
        elif asked == Asked.SINK:
            await self._sink(stream, checker)
        else:
            await self._source(stream, checker, position + 1, size)
        await stream.write(b"", True)

    def _take(self, checker: Checker, chunk: bytes | memoryview) -> None:
        checker.check(chunk)
        self.received += len(chunk)
        if self._job.plant:
            plant(self._job.plant, chunk)

    async def _sink(self, stream: Stream, checker: Checker) -> None:
        while (chunk := await stream.read_chunk()) is not None:
            self._take(checker, chunk)

    async def _source(self, stream: Stream, checker: Checker, position: int, size: int) -> None:
        reader = asyncio.ensure_future(self._sink(stream, checker))
        write = stream.write_raw if self._job.raw else stream.write
        data = pieces(position, size)
        try:
            while not reader.done():
                written = await write_turn(write, data, size)
                self.sent += written
        finally:
            reader.cancel()

    async def _take_datagrams(self, connection: Connection) -> None:
        async for datagram in connection.incoming_datagrams():
            try:
                (number,) = NUMBER.unpack_from(datagram)
            except struct.error:
                number = -1
            if number < 0 or not has_pattern(datagram[NUMBER.size :], number):
                self.failure = "a datagram is not the one that was sent"
                connection.abort()
                return
            self.datagrams += 1


async def serve() -> None:
    """Take a job, tell the port, then answer each line with a report, to the end of input."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    job = Job.of(json.loads(await reader.readline()))
    service = Service(job)
    async with library_of(job).serve(service.handle) as port:
        print(json.dumps({"port": port}), flush=True)
        while line := await reader.readline():
            print(json.dumps(service.report(json.loads(line))), flush=True)


def main() -> None:
    """Serve until the standard input ends."""
    asyncio.run(serve())
