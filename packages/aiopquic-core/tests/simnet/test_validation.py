"""What servers do for clients whose address nobody has proven, in virtual time (RFC 9000 section 8)."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

import aiopquic
from aiopquic.testing import dev_certificate
from aiopquic.testing.simnet import Link, SimulatedNetwork, simulated

ALPN = ["validation"]
LINK = Link(delay=0.05)


async def serve(network: SimulatedNetwork, padding: bytes = b"", **settings: Any) -> tuple[aiopquic.Server, Path]:
    """A server on a host of its own, and the certificate that clients trust; ``padding`` is sent behind it."""

    async def handle(connection: aiopquic.Connection) -> None:
        await connection.wait_closed()

    files = network.certificate()
    settings["certificate"] = files.certificate.read_bytes() + padding
    settings["private_key"] = files.private_key
    with network.host("server"):
        return await aiopquic.serve(handle, "server", 443, alpn=ALPN, **settings), files.certificate


async def connect_once(network: SimulatedNetwork, cafile: Path, **settings: Any) -> float:
    """Virtual seconds that a handshake takes; the engine ends with the connection."""
    start = network.time
    settings = {"server_name": "server", **settings}
    address = network.host("server").address  # one address: no second attempt at another one
    async with aiopquic.connect(address, 443, alpn=ALPN, cafile=cafile, **settings) as client:
        taken = network.time - start
        await client.ping()
    await aiopquic.close_idle_engines()
    return taken


@simulated(seed=1, link=LINK)
async def test_a_token_spares_a_round_trip(network: SimulatedNetwork):
    network.host("server"), network.host("localhost")
    server, cafile = await serve(network, retry=True)
    async with server:
        first = await connect_once(network, cafile)
        second = await connect_once(network, cafile)
        assert server.stats().incoming_retried == 1
        assert first > 0.29  # a round trip of 100 ms for the Retry, and two for the handshake and its confirmation
        assert second < 0.21


@simulated(seed=4, link=LINK)
async def test_a_server_goes_on_remembering(network: SimulatedNetwork):
    """What it remembers of used tokens is bounded: picoquic alone would take none any more after 32 a connection."""
    network.host("server"), network.host("localhost")
    server, cafile = await serve(network, retry=True, max_connections=1)
    async with server:
        for _ in range(40):
            await connect_once(network, cafile)
            await asyncio.sleep(5)  # the server's end of the connection drains
        assert server.stats().incoming_retried == 1


async def try_to_connect(address: str, cafile: Path, count: int) -> list[asyncio.Task[None]]:
    """Clients that hear nothing."""

    async def one() -> None:
        with contextlib.suppress(aiopquic.HandshakeTimeoutError):
            async with aiopquic.connect(address, 443, alpn=ALPN, handshake_timeout=20, shared=False, cafile=cafile):
                pass

    return [asyncio.create_task(one()) for _ in range(count)]


@pytest.mark.parametrize("has_callback", [False, True], ids=["alone", "with incoming"])
def test_many_half_open_handshakes(has_callback: bool):
    """From the limit on new clients prove their address; when the flood is over, nobody is asked to any more."""

    @simulated(seed=2, link=LINK, qlog=False)
    async def run(network: SimulatedNetwork) -> None:
        host, flood = network.host("server"), network.host("flood")
        network.host("localhost")
        network.link(flood, host, LINK, back=Link(down=True))
        incoming = {"incoming": lambda _: aiopquic.Decision.ACCEPT} if has_callback else {}
        server, cafile = await serve(network, half_open_limit=8, handshake_timeout=5, **incoming)
        async with server:
            await connect_once(network, cafile)
            assert server.stats().incoming_retried == 0
            with flood:
                tasks = await try_to_connect(host.address, cafile, 20)
            await asyncio.sleep(0.5)
            network.link(flood, host, Link(down=True))
            await asyncio.sleep(0.1)  # what is on its way arrives
            flooded = server.stats().incoming_retried
            assert flooded >= 12  # the eight before them are half open
            # Who was here before has a token; who was not is sent a Retry. Both get in.
            assert await connect_once(network, cafile) < 0.21
            assert server.stats().incoming_retried == flooded
            assert await connect_once(network, cafile, server_name="localhost") > 0.29
            assert server.stats().incoming_retried == flooded + 1
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(10)
            with network.host("stranger"):
                assert await connect_once(network, cafile) < 0.21
            assert server.stats().incoming_retried == flooded + 1

    run()


def long_chain() -> bytes:
    """Certificates that take many more bytes than a client has sent."""
    return b"".join(dev_certificate(hosts=[f"padding{i}.example"]).certificate_pem for i in range(12))


@pytest.mark.parametrize("is_silent", [False, True], ids=["goes on", "sends once"])
def test_no_amplification(is_silent: bool):
    """A server sends three times what it got, and no more, until the address is proven (RFC 9000 section 8.1)."""

    @simulated(seed=3, link=LINK, qlog=False)
    async def run(network: SimulatedNetwork) -> None:
        host, victim = network.host("server"), network.host("victim")
        network.host("localhost")
        network.link(victim, host, LINK, back=Link(down=True))
        server, cafile = await serve(network, padding=long_chain(), handshake_timeout=8)
        async with server:
            with victim:
                tasks = await try_to_connect(host.address, cafile, 1)
            most = 0.0
            for _ in range(100):
                await asyncio.sleep(0.1)
                if is_silent and network.time > 0.03:
                    network.link(victim, host, Link(down=True))
                came = network.counters(victim, host).delivered_bytes
                sent = network.counters(host, victim).sent_bytes
                assert sent <= 3 * came
                most = max(most, sent / came if came else 0.0)
            assert most > 2  # the limit is what kept it from sending more
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # The same chain gets to a client that answers.
            assert await connect_once(network, cafile, server_name="localhost") > 0.15

    run()
