"""The native half of WebTransport on a connection: several sessions, other protocols, refusals and violations."""

from __future__ import annotations

import struct

import pytest

from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.engine import QuicEngine
from aiopquic.testing.certificates import CertificateFiles

from .native_pair import (
    CLOSE_SESSION,
    CONNECT,
    DRAIN_SESSION,
    GOAWAY,
    GOAWAY_TOLD,
    REJECTED,
    REQUEST,
    RESPOND,
    RESPONSE,
    SESSION_CLOSED,
    SESSION_DRAINING,
    SESSION_GONE,
    SETTINGS,
    native_pair,
    pack,
    request,
    unpack,
    varint,
)

H3_REQUEST_REJECTED = 0x10B
H3_MISSING_SETTINGS = 0x10A
H3_DATAGRAM_ERROR = 0x33


async def test_settings_are_told_with_what_they_mean(quic_certificate: CertificateFiles):
    async with native_pair(quic_certificate) as pair:
        _, data = await pair.client.first(SETTINGS)
        dialect, conforms, sessions, count = struct.unpack_from(">BBIH", data)
        assert (dialect, conforms, sessions) == (15, 1, 16)
        pairs = dict(struct.iter_unpack(">QQ", data[8:]))
        assert len(pairs) == count
        assert pairs[0x2C7CF000] == pairs[0x2B603742] == pairs[0x14E9CD29] == pairs[0x33] == pairs[0x08] == 1
        assert pair.client.info.remote_parameters["reset_stream_at"] is True


