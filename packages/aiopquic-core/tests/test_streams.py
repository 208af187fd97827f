"""Streams: bytes, ends, resets and refusals, in both directions."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from aiopquic._binding._stream import SEND_FLOOR
from aiopquic.exceptions import (
    StreamClosedError,
    StreamStoppedError,
    WouldBlockError,
)
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import StopSendingReceived, StreamDataReceived, StreamReset

from .support import Echo, Endpoints, Pair, Recorder, round_trips, until, write_when_possible

MIB = 1 << 20
DIRECTIONS = ["client to server", "server to client"]


def sides(pair: Pair, direction: str) -> tuple[Recorder, Recorder]:
    """Who sends and who receives."""
    return (pair.client, pair.peer) if direction == DIRECTIONS[0] else (pair.peer, pair.client)


class HashingRecorder(Recorder):
    """Keeps a hash of each stream instead of its bytes."""

    def __init__(self, quic: QuicConnection, stream_handler: Any = None) -> None:
        super().__init__(quic, stream_handler)
        self.hashes: dict[int, Any] = {}
        self.counts: dict[int, int] = {}

    def keep(self, stream_id: int, data: memoryview) -> None:
        self.hashes.setdefault(stream_id, hashlib.sha256()).update(data)
        self.counts[stream_id] = self.counts.get(stream_id, 0) + len(data)


# ---- bytes and ends ----


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("is_unidirectional", [False, True], ids=["bidirectional", "unidirectional"])
async def test_stream(endpoints: Endpoints, direction: str, is_unidirectional: bool):
    """Either side opens streams of either kind; ids count up in steps of 4 and bytes arrive in order."""
    async with endpoints.pair() as pair:
        sender, receiver = sides(pair, direction)
        first = sender.quic.get_next_available_stream_id(is_unidirectional)
        second = sender.quic.get_next_available_stream_id(is_unidirectional)
        assert first == 2 * is_unidirectional + (sender is pair.peer)
        assert second == first + 4
        sender.quic.send_stream_data(first, b"one ")
        sender.quic.send_stream_data(second, b"two")
        sender.quic.send_stream_data(first, b"more", end_stream=True)
        assert await receiver.wait_end(first) == b"one more"
        assert await receiver.wait_bytes(second, 3) == b"two"
        assert second not in receiver.ended
        sender.quic.send_stream_data(second, b"", end_stream=True)
        assert await receiver.wait_end(second) == b"two"


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_empty_stream(endpoints: Endpoints, direction: str):
    """A stream of nothing but FIN arrives as one event without bytes."""
    async with endpoints.pair() as pair:
        sender, receiver = sides(pair, direction)
        stream_id = sender.quic.get_next_available_stream_id(True)
        sender.quic.send_stream_data(stream_id, b"", end_stream=True)
        assert await receiver.wait_end(stream_id) == b""
        assert receiver.chunks == [(stream_id, 0)]


async def test_empty_write_opens_nothing(endpoints: Endpoints):
    """A write of no bytes without FIN is harmless."""
    async with endpoints.pair(server=Echo) as pair:
        pair.client.quic.send_stream_data(0, b"")
        pair.client.quic.send_stream_data(0, b"x", end_stream=True)
        assert await pair.client.wait_end(0) == b"x"


@pytest.mark.parametrize(
    "convert",
    [
        bytes,
        bytearray,
        memoryview,
        lambda data: memoryview(bytearray(data)),
        lambda data: memoryview(data).cast("H"),
    ],
    ids=["bytes", "bytearray", "memoryview", "writable memoryview", "memoryview of 16-bit items"],
)
@pytest.mark.parametrize("how", ["send_stream_data", "send_stream_data_drained"])
async def test_buffers(endpoints: Endpoints, convert: Callable[[bytes], Any], how: str):
    """Any contiguous buffer is taken, as bytes; it may change afterwards."""
    payload = os.urandom(4096)
    data = convert(payload)
    async with endpoints.pair() as pair:
        result = getattr(pair.client.quic, how)(0, data, end_stream=True)
        if result is not None:
            await result
        if not memoryview(data).readonly:
            data[:1] = b"\x00"
        assert await pair.peer.wait_end(0) == payload


@pytest.mark.parametrize(
    "wrong", ["text", None, 7, memoryview(b"0123456789")[::2]], ids=["text", "None", "int", "strided"]
)
async def test_wrong_buffers(endpoints: Endpoints, wrong: Any):
    """What is no contiguous buffer is refused, and the stream goes on."""
    async with endpoints.pair() as pair:
        with pytest.raises((TypeError, BufferError)) as caught:
            pair.client.quic.send_stream_data(0, wrong)
        assert not isinstance(caught.value, WouldBlockError)
        pair.client.quic.send_stream_data(0, b"fine", end_stream=True)
        assert await pair.peer.wait_end(0) == b"fine"


async def test_data_stays_valid(endpoints: Endpoints):
    """The memoryview of an event is read-only and outlives the connection."""
    kept: list[memoryview] = []

    class Keeper(Recorder):
        def quic_event_received(self, event: Any) -> None:
            if isinstance(event, StreamDataReceived):
                kept.append(event.data)
            super().quic_event_received(event)

    payload = os.urandom(200_000)
    async with endpoints.pair(server=Keeper) as pair:
        await pair.client.quic.send_stream_data_drained(0, payload, end_stream=True)
        await pair.peer.wait_end(0)
    assert b"".join(kept) == payload
    assert all(view.readonly for view in kept)
    kept.clear()


async def test_large_transfers_both_ways(endpoints: Endpoints):
    """8 MiB each way at once on one stream arrive unharmed."""
    upward, downward = os.urandom(8 * MIB), os.urandom(8 * MIB)
    async with endpoints.pair(HashingRecorder, HashingRecorder) as pair:
        client, peer = pair.client, pair.peer
        await client.quic.send_stream_data_drained(0, upward[:1])
        await peer.changes.wait_for(lambda: 0 in peer.counts, "the stream did not arrive")
        await asyncio.gather(
            client.quic.send_stream_data_drained(0, upward[1:], end_stream=True),
            peer.quic.send_stream_data_drained(0, downward, end_stream=True),
        )
        for side, payload in ((peer, upward), (client, downward)):
            await side.wait_end(0)
            assert side.counts[0] == len(payload)
            assert side.hashes[0].digest() == hashlib.sha256(payload).digest()


async def test_many_streams(endpoints: Endpoints):
    """500 streams, written in turns in random pieces, each arrive whole."""
    dice = random.Random(1)
    async with endpoints.pair() as pair:
        payloads = {4 * number: dice.randbytes(dice.randrange(4000)) for number in range(500)}
        left = dict(payloads)
        while left:
            for stream_id in list(left):
                length = dice.randrange(1, 1500)
                piece, left[stream_id] = left[stream_id][:length], left[stream_id][length:]
                await write_when_possible(pair.client, stream_id, piece, end_stream=not left[stream_id])
                if not left[stream_id]:
                    del left[stream_id]
        for stream_id, payload in payloads.items():
            assert await pair.peer.wait_end(stream_id) == payload


async def test_one_end_only(endpoints: Endpoints):
    """However a FIN and the reading of the bytes before it meet, the end is told once."""
    async with endpoints.pair(server_settings={"max_streams_uni": 1 << 16}) as pair:
        ids = [pair.client.quic.get_next_available_stream_id(True) for _ in range(20_000)]
        for begin in range(0, len(ids), 50):
            for data, end in ((b"x", False), (b"", True)):
                for stream_id in ids[begin : begin + 50]:
                    pair.client.quic.send_stream_data(stream_id, data, end)
                await asyncio.sleep(0)
        for stream_id in ids:
            assert await pair.peer.wait_end(stream_id) == b"x"


async def test_more_streams_than_the_peer_allows_at_once(endpoints: Endpoints):
    """Streams beyond the peer's limit wait for earlier ones to end; none is lost."""
    async with endpoints.pair(server=Echo, server_settings={"max_streams_bidi": 3, "max_streams_uni": 2}) as pair:
        ids = [pair.client.quic.get_next_available_stream_id() for _ in range(60)]
        one_way = [pair.client.quic.get_next_available_stream_id(True) for _ in range(40)]
        for stream_id in ids + one_way:
            pair.client.quic.send_stream_data(stream_id, b"%d" % stream_id, end_stream=True)
        for stream_id in ids:
            assert await pair.client.wait_end(stream_id) == b"%d" % stream_id
        for stream_id in one_way:
            await pair.peer.wait_end(stream_id)


