"""What a server answers before there is a session: paths, origins, protocols, and what is no wish for one."""

from __future__ import annotations

import asyncio

import pytest

import aiopquic
from aiopquic_webtransport import (
    WT_BUFFERED_STREAM_REJECTED,
    NotSupportedError,
    Request,
    Session,
    SessionLimitError,
    SessionRefusedError,
    WebTransport,
    WebTransportError,
    _varint,
    connect,
)
from aiopquic_webtransport._wire import Command, pack_headers
from aiopquic_webtransport.http3 import Http3Connection
from aiopquic_webtransport.testing import WebTransportLoopback

from .support import echo, hold, soon, until


async def status_of(webtransport: WebTransportLoopback, server: aiopquic.Server, path: str = "/", **options) -> int:
    """200 for a session, or the status that refused it."""
    try:
        async with asyncio.timeout(30), webtransport.connect(server, path, **options):
            return 200
    except SessionRefusedError as error:
        return error.status


async def test_several_paths(webtransport: WebTransportLoopback):
    async def room(request: Request) -> None:
        await (await request.accept(headers={"x-room": request.path_params["name"]})).closed

    async with webtransport.serve(None, routes={"/hold": hold, "/rooms/{name}": room}) as server:
        assert await status_of(webtransport, server, "/hold") == 200
        assert await status_of(webtransport, server, "/hold?x=1") == 200
        for path in ("/", "/HOLD", "/hold/", "/rooms/", "/rooms/a/b"):
            assert await status_of(webtransport, server, path) == 404, path
        async with webtransport.connect(server, "/rooms/caf%C3%A9") as session:
            assert session.response_headers["x-room"] == "café"


async def test_origins(webtransport: WebTransportLoopback):
    """A page of another origin is refused; what is no browser sends none, and is let in."""
    async with webtransport.serve(hold) as server:
        own = f"https://127.0.0.1:{server.port}"
        assert await status_of(webtransport, server, origin=own) == 200
        assert await status_of(webtransport, server) == 200
        for origin in ("https://evil.example", f"http://127.0.0.1:{server.port}", "null", own + ".evil.example"):
            assert await status_of(webtransport, server, origin=origin) == 403, origin
    async with webtransport.serve(hold, origins=["https://app.example"]) as server:
        assert await status_of(webtransport, server, origin="https://app.example") == 200
        assert await status_of(webtransport, server, origin=f"https://127.0.0.1:{server.port}") == 403
    async with webtransport.serve(hold, origins="*") as server:
        assert await status_of(webtransport, server, origin="null") == 200


async def test_the_client_s_first_protocol_that_the_server_knows(webtransport: WebTransportLoopback):
    async with webtransport.serve(hold, protocols=["b", "c", 'odd "one"\\']) as server:
        for offered, chosen in ((["a", "c", "b"], "c"), (["b"], "b"), ([], None), (['odd "one"\\'], 'odd "one"\\')):
            async with webtransport.connect(server, protocols=offered) as session:
                assert session.protocol == chosen
        assert await status_of(webtransport, server, protocols=["x", "y"]) == 400


async def test_the_application_chooses_the_protocol(webtransport: WebTransportLoopback):
    async def app(request: Request) -> None:
        assert request.protocols == ("one", "two")
        session = await request.accept(protocol="two" if request.path == "/two" else None)
        assert session.protocol == ("two" if request.path == "/two" else None)
        await session.closed

    async with webtransport.serve(app) as server:
        for path, chosen in (("/two", "two"), ("/none", None)):
            async with webtransport.connect(server, path, protocols=["one", "two"]) as session:
                assert session.protocol == chosen


async def test_a_protocol_that_was_not_offered(webtransport: WebTransportLoopback):
    """A server that answers with a name of its own breaks the rules, and the client ends the session."""

    async def app(request: Request) -> None:
        request.protocols = ("x",)
        session = await request.accept(protocol="x")
        await session.closed

    async with webtransport.serve(app) as server:
        with pytest.raises(WebTransportError, match="chose the protocol 'x', which was not offered \\(a\\)"):
            await soon(webtransport.connect(server, protocols=["a"]))


