"""The events of room on a stream: asked for, told, kept from waiting for ever, forgotten with the stream."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable

import pytest

from aiopquic.exceptions import StreamClosedError
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import StopSendingReceived, StreamDataReceived, StreamReset
from aiopquic.testing.simnet import SimulatedNetwork, simulated

from .support import Endpoints, Pair, Recorder, round_trips, until

KIB = 1 << 10
#: A stream's send budget, and the peer's window on it: a writer whose peer does not read is full soon.
BUDGET, WINDOW = 64 * KIB, 32 * KIB
CLIENT = {"stream_ring_cap": BUDGET}
SERVER = {"max_stream_data": WINDOW}


class Holds(Recorder):
    """Reads nothing of a stream until it is told to."""

    def quic_event_received(self, event: object) -> None:
        if isinstance(event, StreamDataReceived) and event.stream_id not in self.data:
            self.quic.pause_reading(event.stream_id)
        super().quic_event_received(event)  # type: ignore[arg-type]


def fill(quic: QuicConnection, stream_id: int) -> int:
    """Write until the budget is used up; how many bytes it took."""
    taken = 0
    while True:
        try:
            quic.send_stream_data(stream_id, bytes(4 * KIB))
        except BufferError:
            return taken
        taken += 4 * KIB


async def wait_blocked(quic: QuicConnection, stream_id: int) -> int:
    """Write until the peer's window and the budget are used up, and stay so."""
    taken = 0
    while taken < BUDGET + WINDOW:
        taken += fill(quic, stream_id)
        await asyncio.sleep(0.002)
    return taken


async def wait(event: asyncio.Event) -> None:
    async with asyncio.timeout(20):
        await event.wait()


async def test_the_pattern(endpoints: Endpoints):
    """Clear, arm, look again, await: every byte gets through, and the event is the same all along."""
    async with endpoints.pair(client_settings=CLIENT) as pair:
        quic = pair.client.quic
        stream_id = quic.get_next_available_stream_id()
        event = quic.get_tx_data_drain_event(stream_id)
        assert event.is_set()
        sent, total = 0, 20 * BUDGET
        while sent < total:
            try:
                quic.send_stream_data(stream_id, bytes(16 * KIB), sent + 16 * KIB == total)
                sent += 16 * KIB
            except BufferError:
                event.clear()
                quic.set_tx_data_drain_pending(stream_id)
                if quic.tx_data_ring_used(stream_id) > BUDGET // 2:
                    await wait(event)
                assert quic.get_tx_data_drain_event(stream_id) is event
        assert len(await pair.peer.wait_end(stream_id)) == total


async def test_a_refused_write_arms_the_event(endpoints: Endpoints):
    """After a BufferError the event is clear, and says when there is room, without being asked to."""
    async with endpoints.pair(server=Holds, client_settings=CLIENT, server_settings=SERVER) as pair:
        quic = pair.client.quic
        stream_id = quic.get_next_available_stream_id()
        event = quic.get_tx_data_drain_event(stream_id)
        await wait_blocked(quic, stream_id)
        fill(quic, stream_id)
        assert not event.is_set()
        await round_trips(pair)
        assert not event.is_set()
        pair.peer.quic.resume_reading(stream_id)
        await wait(event)
        assert quic.tx_data_ring_used(stream_id) <= BUDGET // 2


async def test_an_event_made_after_the_refusal(endpoints: Endpoints):
    """The event need not be held from call to call: a new one knows that room was asked for."""
    async with endpoints.pair(server=Holds, client_settings=CLIENT, server_settings=SERVER) as pair:
        quic = pair.client.quic
        stream_id = quic.get_next_available_stream_id()
        await wait_blocked(quic, stream_id)
        fill(quic, stream_id)
        assert not quic.get_tx_data_drain_event(stream_id).is_set()
        quic.clear_tx_data_drain_pending(stream_id)
        assert quic.get_tx_data_drain_event(stream_id).is_set()
        quic.set_tx_data_drain_pending(stream_id)
        waiting = asyncio.create_task(quic.get_tx_data_drain_event(stream_id).wait())
        await round_trips(pair)
        assert not waiting.done()
        pair.peer.quic.resume_reading(stream_id)
        async with asyncio.timeout(20):
            await waiting


async def test_with_room_the_event_comes_at_the_next_turn(endpoints: Endpoints):
    """Who waits in a loop although there is room lets the loop go on."""
    async with endpoints.pair() as pair:
        quic = pair.client.quic
        stream_id = quic.get_next_available_stream_id()
        event = quic.get_tx_data_drain_event(stream_id)
        quic.send_stream_data(stream_id, b"x")
        turns: list[int] = []
        event.clear()
        asyncio.get_running_loop().call_soon(turns.append, 1)
        quic.set_tx_data_drain_pending(stream_id)
        await wait(event)
        assert turns == [1]


async def reset(pair: Pair, stream_id: int) -> None:
    pair.client.quic.reset_stream(stream_id, 1)


async def stop(pair: Pair, stream_id: int) -> None:
    pair.peer.quic.stop_stream(stream_id, 2)
    await pair.client.wait_for(StopSendingReceived, stream_id=stream_id)


async def close(pair: Pair, stream_id: int) -> None:
    pair.client.quic.close(3)