async def test_ids_out_of_order(endpoints: Endpoints):
    """Own ids may be used in any order, also without asking for them first; the skipped ones stay free."""
    async with endpoints.pair() as pair:
        for stream_id in (40, 0, 20, 42):
            pair.client.quic.send_stream_data(stream_id, b"%d" % stream_id, end_stream=True)
        for stream_id in (40, 0, 20, 42):
            assert await pair.peer.wait_end(stream_id) == b"%d" % stream_id
        assert pair.client.quic.get_next_available_stream_id() == 44
        pair.client.quic.send_stream_data(4, b"late", end_stream=True)
        assert await pair.peer.wait_end(4) == b"late"


# ---- reset and stop ----


@pytest.mark.parametrize("code", [0, 7, (1 << 62) - 1])
@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_reset(endpoints: Endpoints, direction: str, code: int):
    """RESET_STREAM ends one direction with its code; the other direction goes on."""
    async with endpoints.pair() as pair:
        sender, receiver = sides(pair, direction)
        stream_id = sender.quic.get_next_available_stream_id()
        sender.quic.send_stream_data(stream_id, b"begin")
        await receiver.wait_bytes(stream_id, 5)
        sender.quic.reset_stream(stream_id, code)
        event = await receiver.wait_for(StreamReset)
        assert event == StreamReset(stream_id=stream_id, error_code=code)
        receiver.quic.send_stream_data(stream_id, b"still here", end_stream=True)
        assert await sender.wait_end(stream_id) == b"still here"
        assert stream_id not in receiver.ended
        with pytest.raises(StreamClosedError, match=f"stream {stream_id} "):
            sender.quic.send_stream_data(stream_id, b"more")


