"""The codecs alone, with an integer of each length (RFC 9000 section 16), and the ring that threads share."""

from __future__ import annotations

import time
from collections.abc import Callable

from aiopquic._binding._transport import EVT_STREAM_DATA, RingBuffer
from aiopquic.buffer import Buffer
from aiopquic.streamchain import StreamChain
from aiopquic_bench.cases.case import Case
from aiopquic_bench.job import Job
from aiopquic_bench.measuring import Figures
from aiopquic_bench.problems import ExitCode, Problem

__all__ = ["CASES"]

VALUES = (37, 15293, 494878333, 151288809941952652)
ENCODED = bytes.fromhex("25 7bbd 9d7f3e7d c2197c5eff14e88c")

#: Rounds between two looks at the clock.
ROUNDS = 1000


def measure_alone(job: Job) -> Figures:
    """Nanoseconds for each integer: written and read, read from a chain of two pieces, pushed and popped."""
    seconds = job.duration / 3
    return {
        "buffer_ns": _time(_make_buffer(), seconds),
        "chain_ns": _time(_make_chain(), seconds),
        "ring_ns": _time(_make_ring(), seconds),
    }


def _make_buffer() -> Callable[[], list[int]]:
    buffer = Buffer(capacity=len(ENCODED))

    def run() -> list[int]:
        buffer.seek(0)
        for value in VALUES:
            buffer.push_uint_var(value)
        buffer.seek(0)
        return [buffer.pull_uint_var() for _ in VALUES]

    return run


def _make_chain() -> Callable[[], list[int]]:
    head, tail = ENCODED[:5], ENCODED[5:]

    def run() -> list[int]:
        chain = StreamChain()
        chain.extend(head)
        chain.extend(tail)
        return [chain.pull_uint_var() for _ in VALUES]

    return run


def _make_ring() -> Callable[[], list[int]]:
    ring = RingBuffer(capacity=len(VALUES))

    def run() -> list[int]:
        for value in VALUES:
            ring.push(EVT_STREAM_DATA, value)
        found = []
        while (event := ring.pop()) is not None:
            found.append(event[1])
        return found

    return run


def _time(run: Callable[[], list[int]], seconds: float) -> float:
    if run() != list(VALUES):
        raise Problem("an integer was not read as it was written", ExitCode.WRONG_BYTES)
    count, begin = 0, time.perf_counter()
    while (now := time.perf_counter()) - begin < seconds or not count:
        for _ in range(ROUNDS):
            run()
        count += ROUNDS
    return (now - begin) / (count * len(VALUES)) * 1e9


CASES = [
    Case(
        name="micro",
        group="micro",
        summary="integers of 1, 2, 4 and 8 bytes through Buffer, StreamChain and RingBuffer",
        measure_alone=measure_alone,
    )
]
