"""Properties that hold for any input: no byte is lost, repeated or moved; every stream id is used once."""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiopquic.quic.events import QuicEvent, StopSendingReceived, StreamDataReceived, StreamReset
from aiopquic.quic.streams import MAX_GAP, StreamTable, stream_is_client_initiated, stream_is_unidirectional
from aiopquic.testing.fixtures import StreamsPair

from .support import Endpoints, Recorder, until

# ---- bytes ----


@dataclass(frozen=True)
class Plan:
    """What happens to one stream."""

    by_client: bool
    is_unidirectional: bool
    size: int
    largest_write: int
    end: str
    "fin, reset, stop or cancel"
    drained: bool


plans = st.builds(
    Plan,
    by_client=st.booleans(),
    is_unidirectional=st.booleans(),
    size=st.one_of(st.integers(0, 10), st.integers(0, 300_000)),
    largest_write=st.one_of(st.integers(1, 10).map(lambda tenth: tenth * 1000), st.integers(5000, 100_000)),
    end=st.sampled_from(["fin", "fin", "fin", "reset", "stop", "cancel"]),
    drained=st.booleans(),
)


class Moody(Recorder):
    """Pauses and resumes its streams as the dice fall."""

    def __init__(self, quic: Any, stream_handler: Any = None, *, seed: int = 0, mood: float = 0.0) -> None:
        super().__init__(quic, stream_handler)
        self.dice = random.Random(seed)
        self.mood = mood

    def quic_event_received(self, event: QuicEvent) -> None:
        super().quic_event_received(event)
        if isinstance(event, StreamDataReceived) and self.dice.random() < self.mood:
            self.quic.pause_reading(event.stream_id)
            turns = self.dice.randrange(1, 6)
            asyncio.get_running_loop().call_later(0.0005 * turns, self.quic.resume_reading, event.stream_id)


def pattern(number: int, size: int) -> bytes:
    return random.Random(number).randbytes(size)


async def write(sender: Recorder, stream_id: int, payload: bytes, plan: Plan, dice: random.Random) -> int:
    """Write the payload in random pieces; returns how many bytes were taken."""
    position = 0
    while position < len(payload):
        piece = payload[position : position + dice.randrange(1, plan.largest_write + 1)]
        if plan.drained:
            await sender.quic.send_stream_data_drained(stream_id, piece)
        else:
            try:
                sender.quic.send_stream_data(stream_id, piece)
            except BufferError:
                await asyncio.sleep(0)
                continue
        position += len(piece)
        if dice.random() < 0.2:
            await asyncio.sleep(0)
    return position


async def run_stream(sender: Recorder, receiver: Recorder, number: int, plan: Plan, seed: int) -> None:
    """One stream from its first byte to its end in both directions."""
    stream_id = sender.quic.get_next_available_stream_id(plan.is_unidirectional)
    await run_direction(sender, receiver, stream_id, number, plan, seed)
    if not plan.is_unidirectional:
        receiver.quic.send_stream_data(stream_id, b"", end_stream=True)
        assert await sender.wait_end(stream_id) == b""


async def run_direction(
    sender: Recorder, receiver: Recorder, stream_id: int, number: int, plan: Plan, seed: int
) -> None:
    payload = pattern(number, plan.size)
    dice = random.Random(seed + number)
    writer = asyncio.create_task(write(sender, stream_id, payload, plan, dice))
    if plan.end == "fin":
        await writer
        sender.quic.send_stream_data(stream_id, b"", end_stream=True)
        assert await receiver.wait_end(stream_id) == payload
        return
    for _ in range(dice.randrange(20)):
        await asyncio.sleep(0)
    if plan.end == "stop":
        if not receiver.data[stream_id]:
            await writer
            sender.quic.send_stream_data(stream_id, b"!")
            payload += b"!"
            await receiver.wait_bytes(stream_id, 1)
        receiver.quic.stop_stream(stream_id, number)
        await sender.wait_for(StopSendingReceived, stream_id=stream_id, error_code=number)
    else:
        writer.cancel()
        if plan.end == "reset":
            sender.quic.reset_stream(stream_id, number)
        else:
            await asyncio.gather(writer, return_exceptions=True)
            sender.quic.send_stream_data(stream_id, b"", end_stream=True)
    await asyncio.gather(writer, return_exceptions=True)
    if plan.end == "cancel":
        received = await receiver.wait_end(stream_id)
    else:
        await receiver.wait_for(StreamReset, stream_id=stream_id, error_code=number)
        received = bytes(receiver.data[stream_id])
        assert stream_id not in receiver.ended, "two kinds of an end"
    assert payload.startswith(received), "what arrives is a prefix of what was written"


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    plan=st.lists(plans, min_size=1, max_size=12),
    seed=st.integers(0, 1 << 30),
    mood=st.sampled_from([0.0, 0.1, 0.6]),
    stream_budget=st.sampled_from([100_000, 1 << 22]),
    connection_budget=st.sampled_from([100_000, None]),
    window=st.sampled_from([1000, 1 << 16, 1 << 20]),
    max_data=st.sampled_from([1 << 17, 1 << 24]),
    max_streams=st.sampled_from([2, 512]),
)
async def test_byte_conservation(
    endpoints: Endpoints,
    plan: list[Plan],
    seed: int,
    mood: float,
    stream_budget: int,
    connection_budget: int | None,
    window: int,
    max_data: int,
    max_streams: int,
):
    """robustness.md, "Loss, duplication, reordering of bytes": over sizes, writes, pauses, resets, cancellations."""

    def moody(*arguments: Any, **keywords: Any) -> Moody:
        return Moody(*arguments, **keywords, seed=seed, mood=mood)

    async with endpoints.pair(
        moody,
        moody,
        stream_ring_cap=stream_budget,
        tx_max_queued_bytes=connection_budget,
        initial_stream_window=window,
        max_data=max_data,
        max_streams_bidi=max_streams,
        max_streams_uni=max_streams,
    ) as pair:
        async with asyncio.timeout(30):
            await asyncio.gather(
                *(
                    run_stream(
                        pair.client if one.by_client else pair.peer,
                        pair.peer if one.by_client else pair.client,
                        number,
                        one,
                        seed,
                    )
                    for number, one in enumerate(plan)
                )
            )
        for side in (pair.client, pair.peer):
            await until(lambda side=side: side.quic._connection.send_queued == 0, "an empty send budget")


