"""Sessions: asking, accepting, what both sides know, and the ends."""

from __future__ import annotations

import asyncio
import logging

import pytest

import aiopquic
from aiopquic.exceptions import CloseKind
from aiopquic_webtransport import (
    APP_FAILED,
    CloseInfo,
    EndKind,
    Request,
    Session,
    SessionClosedError,
    SessionRefusedError,
    StreamStoppedError,
)
from aiopquic_webtransport.testing import SessionPair, WebTransportLoopback

from .support import cancelled, echo, hold, round_trip, soon, started, until


async def test_what_both_sides_know(webtransport: WebTransportLoopback):
    seen: list[Request] = []

    async def app(request: Request) -> None:
        seen.append(request)
        session = await request.accept(headers={"x-answer": "42"})
        await session.closed

    async with (
        webtransport.serve(app) as server,
        webtransport.connect(server, "/room/1?a=b", headers={"X-Question": "?"}) as session,
    ):
        [request] = seen
        assert (request.path, request.query, request.target) == ("/room/1", "a=b", "/room/1?a=b")
        assert request.authority == session.authority == f"127.0.0.1:{server.port}"
        assert request.headers["x-question"] == "?"
        assert request.origin is None
        assert request.protocols == ()
        assert request.peer_address == session.quic.local_address
        assert session.path == "/room/1?a=b"
        assert session.response_headers["x-answer"] == "42"
        assert session.protocol is None
        assert session.peer_address == ("127.0.0.1", server.port)
        assert session.is_client
        assert not session.is_closed
        assert session.close_info is None
        assert "client /room/1?a=b open" in repr(session)
        assert session.connection.sessions == [session]
    assert session.close_info == CloseInfo()


@pytest.mark.parametrize("side", ["client", "peer"])
async def test_close_with_code_and_reason(webtransport_pair: SessionPair, side: str):
    closer, other = (
        (webtransport_pair.client, webtransport_pair.peer)
        if side == "client"
        else (webtransport_pair.peer, webtransport_pair.client)
    )
    closer.close(0xFFFFFFFF, "genug \N{SNOWMAN}")
    assert closer.close_info == CloseInfo(0xFFFFFFFF, "genug \N{SNOWMAN}")
    assert await soon(other.closed) == CloseInfo(0xFFFFFFFF, "genug \N{SNOWMAN}", is_remote=True)
    assert await soon(closer.closed) == closer.close_info
    closer.close(1, "the first end counts")
    other.close(2)
    assert other.close_info.code == 0xFFFFFFFF
    for session in (closer, other):
        with pytest.raises(SessionClosedError, match="with code 4294967295: genug") as raised:
            await session.open_stream()
        assert raised.value.code == 0xFFFFFFFF
        assert raised.value.reason == "genug \N{SNOWMAN}"


async def test_a_client_s_connection_ends_with_its_session(webtransport: WebTransportLoopback):
    async with webtransport.serve(hold) as server, webtransport.connect(server) as session:
        pass
    assert session.quic.is_closed
    reason = session.quic.close_reason
    assert (reason.kind, reason.error_code, reason.is_remote) == (CloseKind.APPLICATION, 0x100, False)


async def test_a_session_that_the_server_ends_ends_the_connection(webtransport: WebTransportLoopback):
    async def app(request: Request) -> None:
        await request.accept()

    async with webtransport.serve(app) as server:
        session = await soon(webtransport.connect(server))
        assert await soon(session.closed) == CloseInfo(is_remote=True)
        await soon(session.quic.wait_closed())
        await soon(session.aclose())


async def test_the_longest_reason(webtransport_pair: SessionPair):
    reason = "\N{EURO SIGN}" * 341 + "x"
    assert len(reason.encode()) == 1024
    webtransport_pair.client.close(1, reason)
    assert (await soon(webtransport_pair.peer.closed)).reason == reason


async def test_what_no_close_can_hold_is_refused(webtransport_pair: SessionPair):
    """Nothing is cut: a reason that is too long, or a code of more than 32 bits, is an error, and nothing happens."""
    session = webtransport_pair.client
    with pytest.raises(ValueError, match="at most 1024 bytes of UTF-8, not 1025"):
        session.close(0, "x" * 1025)
    with pytest.raises(ValueError, match="at most 1024 bytes of UTF-8, not 1026"):
        await session.aclose(0, "\N{EURO SIGN}" * 342)
    for code in (-1, 1 << 32):
        with pytest.raises(ValueError, match="an error code of WebTransport is 0 to"):
            session.close(code)
    await round_trip(*webtransport_pair[:2])