@pytest.mark.parametrize(
    ("field", "offered"),
    [('"a";q=1 , "b"', ("a", "b")), ("a, *b", ("a", "*b")), ('"a", "a"', ("a",)), ('"a', ()), ('"a",', ()), ("1", ())],
)
async def test_lists_of_protocols_as_others_write_them(webtransport: WebTransportLoopback, field: str, offered: tuple):
    async def app(request: Request) -> None:
        await (await request.accept(headers={"x-offered": repr(request.protocols)})).closed

    async with webtransport.serve(app) as server, webtransport.connect(server, compatibility=True) as first:
        session = await asked(first.connection, {"wt-available-protocols": field})
        assert session["x-offered"] == repr(offered)


async def asked(http3: Http3Connection, extra: dict[str, str], **pseudo: str) -> dict[str, str]:
    """The answer to a request that is put together by hand: its status and headers."""
    fields = {
        ":method": "CONNECT",
        ":protocol": "webtransport",
        ":scheme": "https",
        ":authority": http3.authority,
        ":path": "/",
    }
    fields |= {f":{name}": value for name, value in pseudo.items()}
    fields |= extra
    stream_id = await soon(http3.quic._credit.take(unidirectional=False))
    waiter = http3._responses[stream_id] = asyncio.get_running_loop().create_future()
    raw = [(name.encode(), value.encode()) for name, value in fields.items() if value]
    http3._command(Command.CONNECT, stream_id, pack_headers(raw))
    try:
        status, headers = await soon(waiter)
    finally:
        del http3._responses[stream_id]
    return {"status": str(status), **{name.decode(): value.decode() for name, value in headers}}


@pytest.mark.parametrize(
    ("pseudo", "status"),
    [
        ({"protocol": "websocket"}, "501"),
        ({"protocol": "connect-udp"}, "501"),
        ({"scheme": "http"}, "400"),
        ({"path": "relative"}, "400"),
        ({"authority": ""}, "400"),
        ({"method": "GET", "protocol": ""}, "404"),
    ],
)
async def test_what_is_no_wish_for_a_session(webtransport: WebTransportLoopback, pseudo: dict[str, str], status: str):
    """A specific status, and the session beside it goes on. Plain HTTP/3 requests have nobody who answers them yet."""
    async with webtransport.serve(echo) as server, webtransport.connect(server, compatibility=True) as session:
        answer = await asked(session.connection, {}, **pseudo)
        assert answer["status"] == status or answer.get(":error"), answer
        async with await soon(session.open_stream()) as stream:
            await stream.write(b"still here", end_stream=True)
            assert await soon(stream.read_all()) == b"still here"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"url": "http://localhost/"}, "a WebTransport URL is https"),
        ({"url": "https:///x"}, "a WebTransport URL is https"),
        ({"url": "https://localhost:99999/"}, "is no URL"),
        ({"url": "https://user:secret@localhost/"}, "no user and no password"),
        ({"url": "https://localhost/#x"}, "no fragment"),
        ({"url": "https://localhost/é"}, "printable ASCII"),
        ({"protocols": "moqt"}, "protocols is a list"),
        ({"protocols": ["a", "a"]}, "different names"),
        ({"protocols": [""]}, "different names"),
        ({"protocols": ["é"]}, "printable ASCII"),
        ({"protocols": [f"protocol-{number}" for number in range(400)]}, "4096 are the most"),
        ({"headers": {"x": "y" * 10000}}, "8192 are the most"),
        ({"headers": {"wt-protocol": "x"}}, "use protocol="),
        ({"origin": "a\nb"}, "control character"),
        ({"server_certificate_hashes": [b"short"]}, "SHA-256"),
        ({"no_such_setting": 1}, "no setting 'no_such_setting'"),
    ],
)
def test_what_can_not_be_asked_is_refused_by_the_call(arguments: dict, why: str):
    with pytest.raises(ValueError, match=why):
        connect(**{"url": "https://localhost/", **arguments})