# ---- datagrams ----

marks = itertools.count()


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    sizes=st.lists(st.one_of(st.integers(8, 20), st.integers(8, 1100)), min_size=1, max_size=200),
    seed=st.integers(0, 1 << 30),
)
async def test_datagrams_arrive_whole_and_once(quic_connections: StreamsPair, sizes: list[int], seed: int):
    """What arrives was sent, unchanged and one time only, over sizes, cancelled sends and an ordinary stream beside.

    All examples share the connection, and datagrams of one may arrive in the next: each marks its own.
    """
    dice = random.Random(seed)
    client, peer = quic_connections
    mark = next(marks).to_bytes(4, "big")
    messages = [mark + number.to_bytes(4, "big") + bytes(size - 8) for number, size in enumerate(sizes)]
    received: list[bytes] = []

    async def receive() -> None:
        async for datagram in peer.incoming_datagrams():
            received.append(bytes(datagram))

    receiver = asyncio.create_task(receive())
    stream = await client.open_send_stream()
    for message in messages:
        task = asyncio.create_task(client.send_datagram(message))
        await asyncio.sleep(0)
        if dice.random() < 0.2:
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await stream.write(b"that was all", end_stream=True)
    assert await (await peer.accept_stream()).read_all() == b"that was all"
    receiver.cancel()
    await asyncio.gather(receiver, return_exceptions=True)
    ours = [datagram for datagram in received if datagram[:4] == mark]
    assert len(set(ours)) == len(ours)
    assert set(ours) <= set(messages)


# ---- stream ids ----

ids = st.integers(0, 400)


@pytest.mark.parametrize("is_client", [True, False])
@given(steps=st.lists(st.tuples(st.sampled_from(["next", "next uni", "claim", "seen"]), ids)))
def test_stream_table(is_client: bool, steps: list[tuple[str, int]]):
    """Each own id is handed out once and claimed once, in any order; was_open() knows exactly the used ones."""
    table = StreamTable(is_client)
    handed_out: set[int] = set()
    claimed: set[int] = set()
    highest_seen = {0: -1, 1: -1, 2: -1, 3: -1}
    for step, number in steps:
        if step.startswith("next"):
            stream_id = table.next_id(step == "next uni")
            assert stream_id not in handed_out | claimed
            assert table.is_own(stream_id)
            assert stream_is_unidirectional(stream_id) == (step == "next uni")
            assert stream_is_client_initiated(stream_id) == is_client
            handed_out.add(stream_id)
        elif step == "claim" and table.is_own(number):
            assert table.claim(number) == (number not in claimed)
            claimed.add(number)
        elif step == "seen" and not table.is_own(number):
            table.seen(number)
            highest_seen[number & 3] = max(highest_seen[number & 3], number)
        for stream_id in range(408):
            if table.is_own(stream_id):
                assert table.was_open(stream_id) == (stream_id in claimed)
            else:
                assert table.was_open(stream_id) == (stream_id <= highest_seen[stream_id & 3])


@given(gap=st.integers(1, 1 << 60))
def test_far_ids(gap: int):
    """An id far ahead is refused instead of remembering all that it leaves out."""
    table = StreamTable(True)
    table.claim(table.next_id(False))
    if gap <= MAX_GAP:
        assert table.claim(4 * gap)
        assert len(table._unused) == gap - 1
    else:
        with pytest.raises(ValueError, match="too far ahead"):
            table.claim(4 * gap)
        assert not table._unused
    assert table.next_id(False) == 4 * (gap + 1 if gap <= MAX_GAP else 1)


def test_table_of_many_streams():
    """robustness.md, "memory that grows with the number of streams ever opened": the table's does not."""
    table = StreamTable(False)
    for _ in range(100_000):
        assert table.claim(table.next_id(True))
    table.seen(400_000)
    assert not table._unused
    assert table.was_open(0)
    assert not table.was_open(400_004)
    assert not table.was_open(-1)
