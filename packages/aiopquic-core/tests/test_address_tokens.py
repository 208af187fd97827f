"""Tokens that servers give for the next connection (RFC 9000 section 8.1.3), and stores in memory."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import aiopquic
from aiopquic._driver import uses_portable_loop
from aiopquic.quic.events import HandshakeCompleted
from aiopquic.quic.pool import close_idle_engines

from .support import Changes, Echo, Endpoints, RunningServer

pytestmark = pytest.mark.skipif(uses_portable_loop(), reason="picoquic's packet loop does not tell of Retry packets")


async def visit(endpoints: Endpoints, server: RunningServer, **settings: Any) -> HandshakeCompleted:
    """One connection with an echo, on an engine that ends with it; what its handshake told."""
    async with endpoints.connect(server, **settings) as client:
        stream_id = client.quic.get_next_available_stream_id()
        client.quic.send_stream_data(stream_id, b"hello", end_stream=True)
        assert await client.wait_end(stream_id) == b"hello"
        told = await client.wait_for(HandshakeCompleted)
    await close_idle_engines()
    return told


def retries(server: RunningServer) -> int:
    return server.server.stats().incoming_retried


@asynccontextmanager
async def strict(endpoints: Endpoints, **settings: Any) -> AsyncIterator[RunningServer]:
    """A server that has every client prove its address."""
    async with endpoints.server(Echo, retry=True, **settings) as server:
        yield server


@pytest.fixture(params=["file", "store", "neither"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Where a client keeps what it learns."""
    return {
        "file": {"session_ticket_file": tmp_path / "tickets"},
        "store": {"session_store": aiopquic.SessionStore()},
        "neither": {},
    }[request.param]


async def test_no_second_retry(endpoints: Endpoints, kept: dict[str, Any]):
    """Who was there before proves its address by a token; sessions are resumed only where that was asked for."""
    async with strict(endpoints) as server:
        told = [await visit(endpoints, server, **kept) for _ in range(3)]
        assert retries(server) == 1
        assert [one.session_resumed for one in told] == [False] + 2 * [bool(kept)]


async def test_of_any_server(endpoints: Endpoints):
    """A server that asks nobody for a proof gives tokens for the time when it must."""
    async with endpoints.server(Echo, session_ticket_key=(key := os.urandom(32))) as first:
        await visit(endpoints, first)
        assert retries(first) == 0
        port = first.port
    async with serve_again(endpoints, port, session_ticket_key=key) as second:
        await visit(endpoints, second)
        assert retries(second) == 0


@asynccontextmanager
async def serve_again(endpoints: Endpoints, port: int, **settings: Any) -> AsyncIterator[RunningServer]:
    """A server on a port that another one had, which asks for proofs."""
    from aiopquic.asyncio import serve

    peers: list[Echo] = []

    def create(quic: Any, stream_handler: Any = None) -> Echo:
        peers.append(Echo(quic, stream_handler=stream_handler))
        return peers[-1]

    configuration = endpoints.server_configuration(**settings)
    server = await serve("127.0.0.1", port, configuration=configuration, create_protocol=create, retry=True)
    async with server:
        yield RunningServer(server, "127.0.0.1", [], Changes())
        for peer in peers:
            peer.close_tasks()


async def test_for_its_server_alone(endpoints: Endpoints):
    """Another port is another server: it does not see the token, and the token stays good for its own."""
    async with strict(endpoints) as one, strict(endpoints) as other:
        await visit(endpoints, one)
        await visit(endpoints, other)
        assert retries(other) == 1
        await visit(endpoints, one)
        await visit(endpoints, other)
        assert retries(one) == retries(other) == 1


async def test_of_a_server_that_is_gone(endpoints: Endpoints):
    """A token that the server at that port can't read is as good as none, and breaks nothing."""
    async with strict(endpoints) as server:
        await visit(endpoints, server)
        port = server.port
    async with serve_again(endpoints, port) as other:
        await visit(endpoints, other)
        assert retries(other) == 1


async def test_counts_once(endpoints: Endpoints, tmp_path: Path):
    """A token that is shown again, from a copy of the file, is refused, and the client proves its address anew."""
    tickets = tmp_path / "tickets"
    async with strict(endpoints) as server:
        await visit(endpoints, server, session_ticket_file=tickets)
        copy = tickets.read_bytes()
        await visit(endpoints, server, session_ticket_file=tickets)
        assert retries(server) == 1
        tickets.write_bytes(copy)
        await visit(endpoints, server, session_ticket_file=tickets)
        assert retries(server) == 2


async def test_store_is_shared_and_forgets(endpoints: Endpoints):
    store = aiopquic.SessionStore()
    assert store
    assert len(store) == 0
    async with endpoints.server(Echo, early_data=True) as server:
        assert not (await visit(endpoints, server, session_store=store)).session_resumed
        assert len(store) >= 2  # a ticket and a token
        told = await visit(endpoints, server, session_store=store, wait_connected=False)
        assert told.session_resumed
        assert told.early_data_accepted
        store.clear()
        assert len(store) == 0
        assert not (await visit(endpoints, server, session_store=store)).session_resumed


async def test_store_of_other_protocols_and_names(endpoints: Endpoints):
    """A ticket is for its name and its application protocol."""
    store = aiopquic.SessionStore()
    async with endpoints.server(Echo, alpn_protocols=["a", "b"]) as server:
        for settings in ({"alpn_protocols": ["a"]}, {"alpn_protocols": ["b"]}):
            told = await visit(endpoints, server, session_store=store, server_name="localhost", **settings)
            assert not told.session_resumed
        told = await visit(endpoints, server, session_store=store, server_name="127.0.0.1", alpn_protocols=["a"])
        assert not told.session_resumed
        told = await visit(endpoints, server, session_store=store, server_name="localhost", alpn_protocols=["b"])
        assert told.session_resumed


async def test_store_of_engines_side_by_side(endpoints: Endpoints):
    """What one engine learns does not undo what another one has: their tickets come together."""
    store = aiopquic.SessionStore()
    async with endpoints.server(Echo) as one, endpoints.server(Echo) as other:
        # Other settings make another engine, which begins and ends around the first.
        async with endpoints.connect(other, session_store=store, server_name="localhost", max_streams_uni=7) as client:
            await client.wait_for(HandshakeCompleted)
            await visit(endpoints, one, session_store=store, server_name="127.0.0.1")
        await close_idle_engines()
        assert len(store) == 4
        assert (await visit(endpoints, one, session_store=store, server_name="127.0.0.1")).session_resumed
        assert (await visit(endpoints, other, session_store=store, server_name="localhost")).session_resumed