async def test_reset_before_any_data(endpoints: Endpoints):
    """A stream that is reset before its first byte is told as such (robustness.md, "Protocol")."""
    async with endpoints.pair() as pair:
        pair.client.quic.reset_stream(8, 3)
        assert await pair.peer.wait_for(StreamReset) == StreamReset(stream_id=8, error_code=3)
        assert pair.peer.data == {}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("code", [0, 99, (1 << 62) - 1])
async def test_stop_sending(endpoints: Endpoints, direction: str, code: int):
    """STOP_SENDING comes with its code, is answered with RESET_STREAM, and ends writing only."""
    async with endpoints.pair() as pair:
        sender, receiver = sides(pair, direction)
        stream_id = sender.quic.get_next_available_stream_id()
        sender.quic.send_stream_data(stream_id, b"begin")
        await receiver.wait_bytes(stream_id, 5)
        receiver.quic.stop_stream(stream_id, code)
        assert await sender.wait_for(StopSendingReceived) == StopSendingReceived(stream_id, code)
        with pytest.raises(StreamStoppedError) as caught:
            sender.quic.send_stream_data(stream_id, b"more")
        assert caught.value.stream_id == stream_id
        assert await receiver.wait_for(StreamReset) == StreamReset(stream_id, code)
        receiver.quic.send_stream_data(stream_id, b"still here", end_stream=True)
        assert await sender.wait_end(stream_id) == b"still here"
        assert receiver.data[stream_id] == b"begin"


async def test_stop_with_bytes_under_way(endpoints: Endpoints):
    """robustness.md, "a writer parked on a stream that was reset": a stopped sender's wait ends, and its
    budget is free again."""
    async with endpoints.pair() as pair:
        assert pair.client.quic.get_next_available_stream_id() == 0
        pair.peer.quic.pause_reading(0)
        writer = asyncio.create_task(pair.client.quic.send_stream_data_drained(0, bytes(12 * MIB)))
        await until(lambda: pair.client.quic.tx_sent_bytes(0) > 0)
        await round_trips(pair)
        assert not writer.done()
        pair.peer.quic.stop_stream(0, 5)
        with pytest.raises(StreamStoppedError):
            await writer
        assert pair.client.quic.tx_data_ring_used(0) == 0
        await pair.peer.wait_for(StreamReset, stream_id=0, error_code=5)
        following = pair.client.quic.get_next_available_stream_id()
        await pair.client.quic.send_stream_data_drained(following, bytes(6 * MIB), end_stream=True)
        assert len(await pair.peer.wait_end(following)) == 6 * MIB


