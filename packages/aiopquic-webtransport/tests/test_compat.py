"""The names of earlier releases: sessions by stream ids and events."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aiopquic import asyncio as aiopquic_asyncio
from aiopquic._binding._transport import TransportContext  # noqa: TID251 - what programs import
from aiopquic.asyncio import QuicConnectionProtocol, connect
from aiopquic.asyncio import webtransport as names
from aiopquic.asyncio.webtransport import (
    WT_SESSION_GONE,
    WebTransportClient,
    WebTransportError,
    WebTransportServerSession,
    WebTransportSession,
    WebTransportSessionState,
    connect_webtransport,
    serve_webtransport,
)
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.events import (
    QuicEvent,
    StreamDataReceived,
    WebTransportDatagramReceived,
    WebTransportNewStream,
    WebTransportSessionClosed,
    WebTransportSessionDraining,
    WebTransportStopSending,
    WebTransportStreamDataReceived,
    WebTransportStreamReset,
)
from aiopquic.testing.certificates import CertificateFiles

from .support import cancelled, soon, started, until


@asynccontextmanager
async def pair(files: CertificateFiles, path: str = "/wt", **settings: Any) -> AsyncIterator[tuple[Any, Any]]:
    """A client's session, and the server's."""
    accepted: asyncio.Future[WebTransportSession] = asyncio.get_running_loop().create_future()

    async def handler(session: WebTransportSession) -> None:
        if not accepted.done():
            accepted.set_result(session)
        await session.wait_closed()

    client_settings = settings.pop("client", {})
    server = await serve_webtransport(
        "127.0.0.1", 0, path, handler=handler, cert_file=files.certificate, key_file=files.private_key, **settings
    )
    try:
        async with connect_webtransport(
            "127.0.0.1", server.port, path, ca_file=files.certificate, **client_settings
        ) as client:
            yield client, await soon(accepted)
    finally:
        await server.aclose()


async def collected(session: WebTransportSession) -> list[QuicEvent]:
    """Every event up to the end."""
    return [event async for event in session.events()]


async def next_event(events: AsyncIterator[QuicEvent]) -> QuicEvent:
    return await soon(anext(events))


def test_the_names_are_there():
    for name in (
        *("WT_SESSION_GONE", "WebTransportError", "WebTransportSession", "WebTransportClient", "WebTransportServer"),
        *("WebTransportServerSession", "WebTransportSessionState", "connect_webtransport", "serve_webtransport"),
        *("_EVT_WT_STREAM_DATA", "_EVT_WT_STREAM_FIN", "_EVT_WT_STREAM_RESET", "_EVT_WT_STOP_SENDING"),
        *("_EVT_WT_DATAGRAM", "_EVT_WT_SESSION_CLOSED", "_EVT_STREAM_TX_DRAINED", "_EVT_WT_STREAM_DESTROY"),
    ):
        assert getattr(names, name) is not None
    dispatch = importlib.import_module("aiopquic.asyncio.dispatch")
    assert dispatch.serve_dispatch is aiopquic_asyncio.serve_dispatch
    assert dispatch.DualStackServer is aiopquic_asyncio.DualStackServer
    assert issubclass(WebTransportError, ConnectionError)
    for module in (dispatch, aiopquic_asyncio):
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            _ = module.nothing
    assert WT_SESSION_GONE == 0x170D7B68


async def test_streams_and_datagrams_by_events(quic_certificate: CertificateFiles):
    async with pair(quic_certificate) as (client, server):
        assert (client.role, client.is_client, client.is_server) == ("client", True, False)
        assert (server.role, server.is_client, server.is_server) == ("server", False, True)
        assert client.session_ready
        assert client.control_stream_id == server.control_stream_id == 0
        assert client.cnx_ptr
        assert client.peer_address() == ("127.0.0.1", server.local_address()[1])
        events = server.events()
        both = await soon(client.create_stream())
        client.send_stream_data(both, b"question", end_stream=True)
        assert await next_event(events) == WebTransportNewStream(both)
        [got] = await soon(collect_stream(server, both))
        assert isinstance(got, WebTransportStreamDataReceived)
        assert (got.stream_id, bytes(got.data), got.end_stream) == (both, b"question", True)
        server.send_stream_data(both, b"answer", end_stream=True)
        received = [event async for event in client.receive_stream_data(both)]
        assert b"".join(bytes(event.data) for event in received) == b"answer"
        assert received[-1].end_stream
        one_way = await soon(server.create_stream(bidir=False))
        assert one_way & 2
        await soon(server.send_stream_data_drained(one_way, bytes(3 << 20), end_stream=True))
        size = 0
        async for event in client.receive_stream_data(one_way):
            size += len(event.data)
        assert size == 3 << 20
        assert client.send_datagram_frame(b"datagram") == 8
        got = await next_event(events)
        assert isinstance(got, WebTransportDatagramReceived)
        assert bytes(got.data) == b"datagram"
        assert client.max_datagram_payload() > 1000
        with pytest.raises(ValueError, match="a datagram of this session has at most"):
            client.send_datagram_frame(bytes(70000))


async def test_codes_and_ends(quic_certificate: CertificateFiles):
    async with pair(quic_certificate) as (client, server):
        stream = await soon(client.create_stream())
        other = await soon(client.create_stream())
        events = server.events()
        assert await next_event(events) == WebTransportNewStream(stream)
        assert await next_event(events) == WebTransportNewStream(other)
        client.reset_stream(stream, 7)
        assert await soon(collect_stream(server, stream)) == [WebTransportStreamReset(stream, 7)]
        client.stop_stream(stream, 8)
        assert await next_event(events) == WebTransportStopSending(stream, 8)
        with pytest.raises(WebTransportError, match=r"with code 8|is over"):
            server.send_stream_data(stream, b"x")
        reading = asyncio.create_task(collect_stream(server, other))
        client.drain()
        assert await next_event(events) == WebTransportSessionDraining()
        assert server.is_draining
        client.close(9, b"enough")
        assert client.session_closed
        assert await next_event(events) == WebTransportSessionClosed(9, memoryview(b"enough"))
        with pytest.raises(StopAsyncIteration):
            await next_event(events)
        [end] = await soon(reading)
        assert isinstance(end, WebTransportStreamReset)
        assert end.error_code == WT_SESSION_GONE
        assert (await soon(collected(client)))[-1] == WebTransportSessionClosed(9, memoryview(b"enough"))
        for session in (client, server):
            with pytest.raises(ConnectionError, match="with code 9: enough"):
                session.send_stream_data(other, b"x")
            with pytest.raises(WebTransportError):
                await session.create_stream()
            with pytest.raises(WebTransportError):
                session.send_datagram_frame(b"x")
            assert await soon(collect_stream(session, 400)) == []


async def collect_stream(session: WebTransportSession, stream_id: int) -> list[QuicEvent]:
    return [event async for event in session.receive_stream_data(stream_id)]


async def test_events_take_nothing_from_streams(quic_certificate: CertificateFiles):
    """A stream is read by a task that begins after its bytes have come, and again after its reader gave up."""
    async with pair(quic_certificate) as (client, server):
        told = asyncio.create_task(collected(server))
        stream = await soon(client.create_stream(bidir=False))
        client.send_stream_data(stream, b"first")
        await until(lambda: stream in server._wt_inboxes)
        reading = server.receive_stream_data(stream)
        got = await soon(anext(reading))
        assert isinstance(got, WebTransportStreamDataReceived)
        assert bytes(got.data) == b"first"
        await reading.aclose()
        await cancelled(await started(collect_stream(server, stream)))
        client.send_stream_data(stream, b"second", end_stream=True)
        await until(lambda: stream in server._wt_inboxes)
        [got] = await soon(collect_stream(server, stream))
        assert isinstance(got, WebTransportStreamDataReceived)
        assert (bytes(got.data), got.end_stream) == (b"second", True)
        assert not server._wt_inboxes
        assert await soon(collect_stream(server, stream)) == []
        client.close()
        assert await soon(told) == [WebTransportNewStream(stream), WebTransportSessionClosed(0, memoryview(b""))]


async def test_streams_that_nobody_reads_are_bounded(
    quic_certificate: CertificateFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Their bytes by the windows, their number by the limit on streams that wait."""
    monkeypatch.setattr("aiopquic.streams._inbox.WAITING_MAX", 20)
    async with pair(quic_certificate) as (client, server):
        told = asyncio.create_task(collected(server))
        flood = await soon(client.create_stream(bidir=False))
        writing = await started(client.send_stream_data_drained(flood, bytes(64 << 20)))
        for _ in range(21):
            client.send_stream_data(await soon(client.create_stream(bidir=False)), b"", end_stream=True)
        closed = (await soon(told))[-1]
        assert isinstance(closed, WebTransportSessionClosed)
        with pytest.raises(ConnectionError):
            await soon(writing)
        assert sum(len(event[2] or b"") for event, _ in server._wt_inboxes[flood]) < 32 << 20
    caplog.clear()  # its record has the session


