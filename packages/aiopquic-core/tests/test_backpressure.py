"""Backpressure: who does not read holds its sender, and nobody else (robustness.md, "Flow control and budgets")."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import pytest

from aiopquic._binding._engine import live_counts
from aiopquic._binding._stream import SEND_FLOOR
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import HandshakeCompleted, QuicEvent, StreamDataReceived, StreamReset

from .support import Endpoints, Pair, Recorder, client_configuration, round_trips, until

MIB = 1 << 20
WINDOW = 1 << 16
BUDGET = 1 << 18


async def push_until_held(pair: Pair, stream_id: int, payload: bytes) -> int:
    """Send ``payload`` from the client until nothing moves any more; returns how many bytes were taken."""
    taken = 0
    while True:
        before = taken, pair.client.quic.tx_sent_bytes(stream_id)
        try:
            while taken < len(payload):
                pair.client.quic.send_stream_data(stream_id, payload[taken : taken + 4096])
                taken += len(payload[taken : taken + 4096])
        except BufferError:
            pass
        await round_trips(pair)
        if before == (taken, pair.client.quic.tx_sent_bytes(stream_id)):
            return taken


async def test_paused_receiver_holds_the_sender(endpoints: Endpoints):
    """A sender gets rid of the window and its own budget, no more; resuming delivers every byte."""
    payload = os.urandom(2 * MIB)
    async with endpoints.pair(
        client_settings={"stream_ring_cap": BUDGET}, server_settings={"initial_stream_window": WINDOW}
    ) as pair:
        client, peer = pair.client.quic, pair.peer.quic
        stream_id = client.get_next_available_stream_id()
        peer.pause_reading(stream_id)
        taken = await push_until_held(pair, stream_id, payload)
        assert client.tx_sent_bytes(stream_id) == WINDOW
        assert WINDOW + BUDGET - 4096 < taken <= WINDOW + BUDGET
        assert stream_id not in pair.peer.data
        peer.resume_reading(stream_id)
        await client.send_stream_data_drained(stream_id, payload[taken:], end_stream=True)
        assert await pair.peer.wait_end(stream_id) == payload


async def test_paused_stream_holds_up_no_other(endpoints: Endpoints):
    """One stream that nobody reads leaves the others, and other connections, their throughput."""
    payload = os.urandom(8 * MIB)
    async with (
        endpoints.server() as server,
        endpoints.connect(server, stream_ring_cap=MIB) as client,
        endpoints.connect(server) as other,
    ):
        pair = Pair(server.server, client, await server.peer(0))
        stream_id = client.quic.get_next_available_stream_id()
        pair.peer.quic.pause_reading(stream_id)
        taken = await push_until_held(pair, stream_id, payload)
        assert taken < len(payload)
        for sender, receiver in ((client, pair.peer), (other, await server.peer(1))):
            following = sender.quic.get_next_available_stream_id()
            await sender.quic.send_stream_data_drained(following, payload, end_stream=True)
            assert await receiver.wait_end(following) == payload
        assert stream_id not in pair.peer.data
        pair.peer.quic.resume_reading(stream_id)
        assert await pair.peer.wait_bytes(stream_id, taken) == payload[:taken]


@pytest.mark.parametrize("stalled", [4, 6])
async def test_stalled_streams_leave_the_others_a_floor(endpoints: Endpoints, stalled: int):
    """robustness.md: a peer that does not read some streams; these hold the whole send budget, and another moves on."""
    payload = os.urandom(8 * MIB)
    async with endpoints.pair(server_settings={"initial_stream_window": WINDOW}) as pair:
        client, peer = pair.client.quic, pair.peer.quic
        budget, most = client.configuration.stream_ring_cap, client.configuration.tx_max_queued_bytes
        assert most == 4 * budget
        ids = [client.get_next_available_stream_id() for _ in range(stalled)]
        writers = []
        for stream_id in ids:
            peer.pause_reading(stream_id)
            data = bytes(budget + WINDOW)
            writers.append(asyncio.create_task(client.send_stream_data_drained(stream_id, data, end_stream=True)))
        await until(lambda: client._connection.send_queued >= most - MIB)  # type: ignore[union-attr]
        reading = client.get_next_available_stream_id()
        async with asyncio.timeout(20):
            await client.send_stream_data_drained(reading, payload, end_stream=True)
            assert await pair.peer.wait_end(reading) == payload
        assert client._connection is not None
        assert client._connection.send_queued <= most + stalled * SEND_FLOOR
        for stream_id in ids:
            peer.resume_reading(stream_id)
        await asyncio.gather(*writers)
        for stream_id in ids:
            assert len(await pair.peer.wait_end(stream_id)) == budget + WINDOW


async def test_window_of_the_connection(endpoints: Endpoints):
    """``max_data`` bounds what all unread streams together hold: memory does not grow with their number."""
    async with endpoints.pair(
        server_settings={"max_data": MIB, "initial_stream_window": WINDOW}, client_settings={"stream_ring_cap": WINDOW}
    ) as pair:
        client, peer = pair.client.quic, pair.peer.quic
        warm_up = client.get_next_available_stream_id()
        client.send_stream_data(warm_up, b"x", end_stream=True)
        await pair.peer.wait_end(warm_up)
        ids = [client.get_next_available_stream_id() for _ in range(48)]
        for stream_id in ids:
            peer.pause_reading(stream_id)
            client.send_stream_data(stream_id, bytes([stream_id // 4]) * WINDOW, end_stream=True)
        sent = -1
        while sent < (now := sum(client.tx_sent_bytes(stream_id) for stream_id in ids)):
            sent = now
            for _ in range(5):
                await client.stats()
                await peer.stats()
        # A margin for what was granted on top of the window before the first stream was paused.
        assert MIB // 2 < sent <= MIB + 1
        for stream_id in ids:
            peer.resume_reading(stream_id)
        for stream_id in ids:
            assert await pair.peer.wait_end(stream_id) == bytes([stream_id // 4]) * WINDOW


@pytest.mark.parametrize("end", ["reset by the sender", "stopped by the receiver"])
async def test_unread_bytes_of_dead_streams(endpoints: Endpoints, end: str):
    """Bytes that are never read, for their stream was given up, count as consumed for the connection."""
    async with endpoints.pair(server_settings={"max_data": 4 * WINDOW, "initial_stream_window": WINDOW}) as pair:
        client, peer = pair.client.quic, pair.peer.quic
        for _ in range(16):
            stream_id = client.get_next_available_stream_id()
            peer.pause_reading(stream_id)
            client.send_stream_data(stream_id, bytes(WINDOW))
            await until(lambda stream_id=stream_id: client.tx_sent_bytes(stream_id) == WINDOW, "credit")
            await until(lambda stream_id=stream_id: stream_id in peer._reading.unread, "bytes at the receiver")
            if end == "reset by the sender":
                client.reset_stream(stream_id, 1)
            else:
                peer.stop_stream(stream_id, 1)
            await pair.peer.wait_for(StreamReset, stream_id=stream_id)
            peer.resume_reading(stream_id)
            assert stream_id not in pair.peer.data, "no bytes follow the reset"
        await round_trips(pair)


async def test_reset_of_a_paused_stream(endpoints: Endpoints):
    """The reset is told although the stream is paused, and it is the stream's last event."""
    async with endpoints.pair() as pair:
        pair.peer.quic.pause_reading(0)
        pair.client.quic.send_stream_data(0, b"unread")
        await until(lambda: 0 in pair.peer.quic._reading.unread, "bytes at the receiver")
        pair.client.quic.reset_stream(0, 6)
        assert await pair.peer.wait_for(StreamReset) == StreamReset(0, 6)
        pair.peer.quic.resume_reading(0)
        await until(lambda: live_counts()["chunks"] == 0, "the unread bytes' memory")
        assert pair.peer.data == {}


