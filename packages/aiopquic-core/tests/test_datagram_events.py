"""Datagrams of QuicConnection (RFC 9221): events, the full queue and the event of its room, counts, the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiopquic.exceptions import ConnectionClosedError, DatagramError
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import ConnectionTerminated, DatagramFrameReceived
from aiopquic.testing.simnet import SimulatedNetwork, simulated

from .support import Endpoints, Recorder, until

#: The smallest queue that can be configured, and a datagram of which it holds three.
QUEUE_BYTES = 4096
PAYLOAD = bytes(1100)


def datagrams(recorder: Recorder) -> list[bytes]:
    return [bytes(event.data) for event in recorder.seen(DatagramFrameReceived)]


def fill(quic: QuicConnection) -> int:
    """Send until the queue is full; how many it took."""
    count = 0
    while quic.send_datagram_frame(PAYLOAD):
        count += 1
        assert count < 100_000
    return count


async def send(connection: QuicConnection, data: bytes) -> None:
    while not connection.send_datagram_frame(data):
        await connection.get_datagram_tx_drain_event().wait()


async def test_each_datagram_is_an_event(endpoints: Endpoints):
    async with endpoints.pair() as pair:
        sent = [b"one", bytearray(b"two"), memoryview(b"three"), b""]
        assert [pair.client.quic.send_datagram_frame(one) for one in sent] == [3, 3, 5, 0]
        await pair.peer.changes.wait_for(lambda: len(datagrams(pair.peer)) == 4, "four datagrams")
        assert sorted(datagrams(pair.peer)) == sorted(map(bytes, sent))
        assert pair.peer.quic.send_datagram_frame(data=b"back") == 4
        event = await pair.client.wait_for(DatagramFrameReceived)
        assert isinstance(event.data, memoryview)
        assert event.data.readonly
        assert bytes(event.data) == b"back"


@simulated()
async def test_counts(network: SimulatedNetwork, endpoints: Endpoints):
    with network.host("both ends", "127.0.0.1"):
        async with endpoints.pair() as pair:
            assert pair.client.quic.max_datagram_payload() == 1200
            assert pair.client.quic.send_datagram_frame(bytes(1200)) == 1200
            await pair.peer.wait_for(DatagramFrameReceived)
            await until(lambda: pair.client.quic.datagrams_acked == 1, "the acknowledgement")
            assert pair.client.quic.datagrams_lost == 0
            assert pair.client.quic.datagram_ring_stats()["sent"] == 1
            assert pair.peer.quic.datagram_ring_stats()["received"] == 1
        assert pair.client.quic.datagrams_acked == 1, "the counts outlive the connection"


def test_a_late_acknowledgement_is_counted_once(endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch):
    """What was declared lost and acknowledged after all counts as acknowledged."""
    quic = QuicConnection(configuration=endpoints.client_configuration())
    monkeypatch.setattr(quic, "datagram_ring_stats", lambda: {"acked": 5, "lost": 3, "spurious": 2})
    assert (quic.datagrams_acked, quic.datagrams_lost) == (7, 1)


async def test_too_large(endpoints: Endpoints):
    async with endpoints.pair() as pair:
        with pytest.raises(DatagramError, match="at most 1200 bytes now, not 1201"):
            pair.client.quic.send_datagram_frame(bytes(1201))


async def test_not_negotiated(endpoints: Endpoints):
    async with endpoints.pair(server_settings={"max_datagram_frame_size": None}) as pair:
        assert pair.client.quic.max_datagram_payload() == 0
        with pytest.raises(ValueError, match="the peer takes none"):
            pair.client.quic.send_datagram_frame(b"x")


async def test_not_connected_yet(endpoints: Endpoints):
    quic = QuicConnection(configuration=endpoints.client_configuration())
    with pytest.raises(ConnectionError, match="before the handshake is complete"):
        quic.send_datagram_frame(b"x")


async def test_closed(endpoints: Endpoints):
    async with endpoints.pair() as pair:
        pair.client.quic.close(5)
        with pytest.raises(ConnectionClosedError):
            pair.client.quic.send_datagram_frame(b"x")
        await pair.client.wait_closed()
        with pytest.raises(ConnectionClosedError):
            pair.client.quic.send_datagram_frame(b"x")


async def test_full_queue_and_its_drain(endpoints: Endpoints):
    """A 0 clears the event, room sets it, and the same datagram is taken then; each one taken has a fate."""
    async with endpoints.pair(client_settings={"datagram_ring_bytes": QUEUE_BYTES}) as pair:
        quic = pair.client.quic
        event = quic.get_datagram_tx_drain_event()
        assert event.is_set()
        assert quic.get_datagram_tx_drain_event() is event
        taken = refused = 0
        while refused < 5:
            if quic.send_datagram_frame(PAYLOAD):
                taken += 1
                continue
            refused += 1
            assert not event.is_set()
            async with asyncio.timeout(20):
                await event.wait()
        assert taken >= 5

        def settled() -> bool:
            return quic.datagrams_acked + quic.datagrams_lost == taken

        await until(settled, "the fate of every datagram")


async def test_an_event_made_while_the_queue_is_full(endpoints: Endpoints):
    """Who asks for the event after the 0 waits as well."""
    async with endpoints.pair(client_settings={"datagram_ring_bytes": QUEUE_BYTES}) as pair:
        async with asyncio.timeout(20):
            for _ in range(200):
                await send(pair.client.quic, PAYLOAD)


async def test_a_datagram_larger_than_half_the_queue(endpoints: Endpoints):
    """No event comes for a queue that is half empty, but who tries again and again lets the loop go on meanwhile."""
    large = bytes(3000)
    settings = {"datagram_ring_bytes": QUEUE_BYTES}
    async with endpoints.pair(client_settings=settings) as pair:
        quic = pair.client.quic
        event = quic.get_datagram_tx_drain_event()
        turns = 0

        def turn() -> None:
            nonlocal turns
            turns += 1

        quic._connection = Half(quic._connection)  # type: ignore[assignment]
        assert quic.send_datagram_frame(large) == 0
        assert not event.is_set()
        asyncio.get_running_loop().call_soon(turn)
        async with asyncio.timeout(20):
            await event.wait()
        assert turns == 1
        quic._connection = quic._connection.wrapped  # type: ignore[union-attr]


class Half:
    """A connection whose queue has room, but not for this datagram."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)

    def try_send_datagram(self, data: bytes) -> bool:
        return False

    def want_datagrams_writable(self) -> bool:
        return False


