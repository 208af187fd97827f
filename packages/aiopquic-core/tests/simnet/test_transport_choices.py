"""Settings of congestion control and of the transport, by what they change on a simulated link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import aiopquic
from aiopquic.exceptions import ConfigurationError
from aiopquic.testing.simnet import Link, SimulatedNetwork, simulated

ALPN = ["choices"]
CONTROLLERS = ["newreno", "reno", "cubic", "dcubic", "fast", "bbr", "bbr1", "prague", "c4"]


@asynccontextmanager
async def connected(
    network: SimulatedNetwork, server: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[aiopquic.Connection, aiopquic.Connection]]:
    """The client's end and the server's; ``settings`` are for both, those of ``server`` for it alone."""
    host = network.host("server")
    files = network.certificate()
    arrived: asyncio.Future[aiopquic.Connection] = asyncio.get_running_loop().create_future()

    async def handle(connection: aiopquic.Connection) -> None:
        arrived.set_result(connection)
        async for stream in connection.incoming_streams(bidirectional=True):
            await stream.write(str(len(await stream.read_all(limit=1 << 26))).encode(), end_stream=True)

    mine = {"certificate": files.certificate, "private_key": files.private_key, **settings, **(server or {})}
    with host:
        running = await aiopquic.serve(handle, host.address, 443, alpn=ALPN, **mine)
    async with running, aiopquic.connect("server", 443, alpn=ALPN, cafile=files.certificate, **settings) as client:
        yield client, await arrived


async def upload(connection: aiopquic.Connection, length: int) -> None:
    stream = await connection.open_stream()
    await stream.write(bytes(length), end_stream=True)
    assert await stream.read_all() == str(length).encode()


LINK = Link(mbps=20, delay=0.02, queue_bytes=100_000)


@pytest.mark.parametrize("name", CONTROLLERS)
def test_every_controller_fills_the_link(name: str):
    @simulated(seed=1, link=LINK, qlog=False)
    async def run(network: SimulatedNetwork) -> None:
        async with connected(network, congestion_control_algorithm=name) as (client, _):
            start = network.time
            await upload(client, 2_000_000)
            assert network.time - start < 4  # 0.8 s is the bytes alone; the initial window would take 5

    run()


@simulated(seed=2, link=LINK)
async def test_options_of_a_controller(network: SimulatedNetwork):
    settings = {"congestion_control_algorithm": "bbr1", "congestion_control_options": "T100000Q2.5"}
    async with connected(network, **settings) as (client, _):
        await upload(client, 1_000_000)


@simulated(seed=3, link=LINK)
async def test_the_window_has_a_limit(network: SimulatedNetwork):
    async with connected(network, max_congestion_window=20_000) as (client, _):
        start = network.time
        await upload(client, 500_000)
        assert network.time - start > 0.8  # 20 kB a round trip of 40 ms, where the link would carry 100


@simulated(seed=4, link=Link(mbps=10, delay=0.02, queue_bytes=200_000, mark_bytes=20_000))
async def test_marks_of_the_network_are_counted(network: SimulatedNetwork):
    async with connected(network, congestion_control_algorithm="cubic") as (client, peer):
        await upload(client, 2_000_000)
        theirs, ours = await peer.stats(), await client.stats()
        assert theirs.ecn_ce_received > 0
        assert theirs.ecn_received > theirs.ecn_ce_received
        assert 0 < ours.ecn_ce_reported <= theirs.ecn_ce_received
        assert ours.packets_lost == 0  # the marks said it in time


@pytest.mark.parametrize("wanted", [True, False])
def test_ack_frequency(wanted: bool):
    @simulated(seed=5, link=LINK, qlog=False)
    async def run(network: SimulatedNetwork) -> None:
        async with connected(network, ack_frequency=wanted) as (client, peer):
            assert (client._handshake.local_parameters["min_ack_delay"] > 0) == wanted
            assert (peer._handshake.remote_parameters["min_ack_delay"] > 0) == wanted
            await upload(client, 100_000)

    run()


@pytest.mark.parametrize("length", [4, 20])
def test_connection_id_length(length: int):
    @simulated(seed=6, link=LINK, qlog=False)
    async def run(network: SimulatedNetwork) -> None:
        async with connected(network, connection_id_length=length, spin_bit=False) as (client, peer):
            assert len(client._handshake.connection_ids["local"]) == length
            assert len(peer._handshake.connection_ids["remote"]) == length
            await upload(client, 100_000)
            await client.migrate()
            await upload(client, 100_000)

    run()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"congestion_control_algorithm": "fastest"}, "unknown congestion control algorithm 'fastest'"),
        ({"congestion_control_algorithm": "cubic", "congestion_control_options": "T5"}, "are for bbr and bbr1"),
        ({"congestion_control_options": "X5"}, "are for bbr and bbr1"),
        ({"congestion_control_options": ""}, "are for bbr and bbr1"),
        ({"max_congestion_window": 1}, "max_congestion_window is 15360"),
        ({"ack_frequency": 1}, "ack_frequency is True or False"),
        ({"spin_bit": None}, "spin_bit is True or False"),
        ({"connection_id_length": 3}, "connection_id_length is 4 to 20 bytes"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], words: str):
    with pytest.raises(ConfigurationError, match=words):
        aiopquic.QuicConfiguration(**settings)


@pytest.mark.parametrize(("priority", "is_first"), [(0, True), (200, False)])
@simulated(seed=4, link=Link(mbps=2, delay=0.01, queue_bytes=20_000))
async def test_datagrams_before_streams_or_behind(network: SimulatedNetwork, priority: int, is_first: bool):
    """A datagram that is sent behind a large write overtakes it, or waits for it."""
    async with connected(network, datagram_priority=priority) as (client, peer):
        uploading = asyncio.create_task(upload(client, 1_000_000))
        await asyncio.sleep(0.5)  # the stream has the link, for four seconds
        start = network.time
        await client.send_datagram(b"news")
        assert await peer.receive_datagram() == b"news"
        assert (network.time - start < 1) is is_first
        await uploading


@pytest.mark.parametrize("priority", [-1, 256, 1.5, None])
def test_datagram_priority_that_cannot_be(priority: Any):
    with pytest.raises(ConfigurationError, match="datagram_priority is 0 to 255"):
        aiopquic.QuicConfiguration(datagram_priority=priority)