async def test_the_lost_connection_is_told(webtransport: WebTransportLoopback):
    async with webtransport.pair() as (client, peer, _):
        waiting = await started(peer.accept_stream())
        client.quic.close(7, "the whole of it")
        info = await soon(peer.closed)
        assert info.kind is EndKind.CONNECTION_LOST
        assert info.connection_reason.error_code == 7
        with pytest.raises(SessionClosedError, match="ended with its connection: closed by the peer"):
            await soon(waiting)
        with pytest.raises(SessionClosedError):
            peer.datagrams.try_send(b"x")


async def test_refused_with_status_and_headers(webtransport: WebTransportLoopback):
    async def app(request: Request) -> None:
        await request.reject(429, headers={"retry-after": "7"})

    async with webtransport.serve(app) as server:
        with pytest.raises(
            SessionRefusedError, match="refused the session at /x with status 429: it has too"
        ) as raised:
            await soon(webtransport.connect(server, "/x"))
        assert raised.value.status == 429
        assert raised.value.headers["retry-after"] == "7"


async def test_an_answer_is_given_once(webtransport: WebTransportLoopback):
    errors: list[Exception] = []

    async def app(request: Request) -> None:
        for status in (200, 299, 600, "404"):
            with pytest.raises(ValueError, match="status of 300 to 599"):
                await request.reject(status)
        with pytest.raises(ValueError, match="did not offer the protocol 'x'; it offers none"):
            await request.accept(protocol="x")
        with pytest.raises(ValueError, match="control character"):
            await request.accept(headers={"x": "\n"})
        assert not request.is_answered
        session = await request.accept()
        assert request.is_answered
        for again in (request.accept, request.reject):
            try:
                await again()
            except RuntimeError as error:
                errors.append(error)
        await session.closed

    async with webtransport.serve(app) as server, webtransport.connect(server):
        assert ["was answered before" in str(error) for error in errors] == [True, True]


async def test_applications_that_fail(webtransport: WebTransportLoopback, caplog: pytest.LogCaptureFixture):
    """Each request and session has its own; what one raises is logged, and costs no other session anything."""

    async def raises(request: Request) -> None:
        raise LookupError("before the answer")

    async def raises_later(request: Request) -> None:
        await request.accept()
        raise LookupError("after the answer")

    async def forgets(request: Request) -> None: ...

    def plain(request: Request) -> None: ...

    routes = {"/raises": raises, "/later": raises_later, "/forgets": forgets, "/plain": plain, "/echo": echo}
    async with webtransport.serve(None, routes=routes) as server, webtransport.connect(server, "/echo") as good:
        for path, status in (("/raises", 500), ("/forgets", 404), ("/plain", 500)):
            with pytest.raises(SessionRefusedError) as raised:
                await soon(webtransport.connect(server, path))
            assert raised.value.status == status
        async with webtransport.connect(server, "/later") as session:
            info = await soon(session.closed)
            assert (info.code, info.reason, info.is_remote) == (APP_FAILED, "the application failed", True)
        async with await soon(good.open_stream()) as stream:
            await stream.write(b"still here", end_stream=True)
            assert await soon(stream.read_all()) == b"still here"
    texts = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert ["raised" in text or "returned without" in text for text in texts] == [True] * 4
    caplog.clear()  # records hold tracebacks, and those sessions


async def test_closing_the_server_closes_its_sessions(webtransport: WebTransportLoopback):
    async with webtransport.serve(hold) as server:
        session = await soon(webtransport.connect(server))
        await soon(server.aclose(9, "enough"))
        assert await soon(session.closed) == CloseInfo(9, "enough", is_remote=True)
        await soon(session.aclose())


async def test_draining(webtransport_pair: SessionPair):
    client, peer, _ = webtransport_pair
    waiting = await started(_await(client))
    assert not client.is_draining
    peer.drain()
    await soon(waiting)
    assert client.is_draining
    assert not peer.is_draining
    await round_trip(client, peer)  # it goes on
    client.drain()
    await soon(peer.draining)


async def _await(session: Session) -> None:
    await session.draining


async def test_draining_ends_with_the_session(webtransport_pair: SessionPair):
    waiting = await started(_await(webtransport_pair.client))
    webtransport_pair.peer.close(3)
    with pytest.raises(SessionClosedError):
        await soon(waiting)
    assert not webtransport_pair.client.is_draining


async def test_going_away_drains(webtransport_pair: SessionPair):
    """GOAWAY asks every session of the connection to end soon."""
    webtransport_pair.peer.connection.go_away()
    await soon(webtransport_pair.client.draining)
    assert webtransport_pair.client.connection.is_going_away


