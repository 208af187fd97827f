"""0-RTT data with the streams API: taken, refused, and never lost or doubled (RFC 9001 section 4.6)."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import aiopquic
from aiopquic.asyncio import QuicConnectionProtocol, connect, serve
from aiopquic.exceptions import HandshakeTimeoutError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.events import StreamDataReceived
from aiopquic.testing.simnet import Link, SimulatedNetwork, simulated

from .support import Ends, echo, soon

PAYLOAD = os.urandom(3000)


async def visit(ends: Ends, server: aiopquic.Server, **settings: Any) -> tuple[bool, bool]:
    """An echo that is begun before the handshake ends; whether the session was resumed and the data taken."""
    async with ends.connect(server, wait_connected=False, **settings) as client:
        stream = await soon(client.open_stream())
        await stream.write(PAYLOAD, end_stream=True)
        assert await soon(stream.read_all()) == PAYLOAD
        await soon(client.wait_connected())
        told = client.session_resumed, client.early_data_accepted
    await aiopquic.close_idle_engines()
    return told


@pytest.mark.parametrize("accepts", [True, False], ids=["accepted", "refused"])
async def test_the_server_says_whether_it_takes_it(ends: Ends, accepts: bool):
    store = aiopquic.SessionStore()
    async with ends.serve(echo, early_data=accepts) as server:
        assert await visit(ends, server, session_store=store) == (False, False)
        assert await visit(ends, server, session_store=store) == (True, accepts)


@pytest.mark.parametrize("has_its_key", [True, False], ids=["its key", "another key"])
async def test_refused_after_a_restart(ends: Ends, has_its_key: bool):
    """The ticket promises that early data is taken; the server that comes next does not, or can't read the ticket."""
    store, key = aiopquic.SessionStore(), os.urandom(32)
    async with ends.serve(echo, early_data=True, session_ticket_key=key) as server:
        await visit(ends, server, session_store=store)
        port = server.port
    settings = {"session_ticket_key": key} if has_its_key else {"early_data": True}
    good = ends.certificates.good
    files = {"certificate": good.cert, "private_key": good.key}
    async with aiopquic.serve(echo, "127.0.0.1", port, alpn=["test"], **files, **settings) as server:
        assert await visit(ends, server, session_store=store) == (has_its_key, False)


@asynccontextmanager
async def counting(network: SimulatedNetwork, received: Counter[bytes], **settings: Any) -> AsyncIterator[Any]:
    """A server that writes down what each stream brings, and answers."""

    async def handle(connection: aiopquic.Connection) -> None:
        async for stream in connection.incoming_streams(bidirectional=True):
            received[await stream.read_all()] += 1
            await stream.write(b"done", end_stream=True)

    host = network.host("server")
    network.host("localhost")
    files = network.certificate()
    with host:
        server = await aiopquic.serve(
            handle, host.address, 443, alpn=["early"], certificate=files.certificate, private_key=files.private_key,
            **settings
        )  # fmt: skip
    async with server:
        yield host.address, files.certificate


@pytest.mark.parametrize("accepts", [True, False], ids=["accepted", "refused"])
@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_or_doubled(accepts: bool, seed: int):
    """Each of many requests arrives once, on a path that loses, doubles and reorders datagrams."""
    link = Link(delay=0.03, loss=0.15, duplicate=0.1, jitter=0.02)

    @simulated(seed=seed, link=link, qlog=False)
    async def run(network: SimulatedNetwork) -> None:
        received: Counter[bytes] = Counter()
        store = aiopquic.SessionStore()

        async def send(count: int) -> bool:
            async with aiopquic.connect(
                address, 443, alpn=["early"], cafile=cafile, session_store=store, wait_connected=False,
                server_name="server", handshake_timeout=60
            ) as client:  # fmt: skip

                async def one(number: int) -> None:
                    stream = await client.open_stream()
                    await stream.write(b"%d " % number * 200, end_stream=True)
                    assert await stream.read_all() == b"done"

                await asyncio.gather(*(one(number) for number in range(count)))
                await client.wait_connected()
                told = client.session_resumed, client.early_data_accepted
            await aiopquic.close_idle_engines()
            assert received == Counter({b"%d " % number * 200: 1 for number in range(count)})
            received.clear()
            return told

        async with counting(network, received, early_data=accepts, handshake_timeout=60) as (address, cafile):
            await send(1)
            assert await send(20) == (True, accepts)

    run()


