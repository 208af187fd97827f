"""ngtcp2's client and server, over GnuTLS, as Debian has them: they speak HTTP/3, and so do we, as far as it takes."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import aiopquic
from aiopquic import CloseKind, CloseReason

from ..certificates import Certificates
from ..peers.exchange import pattern
from . import http3
from .hosts import program
from .transfers import LIMIT

pytestmark = [pytest.mark.network, pytest.mark.peer]

FILE = b"".join(pattern("file", 2_000_000))
#: What their client closes with (RFC 9114 section 8.1): H3_NO_ERROR.
NO_ERROR = 0x100
V2_DRAFT = 0x709A50C4


@dataclass
class Served:
    """What our server has seen."""

    connections: list[aiopquic.Connection] = field(default_factory=list)
    ends: list[CloseReason] = field(default_factory=list)
    moves: list[tuple[str, int]] = field(default_factory=list)

    async def handle(self, connection: aiopquic.Connection) -> None:
        self.connections.append(connection)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(connection))
            control = await connection.open_send_stream()
            await control.write(http3.CONTROL)
            async for stream in connection.incoming_streams():
                if isinstance(stream, aiopquic.Stream):
                    await stream.read_all()
                    await stream.write(http3.answer(FILE), end_stream=True)
        self.ends.append(await connection.wait_closed())

    async def _watch(self, connection: aiopquic.Connection) -> None:
        async for event in connection.path_events():
            self.moves.append(event.path.peer_address)


@dataclass
class Theirs:
    """Their client, whose settings last from run to run."""

    port: int
    folder: Path

    async def get(self, *options: str) -> str:
        """Fetch the file, and compare it; what the client said."""
        saved = self.folder / "file"
        saved.unlink(missing_ok=True)
        sessions = [f"--session-file={self.folder / 'session'}", f"--tp-file={self.folder / 'parameters'}"]
        process = await asyncio.create_subprocess_exec(
            program("gtlsclient"),
            *("--exit-on-all-streams-close", "--no-quic-dump", "--no-http-dump", f"--download={self.folder}"),
            *(*sessions, *options, "127.0.0.1", str(self.port), "https://localhost/file"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0
        assert saved.read_bytes() == FILE
        return said.decode(errors="replace")


@asynccontextmanager
async def our_server(certificates: Certificates, folder: Path, **settings: Any) -> AsyncIterator[tuple[Served, Theirs]]:
    served = Served()
    identity = {"certificate": certificates.good.cert, "private_key": certificates.good.key}
    async with asyncio.timeout(LIMIT):
        async with await aiopquic.serve(served.handle, "127.0.0.1", 0, alpn=["h3"], **identity, **settings) as server:
            yield served, Theirs(server.port, folder)
        for end in served.ends:
            assert (end.kind, end.error_code) == (CloseKind.APPLICATION, NO_ERROR)


async def test_our_server(certificates: Certificates, tmp_path: Path):
    async with our_server(certificates, tmp_path) as (served, theirs):
        said = await theirs.get()
        assert "Negotiated ALPN is h3" in said
        assert served.connections[0].alpn == "h3"


async def test_our_server_resumes(certificates: Certificates, tmp_path: Path):
    """Their second connection resumes the session of the first, and sends its request as 0-RTT data."""
    async with our_server(certificates, tmp_path, early_data=True) as (served, theirs):
        assert "type=0RTT" not in await theirs.get()
        said = await theirs.get()
        assert re.search(r"frm tx \d+ 0RTT STREAM\(0x[0-9a-f]+\) id=0x0 ", said)
        first, second = served.connections
        assert not first.session_resumed
        assert second.session_resumed
        assert second.early_data_accepted


async def test_our_server_refuses_early_data(certificates: Certificates, tmp_path: Path):
    """A session that was begun with early data goes on without it."""
    key = bytes(range(32))
    async with our_server(certificates, tmp_path, early_data=True, session_ticket_key=key) as (_, theirs):
        await theirs.get()
    async with our_server(certificates, tmp_path, session_ticket_key=key) as (served, theirs):
        assert "type=0RTT" in await theirs.get()
        assert served.connections[0].session_resumed
        assert not served.connections[0].early_data_accepted


async def test_our_server_asks_to_retry(certificates: Certificates, tmp_path: Path):
    async with our_server(certificates, tmp_path, retry=True) as (served, theirs):
        assert "type=Retry" in await theirs.get()
        assert len(served.connections) == 1


async def test_our_server_in_version_2(certificates: Certificates, tmp_path: Path):
    """They know the last draft of RFC 9369."""
    async with our_server(certificates, tmp_path) as (served, theirs):
        assert f"version=0x{V2_DRAFT:08x}" in await theirs.get("-v", "v2draft")
        assert served.connections[0].version == V2_DRAFT


async def test_their_client_updates_keys(certificates: Certificates, tmp_path: Path):
    async with our_server(certificates, tmp_path) as (_, theirs):
        assert "key update confirmed" in await theirs.get("--key-update=1ms", "--delay-stream=200ms")


@pytest.mark.parametrize("how", [[], ["--nat-rebinding"]], ids=["moves", "is behind a NAT that moves"])
async def test_their_client(certificates: Certificates, tmp_path: Path, how: list[str]):
    """Our server follows: to where their client has validated the path, or where it knows of nothing."""
    async with our_server(certificates, tmp_path) as (served, theirs):
        said = await theirs.get("--change-local-addr=1ms", "--delay-stream=300ms", *how)
        ports = list(
            dict.fromkeys(int(port) for port in re.findall(r"Sent packet: local=\[127\.0\.0\.1\]:(\d+)", said))
        )
        assert len(ports) == 2
        assert served.moves[-1] == ("127.0.0.1", ports[1])
        assert len(served.connections) == 1


@pytest.mark.parametrize("cc", ["cubic", "reno", "bbr", "bbr2"])
async def test_their_client_loses_packets(certificates: Certificates, tmp_path: Path, cc: str):
    """5 % in each direction, whatever controls their congestion."""
    async with our_server(certificates, tmp_path) as (_, theirs):
        await theirs.get("-q", "--tx-loss=0.05", "--rx-loss=0.05", f"--cc={cc}")


# ---- their server ----


@asynccontextmanager
async def their_server(certificates: Certificates, folder: Path, *options: str) -> AsyncIterator[tuple[int, Path]]:
    """Its port, and the file of what it says."""
    (folder / "htdocs").mkdir()
    (folder / "htdocs" / "file").write_bytes(FILE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "said"
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *(program("gtlsserver"), "--no-quic-dump", "--no-http-dump", f"--htdocs={folder / 'htdocs'}", *options),
            *("127.0.0.1", str(port), str(certificates.good.key), str(certificates.good.cert)),
            stdout=said,
            stderr=said,
        )
    try:
        async with asyncio.timeout(LIMIT):
            yield port, log
            assert process.returncode is None
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def our_client(certificates: Certificates, port: int, **settings: Any) -> AsyncIterator[aiopquic.Connection]:
    """Connected; the first packets may come before their server listens, and are sent again."""
    trust = {"cafile": certificates.good.cert, "server_name": "localhost"}
    async with aiopquic.connect("127.0.0.1", port, alpn=["h3"], **trust, **settings) as connection:
        control = await connection.open_send_stream()
        await control.write(http3.CONTROL)
        yield connection


async def get(connection: aiopquic.Connection) -> None:
    stream = await connection.open_stream()
    await stream.write(http3.request(b"/file"), end_stream=True)
    assert http3.body(await stream.read_all()) == FILE


async def test_our_client(certificates: Certificates, tmp_path: Path):
    async with their_server(certificates, tmp_path) as (port, _), our_client(certificates, port) as connection:
        await get(connection)
        assert connection.alpn == "h3"


async def test_our_client_updates_keys_and_moves(certificates: Certificates, tmp_path: Path):
    async with their_server(certificates, tmp_path) as (port, said), our_client(certificates, port) as connection:
        await get(connection)
        await connection.update_keys()
        await get(connection)
        before = connection.local_address
        await connection.migrate()
        await get(connection)
        assert connection.local_address != before
        text = said.read_text(errors="replace")
        for direction in ("rx", "tx"):  # packets of the next key phase (RFC 9001 section 6)
            assert re.search(rf"pkt {direction} .* type=1RTT k=1", text)
        assert f"remote=[127.0.0.1]:{connection.local_address[1]}" in text


async def test_their_server_asks_to_retry(certificates: Certificates, tmp_path: Path):
    async with (
        their_server(certificates, tmp_path, "--validate-addr") as (port, said),
        our_client(certificates, port) as connection,
    ):
        await get(connection)
        assert re.search("Retry", said.read_text(errors="replace"))


async def test_our_client_resumes(certificates: Certificates, tmp_path: Path):
    """A second connection resumes the session of the first."""
    async with their_server(certificates, tmp_path) as (port, _):
        resumed = []
        for _ in range(2):
            async with our_client(certificates, port, session_ticket_file=tmp_path / "tickets") as connection:
                await get(connection)
                resumed.append(connection.session_resumed)
            await aiopquic.close_idle_engines()
        assert resumed == [False, True]


async def test_their_server_loses_packets(certificates: Certificates, tmp_path: Path):
    lossy = ("-q", "--tx-loss=0.05", "--rx-loss=0.05")
    async with their_server(certificates, tmp_path, *lossy) as (port, _), our_client(certificates, port) as connection:
        await get(connection)
