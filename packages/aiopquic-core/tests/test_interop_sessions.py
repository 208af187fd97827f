"""Handshakes with aioquic and qh3 in both roles: resumption, 0-RTT, Retry, QUIC version 2, client certificates."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import aiopquic
from aiopquic._driver import uses_portable_loop
from aiopquic.exceptions import CloseKind
from aiopquic.quic.configuration import QUIC_V1, QUIC_V2
from aiopquic.testing import dev_authority

PEERS = Path(__file__).parent / "peers"
sys.path.insert(0, str(PEERS))

from exchange import ALPN  # noqa: E402 - found beside this file

pytestmark = [pytest.mark.peer, pytest.mark.parametrize("module", ["aioquic", "qh3"])]

DEADLINE = 20


class Sides:
    """Starts theirs in a process of its own and ours in this one. Both have certificates of one authority."""

    def __init__(self, module: str, folder: Path) -> None:
        self.module = module
        authority = dev_authority()
        self.authority = folder / "authority.pem"
        self.authority.write_bytes(authority.certificate_pem)
        self._authority = authority
        self.server_files = authority.issue().write(folder / "server")
        self.client_files = authority.issue(["a client"], usage="client").write(folder / "client")
        self.accepted: list[aiopquic.Connection] = []
        self.heard: dict[str, dict[str, Any]] = {}
        "What theirs has told, the last of each kind."
        self._told: asyncio.StreamReader

    def issue(self, names: list[str], folder: Path) -> tuple[Path, Path]:
        return self._authority.issue(names).write(folder)

    async def told(self, event: str) -> dict[str, Any]:
        while line := await self._told.readline():
            said: dict[str, Any] = json.loads(line)
            self.heard[said["event"]] = said
            if said["event"] == event:
                return said
        raise AssertionError(f"the peer is gone before it told of {event!r}")

    @asynccontextmanager
    async def theirs(self, role: str, **settings: object) -> AsyncIterator[None]:
        files = self.server_files if role == "server" else self.client_files if settings.pop("shows", False) else None
        if files is not None:
            settings.update(certificate=str(files[0]), key=str(files[1]))
        arguments = json.dumps({"host": "127.0.0.1", "cafile": str(self.authority), **settings})
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PEERS / "sessions_peer.py"),
            self.module,
            role,
            arguments,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        self._told = process.stdout
        try:
            async with asyncio.timeout(DEADLINE):
                yield
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            process._transport.close()  # type: ignore[attr-defined]  # its pipe is open as long as it is

    @asynccontextmanager
    async def visited(
        self, *, visits: int = 1, theirs: dict[str, object] | None = None, **settings: Any
    ) -> AsyncIterator[aiopquic.Server]:
        """Ours serves; theirs has come and gone as often as asked for."""

        async def echo(connection: aiopquic.Connection) -> None:
            self.accepted.append(connection)
            async for stream in connection.incoming_streams(bidirectional=True):
                await stream.write(await stream.read_all(), end_stream=True)

        certificate, key = self.server_files
        async with (
            aiopquic.serve(
                echo, "127.0.0.1", 0, alpn=[ALPN], certificate=certificate, private_key=key, **settings
            ) as server,
            self.theirs("client", port=server.port, visits=visits, **(theirs or {})),
        ):
            for _ in range(visits):
                assert (await self.told("echo"))["text"] == "hello"
            await self.told("done")
            yield server

    async def visit(self, port: int, **settings: Any) -> aiopquic.Connection:
        """Ours comes once, and goes."""
        settings = {"server_name": "localhost", "cafile": self.authority, **settings}
        connection = await aiopquic.connect("127.0.0.1", port, alpn=[ALPN], wait_connected=False, **settings)
        async with connection:
            stream = await connection.open_stream()
            await stream.write(b"hello", end_stream=True)
            assert await stream.read_all() == b"hello"
            await connection.wait_connected()
            await connection.ping()
        await aiopquic.close_idle_engines()
        return connection


@pytest.fixture
def sides(module: str, tmp_path: Path) -> Sides:
    if importlib.util.find_spec(module) is None:
        text = f"{module} is not installed: uv pip install --group peers"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
    return Sides(module, tmp_path)


async def test_we_resume_and_send_early_data(sides: Sides):
    """The second connection resumes the session of the first, and its data is taken before the handshake ends."""
    store = aiopquic.SessionStore()
    async with sides.theirs("server"):
        port = (await sides.told("listening"))["port"]
        first = await sides.visit(port, session_store=store)
        assert not first.session_resumed
        assert not (await sides.told("visit"))["resumed"]
        second = await sides.visit(port, session_store=store)
        assert second.session_resumed
        assert second.early_data_accepted
        assert (await sides.told("visit"))["resumed"]


async def test_the_peer_resumes_and_sends_early_data(sides: Sides):
    async with sides.visited(visits=2, early_data=True):
        first, second = sides.accepted
        assert not first.session_resumed
        assert second.session_resumed
        assert second.early_data_accepted


async def test_an_early_handler_answers_the_peer(sides: Sides):
    """Where the handler begins with the data, and may answer before the peer's handshake is complete."""
    async with sides.visited(visits=2, early_data=True, wait_connected=False):
        assert [connection.early_data_accepted for connection in sides.accepted] == [False, True]