@pytest.mark.parametrize("who", ["peer stops", "we reset"])
async def test_end_of_a_stream_whose_writer_waits_for_the_connection(endpoints: Endpoints, who: str):
    """The same while the connection's budget is what the writer waits for, used up by another stream."""
    async with endpoints.pair(
        client_settings={"tx_max_queued_bytes": 100_000}, server_settings={"initial_stream_window": 1000}
    ) as pair:
        pair.peer.quic.pause_reading(0)
        pair.client.quic.send_stream_data(4, b"x")
        await pair.peer.wait_bytes(4, 1)
        pair.peer.quic.pause_reading(4)
        pair.client.quic.send_stream_data(0, bytes(100_000))
        writer = asyncio.create_task(pair.client.quic.send_stream_data_drained(4, bytes(100_000)))
        await until(lambda: pair.client.quic._sender._by_stream, "a writer that waits for the connection")
        assert pair.client.quic.tx_data_ring_used(4) <= SEND_FLOOR
        if who == "peer stops":
            pair.peer.quic.stop_stream(4, 1)
        else:
            pair.client.quic.reset_stream(4, 1)
        with pytest.raises(StreamStoppedError if who == "peer stops" else StreamClosedError):
            async with asyncio.timeout(5):
                await writer


async def test_local_reset_wakes_writer(endpoints: Endpoints):
    """A writer that waits for room fails when its own side resets the stream."""
    async with endpoints.pair() as pair:
        pair.peer.quic.pause_reading(0)
        writer = asyncio.create_task(pair.client.quic.send_stream_data_drained(0, bytes(12 * MIB)))
        await until(lambda: pair.client.quic.tx_sent_bytes(0) > 0)
        pair.client.quic.reset_stream(0, 1)
        with pytest.raises(StreamClosedError):
            await writer
        await pair.peer.wait_for(StreamReset, stream_id=0, error_code=1)


async def test_nothing_but_the_end_after_a_stop(endpoints: Endpoints):
    """After stop_stream() no byte is told, also of a stream that was all there: only that it has ended."""
    async with endpoints.pair() as pair:
        for number in range(50):
            stream_id = pair.client.quic.get_next_available_stream_id()
            pair.peer.quic.pause_reading(stream_id)
            pair.client.quic.send_stream_data(stream_id, bytes(20_000), end_stream=number % 2 == 0)
            await until(lambda stream_id=stream_id: stream_id in pair.peer.quic._reading.unread)
            pair.peer.quic.stop_stream(stream_id, number)
            pair.peer.quic.resume_reading(stream_id)
            await pair.peer.changes.wait_for(
                lambda stream_id=stream_id: (
                    stream_id in pair.peer.ended or pair.peer.seen(StreamReset, stream_id=stream_id)
                ),
                "neither end nor reset",
            )
            assert not pair.peer.data[stream_id]
            pair.peer.quic.send_stream_data(stream_id, b"", end_stream=True)
        for side in (pair.client, pair.peer):
            await until(lambda side=side: not side.quic._connection.streams)
        assert not pair.peer.quic._reading.stopped


async def test_reset_and_stop_cross(endpoints: Endpoints):
    """RESET_STREAM and STOP_SENDING that pass each other hurt nobody (robustness.md, "Lifetime")."""
    async with endpoints.pair() as pair:
        for number in range(100):
            pair.client.quic.send_stream_data(4 * number, b"x")
        for number in range(100):
            await pair.peer.wait_bytes(4 * number, 1)
        for number in range(100):
            pair.client.quic.reset_stream(4 * number, number)
            pair.peer.quic.stop_stream(4 * number, 1000 + number)
            pair.peer.quic.send_stream_data(4 * number, b"y", end_stream=True)
        for number in range(100):
            event = await pair.peer.wait_for(StreamReset, stream_id=4 * number)
            assert event.error_code in (number, 1000 + number)
            assert await pair.client.wait_end(4 * number) == b"y"
        await round_trips(pair)


