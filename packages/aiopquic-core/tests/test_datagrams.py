"""DATAGRAM frames (RFC 9221) through the bridge: sizes, the send queue, the receive budget, fates, the end."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aiopquic._binding._connection import Connection
from aiopquic._binding._transport import TransportContext
from aiopquic._sinks import DATAGRAM_ACKED, DATAGRAM_LOST
from aiopquic.asyncio import connect
from aiopquic.exceptions import ConfigurationError, DatagramError, QuicConnectionError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.connection import QuicConnection
from aiopquic.testing.simnet import SimulatedNetwork, simulated

from .support import Changes, Endpoints, Recorder, client_configuration, until


class Datagrams(Recorder):
    """Keeps what the bridge tells of datagrams."""

    def __init__(self, quic: QuicConnection, stream_handler: Any = None) -> None:
        super().__init__(quic, stream_handler)
        self.sink = Sink()

    def quic_event_received(self, event: Any) -> None:
        super().quic_event_received(event)
        self.hook()

    def hook(self) -> Sink:
        """Puts itself between the bridge and the connection of this protocol."""
        connection = self.quic._connection
        if connection is not None and self.sink.connection is None:
            self.sink.connection = connection
            self.sink.wrapped = connection.sink
            self.sink.wrapped._tell_datagrams = lambda: None  # they are this sink's, at the end too
            connection.sink = self.sink  # type: ignore[assignment]
        return self.sink


class Sink:
    """Answers for datagrams itself, and hands everything else on."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.wrapped: Any = None
        self.changes = Changes()
        self.taken: list[bytes] = []
        self.readable = self.writable = 0
        self.takes = True
        self.fates: dict[int, list[int]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)

    def take(self) -> None:
        assert self.connection is not None
        self.taken += self.connection.take_datagrams()

    def datagrams_readable(self) -> None:
        self.readable += 1
        if self.takes:
            self.take()
        self.changes.tell()

    def datagrams_writable(self) -> None:
        self.writable += 1
        self.changes.tell()

    def datagram_fate(self, uid: int, fate: int) -> None:
        self.fates.setdefault(uid, []).append(fate)
        self.changes.tell()

    async def send(self, data: bytes, uid: int = 0) -> None:
        """Waits for room as often as it takes."""
        assert self.connection is not None
        while not self.connection.try_send_datagram(data, uid):
            before = self.writable
            if self.connection.want_datagrams_writable():
                await self.changes.wait_for(lambda before=before: self.writable > before, "room for a datagram")


@asynccontextmanager
async def datagram_pair(endpoints: Endpoints, **settings: Any) -> AsyncIterator[tuple[Sink, Sink]]:
    async with endpoints.pair(Datagrams, Datagrams, **settings) as pair:
        assert isinstance(pair.client, Datagrams)
        assert isinstance(pair.peer, Datagrams)
        yield pair.client.hook(), pair.peer.hook()


def connection_of(sink: Sink) -> Connection:
    assert sink.connection is not None
    return sink.connection


async def test_every_kind_of_size_both_ways(endpoints: Endpoints):
    async with datagram_pair(endpoints) as (client, server):
        for sender, receiver in ((client, server), (server, client)):
            limit = connection_of(sender).max_datagram_size
            assert limit == 1200
            sent = [bytes([size % 251]) * size for size in (0, 1, 2, 63, 64, 500, limit - 1, limit)]
            for data in sent:
                await sender.send(data)
            await receiver.changes.wait_for(lambda: len(receiver.taken) == len(sent), "all datagrams")  # noqa: B023
            assert sorted(receiver.taken) == sorted(sent)
            assert all(type(data) is bytes for data in receiver.taken)


async def test_any_buffer_is_taken(endpoints: Endpoints):
    async with datagram_pair(endpoints) as (client, server):
        connection = connection_of(client)
        for data in (b"bytes", bytearray(b"bytearray"), memoryview(b"..memoryview")[2:]):
            assert connection.try_send_datagram(data)
        with pytest.raises(TypeError):
            connection.try_send_datagram("text")  # type: ignore[arg-type]
        await server.changes.wait_for(lambda: len(server.taken) == 3, "all datagrams")
        assert set(server.taken) == {b"bytes", b"bytearray", b"memoryview"}