async def test_waiting_for_the_end_can_be_cancelled(webtransport_pair: SessionPair):
    async def wait() -> CloseInfo:
        return await webtransport_pair.client.closed

    first, second = await started(wait()), await started(wait())
    await cancelled(first)
    webtransport_pair.peer.close(5)
    assert (await soon(second)).code == 5


async def test_leaving_the_block_by_an_error_closes_at_once(webtransport: WebTransportLoopback):
    async with webtransport.serve(echo) as server:
        with pytest.raises(LookupError):
            async with webtransport.connect(server) as session:
                raise LookupError
        assert session.is_closed
        assert session.quic.is_closed


async def test_aclose_waits_for_what_was_finished(webtransport: WebTransportLoopback):
    """A megabyte that was finished before aclose() arrives, though nobody waited for it."""
    data = bytes(range(256)) * 4096
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def app(request: Request) -> None:
        session = await request.accept()
        stream = await session.accept_stream()
        received.set_result(await stream.read_all())
        await session.closed

    async with webtransport.serve(app) as server:
        async with webtransport.connect(server) as session:
            stream = await session.open_send_stream()
            await stream.write(data, end_stream=True)
        assert await soon(received) == data


async def test_stats(webtransport_pair: SessionPair):
    client, peer, _ = webtransport_pair
    await round_trip(client, peer)
    await client.datagrams.send(b"x")
    await soon(peer.datagrams.receive())
    stats = await soon(client.stats())
    assert (stats.streams_opened, stats.streams_accepted, stats.datagrams_sent) == (1, 1, 1)
    assert stats.connection.packets_sent > 0
    assert (await soon(peer.stats())).datagrams_received == 1


async def test_keying_material(webtransport: WebTransportLoopback):
    """The same on both sides, other for each label, context and session."""
    accepted: list[Session] = []

    async def app(request: Request) -> None:
        accepted.append(await request.accept())
        await accepted[-1].closed

    async with webtransport.serve(app) as server, webtransport.connect(server, compatibility=True) as client:
        other = await soon(client.connection.open_session("/", compatibility=True))
        keys = [await soon(session.export_keying_material(b"label", b"context")) for session in (client, other)]
        peers = [await soon(session.export_keying_material(b"label", b"context", 32)) for session in accepted]
        assert keys == peers
        more = [
            await soon(client.export_keying_material(label, context)) for label, context in ((b"l", b""), (b"", b"l"))
        ]
        assert len({*keys, *more}) == 4
        assert len(await soon(client.export_keying_material(b"label", length=100))) == 100
        for label, context in ((bytes(256), b""), (b"", bytes(256))):
            with pytest.raises(ValueError, match="at most 255 bytes each"):
                await client.export_keying_material(label, context)
    with pytest.raises(SessionClosedError):
        await client.export_keying_material(b"label")


async def test_a_stopped_stream_in_a_handler_is_no_end_of_the_session(
    webtransport: WebTransportLoopback, caplog: pytest.LogCaptureFixture
):
    """StreamStoppedError is the stream's: an application that lets it out has failed."""

    async def app(request: Request) -> None:
        stream = await (await request.accept()).open_send_stream()
        while True:
            await stream.write(bytes(65536))

    async with webtransport.serve(app) as server, webtransport.connect(server) as session:
        (await soon(session.accept_stream())).stop(4)
        assert (await soon(session.closed)).code == APP_FAILED
    caplog.clear()  # a record holds a traceback, and that the stream
    assert issubclass(StreamStoppedError, aiopquic.StreamStoppedError)


async def test_a_request_that_is_given_up(webtransport: WebTransportLoopback):
    """The client's deadline cancels its request; the server's application is told, and others are served."""
    ended: asyncio.Future[CloseInfo] = asyncio.get_running_loop().create_future()

    async def app(request: Request) -> None:
        if request.path == "/quick":
            await hold(request)
            return
        info = await request._session.closed
        assert request.is_answered
        with pytest.raises(SessionClosedError):
            await request.accept()
        ended.set_result(info)

    async with webtransport.serve(app) as server, webtransport.connect(server, "/quick", compatibility=True) as session:
        asking = asyncio.create_task(session.connection.open_session("/slow", compatibility=True))
        await until(lambda: len(session.connection._sessions) == 2)
        await round_trips(session)
        await cancelled(asking)
        assert (await soon(ended)).is_remote
        assert not session.is_closed


async def round_trips(session: Session) -> None:
    await soon(session.quic.ping())
