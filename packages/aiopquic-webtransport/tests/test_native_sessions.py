"""The native half of WebTransport, end to end: sessions, their streams and datagrams, and how they end."""

from __future__ import annotations

import struct

from aiopquic.testing.certificates import CertificateFiles

from .native_pair import (
    CLOSE_SESSION,
    CONNECT,
    REQUEST,
    RESPOND,
    RESPONSE,
    SESSION_CLOSED,
    SESSION_GONE,
    native_pair,
    pack,
    request,
    unpack,
)


async def test_a_session_with_streams_and_datagrams_both_ways(quic_certificate: CertificateFiles):
    async with native_pair(quic_certificate) as pair:
        client, server = pair.client, pair.server
        client.command(CONNECT, 0, pack(request(b"/app?x=1", b"webtransport-h3", (b"x-more", b"yes"))))
        uid, data = await server.first(REQUEST)
        assert uid == 0
        assert unpack(data) == request(b"/app?x=1", b"webtransport-h3", (b"x-more", b"yes"))
        server.command(RESPOND, 0, struct.pack(">H", 200) + pack([(b"x-answer", b"42")]))
        uid, data = await client.first(RESPONSE)
        assert (uid, struct.unpack_from(">H", data)) == (0, (200,))
        assert unpack(data[2:]) == [(b"x-answer", b"42")]

        client.open(4, 0).write(b"bidi of the client", fin=True)
        client.open(14, 0).write(b"one way of the client", fin=True)
        server.open(1, 0).write(b"bidi of the server", fin=True)
        server.open(15, 0).write(b"one way of the server", fin=True)
        await server.until(lambda: all(i in server.streams and server.streams[i].fin for i in (4, 14)))
        await client.until(lambda: all(i in client.streams and client.streams[i].fin for i in (1, 15)))
        assert bytes(server.streams[4].data) == b"bidi of the client"
        assert bytes(server.streams[14].data) == b"one way of the client"
        assert bytes(client.streams[1].data) == b"bidi of the server"
        assert bytes(client.streams[15].data) == b"one way of the server"
        assert all(received.stream.scope == 0 for side in (client, server) for received in side.streams.values())

        server.streams[4].stream.write(b"answer", fin=True)
        await client.until(lambda: client.streams[4].fin)
        assert bytes(client.streams[4].data) == b"answer"

        assert client.connection.try_send_datagram(b"ping", prefix=b"\0")
        await server.until(lambda: server.datagrams)
        assert server.datagrams == [(0, b"ping")]
        assert server.connection.try_send_datagram(b"", prefix=b"\0")
        await client.until(lambda: client.datagrams)
        assert client.datagrams == [(0, b"")]


async def test_close_with_code_and_reason_ends_the_streams(quic_certificate: CertificateFiles):
    async with native_pair(quic_certificate) as pair:
        client, server = pair.client, pair.server
        await pair.session()
        client.open(4, 0).write(b"x")
        server.open(15, 0).write(b"y")
        await server.until(lambda: 4 in server.streams)
        await client.until(lambda: 15 in client.streams)
        client.command(CLOSE_SESSION, 0, struct.pack(">I", 0xFFFFFFFF) + "grüße".encode())
        uid, data = await server.first(SESSION_CLOSED)
        assert (uid, data) == (0, b"\0\xff\xff\xff\xff" + "grüße".encode())
        for side in (client, server):
            await side.until(lambda side=side: side.streams[4].reset == side.streams[4].stopped == SESSION_GONE)
        await server.until(lambda: server.streams[15].stopped == SESSION_GONE)
        await client.until(lambda: client.streams[15].reset == SESSION_GONE)
        uid, data = await client.first(SESSION_CLOSED)
        assert (uid, data) == (0, b"\4\xff\xff\xff\xff" + "grüße".encode())
        # The connection lives on, and takes another session.
        await pair.session(8)