async def test_too_large_is_refused(endpoints: Endpoints):
    async with datagram_pair(endpoints) as (client, _):
        with pytest.raises(DatagramError, match="at most 1200 bytes now, not 1201") as caught:
            connection_of(client).try_send_datagram(bytes(1201))
        assert isinstance(caught.value, ValueError)
        assert connection_of(client).datagram_stats["sent"] == 0


async def test_datagram_max_payload(endpoints: Endpoints):
    """The program's own limit, and none: then the path's counts, which grows as it is probed."""
    async with datagram_pair(endpoints, client_settings={"datagram_max_payload": 77}) as (client, _):
        assert connection_of(client).max_datagram_size == 77
    async with datagram_pair(endpoints, client_settings={"datagram_max_payload": None}) as (client, server):
        connection = connection_of(client)
        assert connection.max_datagram_size > 1200
        while connection.max_datagram_size < 1300:
            before = connection.datagram_stats["acked"]
            await client.send(b"probe")
            await until(lambda before=before: connection.datagram_stats["acked"] > before, "an acknowledgement")
        await client.send(bytes(connection.max_datagram_size))
        await server.changes.wait_for(lambda: any(len(datagram) > 1300 for datagram in server.taken), "the large one")


async def test_peer_limit_is_for_the_frame(endpoints: Endpoints):
    """RFC 9221 section 3: type and length count."""
    async with datagram_pair(endpoints, server_settings={"max_datagram_frame_size": 100}) as (client, server):
        assert connection_of(client).max_datagram_size == 97
        await client.send(bytes(97))
        await server.changes.wait_for(lambda: server.taken, "the datagram")


@pytest.mark.parametrize("off", [None, 0])
@pytest.mark.parametrize("side", ["client", "server"])
async def test_datagrams_off_are_not_announced(endpoints: Endpoints, side: str, off: int | None):
    """Who takes none is sent none, and may send."""
    settings: dict[str, Any] = {f"{side}_settings": {"max_datagram_frame_size": off}}
    async with datagram_pair(endpoints, **settings) as sinks:
        without, other = sinks if side == "client" else sinks[::-1]
        assert connection_of(other).max_datagram_size == 0
        with pytest.raises(DatagramError, match="the peer takes none"):
            connection_of(other).try_send_datagram(b"")
        await without.send(b"to who takes some")
        await other.changes.wait_for(lambda: other.taken == [b"to who takes some"], "the datagram")


