"""Moving the pattern over a stream, and counting it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiopquic_bench.apis.shape import Stream
from aiopquic_bench.pattern import Checker, pattern
from aiopquic_bench.problems import ExitCode, Problem

__all__ = ["Tally", "read_end", "read_exactly", "read_pattern", "write_pattern"]

#: A write that finds room takes no turn of the loop: one is taken after as many writes or bytes as this.
WRITES_PER_TURN = 64
BYTES_PER_TURN = 1 << 18


@dataclass(slots=True)
class Tally:
    """What one side has moved."""

    sent: int = 0
    "Bytes of the pattern that were written."
    received: int = 0
    "Bytes of the pattern that arrived and were right."
    count: int = 0
    "Whatever a case counts."


async def write_pattern(stream: Stream, position: int, size: int, tally: Tally, goes_on: Callable[[], bool]) -> None:
    """Write the pattern from ``position`` on, ``size`` bytes at a time, as long as ``goes_on()``."""
    turn = max(1, min(WRITES_PER_TURN, BYTES_PER_TURN // size))
    while goes_on():
        for _ in range(turn):
            tally.sent += size
            await stream.write(pattern(position, size))
            position += size
        await asyncio.sleep(0)


async def read_pattern(stream: Stream, checker: Checker, tally: Tally) -> None:
    """Read to the end of the stream, and check every byte.

    Raises:
        Problem: a byte is wrong.
    """
    while (chunk := await stream.read_chunk()) is not None:
        checker.check(chunk)
        tally.received += len(chunk)


async def read_exactly(stream: Stream, count: int) -> bytes:
    """The next ``count`` bytes, which the peer sends no more than."""
    parts = []
    while count > 0:
        chunk = await stream.read_chunk()
        if chunk is None:
            raise Problem(f"the stream ended {count} bytes too early", ExitCode.WRONG_BYTES)
        parts.append(bytes(chunk))
        count -= len(chunk)
    if count < 0:
        raise Problem(f"{-count} bytes arrived that were never sent", ExitCode.WRONG_BYTES)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def read_end(stream: Stream) -> None:
    """Wait for the end of the stream, which nothing comes before."""
    if await stream.read_chunk() is not None:
        raise Problem("bytes arrived behind the last one that was sent", ExitCode.WRONG_BYTES)
