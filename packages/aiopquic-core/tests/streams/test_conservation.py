"""Byte conservation over the streams API as a property: every byte once, in order, however it is written and read."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aiopquic

from ..certificates import Certificates
from .support import Ends, Pair, soon

WRITES = st.lists(st.one_of(st.integers(0, 100), st.integers(0, 100_000)), max_size=8)
READS = st.sampled_from(["read", "read some", "chunk", "exactly", "all"])
STREAMS = st.lists(st.tuples(WRITES, READS, st.booleans()), min_size=1, max_size=5)


async def write(stream: aiopquic.SendStream, parts: list[bytes], ends_apart: bool) -> None:
    async with stream:
        for index, part in enumerate(parts):
            if not stream.try_write(part[:1000]):
                await stream.write(part[:1000])
            await stream.write(part[1000:], end_stream=not ends_apart and index == len(parts) - 1)
        if not stream.is_finished:
            await stream.finish()
        await stream.wait_acked()


async def read(stream: aiopquic.ReceiveStream, kind: str, chance: random.Random) -> bytes:
    received = bytearray()
    while not stream.at_end:
        try:
            async with asyncio.timeout(0 if chance.random() < 0.2 else None):
                if kind == "chunk":
                    received += await stream.read_chunk() or b""
                elif kind == "exactly":
                    received += await stream.readexactly(chance.randrange(50_000))
                elif kind == "all":
                    received += await stream.read_all()
                else:
                    received += await stream.read(-1 if kind == "read" else chance.randrange(1, 2000))
        except TimeoutError:
            pass
        except asyncio.IncompleteReadError as error:
            received += error.partial
    return bytes(received)


async def exchange(pair: Pair, streams: list[tuple[list[int], str, bool]], seed: int) -> None:
    chance = random.Random(seed)
    contents: dict[int, bytes] = {}
    kinds: dict[int, str] = {}
    tasks: dict[int, asyncio.Task[bytes]] = {}

    async def accept(group: asyncio.TaskGroup) -> None:
        for _ in streams:
            arrived = await pair.peer.accept_stream(bidirectional=False)
            tasks[arrived.id] = group.create_task(read(arrived, kinds[arrived.id], chance))

    async with asyncio.TaskGroup() as group:
        group.create_task(accept(group))
        for sizes, kind, ends_apart in streams:
            stream = await pair.client.open_send_stream()
            parts = [chance.randbytes(size) for size in sizes]
            contents[stream.id], kinds[stream.id] = b"".join(parts), kind
            group.create_task(write(stream, parts, ends_apart))
    assert {stream_id: task.result() for stream_id, task in tasks.items()} == contents


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(streams=STREAMS, small=st.booleans(), seed=st.integers(0, 1 << 32))
async def test_every_byte_once_and_in_order(
    certificates: Certificates, streams: list[tuple[list[int], str, bool]], small: bool, seed: int
) -> None:
    """robustness.md, "Loss, duplication, reordering of bytes": over sizes, kinds of reads, budgets and time-outs."""
    budgets: dict[str, Any] = {"stream_ring_cap": 5000, "initial_stream_window": 3000, "max_stream_data": 9000}
    async with Ends(certificates).pair(max_streams_uni=3, **(budgets if small else {})) as pair:
        await soon(exchange(pair, streams, seed))