async def test_several_sessions_live_and_end_apart(quic_certificate: CertificateFiles):
    async with native_pair(quic_certificate) as pair:
        client, server = pair.client, pair.server
        sessions = range(0, 64, 4)
        for session in sessions:
            await pair.session(session, b"webtransport")
            client.open(14 + session, session).write(b"session %d" % session)
            client.connection.try_send_datagram(b"%d" % session, prefix=varint(session // 4))
        await server.until(lambda: len(server.streams) == 16 and len(server.datagrams) == 16)
        assert sorted(server.datagrams) == sorted((session // 4, b"%d" % session) for session in sessions)
        for session in sessions:
            received = server.streams[14 + session]
            assert (received.stream.scope, bytes(received.data)) == (session, b"session %d" % session)

        client.command(CONNECT, 64, pack(request(token=b"webtransport")))  # one too many
        await client.until(lambda: client.told(RESPONSE)[-1][0] == 64)
        assert client.told(RESPONSE)[-1][1] == struct.pack(">H", 0) + pack([(b":error", b"%d" % H3_REQUEST_REJECTED)])

        server.command(CLOSE_SESSION, 8, struct.pack(">I", 5))
        await client.until(lambda: client.told(SESSION_CLOSED))
        assert client.told(SESSION_CLOSED) == [(8, b"\0\0\0\0\5")]
        await server.until(lambda: server.streams[22].reset == SESSION_GONE)
        client.streams[18].stream.write(b", unharmed", fin=True)
        await server.until(lambda: server.streams[18].fin)
        assert bytes(server.streams[18].data) == b"session 4, unharmed"


async def test_one_session_of_the_newest_draft(quic_certificate: CertificateFiles):
    async with native_pair(quic_certificate) as pair:
        await pair.session()
        pair.client.command(CONNECT, 4, pack(request()))
        await pair.client.until(lambda: len(pair.client.told(RESPONSE)) == 2)
        assert pair.client.told(RESPONSE)[1][1][2:] == pack([(b":error", b"%d" % H3_REQUEST_REJECTED)])
        assert len(pair.server.told(REQUEST)) == 1


async def test_a_rejection_has_status_and_headers(quic_certificate: CertificateFiles):
    async with native_pair(quic_certificate) as pair:
        pair.client.command(CONNECT, 0, pack(request()))
        await pair.server.first(REQUEST)
        early = pair.client.open(14, 0)  # in front of the answer
        early.write(b"waits")
        pair.server.command(RESPOND, 0, struct.pack(">H", 429) + pack([(b"retry-after", b"7")]))
        _, data = await pair.client.first(RESPONSE)
        assert struct.unpack_from(">H", data) == (429,)
        assert unpack(data[2:]) == [(b"retry-after", b"7")]
        await pair.client.until(lambda: pair.client.streams[14].stopped is not None)
        assert pair.client.streams[14].stopped in (SESSION_GONE, REJECTED)
        assert not pair.server.streams


async def test_drain_and_goaway(quic_certificate: CertificateFiles):
    async with native_pair(quic_certificate) as pair:
        await pair.session()
        pair.server.command(DRAIN_SESSION, 0)
        assert await pair.client.first(SESSION_DRAINING) == (0, b"")
        pair.server.command(GOAWAY, 0)
        assert await pair.client.first(GOAWAY_TOLD) == (0, struct.pack(">Q", 4))
        pair.client.command(CONNECT, 4, pack(request()))
        await pair.client.until(lambda: len(pair.client.told(RESPONSE)) == 2)
        assert pair.client.told(RESPONSE)[1][1][2:] == pack([(b":error", b"%d" % H3_REQUEST_REJECTED)])
        pair.client.open(8, 0).write(b"the session goes on", fin=True)
        await pair.server.until(lambda: 8 in pair.server.streams and pair.server.streams[8].fin)


async def test_bytes_that_must_arrive_before_a_reset(quic_certificate: CertificateFiles):
    async with native_pair(quic_certificate) as pair:
        await pair.session()
        stream = pair.client.open(14, 0)
        stream.write(b"header" + bytes(200_000))
        stream.reset(0x77, reliable_size=6)
        await pair.server.until(lambda: 14 in pair.server.streams and pair.server.streams[14].reset is not None)
        received = pair.server.streams[14]
        assert received.reset == 0x77
        assert received.stream.scope == 0
        assert bytes(received.data[:6]) == b"header"


async def test_other_protocols_on_the_same_port(quic_certificate: CertificateFiles):
    async with native_pair(quic_certificate, alpn=("echo", "h3"), offered="echo") as pair:
        assert pair.server.info.alpn == "echo"
        pair.client.connection.protocol_command(CONNECT, 0, b"")  # does nothing
        stream = pair.client.connection.open_stream(0)
        stream.write(b"\x40\x41\x00 is a stream like any other", fin=True)
        await pair.server.until(lambda: 0 in pair.server.streams and pair.server.streams[0].fin)
        assert pair.server.streams[0].stream.scope == -1
        assert bytes(pair.server.streams[0].data).startswith(b"\x40\x41\x00 is")
        assert not pair.server.events
        assert not pair.client.events


async def test_a_violation_closes_with_code_and_reason(quic_certificate: CertificateFiles):
    async with native_pair(quic_certificate, client_speaks_h3=False) as pair:
        pair.client.connection.open_stream(2).write(b"\x00\x07\x01\x00")  # GOAWAY in place of SETTINGS
        await pair.client.until(lambda: pair.client.close_reason is not None)
        assert pair.client.close_reason.error_code == H3_MISSING_SETTINGS
        assert "SETTINGS" in pair.client.close_reason.reason
        await pair.server.until(lambda: pair.server.close_reason is not None)
        assert pair.server.close_reason.error_code == H3_MISSING_SETTINGS


async def test_a_datagram_without_a_session_id_closes(quic_certificate: CertificateFiles):
    async with native_pair(quic_certificate, client_speaks_h3=False) as pair:
        assert pair.client.connection.try_send_datagram(b"\x40")
        await pair.client.until(lambda: pair.client.close_reason is not None)
        assert pair.client.close_reason.error_code == H3_DATAGRAM_ERROR


async def test_what_the_binding_refuses(quic_certificate: CertificateFiles):
    async with native_pair(quic_certificate) as pair:
        connection = pair.client.connection
        with pytest.raises(ValueError, match="a preface has at most 16 bytes, not 17"):
            connection.open_stream(4, 0, bytes(17))
        limit = connection.max_datagram_size
        with pytest.raises(ValueError, match=f"at most {limit} bytes now, not {limit + 1}"):
            connection.try_send_datagram(bytes(limit), prefix=b"\0")


@pytest.mark.parametrize("capsule", [None, b"aiopquic.protocol"])
def test_a_protocol_is_a_capsule(capsule: object):
    with pytest.raises(TypeError, match=r"a protocol is a capsule named 'aiopquic.protocol', not"):
        QuicEngine(configuration=QuicConfiguration(is_client=True, alpn_protocols=["h3"]), protocols=(capsule,))