async def test_stop_of_own_stream_before_the_peer_knows_it(endpoints: Endpoints):
    """STOP_SENDING may be the first that the peer hears of a stream of ours."""
    async with endpoints.pair() as pair:
        pair.client.quic.stop_stream(0, 4)
        assert await pair.peer.wait_for(StopSendingReceived) == StopSendingReceived(0, 4)


# ---- refusals ----


async def test_write_after_end(endpoints: Endpoints):
    """A write after FIN raises StreamClosedError, and changes nothing for the peer."""
    async with endpoints.pair() as pair:
        pair.client.quic.send_stream_data(0, b"all", end_stream=True)
        for data, end in ((b"more", False), (b"", True), (b"more", True)):
            with pytest.raises(StreamClosedError, match=r"stream 0 .*(finished|over)") as caught:
                pair.client.quic.send_stream_data(0, data, end)
            assert caught.value.stream_id == 0
        with pytest.raises(StreamClosedError, match="stream 0 "):
            await pair.client.quic.send_stream_data_drained(0, b"more")
        assert await pair.peer.wait_end(0) == b"all"


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_use_after_both_directions_ended(endpoints: Endpoints, direction: str):
    """A stream that is over is told apart from one that never was."""
    async with endpoints.pair(server=Echo) as pair:
        await round_trips(pair)
        side = pair.client if direction == DIRECTIONS[0] else pair.peer
        calls = [
            lambda: side.quic.send_stream_data(0, b"more"),
            lambda: side.quic.reset_stream(0, 1),
            lambda: side.quic.stop_stream(0, 1),
            lambda: side.quic.set_stream_priority(0, 1),
        ]
        await until(lambda: 0 not in side.quic._connection.streams, "the last acknowledgement")
        for call in calls:
            with pytest.raises(StreamClosedError, match="stream 0 is over: both directions have ended"):
                call()


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_wrong_direction(endpoints: Endpoints, direction: str):
    """On the peer's unidirectional stream nothing can be sent, on our own nothing stopped."""
    async with endpoints.pair() as pair:
        sender, receiver = sides(pair, direction)
        stream_id = sender.quic.get_next_available_stream_id(True)
        sender.quic.send_stream_data(stream_id, b"x")
        await receiver.wait_bytes(stream_id, 1)
        for call in (
            lambda: receiver.quic.send_stream_data(stream_id, b"y"),
            lambda: receiver.quic.reset_stream(stream_id, 1),
            lambda: sender.quic.stop_stream(stream_id, 1),
        ):
            with pytest.raises(StreamClosedError, match=f"stream {stream_id} .*(unidirectional|other way)"):
                call()
        never = stream_id + 4
        with pytest.raises(StreamClosedError, match=f"stream {never} is the peer's unidirectional stream"):
            receiver.quic.send_stream_data(never, b"y")
        sender.quic.send_stream_data(stream_id, b"z", end_stream=True)
        assert await receiver.wait_end(stream_id) == b"xz"


async def test_streams_that_never_were(endpoints: Endpoints):
    """An id that nobody opened is refused with a sentence that says so."""
    async with endpoints.pair(server=Echo) as pair:
        client, peer = pair.client.quic, pair.peer.quic
        for call in (
            lambda: client.send_stream_data(1, b"x"),
            lambda: client.send_stream_data(4001, b"x"),
            lambda: client.reset_stream(1, 0),
            lambda: client.stop_stream(3, 0),
            lambda: peer.send_stream_data(0, b"x"),
            lambda: peer.stop_stream(2, 0),
        ):
            with pytest.raises(StreamClosedError, match=r"does not exist: the peer has not opened it|unidirectional"):
                call()
        for wrong in (-1, -4, -2):
            with pytest.raises(ValueError, match=f"stream {wrong} "):
                client.send_stream_data(wrong, b"x")
        with pytest.raises(ValueError, match="too far ahead"):
            client.send_stream_data(1 << 61, b"x")
        await round_trips(pair)


@pytest.mark.parametrize("code", [-1, 1 << 62, "7"])
async def test_wrong_codes(endpoints: Endpoints, code: Any):
    """A code that does not fit a QUIC integer is refused, and the stream goes on."""
    async with endpoints.pair() as pair:
        pair.client.quic.send_stream_data(0, b"a")
        for call in (pair.client.quic.reset_stream, pair.client.quic.stop_stream):
            with pytest.raises((ValueError, OverflowError, TypeError)):
                call(0, code)
        pair.client.quic.send_stream_data(0, b"b", end_stream=True)
        assert await pair.peer.wait_end(0) == b"ab"


