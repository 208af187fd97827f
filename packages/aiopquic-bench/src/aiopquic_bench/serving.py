"""The server: it does with each stream what the stream's first bytes ask for, and tells what it has counted."""

from __future__ import annotations

import asyncio
import gc
import struct
import time
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Self, cast

from aiopquic.exceptions import QuicConnectionError, StreamError
from aiopquic_bench.apis.shape import Connection, Stream
from aiopquic_bench.moving import Tally, read_pattern, write_pattern
from aiopquic_bench.pattern import Checker, pattern
from aiopquic_bench.problems import ExitCode, Problem
from aiopquic_bench.usage import cpu_seconds, resident_bytes

if TYPE_CHECKING:
    from aiopquic.streams import Connection as StreamsConnection

__all__ = ["DATAGRAM_NUMBER", "ECHOED", "HEADER_SIZE", "Asked", "Report", "Service", "header", "message"]

_HEADER = struct.Struct("!BII")
HEADER_SIZE = _HEADER.size

#: Every datagram begins with its number, which is where its pattern begins.
DATAGRAM_NUMBER = struct.Struct("!Q")

#: A number with this bit asks for the datagram to be sent back.
ECHOED = 1 << 63


class Asked(IntEnum):
    """What a client asks of a stream; it follows the pattern, from the position that the header names, to its end."""

    ECHO = 1
    "Everything back, the header too."
    SINK = 2
    "Nothing but the end, once the client's has arrived."
    SOURCE = 3
    "The pattern, one further on, in writes of a size, until the client ends its side."


def header(asked: Asked, position: int, size: int = 1) -> bytes:
    """The first bytes of a stream."""
    return _HEADER.pack(asked, size, position % (1 << 32))


def message(position: int, size: int) -> bytes:
    """A whole stream of ``size`` bytes that comes back as it is."""
    return header(Asked.ECHO, position) + pattern(position, size - HEADER_SIZE)


@dataclass(frozen=True, slots=True)
class Report:
    """What a server has seen and used so far."""

    time: float
    "CLOCK_MONOTONIC, which all processes share."
    cpu_seconds: float
    "0 in the client's own process, whose account has it."
    resident_bytes: int
    "As cpu_seconds."
    sent: int
    received: int
    datagrams: int
    connections: int
    problem: str | None
    "Why the run is a failure."

    def as_json(self) -> dict[str, Any]:
        """For :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """From another process."""
        return cls(**values)


class Service:
    """The handler of connections, and the account of all of them."""

    def __init__(self, *, is_own_process: bool, has_datagrams: bool) -> None:
        self._is_own_process = is_own_process
        self._has_datagrams = has_datagrams
        self._tally = Tally()
        self._datagrams = 0
        self._connections = 0
        self._problem: str | None = None

    def report(self, *, with_memory: bool = False) -> Report:
        """What there is to tell now; memory is looked at only when asked, for it takes a collection."""
        if with_memory and self._is_own_process:
            gc.collect()
        return Report(
            time=time.monotonic(),
            cpu_seconds=cpu_seconds() if self._is_own_process else 0.0,
            resident_bytes=resident_bytes() if with_memory and self._is_own_process else 0,
            sent=self._tally.sent,
            received=self._tally.received,
            datagrams=self._datagrams,
            connections=self._connections,
            problem=self._problem,
        )

    async def handle(self, connection: Connection) -> None:
        """Serve a connection to its end."""
        self._connections += 1
        try:
            async with asyncio.TaskGroup() as tasks:
                if self._has_datagrams:
                    tasks.create_task(self._take_datagrams(cast("StreamsConnection", connection)))
                async for stream in connection.incoming_streams():
                    tasks.create_task(self._serve(stream))
        except* Problem as problems:
            self._problem = str(problems.exceptions[0])
            connection.close(1, "wrong bytes")
        except* (QuicConnectionError, StreamError):
            pass  # the client went away

    async def _serve(self, stream: Stream) -> None:
        first = b""
        while len(first) < HEADER_SIZE:
            chunk = await stream.read_chunk()
            if chunk is None:
                break
            first = first + chunk if first else bytes(chunk)
        if not first:
            await stream.write(b"", True)
            return
        if len(first) < HEADER_SIZE:
            raise Problem("a stream ended within its header", ExitCode.WRONG_BYTES)
        asked, size, position = _HEADER.unpack_from(first)
        checker = Checker(position)
        rest = first[HEADER_SIZE:]
        checker.check(rest)
        self._tally.received += len(rest)
        if asked == Asked.ECHO:
            await self._echo(stream, first, checker)
        elif asked == Asked.SINK:
            await read_pattern(stream, checker, self._tally)
        elif asked == Asked.SOURCE:
            await self._exchange(stream, checker, position + 1, size)
        else:
            raise Problem(f"a stream asks for {asked}, which nobody sent", ExitCode.WRONG_BYTES)
        await stream.write(b"", True)

    async def _echo(self, stream: Stream, first: bytes, checker: Checker) -> None:
        self._tally.sent += len(first) - HEADER_SIZE
        await stream.write(first)
        while (chunk := await stream.read_chunk()) is not None:
            checker.check(chunk)
            self._tally.received += len(chunk)
            self._tally.sent += len(chunk)
            await stream.write(chunk)

    async def _exchange(self, stream: Stream, checker: Checker, position: int, size: int) -> None:
        reader = asyncio.ensure_future(read_pattern(stream, checker, self._tally))
        try:
            await write_pattern(stream, position, size, self._tally, lambda: not reader.done())
        finally:
            if not reader.done():
                reader.cancel()
        await reader

    async def _take_datagrams(self, connection: StreamsConnection) -> None:
        async for datagram in connection.incoming_datagrams():
            if len(datagram) < DATAGRAM_NUMBER.size:
                raise Problem("a datagram arrived without its number", ExitCode.WRONG_BYTES)
            (number,) = DATAGRAM_NUMBER.unpack_from(datagram)
            Checker(number).check(datagram[DATAGRAM_NUMBER.size :])
            self._datagrams += 1
            if number & ECHOED:
                await connection.send_datagram(datagram)