async def test_pause_in_the_handler(endpoints: Endpoints):
    """A handler that pauses gets nothing more of a batch that was there already."""

    class OneAtATime(Recorder):
        def quic_event_received(self, event: QuicEvent) -> None:
            if isinstance(event, StreamDataReceived):
                self.quic.pause_reading(event.stream_id)
            super().quic_event_received(event)

    payload = os.urandom(MIB)
    async with endpoints.pair(
        server=OneAtATime, server_settings={"initial_stream_window": MIB}, client_settings={"stream_ring_cap": MIB}
    ) as pair:
        stream_id = pair.client.quic.get_next_available_stream_id()
        pair.peer.quic.pause_reading(stream_id)
        pair.client.quic.send_stream_data(stream_id, payload, end_stream=True)
        await until(lambda: pair.client.quic.tx_sent_bytes(stream_id) == MIB)
        await until(lambda: stream_id in pair.peer.quic._reading.unread)
        turns = 0
        while stream_id not in pair.peer.ended:
            pair.peer.quic.resume_reading(stream_id)
            turns += 1
            await pair.peer.changes.wait_for(lambda turns=turns: len(pair.peer.chunks) >= turns, "one more")
            assert len(pair.peer.chunks) == turns
        assert turns > 1, "a batch of one chunk shows nothing"
        assert bytes(pair.peer.data[stream_id]) == payload