async def test_too_long_is_an_error(quic_certificate: CertificateFiles):
    async with pair(quic_certificate) as (client, _):
        with pytest.raises(ValueError, match="at most 1024 bytes"):
            client.close(0, b"x" * 1025)
        assert not client.session_closed
        with pytest.raises(ValueError, match="4096 are the most"):
            WebTransportClient(None, "localhost", 1, "/", wt_available_protocols=["x" * 5000])
    with pytest.raises(ValueError, match='"client" or "server"'):
        WebTransportSession(None, "both")


async def test_a_full_budget(quic_certificate: CertificateFiles):
    """BufferError takes nothing, and an event tells of room."""
    configuration = QuicConfiguration(stream_ring_cap=100_000, tx_max_queued_bytes=100_000)
    settings = {"configuration": configuration}
    async with pair(quic_certificate, client=settings) as (client, server):
        stream = await soon(client.create_stream())
        with pytest.raises(ValueError, match="budget"):
            client.send_stream_data(stream, bytes(100_001))
        drained = client.get_tx_data_drain_event(stream)

        def fill() -> None:
            while True:
                client.send_stream_data(stream, bytes(50_000))

        with pytest.raises(BufferError):
            fill()
        assert not drained.is_set()
        reading = asyncio.create_task(collect_stream(server, stream))
        await soon(drained.wait())
        client.reset_stream(stream)
        assert isinstance((await soon(reading))[-1], WebTransportStreamReset)