async def test_the_peer_resumes_where_early_data_is_refused(sides: Sides):
    """Their data comes all the same, once."""
    async with sides.visited(visits=2):
        assert [connection.session_resumed for connection in sides.accepted] == [False, True]
        assert not sides.accepted[1].early_data_accepted


async def test_we_are_sent_a_retry(sides: Sides):
    async with sides.theirs("server", retry=True):
        await sides.visit((await sides.told("listening"))["port"])
        assert (await sides.told("visit"))["retried"]


async def test_the_peer_is_sent_a_retry(sides: Sides):
    async with sides.visited(retry=True) as server:
        # The ClientHello of qh3 takes two datagrams, and each is answered.
        assert uses_portable_loop() or server.stats().incoming_retried in (1, 2)


async def test_we_want_version_2(sides: Sides):
    """Begun with version 1, gone on with version 2 (RFC 9368 section 2.3), and with version 2 at once."""
    for wanted in ([QUIC_V2, QUIC_V1], [QUIC_V2]):
        async with sides.theirs("server", versions=[QUIC_V2, QUIC_V1]):
            connection = await sides.visit((await sides.told("listening"))["port"], supported_versions=wanted)
            assert connection.version == QUIC_V2
            assert (await sides.told("visit"))["version"] == QUIC_V2


async def test_the_peer_wants_version_2(sides: Sides):
    async with sides.visited(theirs={"versions": [QUIC_V2, QUIC_V1]}):
        assert sides.accepted[0].version == QUIC_V2


async def test_we_show_a_certificate(sides: Sides, module: str):
    if module == "qh3":
        pytest.skip("a server of qh3 asks nobody for a certificate")
    certificate, key = sides.client_files
    async with sides.theirs("server", asks=True):
        port = (await sides.told("listening"))["port"]
        await sides.visit(port, certificate_file=certificate, private_key_file=key)
        assert (await sides.told("visit"))["has_certificate"]


async def test_the_peer_shows_a_certificate(sides: Sides):
    asking = {"verify_mode": ssl.CERT_REQUIRED, "cafile": sides.authority}
    async with sides.visited(theirs={"shows": True}, **asking):
        expected = ssl.PEM_cert_to_DER_cert(sides.client_files[0].read_text())
        assert sides.accepted[0].peer_certificate == expected


async def test_the_peer_asks_for_a_name(sides: Sides, tmp_path: Path):
    """Theirs verifies the name: the certificate without one is for localhost."""
    named = {"b.example": sides.issue(["b.example"], tmp_path / "b")}
    async with sides.visited(theirs={"server_name": "b.example"}, certificates=named):
        assert sides.accepted[0].server_name == "b.example"


async def test_the_peer_keeps_to_our_idle_timeout(sides: Sides):
    """It waits a minute by itself; the smaller of both counts (RFC 9000 section 10.1)."""
    async with sides.visited(theirs={"stays": True}, idle_timeout=1):
        assert sides.heard["ended"]["reason"] == "Idle timeout"
        assert (await sides.accepted[0].wait_closed()).kind is CloseKind.IDLE_TIMEOUT


async def test_keep_alive_holds_what_the_peer_would_end(sides: Sides):
    """Our pings come before a second of its patience is over, three times at least."""
    async with sides.theirs("server", idle_timeout=1):
        port = (await sides.told("listening"))["port"]
        settings = {"server_name": "localhost", "cafile": sides.authority, "keep_alive_interval": 0.3}
        async with aiopquic.connect("127.0.0.1", port, alpn=[ALPN], **settings) as connection:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3):
                    await connection.wait_closed()
            await connection.ping()