async def test_before_the_handshake(endpoints: Endpoints):
    """Nobody answers, so it stays at that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        configuration = client_configuration(endpoints.certificates)
        async with connect(*silent.getsockname(), configuration=configuration, wait_connected=False) as protocol:
            connection = protocol._quic._connection
            assert connection is not None
            assert connection.max_datagram_size == 0
            with pytest.raises(DatagramError, match="the handshake is not complete"):
                connection.try_send_datagram(b"too early")


async def test_full_queue_tells_of_room(endpoints: Endpoints):
    async with datagram_pair(endpoints, datagram_ring_bytes=8192) as (client, server):
        connection = connection_of(client)
        assert not connection.want_datagrams_writable(), "there is room"
        refused = 0
        for number in range(2000):
            data = number.to_bytes(4, "big") + bytes(996)
            if not connection.try_send_datagram(data):
                refused += 1
                assert connection.datagram_stats["queued_bytes"] <= 8192
                await client.send(data)
        await until(lambda: connection.datagram_stats["queued"] == 0, "an empty queue")
        assert refused > 0
        stats = connection.datagram_stats
        assert stats["sent"] == 2000
        await until(lambda: connection.datagram_stats["acked"] + connection.datagram_stats["lost"] == 2000)
        kept = connection_of(server).datagram_stats
        await until(lambda: len(server.taken) == connection_of(server).datagram_stats["received"])
        assert kept["received"] + kept["dropped_received"] <= 2000
        assert len(set(server.taken)) == len(server.taken)


async def test_flood_on_a_reader_that_does_not_read(endpoints: Endpoints):
    """robustness.md, "Bytes and backpressure": what waits is bounded, the newest is dropped and counted."""
    async with datagram_pair(endpoints) as (client, server):
        server.takes = False
        sender, receiver = connection_of(client), connection_of(server)
        for _ in range(1000):
            await client.send(bytes(1000))
        await until(lambda: sum(sender.datagram_stats[name] for name in ("acked", "lost")) == 1000)
        await until(lambda: server.readable == 1, "the event")
        stats = receiver.datagram_stats
        assert stats["received"] * 1000 <= 1 << 18
        assert stats["dropped_received"] > 0
        server.takes = True
        server.take()
        # One that was declared lost may come late.
        await until(lambda: len(server.taken) == receiver.datagram_stats["received"], "all that was received")
        await client.send(b"goes on")
        await server.changes.wait_for(lambda: server.taken[-1] == b"goes on", "the datagram after the flood")
        assert server.readable >= 2


@simulated()
async def test_fate_acked(network: SimulatedNetwork, endpoints: Endpoints):
    with network.host("both ends", "127.0.0.1"):
        async with datagram_pair(endpoints) as (client, server):
            for uid in range(1, 51):
                await client.send(b"x" * uid, uid)
            await client.send(b"nobody asks")
            await client.changes.wait_for(lambda: len(client.fates) == 50, "all fates")
            assert all(fates == [DATAGRAM_ACKED] for fates in client.fates.values())
            await until(lambda: connection_of(client).datagram_stats["acked"] == 51)
            await server.changes.wait_for(lambda: len(server.taken) == 51, "all datagrams")


async def test_fate_lost_when_the_peer_vanished(endpoints: Endpoints):
    """Each fate once, and none after the end of the connection."""
    async with datagram_pair(endpoints, client_settings={"idle_timeout": 2.0}) as (client, server):
        server_quic = server.wrapped
        engine = connection_of(server).engine
        await client.send(b"first", 1)
        await client.changes.wait_for(lambda: client.fates, "the first fate")
        engine.join()  # without a word to its peers
        assert server_quic is not None
        for uid in range(2, 40):
            await client.send(bytes(1000), uid)
        await until(lambda: connection_of(client).is_closed, "the idle timeout")
        # An acknowledgement that is late on a busy machine comes behind the loss.
        first = client.fates.pop(1)[0]
        assert first in (DATAGRAM_ACKED, DATAGRAM_LOST)
        assert all(fates == [DATAGRAM_LOST] for fates in client.fates.values())
        assert connection_of(client).datagram_stats["lost"] == len(client.fates) + (first == DATAGRAM_LOST)
        with pytest.raises(QuicConnectionError):
            connection_of(client).try_send_datagram(b"too late")


async def test_close_with_queued_ones(endpoints: Endpoints):
    """robustness.md, "Leaks": the fixture finds what a queue or a fate leaves behind."""
    async with datagram_pair(endpoints, datagram_ring_bytes=1 << 20) as (client, server):
        server.takes = False
        for uid in range(1, 900):
            assert connection_of(client).try_send_datagram(bytes(1000), uid)
        connection_of(client).close(0, b"")
        await until(lambda: connection_of(client).is_closed and connection_of(server).is_closed)
        await until(lambda: connection_of(client).datagram_stats["queued"] == 0, "the queue to be dropped")
        kept = connection_of(server).datagram_stats["received"]
        server.take()
        assert len(server.taken) == kept, "what arrived before the end can be taken after it"


@pytest.mark.threaded
async def test_low_level_events(endpoints: Endpoints):
    """TransportContext announces what it is told to, and gives datagrams as event 8."""
    settings = {"max_datagram_frame_size": 65536}
    async with endpoints.server(Datagrams, **settings) as server:
        transport = TransportContext()
        transport.start(is_client=True, alpn="test", ca_file=endpoints.certificates.good.cert, **settings)
        try:
            transport.create_client_connection("127.0.0.1", server.port, sni="localhost")
            peer = await server.peer()
            assert isinstance(peer, Datagrams)
            await until(lambda: connection_of(peer.hook()).max_datagram_size > 0, "the handshake")
            await peer.sink.send(b"hello")
            seen: list[Any] = []

            def arrived() -> bool:
                seen.extend(transport.drain_rx())
                return any(event[0] == 8 for event in seen)

            await until(arrived, "the event")
            assert [bytes(event[2]) for event in seen if event[0] == 8] == [b"hello"]
        finally:
            transport.stop()


@pytest.mark.parametrize(
    "settings",
    [{"datagram_ring_bytes": 100}, {"datagram_max_payload": -1}, {"max_datagram_frame_size": "many"}],
)
def test_settings_that_cannot_be(settings: dict[str, Any]):
    with pytest.raises(ConfigurationError):
        QuicConfiguration(**settings)
