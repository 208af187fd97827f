"""Sessions that go on: tickets in a file, resumption, 0-RTT (RFC 8446 section 2.2, RFC 9001 section 4.6)."""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path
from typing import Any

import pytest

from aiopquic.asyncio import serve
from aiopquic.exceptions import CertificateVerifyError, ConfigurationError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.events import HandshakeCompleted
from aiopquic.quic.pool import close_idle_engines

from .support import Echo, Endpoints, Recorder, RunningServer, server_configuration

PAYLOAD = bytes(range(256)) * 8


async def visit(endpoints: Endpoints, server: RunningServer, tickets: Path, **settings: Any) -> HandshakeCompleted:
    """One connection with an echo, on an engine of its own; what its handshake told."""
    try:
        return await visit_on(endpoints, server, tickets, **settings)
    finally:
        await close_idle_engines()


async def visit_on(endpoints: Endpoints, server: RunningServer, tickets: Path, **settings: Any) -> HandshakeCompleted:
    """The same, on an engine that stays for the next one."""
    async with endpoints.connect(server, session_ticket_file=tickets, **settings) as client:
        stream_id = client.quic.get_next_available_stream_id()
        client.quic.send_stream_data(stream_id, PAYLOAD, end_stream=True)
        assert await client.wait_end(stream_id) == PAYLOAD
        return await client.wait_for(HandshakeCompleted)


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    return tmp_path / "tickets"


async def test_resumption(endpoints: Endpoints, tickets: Path):
    """The second connection resumes the session of the first, by a ticket in a file that only its owner reads."""
    async with endpoints.server(Echo) as server:
        first = await visit(endpoints, server, tickets)
        assert not first.session_resumed
        assert os.stat(tickets).st_mode & 0o777 == 0o600
        second = await visit(endpoints, server, tickets)
        assert second.session_resumed
        assert (await server.peer(1)).seen(HandshakeCompleted, session_resumed=True)
        assert not second.early_data_accepted


async def test_resumption_on_one_engine(endpoints: Endpoints, tickets: Path):
    """Connections that share an engine share its tickets, before the file has them."""
    async with endpoints.server(Echo) as server:
        assert not (await visit_on(endpoints, server, tickets)).session_resumed
        assert tickets.name not in os.listdir(tickets.parent)
        assert (await visit_on(endpoints, server, tickets)).session_resumed
        await close_idle_engines()
        assert tickets.name in os.listdir(tickets.parent)


async def test_without_a_file(endpoints: Endpoints):
    """Nothing is kept unless it was asked for."""
    async with endpoints.server(Echo) as server:
        for _ in range(2):
            async with endpoints.connect(server) as client:
                assert client.seen(HandshakeCompleted, session_resumed=False)


@pytest.mark.parametrize("accepts", [True, False], ids=["accepted", "refused"])
async def test_early_data(endpoints: Endpoints, tickets: Path, accepts: bool):
    """Data that is written before the handshake ends goes out at once, and arrives whether it is taken or not."""
    async with endpoints.server(Echo, early_data=accepts) as server:
        await visit(endpoints, server, tickets)
        second = await visit(endpoints, server, tickets, wait_connected=False)
        assert second.session_resumed
        assert second.early_data_accepted == accepts
        assert (await server.peer(1)).seen(HandshakeCompleted, early_data_accepted=accepts)


async def test_ticket_of_another_server(endpoints: Endpoints, tickets: Path, caplog: pytest.LogCaptureFixture):
    """A server that can't read the ticket makes a whole handshake; early data is sent again behind it."""
    async with endpoints.server(Echo, early_data=True) as server:
        await visit(endpoints, server, tickets)
        port = server.port
    peers: list[Recorder] = []

    def create(quic: Any, stream_handler: Any = None) -> Recorder:
        peers.append(Echo(quic, stream_handler=stream_handler))
        return peers[-1]

    configuration = server_configuration(endpoints.certificates, early_data=True)
    async with await serve("127.0.0.1", port, configuration=configuration, create_protocol=create) as other:
        server = RunningServer(other, "127.0.0.1", peers, server.changes)
        told = await visit(endpoints, server, tickets, wait_connected=False)
        assert not told.session_resumed
        assert not told.early_data_accepted
        for peer in peers:
            assert isinstance(peer, Echo)
            peer.close_tasks()
    assert not caplog.records