async def test_a_cancelled_create_stream_shifts_nothing(quic_certificate: CertificateFiles):
    """A one-way stream that was given up is no answer to who asks for one with both directions."""
    configuration = QuicConfiguration(
        is_client=False,
        max_streams_uni=4,
        certificate_file=quic_certificate.certificate,
        private_key_file=quic_certificate.private_key,
    )
    async with pair(quic_certificate, configuration=configuration) as (client, _):
        await soon(client.create_stream(bidir=False))
        waiting = await started(client.create_stream(bidir=False))
        await cancelled(waiting)
        assert not await soon(client.create_stream()) & 2
        with pytest.raises(TimeoutError):
            await client.create_stream(bidir=False, timeout=0.01)


async def test_protocols_and_paths(quic_certificate: CertificateFiles):
    async with pair(
        quic_certificate, "", wt_supported_protocols=["b", "c"], client={"wt_available_protocols": ["a", "c", "b"]}
    ) as (client, server):
        assert client.negotiated_protocol == server.negotiated_protocol == "c"
        port = client._port
        for path, protocols in (("/", ["x"]),):
            with pytest.raises(WebTransportError, match="status 400"):
                async with connect_webtransport(
                    "127.0.0.1", port, path, wt_available_protocols=protocols, ca_file=quic_certificate.certificate
                ):
                    pass
    async with pair(quic_certificate, "/only") as (client, _):
        with pytest.raises(WebTransportError, match="status 404"):
            async with connect_webtransport("127.0.0.1", client._port, "/other", ca_file=quic_certificate.certificate):
                pass


async def test_connecting_fails_by_one_error(quic_certificate: CertificateFiles):
    async with pair(quic_certificate) as (client, _):
        with pytest.raises(WebTransportError, match="certificate was refused"):
            async with connect_webtransport("127.0.0.1", client._port, "/wt"):
                pass
        async with connect_webtransport("127.0.0.1", client._port, "/wt", verify_peer=False):
            pass
    with pytest.raises(WebTransportError, match=r"no session within 0\.05 seconds"):
        async with connect_webtransport("127.0.0.1", client._port, "/wt", timeout=0.05):
            pass


class Recorder(WebTransportServerSession):
    """What programs derive: it sees the tuples."""

    def __init__(self, transport: Any, state: WebTransportSessionState) -> None:
        super().__init__(transport, state)
        self.seen: list[tuple[Any, ...]] = []

    def _on_event(self, event: tuple[Any, ...]) -> None:
        super()._on_event(event)
        kind, stream_id, data, is_fin, code, connection, stream, _ = event
        assert connection == self.cnx_ptr
        assert bool(stream) == (stream_id is not None and kind not in (66, 67, 72))
        self.seen.append((kind, stream_id, bytes(data or b""), is_fin, code))