async def test_the_end_wakes_who_waits_for_room(endpoints: Endpoints):
    """robustness.md: nobody waits for ever. The event of a closed connection stays set."""
    async with endpoints.pair(client_settings={"datagram_ring_bytes": QUEUE_BYTES}) as pair:
        event = pair.client.quic.get_datagram_tx_drain_event()
        fill(pair.client.quic)
        waiting = asyncio.create_task(event.wait())
        pair.peer.quic.close(7)
        async with asyncio.timeout(20):
            await waiting
            await pair.client.wait_closed()
        assert event.is_set()
        assert pair.client.quic.get_datagram_tx_drain_event().is_set()


async def test_a_cancelled_wait_leaves_the_event_to_others(endpoints: Endpoints):
    async with endpoints.pair(client_settings={"datagram_ring_bytes": QUEUE_BYTES}) as pair:
        event = pair.client.quic.get_datagram_tx_drain_event()
        fill(pair.client.quic)
        given_up, waiting = (asyncio.create_task(event.wait()) for _ in range(2))
        given_up.cancel()
        async with asyncio.timeout(20):
            await waiting
        with pytest.raises(asyncio.CancelledError):
            await given_up


async def test_without_a_handler_they_wait_in_bounds(endpoints: Endpoints):
    """A program that takes no events holds what the bridge holds, not more; ``next_event`` gives it afterwards."""
    async with endpoints.pair() as pair:
        quic = pair.peer.quic
        quic.set_handler(None)
        stream_id = pair.client.quic.get_next_available_stream_id()
        sent = 0
        while pair.peer.quic.datagram_ring_stats()["dropped_received"] == 0:
            fill(pair.client.quic)
            sent += 1
            async with asyncio.timeout(20):
                await pair.client.quic.get_datagram_tx_drain_event().wait()
            assert sum(isinstance(event, DatagramFrameReceived) for event, _ in quic._events) == 0
        pair.client.quic.send_stream_data(stream_id, b"x")
        while not isinstance(quic.next_event(), DatagramFrameReceived):
            assert quic._events or quic._datagrams_wait
        waiting = sum(isinstance(event, DatagramFrameReceived) for event, _ in quic._events)
        assert 0 < waiting * len(PAYLOAD) <= 1 << 18
        while quic.next_event() is not None:
            pass
        quic.set_handler(pair.peer._route)
        assert pair.client.quic.send_datagram_frame(b"to the handler") > 0
        await pair.peer.changes.wait_for(lambda: b"to the handler" in datagrams(pair.peer), "the last one")


async def test_a_handler_gets_what_has_waited(endpoints: Endpoints):
    async with endpoints.pair() as pair:
        pair.peer.quic.set_handler(None)
        pair.client.quic.send_datagram_frame(b"early")
        await until(lambda: pair.peer.quic._datagrams_wait, "the datagram")
        pair.peer.quic.set_handler(pair.peer._route)
        assert datagrams(pair.peer) == [b"early"]


async def test_what_arrived_before_the_end_is_told_before_it(endpoints: Endpoints):
    """The end is the last event, and no datagram that is here is lost with it."""
    async with endpoints.pair() as pair:
        quic = pair.peer.quic
        quic.set_handler(None)
        pair.client.quic.send_datagram_frame(b"last words")
        await until(lambda: quic._datagrams_wait, "the datagram")
        pair.client.quic.close(3)
        await until(lambda: quic.closed, "the end")
        told = []
        while (event := quic.next_event()) is not None:
            told.append(event)
        assert isinstance(told[-1], ConnectionTerminated)
        assert isinstance(told[-2], DatagramFrameReceived)


async def test_a_handler_that_raises_misses_none(endpoints: Endpoints, loop_errors: Any):
    class Raises(Recorder):
        def quic_event_received(self, event: Any) -> None:
            super().quic_event_received(event)
            if isinstance(event, DatagramFrameReceived):
                raise RuntimeError("broken on purpose")

    loop_errors.expect()
    async with endpoints.pair(server=Raises) as pair:
        for number in range(3):
            pair.client.quic.send_datagram_frame(bytes([number]))
        await pair.peer.changes.wait_for(lambda: len(datagrams(pair.peer)) == 3, "three datagrams")