async def test_ticket_key_of_two_servers(endpoints: Endpoints, tickets: Path):
    """A server takes the tickets of another one with the same key, as of one process after the other."""
    key = os.urandom(32)
    async with endpoints.server(Echo, session_ticket_key=key) as first:
        await visit(endpoints, first, tickets)
    async with endpoints.server(Echo, session_ticket_key=key, early_data=True) as second:
        assert (await visit(endpoints, second, tickets)).session_resumed
    async with endpoints.server(Echo, session_ticket_key=os.urandom(32)) as third:
        assert not (await visit(endpoints, third, tickets)).session_resumed


@pytest.mark.parametrize("wrong", [b"", bytes(32), b"x" * 16, "text", 5], ids=repr)
def test_wrong_ticket_key(wrong: Any):
    with pytest.raises(ConfigurationError, match="session_ticket_key is 32 random bytes"):
        QuicConfiguration(is_client=False, session_ticket_key=wrong)
    with pytest.raises(ConfigurationError, match="session_ticket_key is for servers"):
        QuicConfiguration(session_ticket_key=os.urandom(32))


async def test_ticket_of_another_verification(endpoints: Endpoints, tickets: Path, caplog: pytest.LogCaptureFixture):
    """A session that began without a look at the certificate is not resumed where certificates are verified."""
    careless: dict[str, Any] = {"cafile": None, "verify_mode": ssl.CERT_NONE}
    async with endpoints.server(Echo) as server:
        await visit(endpoints, server, tickets, **careless)
        assert (await visit(endpoints, server, tickets, **careless)).session_resumed
        with caplog.at_level(logging.WARNING, "aiopquic"):
            assert not (await visit(endpoints, server, tickets)).session_resumed
        assert "verify servers in another way" in caplog.text
        assert (await visit(endpoints, server, tickets)).session_resumed
        with pytest.raises(CertificateVerifyError, match="pinned_keys"):
            await visit(endpoints, server, tickets, pinned_keys=[bytes(32)])


def contents(tickets: Path) -> bytes:
    return tickets.read_bytes()


def damage(tickets: Path, how: str) -> None:
    content = tickets.read_bytes()
    if how == "a flipped bit":
        tickets.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])
    elif how == "cut off":
        tickets.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        tickets.write_bytes(b"")
    else:
        tickets.write_bytes(b"something else altogether")


@pytest.mark.parametrize("how", ["a flipped bit", "cut off", "empty", "another kind of file"])
async def test_damaged_file(endpoints: Endpoints, tickets: Path, caplog: pytest.LogCaptureFixture, how: str):
    """A file that holds no whole tickets costs a warning and a longer handshake, and is replaced by a good one."""
    async with endpoints.server(Echo) as server:
        await visit(endpoints, server, tickets)
        damage(tickets, how)
        with caplog.at_level(logging.WARNING, "aiopquic"):
            assert not (await visit(endpoints, server, tickets)).session_resumed
        assert "damaged" in caplog.text
        assert (await visit(endpoints, server, tickets)).session_resumed


async def test_file_that_cant_be_used(endpoints: Endpoints, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """A folder instead of a file, or no folder to put it in: warnings, and a connection as without tickets."""
    async with endpoints.server(Echo) as server:
        with caplog.at_level(logging.WARNING, "aiopquic"):
            assert not (await visit(endpoints, server, tmp_path)).session_resumed
            assert "can't be read: Is a directory" in caplog.text
            assert "can't be kept" in caplog.text
            caplog.clear()
            assert not (await visit(endpoints, server, tmp_path / "nowhere" / "tickets")).session_resumed
            assert "can't be kept" in caplog.text
        assert not os.listdir(tmp_path)


async def test_read_only_file(
    endpoints: Endpoints, tickets: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """A file that must not be written is used and left as it is."""
    async with endpoints.server(Echo) as server:
        await visit(endpoints, server, tickets)
        content = contents(tickets)
        monkeypatch.setattr("aiopquic._tickets.os.access", lambda *_: False)  # the superuser may write anything
        with caplog.at_level(logging.WARNING, "aiopquic"):
            assert (await visit(endpoints, server, tickets)).session_resumed
        assert "not writable" in caplog.text
        assert contents(tickets) == content
