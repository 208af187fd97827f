"""tshark decrypts what dumpcap has captured, with the key log of our client."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import aiopquic
from aiopquic.quic.configuration import QUIC_V1, QUIC_V2

from ..certificates import Certificates
from ..support import until
from .hosts import program
from .transfers import LIMIT

pytestmark = pytest.mark.network

THERE, BACK = b"a text that no chance would make", b"and another one that answers it"


async def run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    told, errors = await process.communicate()
    assert process.returncode == 0, errors.decode(errors="replace")
    return told.decode(errors="replace")


@asynccontextmanager
async def captured(port: int, file: Path) -> AsyncIterator[None]:
    """What goes over the loopback interface to that port and from it; skips the test where nobody may look."""
    command = (program("dumpcap"), "-q", "-i", "lo", "-f", f"udp port {port}", "-w", str(file))
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    told = b""
    try:
        while b"File:" not in told:
            line = await process.stderr.readline()
            if not line:
                pytest.skip(f"dumpcap may not capture: {told.decode(errors='replace').strip()}")
            told += line
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        await process.communicate()


async def fields(file: Path, keys: Path, port: int, *names: str) -> list[list[str]]:
    """Those fields of each packet, as tshark decrypts it; a field that comes several times has commas."""
    words = ["-r", str(file), "-o", f"tls.keylog_file:{keys}", "-d", f"udp.port=={port},quic", "-T", "fields"]
    for name in names:
        words += ["-e", name]
    return [line.split("\t") for line in (await run(program("tshark"), *words)).splitlines()]


async def answer(connection: aiopquic.Connection) -> None:
    async for stream in connection.incoming_streams(bidirectional=True):
        assert await stream.read_all() == THERE
        await stream.write(BACK, end_stream=True)


@pytest.mark.parametrize("version", [QUIC_V1, QUIC_V2], ids=["version 1", "version 2"])
async def test_streams_are_decrypted(certificates: Certificates, tmp_path: Path, version: int):
    """tshark finds the texts in STREAM frames of both directions."""
    file, keys = tmp_path / "capture.pcapng", tmp_path / "keys"
    identity: dict[str, Any] = {"certificate": certificates.good.cert, "private_key": certificates.good.key}
    trust: dict[str, Any] = {"cafile": certificates.good.cert, "secrets_log_file": keys}
    if version != QUIC_V1:
        trust["supported_versions"] = [version, QUIC_V1]
    async with (
        asyncio.timeout(LIMIT),
        await aiopquic.serve(answer, "127.0.0.1", 0, alpn=["captured"], **identity) as server,
    ):
        async with captured(server.port, file):
            async with aiopquic.connect("127.0.0.1", server.port, alpn=["captured"], **trust) as connection:
                assert connection.version == version
                stream = await connection.open_stream()
                await stream.write(THERE, end_stream=True)
                assert await stream.read_all() == BACK
            await aiopquic.close_idle_engines()
            await until(lambda: file.stat().st_size > 4000, "the captured packets")
        names = ("udp.dstport", "quic.stream.stream_id", "quic.stream_data", "tls.handshake.extensions_alpn_str")
        packets = await fields(file, keys, server.port, *names)
        there = [packet for packet in packets if THERE.hex() in packet[2].replace(":", "")]
        back = [packet for packet in packets if BACK.hex() in packet[2].replace(":", "")]
        assert {packet[0] for packet in there} == {str(server.port)}
        assert back
        assert all(packet[0] != str(server.port) for packet in back)
        assert {packet[1] for packet in there + back} == {"0"}
        assert any("captured" in packet[3] for packet in packets)  # in what the handshake's keys protect, too


async def test_a_webtransport_session_is_decrypted(certificates: Certificates, tmp_path: Path):
    """tshark finds HTTP/3's SETTINGS and the CONNECT that begins the session, and the text behind it."""
    wt = pytest.importorskip("aiopquic_webtransport")
    file, keys = tmp_path / "capture.pcapng", tmp_path / "keys"

    async def app(request: Any) -> None:
        session = await request.accept()
        async for stream in session.incoming_streams(bidirectional=True):
            assert await stream.read_all() == THERE
            await stream.write(BACK, end_stream=True)

    identity: dict[str, Any] = {"certificate": certificates.good.cert, "private_key": certificates.good.key}
    async with asyncio.timeout(LIMIT), wt.serve(app, "127.0.0.1", 0, **identity) as server:
        async with captured(server.port, file):
            url = f"https://localhost:{server.port}/captured"
            trust: dict[str, Any] = {"cafile": certificates.good.cert, "secrets_log_file": keys}
            async with wt.connect(url, ip_family=2, **trust) as session:
                stream = await session.open_stream()
                await stream.write(THERE, end_stream=True)
                assert await stream.read_all() == BACK
            await aiopquic.close_idle_engines()
            await until(lambda: file.stat().st_size > 4000, "the captured packets")
        names = ("http3.frame_type", "quic.stream_data", "tls.handshake.extensions_alpn_str")
        packets = await fields(file, keys, server.port, *names)
        kinds = {kind for packet in packets for kind in packet[0].split(",") if kind}
        assert {0x1, 0x4} <= {int(kind, 0) for kind in kinds}  # HEADERS and SETTINGS
        contents = "".join(packet[1].replace(":", "") for packet in packets)
        assert THERE.hex() in contents
        assert BACK.hex() in contents
        assert any("h3" in packet[2] for packet in packets)
