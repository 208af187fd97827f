"""Sessions on simulated networks: the same code, with loss and delay, and the same run for the same seed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import aiopquic
from aiopquic.testing.simnet import Link, SimulatedNetwork, simulated
from aiopquic_webtransport import EndKind, Session, SessionClosedError, SessionTimeoutError, connect, serve
from aiopquic_webtransport.routing import App

from .support import echo, hold

LOSSY = Link(mbps=20, delay=0.02, jitter=0.01, reordering=True, queue_bytes=200_000, loss=0.03, duplicate=0.01)


@asynccontextmanager
async def session(network: SimulatedNetwork, app: App, **settings: Any) -> AsyncIterator[Session]:
    """A session from one host to another."""
    host = network.host("server")
    certificate, key = network.certificate()
    with host:
        server = await serve(app, host.address, 443, certificate=certificate, private_key=key, **settings)
    async with server, connect("https://server/room", cafile=certificate, **settings) as client:
        yield client


async def echoed(client: Session, data: bytes) -> None:
    async with await client.open_stream() as stream, asyncio.TaskGroup() as group:
        group.create_task(stream.write(data, end_stream=True))
        assert await stream.read_all() == data


@simulated(seed=7, link=LOSSY)
async def test_streams_over_a_lossy_link(network: SimulatedNetwork):
    async with session(network, echo) as client:
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(echoed(client, bytes([number]) * 50_000))
        client.close(5, "done")
        assert (await client.closed).code == 5


@simulated(seed=8, link=LOSSY)
async def test_datagrams_over_a_lossy_link(network: SimulatedNetwork):
    """Those that are lost are, and their fate says so; the others arrive."""
    async with session(network, echo) as client:
        fates = [await client.datagrams.send(bytes([number]) * 500, track=True) for number in range(200)]
        outcomes = [await fate.wait() for fate in fates]
        assert 0 < outcomes.count("lost") < 100
        async with asyncio.timeout(5):
            assert len(await client.datagrams.receive()) == 500


def test_the_same_seed_gives_the_same_run():
    def run() -> float:
        network = SimulatedNetwork(3, link=LOSSY)

        async def main() -> float:
            async with session(network, echo) as client:
                await echoed(client, bytes(200_000))
                return network.time

        return network.run(main())

    assert run() == run()


@simulated(seed=9)
async def test_a_peer_that_vanishes(network: SimulatedNetwork):
    """Its sessions end with the idle timeout, and everybody who waits is told."""
    async with session(network, hold, idle_timeout=5) as client:
        stream = await client.open_stream()
        reading = asyncio.create_task(stream.read())
        await asyncio.sleep(0.1)
        network.change(network.host("localhost"), network.host("server"), down=True)
        info = await client.closed
        assert info.kind is EndKind.CONNECTION_LOST
        assert "idle timeout" in str(info)
        with pytest.raises(SessionClosedError, match="idle timeout"):
            await reading


@simulated(seed=10)
async def test_another_protocol_under_the_same_name(network: SimulatedNetwork):
    """A server that says "h3" and no more is waited for as long as for a handshake."""

    async def silent(conn: aiopquic.Connection) -> None:
        await conn.wait_closed()

    host = network.host("server")
    certificate, key = network.certificate()
    with host:
        server = await aiopquic.serve(silent, host.address, 443, alpn=["h3"], certificate=certificate, private_key=key)
    async with server:
        before = network.time
        with pytest.raises(SessionTimeoutError, match="did not answer within 10 seconds"):
            await connect("https://server/", cafile=certificate)
        assert 10 <= network.time - before < 12