async def test_pause_and_resume_at_random(endpoints: Endpoints):
    """Pausing and resuming in the middle of a transfer neither loses nor repeats a byte."""
    payload = os.urandom(6 * MIB)
    async with endpoints.pair() as pair:
        writer = asyncio.create_task(pair.client.quic.send_stream_data_drained(0, payload, end_stream=True))
        while 0 not in pair.peer.ended:
            pair.peer.quic.pause_reading(0)
            pair.peer.quic.pause_reading(0)
            held = len(pair.peer.data[0])
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(pair.peer.data[0]) == held
            pair.peer.quic.resume_reading(0)
            pair.peer.quic.resume_reading(0)
            await pair.peer.changes.wait_for(
                lambda held=held: 0 in pair.peer.ended or len(pair.peer.data[0]) > held, ""
            )
        await writer
        assert bytes(pair.peer.data[0]) == payload


async def test_resume_of_what_is_not_paused(endpoints: Endpoints):
    """Resuming is harmless at any time, for any stream; pausing one that does not exist yet counts."""
    async with endpoints.pair() as pair:
        for stream_id in (0, 1, 2, 3, 400):
            pair.peer.quic.resume_reading(stream_id)
        pair.peer.quic.pause_reading(4)
        pair.client.quic.send_stream_data(4, b"held", end_stream=True)
        pair.client.quic.send_stream_data(0, b"not held", end_stream=True)
        assert await pair.peer.wait_end(0) == b"not held"
        assert 4 not in pair.peer.data
        pair.peer.quic.resume_reading(4)
        assert await pair.peer.wait_end(4) == b"held"


# ---- windows that grow ----


@pytest.mark.parametrize("limit", [100_000, 16 * MIB])
async def test_window_grows_for_a_fast_reader(endpoints: Endpoints, limit: int):
    """What a sender may be ahead grows with a fast reader, beyond its start and never beyond the limit."""
    start = 4096
    async with endpoints.pair(
        server_settings={"initial_stream_window": start, "max_stream_data": limit, "max_data": 32 * MIB},
        client_settings={"stream_ring_cap": 32 * MIB, "tx_max_queued_bytes": None},
    ) as pair:
        stream_id = pair.client.quic.get_next_available_stream_id()
        await pair.client.quic.send_stream_data_drained(stream_id, bytes(8 * MIB))
        await pair.peer.wait_bytes(stream_id, 8 * MIB)
        pair.peer.quic.pause_reading(stream_id)
        await round_trips(pair)
        await push_until_held(pair, stream_id, bytes(20 * MIB))
        ahead = pair.client.quic.tx_sent_bytes(stream_id) - 8 * MIB
        assert 4 * start < ahead <= limit
        pair.peer.quic.resume_reading(stream_id)


