"""One port, several application protocols: each has the connections of its ALPN."""

from __future__ import annotations

import asyncio

import pytest

import aiopquic
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.protocols import ConnectionHost
from aiopquic.streams._hosting import Hosting
from aiopquic.testing.certificates import CertificateFiles
from aiopquic.testing.loopback import Loopback
from aiopquic.testing.protocols import Echo

from .support import DEADLINE


class Shout:
    """A protocol that sends back what comes on a stream, in capitals."""

    native = None

    def __init__(self, alpn: str = "shout") -> None:
        self.alpn = alpn
        self.hosts = 0

    def host(self, configuration: QuicConfiguration) -> ConnectionHost:
        self.hosts += 1
        return Hosting(self.serve, configuration)

    async def serve(self, conn: aiopquic.Connection) -> None:
        async for stream in conn.incoming_streams(bidirectional=True):
            async with stream:
                await stream.write((await stream.read_all()).upper())


async def echo(conn: aiopquic.Connection) -> None:
    async for stream in conn.incoming_streams(bidirectional=True):
        async with stream:
            await stream.write(await stream.read_all())


async def ask(port: int, certificate: CertificateFiles, alpn: list[str]) -> bytes:
    async with (
        asyncio.timeout(DEADLINE),
        aiopquic.connect("127.0.0.1", port, alpn=alpn, cafile=certificate.certificate) as conn,
        await conn.open_stream() as stream,
    ):
        await stream.write(b"hello", end_stream=True)
        return await stream.read_all()


async def test_each_protocol_has_its_connections(quic_certificate: CertificateFiles):
    certificate, key = quic_certificate
    async with aiopquic.serve(
        echo, "127.0.0.1", 0, alpn=["test"], protocols=[Shout()], certificate=certificate, private_key=key
    ) as server:
        assert await ask(server.port, quic_certificate, ["test"]) == b"hello"
        assert await ask(server.port, quic_certificate, ["shout"]) == b"HELLO"
        assert await ask(server.port, quic_certificate, ["shout", "test"]) == b"hello"  # the server's order decides
        with pytest.raises(aiopquic.AlpnError):
            await ask(server.port, quic_certificate, ["other"])


async def test_protocols_without_a_handler(quic_certificate: CertificateFiles):
    certificate, key = quic_certificate
    async with aiopquic.serve(
        None, "127.0.0.1", 0, protocols=[Shout()], certificate=certificate, private_key=key
    ) as server:
        assert await ask(server.port, quic_certificate, ["shout"]) == b"HELLO"


async def test_closing_the_server_closes_the_connections_of_its_protocols(quic_certificate: CertificateFiles):
    certificate, key = quic_certificate
    async with aiopquic.serve(
        None, "127.0.0.1", 0, protocols=[Shout()], certificate=certificate, private_key=key
    ) as server:
        conn = await aiopquic.connect("127.0.0.1", server.port, alpn=["shout"], cafile=certificate)
        await conn.ping()
        await server.aclose(7, "enough")
        reason = await conn.wait_closed()
    assert (reason.is_remote, reason.error_code, reason.reason) == (True, 7, "enough")


async def test_beside_the_connections_of_the_aioquic_shaped_server(
    quic_loopback: Loopback, quic_certificate: CertificateFiles
):
    async with quic_loopback.server(Echo, protocols=[Shout()]) as server:
        assert await ask(server.port, quic_certificate, ["shout"]) == b"HELLO"
        assert await ask(server.port, quic_certificate, ["test"]) == b"hello"
        assert len(server.peers) == 1


async def test_one_protocol_on_two_servers(quic_certificate: CertificateFiles):
    certificate, key = quic_certificate
    shout = Shout()
    settings = {"protocols": [shout], "certificate": certificate, "private_key": key}
    async with (
        aiopquic.serve(None, "127.0.0.1", 0, **settings) as one,
        aiopquic.serve(None, "127.0.0.1", 0, **settings) as other,
    ):
        assert await ask(one.port, quic_certificate, ["shout"]) == b"HELLO"
        assert await ask(other.port, quic_certificate, ["shout"]) == b"HELLO"
    assert shout.hosts == 2


def test_what_is_no_protocol_is_refused(quic_certificate: CertificateFiles):
    certificate, key = quic_certificate
    with pytest.raises(aiopquic.ConfigurationError, match="protocols are objects with alpn, native and host"):
        aiopquic.serve(None, "::", 0, protocols=["h3"], certificate=certificate, private_key=key)
    with pytest.raises(aiopquic.ConfigurationError, match="two protocols have the name 'shout'"):
        aiopquic.serve(None, "::", 0, protocols=[Shout(), Shout()], certificate=certificate, private_key=key)
    with pytest.raises(aiopquic.ConfigurationError, match="handler is a coroutine function"):
        aiopquic.serve(None, "::", 0, alpn=["test"], certificate=certificate, private_key=key)