class Answering(QuicConnectionProtocol):
    """Answers as soon as something is there, as protocols do that take early data."""

    def quic_event_received(self, event: object) -> None:
        if isinstance(event, StreamDataReceived) and event.end_stream:
            self._quic.send_stream_data(event.stream_id, b"done", end_stream=True)


async def ask(address: str, configuration: QuicConfiguration) -> None:
    async with connect(address, 443, configuration=configuration, wait_connected=False) as client:
        reader, writer = await client.create_stream()
        writer.write(b"hello")
        writer.write_eof()
        assert await reader.read() == b"done"
    await aiopquic.close_idle_engines()


@simulated(seed=9, link=Link(delay=0.05))
async def test_it_saves_a_round_trip(network: SimulatedNetwork):
    """With callbacks the answer is under way before the handshake is complete."""
    host, files = network.host("server"), network.certificate()
    network.host("localhost")
    accepting = QuicConfiguration(is_client=False, alpn_protocols=["early"], early_data=True)
    accepting.load_cert_chain(files.certificate, files.private_key)
    asking = QuicConfiguration(
        alpn_protocols=["early"], cafile=files.certificate, server_name="server", session_store=aiopquic.SessionStore()
    )
    with host:
        server = await serve(host.address, 443, configuration=accepting, create_protocol=Answering)
    async with server:
        times = []
        for _ in range(2):
            start = network.time
            await ask(host.address, asking)
            times.append(network.time - start)
            await asyncio.sleep(1)
    assert times[0] - times[1] > 0.09  # the round trip takes 100 ms


@simulated(seed=11, link=Link(delay=0.05))
async def test_handlers_begin_behind_the_handshake(network: SimulatedNetwork):
    """So that a recording, with which nobody completes a handshake, reaches none."""
    received: Counter[bytes] = Counter()
    store = aiopquic.SessionStore()
    async with counting(network, received, early_data=True) as (address, cafile):
        for is_heard in (True, False):
            if not is_heard:
                server_host, client_host = network.host("server"), network.host("localhost")
                network.link(server_host, client_host, Link(down=True), back=Link(delay=0.05))
            client = await aiopquic.connect(
                address, 443, alpn=["early"], cafile=cafile, session_store=store, wait_connected=False,
                server_name="server", handshake_timeout=5
            )  # fmt: skip
            stream = await client.open_stream()
            await stream.write(b"hello", end_stream=True)
            if is_heard:
                assert await stream.read_all() == b"done"
            else:
                await client.wait_closed()
            await client.aclose()
            await aiopquic.close_idle_engines()
    assert received == {b"hello": 1}


async def test_facts_before_the_handshake(ends: Ends):
    async with ends.serve(echo) as server, ends.connect(server, wait_connected=False) as client:
        for fact in ("alpn", "version", "early_data_accepted", "peer_address"):
            with pytest.raises(RuntimeError, match=r"await connection\.wait_connected"):
                getattr(client, fact)
        assert "client ?" in repr(client)
        await soon(client.wait_connected())
        await soon(client.wait_connected())
        assert client.alpn == "test"


async def test_handshake_that_fails(ends: Ends):
    """Everybody who waits is told why."""
    async with ends.serve(echo) as server:
        client = await ends.connect(server, wait_connected=False, cafile=None, shared=False)
        with pytest.raises(aiopquic.CertificateVerifyError):
            await soon(client.open_stream())
        with pytest.raises(aiopquic.CertificateVerifyError):
            await soon(client.wait_connected())
        await client.aclose()


@simulated(seed=10, link=Link(down=True))
async def test_nobody_answers(network: SimulatedNetwork):
    network.host("server"), network.host("localhost")
    client = await aiopquic.connect("server", 443, alpn=["early"], wait_connected=False, handshake_timeout=3)
    with pytest.raises(HandshakeTimeoutError):
        await client.wait_connected()
    assert 2.9 < network.time < 3.5
    await client.aclose()
