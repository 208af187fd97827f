"""Connections over simulated links, with the API unchanged: faults, outages, a NAT that moves, runs that repeat."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aiopquic.asyncio import connect, serve
from aiopquic.exceptions import BindError, HandshakeTimeoutError, IdleTimeoutError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.testing.protocols import Echo, Recorder
from aiopquic.testing.simnet import Link, SimulatedNetwork, simulated

ALPN = "simulated"

#: Virtual seconds for what a test waits for; they cost nothing.
DEADLINE = 600.0


@asynccontextmanager
async def echo_server(network: SimulatedNetwork, **settings: Any) -> AsyncIterator[QuicConfiguration]:
    """A server on the host "server"; gives the configuration for its clients."""
    server = network.host("server")
    files = network.certificate()
    configuration = QuicConfiguration(
        is_client=False,
        alpn_protocols=[ALPN],
        certificate_file=files.certificate,
        private_key_file=files.private_key,
        **settings,
    )
    protocols: list[Echo] = []

    def create(*arguments: Any, **keywords: Any) -> Echo:
        protocols.append(Echo(*arguments, **keywords))
        return protocols[-1]

    with server:
        running = await serve(server.address, 443, configuration=configuration, create_protocol=create)
    try:
        yield QuicConfiguration(alpn_protocols=[ALPN], cafile=files.certificate, **settings)
    finally:
        for protocol in protocols:
            protocol.close_tasks()
        await running.aclose()


async def echo(client: Recorder, data: bytes) -> None:
    stream_id = client.quic.get_next_available_stream_id()
    await client.quic.send_stream_data_drained(stream_id, data, True)
    assert await client.wait_end(stream_id, DEADLINE) == data


async def exchange(network: SimulatedNetwork, data: bytes, **settings: Any) -> None:
    async with (
        echo_server(network, **settings) as configuration,
        connect("server", 443, configuration=configuration, create_protocol=Recorder) as client,
    ):
        assert isinstance(client, Recorder)
        await echo(client, data)


HOSTILE = Link(
    mbps=20,
    delay=0.02,
    jitter=0.01,
    reordering=True,
    queue_bytes=200_000,
    loss=0.02,
    duplicate=0.01,
    corrupt=0.01,
    hold=0.01,
    hold_time=0.05,
)


@simulated(seed=1, link=HOSTILE)
async def test_bytes_survive_a_hostile_link(network: SimulatedNetwork):
    """robustness.md, "Loss, duplication, reordering of bytes"."""
    await exchange(network, bytes(range(256)) * 4000)
    seen = network.counters(network.host("localhost"), network.host("server"))
    assert seen.lost > 10
    assert seen.duplicated > 0
    assert seen.corrupted > 0


@simulated(seed=2, link=Link(mbps=10, delay=0.03, loss=0.02))
async def test_outage_of_five_seconds(network: SimulatedNetwork):
    async with (
        echo_server(network) as configuration,
        connect("server", 443, configuration=configuration, create_protocol=Recorder) as client,
    ):
        here, there = network.host("localhost"), network.host("server")
        await echo(client, bytes(100_000))
        network.change(here, there, down=True)
        transfer = asyncio.create_task(echo(client, bytes(100_000)))
        await asyncio.sleep(5)
        assert not transfer.done()
        network.change(here, there, down=False)
        await transfer


@simulated(seed=3, link=Link(delay=0.01))
async def test_longer_outage_than_the_idle_timeout(network: SimulatedNetwork):
    async with echo_server(network, idle_timeout=20.0) as configuration:
        start = network.time
        async with connect("server", 443, configuration=configuration, create_protocol=Recorder) as client:
            network.change(network.host("localhost"), network.host("server"), down=True)
            client.quic.send_stream_data(0, b"lost")
            await client.wait_closed()
            with pytest.raises(IdleTimeoutError):
                raise client.quic.close_reason.exception()
        assert 20 <= network.time - start < 60


@simulated(seed=4, link=Link(delay=0.01))
async def test_server_that_is_not_there(network: SimulatedNetwork):
    network.host("server")
    configuration = QuicConfiguration(alpn_protocols=[ALPN], cafile=network.certificate().certificate)
    start = network.time
    with pytest.raises(HandshakeTimeoutError):
        async with connect("server", 443, configuration=configuration):
            pass
    assert 9 <= network.time - start <= 11
    assert network.unreachable > 0


@simulated(seed=5, link=Link(mbps=5, delay=0.02))
async def test_rate_and_delay_are_kept(network: SimulatedNetwork):
    async with (
        echo_server(network) as configuration,
        connect("server", 443, configuration=configuration, create_protocol=Recorder) as client,
    ):
        start = network.time
        await echo(client, bytes(1_000_000))
        took = network.time - start
        assert 1.6 < took < 3.5  # 8 Mbit at 5 Mbit/s, there and back at the same time
        stats = await client.quic.stats()
        assert stats["rtt_min"] == pytest.approx(40_000, rel=0.1)


@simulated(seed=6, link=Link(delay=0.02))
async def test_nat_that_moves(network: SimulatedNetwork):
    """The server follows the client to its new address (RFC 9000 section 9)."""
    async with (
        echo_server(network) as configuration,
        connect("server", 443, configuration=configuration, create_protocol=Recorder) as client,
    ):
        await echo(client, bytes(10_000))
        inside = client.quic.local_address()
        assert inside is not None
        network.host("elsewhere", "192.0.2.99")
        network.rebind(inside, ("192.0.2.99", 4000))
        await echo(client, bytes(100_000))


@simulated(seed=7)
async def test_address_of_another_host(network: SimulatedNetwork):
    network.host("server")
    files = network.certificate()
    configuration = QuicConfiguration(
        is_client=False, alpn_protocols=[ALPN], certificate_file=files.certificate, private_key_file=files.private_key
    )
    with pytest.raises(BindError, match="is no address of this simulated host"):
        await serve("server", 443, configuration=configuration)
    async with await serve("", 443, configuration=configuration):
        with pytest.raises(BindError, match="in use"):
            await serve("", 443, configuration=configuration)


@pytest.mark.parametrize("host", ["10.0.0.1", "fd00::1", "server"])
def test_both_families(host: str):
    network = SimulatedNetwork(8)
    network.host("server")

    async def main() -> None:
        with network.host("server"):
            files = network.certificate()
            configuration = QuicConfiguration(
                is_client=False,
                alpn_protocols=[ALPN],
                certificate_file=files.certificate,
                private_key_file=files.private_key,
            )
            server = await serve("::", 0, configuration=configuration, create_protocol=Recorder)
            both = await serve("", 0, configuration=configuration, create_protocol=Recorder)
        clients = QuicConfiguration(alpn_protocols=[ALPN], cafile=files.certificate)
        async with server, both, connect(host, both.port, configuration=clients) as client:
            assert client._quic.peer_address() in [(address, both.port) for address in network.host("server").addresses]

    network.run(main())


def trace(seed: int) -> tuple[Any, ...]:
    """Everything that one run can tell about itself."""
    network = SimulatedNetwork(seed, link=HOSTILE)
    network.run(exchange(network, bytes(300_000)))
    here, there = network.host("localhost"), network.host("server")
    return network.time, network.counters(here, there), network.counters(there, here)


def test_same_seed_same_run():
    assert trace(21) == trace(21)
    assert trace(22) != trace(21)


def test_same_seed_same_run_in_another_process():
    runs = [
        subprocess.run([sys.executable, __file__, "21"], capture_output=True, text=True, timeout=60, check=True).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1] == f"{trace(21)}\n"


if __name__ == "__main__":
    print(trace(int(sys.argv[1])))