async def test_large_transfer_is_quick(endpoints: Endpoints):
    """32 MiB through windows that start at 16 KiB take seconds, not one round trip for every window."""

    class Counter(Recorder):
        def keep(self, stream_id: int, data: memoryview) -> None:
            self.data[0][:] = b""

    async with endpoints.pair(server=Counter, server_settings={"initial_stream_window": 1 << 14}) as pair:
        begin = time.monotonic()
        await pair.client.quic.send_stream_data_drained(0, bytes(32 * MIB), end_stream=True)
        await pair.peer.wait_end(0)
        assert sum(length for _, length in pair.peer.chunks) == 32 * MIB
        assert time.monotonic() - begin < 8


# ---- without a handler ----


class Polled:
    """A client connection whose events a program takes with ``next_event``."""

    def __init__(self, endpoints: Endpoints, port: int, **settings: Any) -> None:
        self.quic = QuicConnection(configuration=client_configuration(endpoints.certificates, **settings))
        self.quic.connect(("127.0.0.1", port))

    async def next(self, kind: type[QuicEvent]) -> Any:
        """The next event of that kind; others are passed over."""
        found: list[QuicEvent] = []

        def look() -> bool:
            while (event := self.quic.next_event()) is not None:
                if isinstance(event, kind):
                    found.append(event)
                    return True
            return False

        await until(look, f"a {kind.__name__}")
        return found[0]


@pytest.mark.threaded
async def test_events_that_are_pulled(endpoints: Endpoints):
    """With ``next_event`` bytes count as consumed when their event is taken, and not before."""
    payload = os.urandom(MIB)
    async with endpoints.server() as server:
        polled = Polled(endpoints, server.port, initial_stream_window=WINDOW)
        try:
            assert polled.quic.eventfd >= 0
            await polled.next(HandshakeCompleted)
            peer = await server.peer()
            stream_id = peer.quic.get_next_available_stream_id(True)
            writer = asyncio.create_task(peer.quic.send_stream_data_drained(stream_id, payload, end_stream=True))
            await until(lambda: peer.quic.tx_sent_bytes(stream_id) == WINDOW, "a used up window")
            event = await polled.next(StreamDataReceived)
            received = bytes(event.data)
            for _ in range(5):
                await peer.quic.stats()
            assert peer.quic.tx_sent_bytes(stream_id) <= WINDOW + len(received)
            while not event.end_stream:
                event = await polled.next(StreamDataReceived)
                assert event.stream_id == stream_id
                received += bytes(event.data)
            await writer
            assert received == payload
        finally:
            polled.quic.close()
            polled.quic.stop()


async def test_handler_after_polling(endpoints: Endpoints):
    """A handler that is set later gets what ``next_event`` had kept first, in order."""
    async with endpoints.server() as server:
        polled = Polled(endpoints, server.port)
        try:
            await polled.next(HandshakeCompleted)
            peer = await server.peer()
            for number in range(20):
                peer.quic.send_stream_data(4 * number + 3, b"%d" % number, end_stream=True)
            first = await polled.next(StreamDataReceived)
            await until(lambda: all(peer.quic.tx_data_ring_used(4 * number + 3) == 0 for number in range(20)))
            events = [first]
            polled.quic.set_handler(events.append)
            await until(lambda: polled.quic._engine.drain_and_route() + len(events) >= 20)
            await until(lambda: polled.quic._engine.drain_and_route() == 0 and len(events) >= 20)
            data = [event for event in events if isinstance(event, StreamDataReceived)]
            assert sorted(bytes(event.data) for event in data) == sorted(b"%d" % number for number in range(20))
            assert polled.quic.next_event() is None
        finally:
            polled.quic.close()
            polled.quic.stop()
