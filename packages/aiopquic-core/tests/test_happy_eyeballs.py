"""Which address of a host a client ends up with (RFC 8305), and how long that takes at most."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from aiopquic.asyncio import connect
from aiopquic.exceptions import AlpnError, HandshakeTimeoutError
from aiopquic.quic.resolving import resolve

from .certificates import Certificates
from .support import Echo, Endpoints, client_configuration, until


def entry(address: str) -> tuple[Any, ...]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    where = (address, 0, 0, 0) if ":" in address else (address, 0)
    return family, socket.SOCK_DGRAM, 17, "", where


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to; a look-up of one without addresses never ends."""
    table: dict[str, list[str]] = {}

    async def getaddrinfo(loop: Any, host: str, port: int, *, family: int = 0, **_: Any) -> list[tuple[Any, ...]]:
        if not table[host]:
            await asyncio.sleep(3600)
        return [found for found in map(entry, table[host]) if family in (0, found[0])]

    monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", getaddrinfo)
    return table


async def test_order(names: dict[str, list[str]]):
    """The families take turns, beginning with the one the resolver put first; nothing twice."""
    names["six"] = ["::1", "::2", "::2", "::3", "1.1.1.1", "2.2.2.2"]
    assert [host for host, _ in await resolve("six", 9, None)] == ["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"]
    names["four"] = ["1.1.1.1", "::1", "2.2.2.2"]
    assert [host for host, _ in await resolve("four", 9, None)] == ["1.1.1.1", "::1", "2.2.2.2"]
    assert await resolve("four", 9, socket.AF_INET6) == [("::1", 9)]
    assert await resolve("192.0.2.1", 9, None) == [("192.0.2.1", 9)]
    assert await resolve("fe80::1%1", 9, None) == [("fe80::1%1", 9)]


async def test_a_silent_address_first(endpoints: Endpoints, names: dict[str, list[str]]):
    """The next one is tried a quarter of a second later, and wins."""
    names["localhost"] = ["127.0.0.9", "127.0.0.1"]
    async with endpoints.server(Echo) as server:
        start = time.monotonic()
        async with endpoints.connect(server, host="localhost") as client:
            assert 0.2 < time.monotonic() - start < 8.0
            assert client.quic.peer_address() == ("127.0.0.1", server.port)
            client.quic.send_stream_data(0, b"x", end_stream=True)
            assert await client.wait_end(0) == b"x"
        assert len(server.peers) == 1


async def test_a_refused_address_first(endpoints: Endpoints, names: dict[str, list[str]]):
    """An address that fails makes way for the next one at once, however long the delay."""
    names["localhost"] = ["fe80::1%nowhere", "127.0.0.1"]
    async with endpoints.server(Echo) as server:
        start = time.monotonic()
        async with endpoints.connect(server, host="localhost", connection_attempt_delay=60.0):
            assert time.monotonic() - start < 8.0


async def test_the_first_that_answers_wins(endpoints: Endpoints, names: dict[str, list[str]]):
    """Two addresses that answer: one connection is left, and the other side of the other one is closed."""
    names["localhost"] = ["::1", "127.0.0.1"]
    async with (
        endpoints.server(Echo, host="::") as server,
        endpoints.connect(server, host="localhost", connection_attempt_delay=0.01) as client,
    ):
        client.quic.send_stream_data(0, b"x", end_stream=True)
        assert await client.wait_end(0) == b"x"
        await until(lambda: len(client.quic._engine.binding.connections) == 1, "one connection is left")


async def test_all_fail(endpoints: Endpoints, names: dict[str, list[str]]):
    """The error is that of the first address, with a note for each; one deadline for all of them."""
    names["localhost"] = ["127.0.0.9", "127.0.0.1", "127.0.0.8"]
    async with endpoints.server(Echo, alpn_protocols=["other"]) as server:
        start = time.monotonic()
        with pytest.raises(HandshakeTimeoutError) as caught:
            async with endpoints.connect(server, host="localhost", handshake_timeout=3.0):
                pytest.fail("connected")
        assert time.monotonic() - start < 9.0  # two of them one after the other, and three, take longer
        notes = caught.value.__notes__
        assert [note.split(" ")[0] for note in notes] == ["127.0.0.9", "127.0.0.1", "127.0.0.8"]
        assert "no_application_protocol" in notes[1]
        names["localhost"] = ["127.0.0.1"]
        with pytest.raises(AlpnError) as alone:
            async with endpoints.connect(server, host="localhost"):
                pytest.fail("connected")
        assert not hasattr(alone.value, "__notes__")


async def test_a_name_that_takes_forever(certificates: Certificates, names: dict[str, list[str]]):
    """The look-up is within the deadline too."""
    names["localhost"] = []
    configuration = client_configuration(certificates, handshake_timeout=0.3)
    with pytest.raises(HandshakeTimeoutError, match="the name 'localhost' was not resolved in time"):
        async with connect("localhost", 443, configuration=configuration):
            pytest.fail("connected")


async def test_without_waiting(endpoints: Endpoints, names: dict[str, list[str]]):
    """``wait_connected=False`` takes the first address, whatever becomes of it."""
    names["localhost"] = ["127.0.0.1", "127.0.0.9"]
    async with (
        endpoints.server(Echo) as server,
        endpoints.connect(server, host="localhost", wait_connected=False) as client,
    ):
        client.quic.send_stream_data(0, b"early", end_stream=True)
        await client.wait_connected()
        assert await client.wait_end(0) == b"early"


async def test_localhost(endpoints: Endpoints):
    """A server on 127.0.0.1 alone is soon found by the name that most systems resolve to ::1 first."""
    async with endpoints.server(Echo) as server, endpoints.connect(server):
        start = time.monotonic()
        async with endpoints.connect(server, host="localhost") as client:
            assert client.quic.peer_address()[0] == "127.0.0.1"
        assert time.monotonic() - start < 8.0  # 0.26 s on a machine with nothing else to do