# ---- budgets ----


async def test_buffer_error_is_all_or_nothing(endpoints: Endpoints):
    """robustness.md, "A retry after ``BufferError`` that sends twice": every byte arrives once."""
    dice = random.Random(2)
    payload = dice.randbytes(3 * MIB)
    async with endpoints.pair(client_settings={"stream_ring_cap": 40_000}) as pair:
        position = refusals = 0
        while position < len(payload):
            piece = payload[position : position + dice.randrange(1, 40_001)]
            position += len(piece)
            refusals += await write_when_possible(pair.client, 0, piece, end_stream=position == len(payload))
        assert refusals > 0
        assert await pair.peer.wait_end(0) == payload


async def test_buffer_error(endpoints: Endpoints):
    """A full ring raises BufferError, takes nothing, and has room again once the peer reads."""
    async with endpoints.pair(
        client_settings={"stream_ring_cap": 100_000}, server_settings={"initial_stream_window": 1000}
    ) as pair:
        pair.peer.quic.pause_reading(0)
        pair.client.quic.send_stream_data(0, b"a" * 100_000)
        used = 99_000
        await until(lambda: pair.client.quic.tx_data_ring_used(0) == used, "the window to be full")
        assert pair.client.quic.tx_sent_bytes(0) == 1000
        for length in (1001, 50_000, 100_000):
            with pytest.raises(BufferError) as caught:
                pair.client.quic.send_stream_data(0, b"b" * length, end_stream=True)
            assert isinstance(caught.value, WouldBlockError)
            assert pair.client.quic.tx_data_ring_used(0) == used
        pair.client.quic.send_stream_data(0, b"c" * 1000)
        pair.peer.quic.resume_reading(0)
        await pair.peer.wait_bytes(0, 101_000)
        pair.client.quic.send_stream_data(0, b"d" * 100_000, end_stream=True)
        assert await pair.peer.wait_end(0) == b"a" * 100_000 + b"c" * 1000 + b"d" * 100_000


async def test_larger_than_the_ring(endpoints: Endpoints):
    """robustness.md, "a write larger than a ring": ValueError at once, for it could never succeed."""
    async with endpoints.pair(client_settings={"stream_ring_cap": 1000}) as pair:
        with pytest.raises(ValueError, match="larger than the whole send budget") as caught:
            pair.client.quic.send_stream_data(0, bytes(1001))
        assert not isinstance(caught.value, BufferError)
        pair.client.quic.send_stream_data(0, bytes(1000), end_stream=True)
        assert await pair.peer.wait_end(0) == bytes(1000)


async def test_connection_budget(endpoints: Endpoints):
    """``tx_max_queued_bytes`` bounds all streams of a connection together, but for what each may hold anyway."""
    async with endpoints.pair(
        client_settings={"tx_max_queued_bytes": 100_000}, server_settings={"initial_stream_window": 1000}
    ) as pair:
        for stream_id in (0, 4, 8):
            pair.peer.quic.pause_reading(stream_id)
        pair.client.quic.send_stream_data(0, bytes(60_000))
        pair.client.quic.send_stream_data(4, bytes(40_000))
        with pytest.raises(BufferError):
            pair.client.quic.send_stream_data(8, bytes(SEND_FLOOR + 1))
        pair.client.quic.send_stream_data(8, bytes(SEND_FLOOR))
        with pytest.raises(BufferError):
            pair.client.quic.send_stream_data(8, bytes(2000))
        with pytest.raises(ValueError, match="larger than the whole send budget"):
            pair.client.quic.send_stream_data(8, bytes(100_001))
        for stream_id in (0, 4, 8):
            pair.peer.quic.resume_reading(stream_id)
        assert len(await pair.peer.wait_bytes(0, 60_000)) == 60_000
        assert len(await pair.peer.wait_bytes(4, 40_000)) == 40_000
        await write_when_possible(pair.client, 8, bytes(100_000), end_stream=True)
        assert len(await pair.peer.wait_end(8)) == 100_000 + SEND_FLOOR


