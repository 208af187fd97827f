"""The cases of the QUIC interop runner that are about the network, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from aiopquic.asyncio import connect
from aiopquic.testing.protocols import Recorder
from aiopquic.testing.simnet import Link, SimulatedNetwork, simulated

from .test_connections import echo, echo_server, exchange

#: What the runner's links have: 10 Mbit/s, 15 ms one way, a queue of 25 packets.
RUNNER_LINK = Link(mbps=10, delay=0.015, queue_bytes=25 * 1500)


@pytest.mark.parametrize("seed", range(10))
def test_handshake_loss(seed: int):
    """ "multiconnect": 30 % of the datagrams are lost both ways, and every one of five connections comes about."""
    link = Link(mbps=10, delay=0.015, loss=0.3)
    network = SimulatedNetwork(seed, link=link)

    async def main() -> None:
        async with echo_server(network, handshake_timeout=60.0) as configuration:
            for _ in range(5):
                async with connect("server", 443, configuration=configuration, create_protocol=Recorder) as client:
                    await echo(client, bytes(1024))

    network.run(main())
    here, there = network.host("localhost"), network.host("server")
    assert network.counters(here, there).lost + network.counters(there, here).lost > 5


@simulated(seed=30, link=Link(mbps=10, delay=0.015, queue_bytes=25 * 1500, loss=0.02))
async def test_transfer_loss(network: SimulatedNetwork):
    await exchange(network, bytes(2_000_000))
    assert network.counters(network.host("localhost"), network.host("server")).lost > 20


@simulated(seed=31, link=Link(mbps=10, delay=0.015, corrupt=0.02))
async def test_transfer_corruption(network: SimulatedNetwork):
    await exchange(network, bytes(1_000_000))
    assert network.counters(network.host("localhost"), network.host("server")).corrupted > 5


@simulated(seed=32, link=Link(mbps=10, delay=0.015, corrupt=0.3))
async def test_handshake_corruption(network: SimulatedNetwork):
    await exchange(network, bytes(1000), handshake_timeout=60.0)
    here, there = network.host("localhost"), network.host("server")
    assert network.counters(here, there).corrupted + network.counters(there, here).corrupted > 0


@simulated(seed=33, link=Link(mbps=10, delay=0.75))
async def test_long_round_trips(network: SimulatedNetwork):
    start = network.time
    await exchange(network, bytes(10_000))
    assert 3 <= network.time - start < 10


@simulated(seed=34, link=RUNNER_LINK)
async def test_blackhole(network: SimulatedNetwork):
    """Five seconds with a network and two without, over and over, until 10 MB are there."""
    here, there = network.host("localhost"), network.host("server")

    async def come_and_go() -> None:
        while True:
            await asyncio.sleep(5)
            network.change(here, there, down=True)
            await asyncio.sleep(2)
            network.change(here, there, down=False)

    coming_and_going = asyncio.create_task(come_and_go())
    await exchange(network, bytes(10_000_000))
    coming_and_going.cancel()
    assert network.time > 10


@pytest.mark.parametrize("moves_address", [False, True], ids=["rebind-port", "rebind-addr"])
def test_rebinding(moves_address: bool):
    """The client's NAT gives it another port, or another address, every second of a transfer."""
    network = SimulatedNetwork(35, link=RUNNER_LINK)

    async def main() -> None:
        async with (
            echo_server(network) as configuration,
            connect("server", 443, configuration=configuration, create_protocol=Recorder) as client,
        ):
            inside = client.quic.local_address()
            assert inside is not None
            transfer = asyncio.create_task(echo(client, bytes(5_000_000)))
            moves = 0
            while not transfer.done():
                moves += 1
                outside = f"192.0.2.{moves}" if moves_address else inside[0]
                network.rebind(inside, (outside, 20_000 + moves))
                await asyncio.wait([transfer], timeout=1)
            await transfer
            assert moves >= 3

    network.run(main())


@pytest.mark.parametrize(("mtu", "is_too_large"), [(1472, False), (1471, True)])
def test_packets_fill_an_ethernet_frame(mtu: int, is_too_large: bool):
    """Path MTU discovery tries 1500 bytes with the IP and UDP headers, which IPv4 leaves 1472 of, and no more."""
    network = SimulatedNetwork(37, link=Link(mbps=50, delay=0.01, mtu=mtu))
    largest: list[int] = []

    async def main() -> None:
        async with (
            echo_server(network, max_datagram_frame_size=65535, datagram_max_payload=None) as configuration,
            connect("server", 443, configuration=configuration, create_protocol=Recorder) as client,
        ):
            await echo(client, bytes(1_000_000))
            await client.quic.stats()
            largest.append(client.quic.max_datagram_payload())

    network.run(main())
    here, there = network.host("localhost"), network.host("server")
    assert (network.counters(here, there).too_large > 0) == is_too_large
    assert (largest[0] > 1420) == (not is_too_large)


@simulated(seed=36, link=Link(delay=0.015))
async def test_amplification_limit(network: SimulatedNetwork):
    """A server sends at most three times what an address sent that it has not proved (RFC 9000 section 8.1)."""
    here, there = network.host("localhost"), network.host("server")
    network.link(here, there, Link(delay=0.015), Link(delay=0.015, down=True))  # nothing comes back to the client
    async with echo_server(network) as configuration:
        with pytest.raises(TimeoutError):
            async with connect("server", 443, configuration=configuration, create_protocol=Recorder):
                pass
    sent, answered = network.counters(here, there).sent_bytes, network.counters(there, here).sent_bytes
    assert 0 < answered <= 3 * sent


@pytest.mark.slow
@pytest.mark.parametrize("seed", [40])
def test_thousand_connections_twice(seed: int):
    """A thousand connections over a lossy link end the same way in every run."""

    def run() -> tuple[object, ...]:
        network = SimulatedNetwork(seed, link=Link(mbps=100, delay=0.02, loss=0.01, queue_bytes=500_000))

        async def one(configuration: object) -> None:
            async with connect("server", 443, configuration=configuration, create_protocol=Recorder) as client:  # type: ignore[arg-type]
                await echo(client, bytes(5000))

        async def main() -> None:
            async with echo_server(network, max_connections=2000, handshake_timeout=60.0) as configuration:
                await asyncio.gather(*(one(configuration) for _ in range(1000)))

        network.run(main())
        here, there = network.host("localhost"), network.host("server")
        return network.time, network.counters(here, there), network.counters(there, here)

    assert run() == run()