async def test_by_the_hash_of_the_certificate(webtransport: WebTransportLoopback, quic_certificate):
    from hashlib import sha256
    from ssl import PEM_cert_to_DER_cert

    digest = sha256(PEM_cert_to_DER_cert(quic_certificate.certificate.read_text())).digest()
    async with webtransport.serve(hold) as server:
        async with webtransport.connect(server, server_certificate_hashes=[digest]):
            pass
        with pytest.raises(aiopquic.CertificateVerifyError):
            await soon(webtransport.connect(server, server_certificate_hashes=[bytes(32)]))
        with pytest.raises(aiopquic.CertificateVerifyError):
            await soon(connect(webtransport.url(server)))


async def test_a_server_without_webtransport(webtransport: WebTransportLoopback):
    """Another name; another protocol under the same name stands in test_simnet.py, for it takes a while."""

    async def silent(conn: aiopquic.Connection) -> None:
        await conn.wait_closed()

    files = {"certificate": webtransport.certificate, "private_key": webtransport.private_key}
    async with aiopquic.serve(silent, "127.0.0.1", 0, alpn=["echo"], **files) as server:
        with pytest.raises(aiopquic.AlpnError):
            await soon(webtransport.connect(server))


async def test_several_sessions_on_one_connection(webtransport: WebTransportLoopback):
    """As many as the server allows; the end of one is nothing to the others."""
    async with webtransport.serve(echo) as server, webtransport.connect(server, "/1", compatibility=True) as first:
        http3 = first.connection
        second = await soon(http3.open_session("/2", compatibility=True))
        assert second.connection is http3
        assert second.quic is first.quic
        assert second.authority == first.authority
        assert http3.sessions == [first, second]
        for session in (first, second):
            async with await soon(session.open_stream()) as stream:
                await stream.write(b"hello", end_stream=True)
                assert await soon(stream.read_all()) == b"hello"
            await session.datagrams.send(session.path.encode())
            assert await soon(session.datagrams.receive()) == session.path.encode()
        await soon(second.aclose())
        assert http3.sessions == [first]
        assert not first.quic.is_closed
        async with await soon(first.open_stream()) as stream:
            await stream.write(b"hello", end_stream=True)
            assert await soon(stream.read_all()) == b"hello"


async def test_as_many_sessions_as_the_server_allows(webtransport: WebTransportLoopback):
    async with webtransport.serve(hold) as server:
        async with webtransport.connect(server) as only:
            with pytest.raises(SessionLimitError, match="allows 1 session on one connection"):
                await soon(only.connection.open_session("/2"))
        async with webtransport.connect(server, compatibility=True) as first:
            limit = (await first.connection._peer_settings.wait()).max_sessions
            assert limit > 1
            for number in range(limit - 1):
                await soon(first.connection.open_session(f"/{number}", compatibility=True))
            with pytest.raises(SessionLimitError, match=f"allows {limit} sessions on one connection"):
                await soon(first.connection.open_session("/one-more", compatibility=True))


async def test_streams_of_no_session(webtransport: WebTransportLoopback):
    """Streams that name a session which is not there are refused, and the session beside them goes on."""
    async with webtransport.serve(echo) as server, webtransport.connect(server) as session:
        binding = session.quic._binding
        stray = []
        for _ in range(300):
            stream_id = await soon(session.quic._credit.take(unidirectional=False))
            stream = binding.open_stream(stream_id)
            stream.write(b"\x40\x41" + _varint.encode(4000) + b"lost")
            stray.append(aiopquic.Stream(session.quic, stream))
        await until(lambda: any(stream.stop_code is not None for stream in stray))
        refused = next(stream for stream in stray if stream.stop_code is not None)
        assert refused.stop_code == WT_BUFFERED_STREAM_REJECTED
        async with await soon(session.open_stream()) as stream:
            await stream.write(b"still here", end_stream=True)
            assert await soon(stream.read_all()) == b"still here"
        for stream in stray:
            stream.reset(0)
            stream.stop(0)


