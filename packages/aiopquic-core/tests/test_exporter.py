"""Keys for other protocols, made from those of a connection (RFC 8446 section 7.5)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest

import aiopquic
from aiopquic.exceptions import (
    CloseKind,
    CloseReason,
    ConnectionClosedError,
    IdleTimeoutError,
    QuicConnectionError,
)
from aiopquic.quic.events import ConnectionTerminated
from aiopquic.quic.requests import ConnectionRequests

from .support import Endpoints

LABEL = "EXPORTER-aiopquic-test"


def expand(hash_name: str, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446 section 7.1), by Python's own means."""
    name = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + bytes([len(context)]) + context
    material, block, counter = b"", b"", 1
    while len(material) < length:
        block = hmac.digest(secret, block + info + bytes([counter]), hash_name)
        material += block
        counter += 1
    return material[:length]


def exported(hash_name: str, master: bytes, label: str, context: bytes, length: int) -> bytes:
    """TLS-Exporter (RFC 8446 section 7.5)."""
    digest = hashlib.new(hash_name).digest()
    secret = expand(hash_name, master, label.encode(), digest, len(digest))
    return expand(hash_name, secret, b"exporter", hashlib.new(hash_name, context).digest(), length)


@pytest.mark.parametrize(("suite", "hash_name"), [(0x1301, "sha256"), (0x1302, "sha384")])
async def test_both_sides_have_what_the_rfc_says(endpoints: Endpoints, tmp_path: Path, suite: int, hash_name: str):
    """The same bytes on both sides, and those that the exporter's master secret gives."""
    log = tmp_path / "keys.log"
    async with endpoints.pair(client_settings={"cipher_suite": suite, "secrets_log_file": log}) as pair:
        for context, length in ((b"", 32), (b"a", 32), (b"a" * 70000, 1), (b"", 8160)):
            ours = await pair.client.quic.export_keying_material(LABEL, context, length)
            theirs = await pair.peer.quic.export_keying_material(LABEL.encode(), context, length)
            [master] = [line.split()[2] for line in log.read_text().splitlines() if line.startswith("EXPORTER_SECRET")]
            assert ours == theirs == exported(hash_name, bytes.fromhex(master), LABEL, context, length)


async def test_streams_api(endpoints: Endpoints):
    """In both shapes of the API, and 32 bytes if nothing else is said; another label, other keys."""
    async with endpoints.server() as server:
        cafile = endpoints.certificates.good.cert
        async with aiopquic.connect("127.0.0.1", server.port, alpn=["test"], cafile=cafile) as conn:
            peer = await server.peer()
            keys = await asyncio.gather(*(conn.export_keying_material(LABEL, bytes([i])) for i in range(20)))
            assert len(set(keys)) == 20
            assert {len(key) for key in keys} == {32}
            assert keys[7] == await peer.quic.export_keying_material(LABEL, b"\x07")
            assert keys[7] != await conn.export_keying_material(LABEL + "2", b"\x07")
        with pytest.raises(ConnectionClosedError):
            await conn.export_keying_material(LABEL)


async def test_resumed_session(endpoints: Endpoints, tmp_path: Path):
    """Each connection has keys of its own, a resumed one, too."""
    tickets = {"session_ticket_file": tmp_path / "tickets"}
    keys = set()
    async with endpoints.server() as server:
        for number in range(2):
            async with endpoints.connect(server, **tickets) as client:
                keys.add(await client.quic.export_keying_material(LABEL))
                peer = await server.peer(number)
                keys.add(await peer.quic.export_keying_material(LABEL))
                await client.ping()
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("",), "1 to 249 bytes without NUL, not 0"),
        (("x" * 250,), "1 to 249 bytes without NUL, not 250"),
        (("x\0y",), "without NUL"),
        (("x", b"", 0), "gives 1 to 8160 bytes, not 0"),
        (("x", b"", 8161), "gives 1 to 8160 bytes, not 8161"),
    ],
)
async def test_wrong_arguments(endpoints: Endpoints, arguments: Any, words: str):
    async with endpoints.pair() as pair:
        with pytest.raises(ValueError, match=words):
            await pair.client.quic.export_keying_material(*arguments)


async def test_before_the_handshake(endpoints: Endpoints, unused_port: int):
    """There is nothing to export yet, and that is said; nobody waits."""
    async with endpoints.connect(("127.0.0.1", unused_port), wait_connected=False) as client:
        with pytest.raises(ConnectionError, match="before the handshake is complete"):
            await client.quic.export_keying_material(LABEL)


async def test_the_end_wakes_who_waits(endpoints: Endpoints):
    """Who asks as the connection ends is told of the end."""
    async with endpoints.pair() as pair:
        pair.client.quic.close(7)
        await pair.client.wait_for(ConnectionTerminated)
        with pytest.raises(ConnectionClosedError):
            await pair.client.quic.export_keying_material(LABEL)
        asked = asyncio.create_task(pair.peer.quic.export_keying_material(LABEL))
        await pair.peer.wait_for(ConnectionTerminated)
        # The answer may have been on its way already, or the end known to the network thread alone.
        with contextlib.suppress(QuicConnectionError):
            await asked
        with pytest.raises(ConnectionClosedError):
            await pair.peer.quic.export_keying_material(LABEL)


async def test_the_end_answers():
    """A request that no answer comes to ends with the connection."""
    requests = ConnectionRequests()
    asked = asyncio.create_task(requests.ask(lambda number: None))
    await asyncio.sleep(0)
    requests.answered(2, b"another's")
    requests.connection_closed(CloseReason(CloseKind.IDLE_TIMEOUT))
    with pytest.raises(IdleTimeoutError):
        await asked