async def test_a_subclass_sees_tuples(quic_certificate: CertificateFiles):
    async with pair(quic_certificate, session_factory=Recorder) as (client, server):
        assert isinstance(server, Recorder)
        stream = await soon(client.create_stream(bidir=False))
        for _ in range(40):  # several windows: bytes count as consumed when _on_event returns
            await soon(client.send_stream_data_drained(stream, bytes(100_000)))
        client.send_stream_data(stream, b"", end_stream=True)
        await until(lambda: any(event[0] == names._EVT_WT_STREAM_FIN for event in server.seen))
        data = [e for e in server.seen if e[0] in (names._EVT_WT_STREAM_DATA, names._EVT_WT_STREAM_FIN)]
        assert sum(len(event[2]) for event in data) == 4_000_000
        assert server.seen[0][:2] == (names._EVT_WT_NEW_STREAM, stream)
        client.close(3)
        await until(lambda: server.seen[-1][0] == names._EVT_WT_SESSION_CLOSED)
        assert server.seen[-1][4] == 3


class Application(WebTransportServerSession):
    """A class of a program, with fields of its own by plain names; it works from the events alone."""

    def __init__(self, transport: Any, state: WebTransportSessionState) -> None:
        self._session, self._quic, self._tasks, self._streams = object(), self, set(), {}
        super().__init__(transport, state)
        assert transport.started

    def close(self, *arguments: Any) -> None:
        raise AssertionError("means something else here")

    peer_address = connection_ids = None  # type: ignore[assignment]

    def _on_event(self, event: tuple[Any, ...]) -> None:
        super()._on_event(event)
        if event[0] == names._EVT_WT_STREAM_FIN:
            self.send_stream_data(event[1], bytes(event[2]).upper(), end_stream=True)


@pytest.mark.parametrize("is_coroutine", [False, True])
async def test_a_handler_that_returns_leaves_its_session(quic_certificate: CertificateFiles, is_coroutine: bool):
    def handler(session: Application) -> None: ...

    async def coroutine(session: Application) -> None: ...

    server = await serve_webtransport(
        "127.0.0.1",
        0,
        "",
        handler=coroutine if is_coroutine else handler,
        cert_file=quic_certificate.certificate,
        key_file=quic_certificate.private_key,
        session_factory=Application,
    )
    try:
        async with connect_webtransport("127.0.0.1", server.port, "", ca_file=quic_certificate.certificate) as client:
            for _ in range(2):
                stream = await soon(client.create_stream())
                client.send_stream_data(stream, b"hello", end_stream=True)
                events = await soon(collect_stream(client, stream))
                assert b"".join(bytes(event.data) for event in events) == b"HELLO"
            assert not client.session_closed
    finally:
        await server.aclose()


async def test_a_client_on_a_transport(quic_certificate: CertificateFiles):
    """A TransportContext gives its settings; open() and aclose() are the program's."""
    async with pair(quic_certificate) as (other, _):
        transport = TransportContext()
        transport.start(is_client=True, alpn="h3", max_datagram_frame_size=65536, ca_file=quic_certificate.certificate)
        try:
            client = WebTransportClient(transport, "127.0.0.1", other._port, "/wt", sni="localhost")
            assert not client.session_ready
            with pytest.raises(WebTransportError, match="is not open"):
                await client.create_stream()
            await soon(client.open(timeout=10.0))
            assert client.session_ready
            await soon(client.create_stream())
            await soon(client.aclose(0, b""))
            await client.detach()
            assert client.session_closed
        finally:
            transport.stop()


class Echo(QuicConnectionProtocol):
    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            self._quic.send_stream_data(event.stream_id, event.data, event.end_stream)


async def test_raw_quic_beside_it(quic_certificate: CertificateFiles):
    async def handler(session: WebTransportSession) -> None:
        stream = await session.create_stream(bidir=False)
        session.send_stream_data(stream, b"from a session", end_stream=True)
        await session.wait_closed()

    configuration = QuicConfiguration(is_client=False, alpn_protocols=["echo"])
    configuration.load_cert_chain(*quic_certificate)
    server = await aiopquic_asyncio.serve_dispatch(
        "127.0.0.1", 0, configuration=configuration, create_protocol=Echo, wt_path="", wt_handler=handler
    )
    try:
        raw = QuicConfiguration(alpn_protocols=["echo"], cafile=quic_certificate.certificate)
        async with (
            connect("127.0.0.1", server.port, configuration=raw) as protocol,
            connect_webtransport("127.0.0.1", server.port, "/any", ca_file=quic_certificate.certificate) as session,
        ):
            reader, writer = await protocol.create_stream()
            writer.write(b"raw")
            writer.write_eof()
            assert await soon(reader.read()) == b"raw"
            events = session.events()
            opened = await next_event(events)
            assert isinstance(opened, WebTransportNewStream)
            [read] = await soon(collect_stream(session, opened.stream_id))
            assert isinstance(read, WebTransportStreamDataReceived)
            assert bytes(read.data) == b"from a session"
    finally:
        await server.aclose()