async def test_pooling(webtransport: WebTransportLoopback):
    options = {"compatibility": True, "pooling": True}
    async with webtransport.serve(hold) as server:
        async with webtransport.connect(server, **options) as one, webtransport.connect(server, **options) as other:
            assert one.quic is other.quic
            async with webtransport.connect(server, compatibility=True) as alone:
                assert alone.quic is not one.quic
            async with webtransport.connect(server, idle_timeout=10, **options) as different:
                assert different.quic is not one.quic
        assert one.quic.is_closed
        async with webtransport.connect(server, **options) as later:
            assert later.quic is not one.quic
        # Where one connection takes one session, others get connections of their own.
        async with (
            webtransport.connect(server, pooling=True) as first,
            webtransport.connect(server, pooling=True) as second,
        ):
            assert first.quic is not second.quic


async def test_raw_quic_and_webtransport_on_one_port(webtransport: WebTransportLoopback):
    async def handle(conn: aiopquic.Connection) -> None:
        async for stream in conn.incoming_streams(bidirectional=True):
            async with stream:
                await stream.write((await stream.read_all()).upper())

    protocol = WebTransport(None, routes={"/echo": echo})
    async with aiopquic.serve(
        handle,
        "127.0.0.1",
        0,
        alpn=["shout"],
        protocols=[protocol],
        certificate=webtransport.certificate,
        private_key=webtransport.private_key,
    ) as server:

        async def ask(opener: aiopquic.Connection | Session) -> bytes:
            async with await soon(opener.open_stream()) as stream:
                await stream.write(b"hello", end_stream=True)
                return await soon(stream.read_all())

        async with (
            aiopquic.connect("127.0.0.1", server.port, alpn=["shout"], cafile=webtransport.certificate) as raw,
            webtransport.connect(server, "/echo") as session,
        ):
            [served] = protocol.sessions
            assert (served.path, served.is_client) == ("/echo", False)
            assert await ask(raw) == b"HELLO"
            assert await ask(session) == b"hello"
            assert [conn.alpn for conn in server.connections] == ["shout"]
        await until(lambda: not protocol.sessions)


async def test_every_setting_of_core_holds(webtransport: WebTransportLoopback, tmp_path):
    """TLS, congestion control, key log, qlog, keep-alive, budgets, Retry: through the same code path."""
    settings = {
        "congestion_control_algorithm": "cubic",
        "keep_alive_interval": 5.0,
        "cipher_suite": 0x1303,
        "qlog_dir": tmp_path,
        "stream_ring_cap": 1 << 16,
    }
    keys = tmp_path / "keys.txt"
    async with (
        webtransport.serve(hold, retry=True) as server,
        webtransport.connect(server, secrets_log_file=keys, **settings) as session,
    ):
        stream = await session.open_stream()
        with pytest.raises(ValueError, match="larger than the send budget of 65536"):
            stream.try_write(bytes(65537))
    assert "CLIENT_TRAFFIC_SECRET_0" in keys.read_text()
    assert list(tmp_path.glob("*.qlog"))


async def test_peers_that_announce_too_little():
    from aiopquic_webtransport._wire import PeerSettings
    from aiopquic_webtransport.peers import check_peer

    full = {"max_datagram_frame_size": 65535, "reset_stream_at": True}
    check_peer(PeerSettings(15, True), full, compatibility=False)
    check_peer(PeerSettings(2, False), {}, compatibility=True)
    with pytest.raises(NotSupportedError, match=r"older draft .* compatibility=True") as raised:
        check_peer(PeerSettings(2, False, 0, {0x2B603742: 1, 0x33: 1, 0x08: 1}), full, compatibility=False)
    assert raised.value.missing == ("WT_ENABLED",)
    with pytest.raises(NotSupportedError, match="does not offer WebTransport") as raised:
        check_peer(PeerSettings(), {}, compatibility=True)
    assert "H3_DATAGRAM" in raised.value.missing
    assert "reset_stream_at" in raised.value.missing