@pytest.mark.parametrize("budget", ["stream", "connection"])
async def test_drained_write_through_small_budgets(endpoints: Endpoints, budget: str):
    """send_stream_data_drained moves 20 MiB through 64 KiB, never holding more, and nothing is lost."""
    payload = os.urandom(20 * MIB)
    setting = {"stream": "stream_ring_cap", "connection": "tx_max_queued_bytes"}[budget]
    most = 0

    class Watcher(HashingRecorder):
        def keep(self, stream_id: int, data: memoryview) -> None:
            nonlocal most
            super().keep(stream_id, data)
            most = max(most, pair.client.quic.tx_data_ring_used(stream_id))

    async with endpoints.pair(server=Watcher, client_settings={setting: 1 << 16}) as pair:
        await pair.client.quic.send_stream_data_drained(0, payload, end_stream=True)
        await pair.peer.wait_end(0)
        assert pair.peer.hashes[0].digest() == hashlib.sha256(payload).digest()
        assert 0 < most <= 1 << 16


@pytest.mark.parametrize("budget", ["stream_ring_cap", "tx_max_queued_bytes"])
async def test_cancelled_drained_write(endpoints: Endpoints, budget: str):
    """A cancelled drained write has sent a prefix and leaves no waiter; the stream goes on."""
    payload = os.urandom(4 * MIB)
    async with endpoints.pair(client_settings={budget: 1 << 16}) as pair:
        pair.peer.quic.pause_reading(0)
        writer = asyncio.create_task(pair.client.quic.send_stream_data_drained(0, payload, end_stream=True))
        await until(lambda: pair.client.quic.tx_sent_bytes(0) > 0)
        await asyncio.sleep(0)
        writer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writer
        assert pair.client.quic._sender._by_stream == {}
        pair.peer.quic.resume_reading(0)
        await pair.client.quic.send_stream_data_drained(0, b"the end", end_stream=True)
        received = await pair.peer.wait_end(0)
        assert received.endswith(b"the end")
        assert len(payload) > len(received) - 7 > 0
        assert payload.startswith(received[:-7])


@pytest.mark.parametrize("budget", ["stream_ring_cap", "tx_max_queued_bytes"])
async def test_concurrent_drained_writes(endpoints: Endpoints, budget: str):
    """Drained writers on several streams share the budgets; each gets done, and no byte goes astray."""
    payloads = {4 * number: os.urandom(2 * MIB + number) for number in range(6)}
    async with endpoints.pair(client_settings={budget: 1 << 16}) as pair:
        await asyncio.gather(
            *(
                pair.client.quic.send_stream_data_drained(stream_id, payload, end_stream=True)
                for stream_id, payload in payloads.items()
            )
        )
        for stream_id, payload in payloads.items():
            assert await pair.peer.wait_end(stream_id) == payload


async def test_bounded_commands(endpoints: Endpoints):
    """With ``event_ring_capacity`` a burst of calls meets BufferError, and every retried one counts once."""
    async with endpoints.pair(client_settings={"event_ring_capacity": 4}) as pair:
        refusals = 0
        for number in range(400):
            refusals += await write_when_possible(pair.client, 4 * number, b"%d" % number, end_stream=True)
        assert refusals > 0
        for number in range(400):
            assert await pair.peer.wait_end(4 * number) == b"%d" % number


async def test_priorities(endpoints: Endpoints):
    """A more urgent stream overtakes a large one that waits for the connection's window."""
    order: list[int] = []

    class Order(Recorder):
        def keep(self, stream_id: int, data: memoryview) -> None:
            order.append(stream_id)

    async with endpoints.pair(server=Order) as pair:
        assert pair.client.quic.set_stream_priority(0, 200) == 0
        assert pair.client.quic.set_stream_priority(4, 1) == 0
        pair.client.quic.send_stream_data(0, bytes(2 * MIB), end_stream=True)
        pair.client.quic.send_stream_data(4, bytes(MIB), end_stream=True)
        await pair.peer.wait_end(4)
        assert 0 not in pair.peer.ended
        await pair.peer.wait_end(0)
        with pytest.raises(ValueError, match="0 to 255"):
            pair.client.quic.set_stream_priority(8, 256)
