"""Engines without a network thread: the asyncio loop moves the datagrams."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

import aiopquic
from aiopquic._binding._transport import TransportContext
from aiopquic.exceptions import BindError, ConfigurationError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.engine import QuicEngine

from .support import DEADLINE, Echo, Endpoints, Recorder, round_trips, server_configuration
from .transport_pair import APP_CLOSE, CLOSE, Pair

MIB = 1 << 20


@pytest.fixture(autouse=True)
def the_loop_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIOPQUIC_LOOP", raising=False)


def network_threads() -> int:
    return sum((task / "comm").read_text() == "aiopquic\n" for task in Path("/proc/self/task").iterdir())


async def test_no_thread_is_made(endpoints: Endpoints) -> None:
    """Both ends on one thread, with a transfer larger than every window and budget on the way."""
    payload = bytes(range(256)) * (4 * MIB // 256)
    before = network_threads()
    async with endpoints.pair(driver="inline") as pair:
        assert network_threads() == before
        stream_id = pair.client.quic.get_next_available_stream_id()
        await pair.client.quic.send_stream_data_drained(stream_id, payload, end_stream=True)
        assert await pair.peer.wait_end(stream_id) == payload
        assert network_threads() == before


@pytest.mark.parametrize(("client", "server"), [("inline", "thread"), ("thread", "inline")])
async def test_drivers_meet(endpoints: Endpoints, client: str, server: str) -> None:
    async with endpoints.pair(client_settings={"driver": client}, server_settings={"driver": server}) as pair:
        await round_trips(pair)
        assert pair.client.quic.configuration.driver == client


async def test_drivers_differ_in_their_engines(endpoints: Endpoints) -> None:
    """Connections of one loop share an engine when their settings are equal, and the driver is one of them."""
    async with (
        endpoints.server(Echo) as server,
        endpoints.connect(server, driver="inline") as inline,
        endpoints.connect(server) as thread,
    ):
        assert inline.quic._engine is not thread.quic._engine


async def test_streams(endpoints: Endpoints) -> None:
    """The streams API, written and read at once, both ways."""
    files = endpoints.certificates.good

    async def echo(connection: aiopquic.Connection) -> None:
        async for stream in connection.incoming_streams():
            assert isinstance(stream, aiopquic.Stream)
            async for chunk in stream:
                await stream.write(chunk)
            await stream.finish()

    async with (
        aiopquic.serve(
            echo, "127.0.0.1", 0, alpn=["echo"], certificate=files.cert, private_key=files.key, driver="inline"
        ) as server,
        aiopquic.connect(
            "127.0.0.1", server.port, alpn=["echo"], cafile=files.cert, server_name="localhost", driver="inline"
        ) as connection,
        await connection.open_stream() as stream,
    ):

        async def write() -> None:
            for _ in range(64):
                await stream.write(bytes(32 << 10))
            await stream.finish()

        writing = asyncio.create_task(write())
        reply = await asyncio.wait_for(stream.read_all(limit=4 * MIB), DEADLINE)
        await writing
        assert reply == bytes(2 * MIB)


async def test_small_messages_wait_for_no_timer(endpoints: Endpoints) -> None:
    """A round trip takes rounds of the loop, not the time that some timer has left."""
    async with endpoints.pair(driver="inline") as pair:
        await round_trips(pair)
        engine = pair.client.quic._engine
        assert engine is not None
        before = engine.binding.counters["turns"]
        await pair.client.quic.stats()
        assert engine.binding.counters["turns"] - before <= 16


async def test_a_port_that_is_taken(endpoints: Endpoints) -> None:
    async with endpoints.server(Echo, driver="inline") as server:
        engine = QuicEngine(
            configuration=server_configuration(endpoints.certificates, driver="inline"),
            bind_addresses=("127.0.0.1",),
            port=server.port,
        )
        with pytest.raises(BindError, match=str(server.port)):
            engine._start_transport()


def test_without_a_loop(endpoints: Endpoints) -> None:
    """Engines that are polled by hand; stopping one tells the peer, from the caller's thread."""
    files = endpoints.certificates.good
    server, client = TransportContext(), TransportContext()
    try:
        server.start(
            is_client=False, alpn="moq-00", cert_file=str(files.cert), key_file=str(files.key), driver="inline"
        )
        client.start(is_client=True, alpn="moq-00", ca_file=str(files.cert), driver="inline")
        pair = Pair.of_contexts(server, client, "127.0.0.1")
        pair.connected()
        client.stop()
        pair.until(lambda: bool(pair.of(pair.server_events, APP_CLOSE) or pair.of(pair.server_events, CLOSE)))
        assert client.drain_rx() == []
    finally:
        client.stop()
        server.stop()


def test_bad_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match='driver is "thread" or "inline", not \'fast\''):
        QuicConfiguration(is_client=True, driver="fast").validate()
    monkeypatch.setenv("AIOPQUIC_LOOP", "portable")
    with pytest.raises(ConfigurationError, match="picoquic's packet loop"):
        QuicConfiguration(is_client=True, driver="inline").validate()
    monkeypatch.delenv("AIOPQUIC_LOOP")
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfigurationError, match='needs Linux: use driver="thread"'):
        QuicConfiguration(is_client=True, driver="inline").validate()


async def test_many_clients_of_one_round(endpoints: Endpoints) -> None:
    """Connections of one engine take turns: none waits for the others to be done."""
    async with endpoints.server(Echo, driver="inline") as server:

        async def one(number: int) -> bytes:
            async with endpoints.connect(server, driver="inline") as client:
                assert isinstance(client, Recorder)
                stream_id = client.quic.get_next_available_stream_id()
                client.quic.send_stream_data(stream_id, b"%d" % number * 1000, end_stream=True)
                return await client.wait_end(stream_id)

        answers = await asyncio.gather(*(one(number) for number in range(20)))
        assert answers == [b"%d" % number * 1000 for number in range(20)]