async def close_by_peer(pair: Pair, stream_id: int) -> None:
    pair.peer.quic.close(4)


@pytest.mark.parametrize("end", [reset, stop, close, close_by_peer])
async def test_an_end_wakes_who_waits(endpoints: Endpoints, end: Callable[[Pair, int], Awaitable[None]]):
    """robustness.md: nobody waits for ever. Whatever ends the stream sets the event."""
    async with endpoints.pair(server=Holds, client_settings=CLIENT, server_settings=SERVER) as pair:
        quic = pair.client.quic
        stream_id = quic.get_next_available_stream_id()
        event = quic.get_tx_data_drain_event(stream_id)
        await wait_blocked(quic, stream_id)
        fill(quic, stream_id)
        waiting = [asyncio.create_task(event.wait()) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        assert not waiting[1].done()
        await end(pair, stream_id)
        async with asyncio.timeout(20):
            await waiting[1]
        event.clear()
        quic.set_tx_data_drain_pending(stream_id)
        await wait(event)
        assert waiting[0].cancelled()


async def test_a_stream_that_is_over(endpoints: Endpoints):
    """Asking about a stream that is over has an answer at once, and nothing is remembered of it."""
    async with endpoints.pair() as pair:
        quic = pair.client.quic
        stream_id = quic.get_next_available_stream_id(is_unidirectional=True)
        held = quic.get_tx_data_drain_event(stream_id)
        quic.send_stream_data(stream_id, b"all of it")
        assert quic.get_stream_buf_stats(stream_id) is not None
        quic.send_stream_data(stream_id, b"", end_stream=True)
        await until(lambda: quic.get_stream_buf_stats(stream_id) is None, "the end of the stream")
        held.clear()
        quic.set_tx_data_drain_pending(stream_id)
        await wait(held)
        assert quic.get_tx_data_drain_event(stream_id) is held
        del held
        gc.collect()
        assert quic._drain_events is not None
        assert not len(quic._drain_events)
        assert not quic._drains_armed


async def test_bytes_written_and_sent(endpoints: Endpoints):
    async with endpoints.pair(server=Holds, client_settings=CLIENT, server_settings=SERVER) as pair:
        quic = pair.client.quic
        stream_id = quic.get_next_available_stream_id()
        assert quic.get_stream_buf_stats(stream_id) is None
        written = await wait_blocked(quic, stream_id)
        await round_trips(pair)
        assert quic.get_stream_buf_stats(stream_id) == (written, WINDOW, 0, 0)


async def test_the_default_priority(endpoints: Endpoints):
    """It goes to the streams that nothing was sent on yet, of both sides, and not to those with one of their own."""
    async with endpoints.pair(client_settings=CLIENT) as pair:
        quic = pair.client.quic
        before, explicit, after = (quic.get_next_available_stream_id() for _ in range(3))
        theirs = pair.peer.quic.get_next_available_stream_id()
        quic.send_stream_data(before, b"x")
        assert quic.set_stream_priority(explicit, 3) == 0
        quic.set_default_stream_priority(1)
        given: list[tuple[int, int]] = []
        settle = quic._priorities.set

        def record(stream: object, priority: int) -> bool:
            given.append((stream.id, priority))  # type: ignore[attr-defined]
            return settle(stream, priority)  # type: ignore[arg-type]

        quic._priorities.set = record  # type: ignore[method-assign]
        pair.peer.quic.send_stream_data(theirs, b"x")
        await until(lambda: pair.client.data[theirs], "the peer's stream")
        for stream_id in (before, explicit, after, theirs):
            quic.send_stream_data(stream_id, b"y")
            quic.send_stream_data(stream_id, b"y")
        assert given == [(after, 1), (theirs, 1)]
        for priority in (-1, 256):
            with pytest.raises(ValueError, match="0 to 255"):
                quic.set_default_stream_priority(priority)
        for stream_id in (before, explicit, after):
            quic.reset_stream(stream_id, 0)
            await pair.peer.wait_for(StreamReset, stream_id=stream_id)
            pair.peer.quic.reset_stream(stream_id, 0)
        await until(lambda: quic._priorities._settled == {theirs}, "the end of the streams")
        with pytest.raises(StreamClosedError):
            quic.set_stream_priority(after, 1)


@simulated()
async def test_how_full_the_commands_are(network: SimulatedNetwork, endpoints: Endpoints):
    """A share of ``event_ring_capacity``; 0.0 where there is none. Simulated, so that nobody empties it meanwhile."""
    with network.host("both ends", "127.0.0.1"):
        async with endpoints.pair(client_settings={"event_ring_capacity": 64}) as pair:
            quic = pair.client.quic
            stream_id = quic.get_next_available_stream_id()
            quic.send_stream_data(stream_id, b"x")
            seen = []
            with pytest.raises(BufferError):  # noqa: PT012 - the last of many
                for _ in range(100):
                    seen.append(quic.tx_event_ring_fill())
                    quic._stream_to_send(stream_id).set_priority(5)
            assert seen == sorted(seen)
            assert 0.0 <= seen[0] < 0.1
            assert seen[-1] == 1.0
            assert pair.peer.quic.tx_event_ring_fill() == 0.0
