"""Serving: addresses, handlers and their errors, the graceful end, connections that come and go."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest

import aiopquic

from ..support import until
from .support import Ends, cancelled, echo, idle, soon, started


async def test_echo(ends: Ends) -> None:
    """The loop of api.md."""
    async with ends.serve(echo) as server, ends.connect(server) as conn, await conn.open_stream() as stream:
        await stream.write(b"hello")
        await stream.finish()
        assert await soon(stream.read_all(limit=1 << 20)) == b"hello"


async def test_code_that_newcomers_write(ends: Ends) -> None:
    """The shortest server and client: any address, a port of the system's choice, serving until it is cancelled."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    good = ends.certificates.good
    payload = b"x" * 100_000

    async def handle(conn: aiopquic.Connection) -> None:
        async for stream in conn.incoming_streams(bidirectional=True):
            await stream.write(await stream.read_all(), end_stream=True)

    async def serve() -> None:
        async with aiopquic.serve(
            handle, "::", 0, alpn=["echo"], certificate=good.cert, private_key=good.key
        ) as server:
            port.set_result(server.addresses[0][1])
            await server.serve_forever()

    serving = asyncio.create_task(serve())
    connecting = aiopquic.connect("localhost", await soon(port), alpn=["echo"], cafile=good.cert)
    async with connecting as conn, await conn.open_stream() as stream:
        await stream.write(payload)
        await stream.finish()
        reply = await soon(stream.read_all(limit=1 << 20))
    assert reply == payload
    await cancelled(serving)


async def test_both_calls_can_be_awaited(ends: Ends) -> None:
    server = await ends.serve(echo)
    conn = await ends.connect(server)
    assert conn.alpn == "test"
    await conn.aclose()
    await server.aclose()


async def test_port_zero_can_be_read(ends: Ends) -> None:
    async with ends.serve(idle) as server:
        assert server.addresses == [("127.0.0.1", server.port)]
        assert server.port > 0
        with pytest.raises(aiopquic.BindError):
            async with aiopquic.serve(
                idle,
                "127.0.0.1",
                server.port,
                alpn=["test"],
                certificate=ends.certificates.good.cert,
                private_key=ends.certificates.good.key,
            ):
                pass


async def test_wildcard_addresses(ends: Ends) -> None:
    for host in ("::", None, ""):
        async with ends.serve(idle, host=host) as server:  # type: ignore[arg-type]
            assert ("0.0.0.0", server.port) in server.addresses
            async with ends.connect(server) as conn:
                assert conn.peer_address == ("127.0.0.1", server.port)
    async with ends.serve(idle, host="localhost", ip_family=socket.AF_INET) as server:
        assert server.addresses == [("127.0.0.1", server.port)]


async def test_one_task_per_connection(ends: Ends) -> None:
    async with ends.serve(idle) as server:
        connections = [await ends.connect(server) for _ in range(3)]
        await until(lambda: len(server.connections) == 3)
        connections[1].close(3, "first to go")
        await until(lambda: len(server.connections) == 2)
        for conn in connections:
            await conn.aclose()
        await until(lambda: server.connections == [])


async def test_handler_that_raises_costs_its_own_connection(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    """A logged error, a close with HANDLER_FAILED, and nothing else."""

    async def handler(conn: aiopquic.Connection) -> None:
        stream = await conn.accept_stream(bidirectional=True)
        if await stream.read_all() == b"fail":
            raise KeyError("told to")
        await stream.write(b"done", end_stream=True)

    async with ends.serve(handler) as server, ends.connect(server) as good:
        with caplog.at_level(logging.ERROR, "aiopquic"):
            bad = await ends.connect(server)
            stream = await bad.open_stream()
            await stream.write(b"fail", end_stream=True)
            reason = await soon(bad.wait_closed())
        assert (reason.error_code, reason.is_remote) == (aiopquic.HANDLER_FAILED, True)
        assert reason.reason == "the handler of this connection failed"
        [record] = caplog.records
        assert record.name == "aiopquic.server"
        assert "raised" in record.getMessage()
        assert record.exc_info is not None
        del record
        caplog.clear()  # a traceback keeps objects alive
        stream = await good.open_stream()
        await stream.write(b"work", end_stream=True)
        assert await soon(stream.read_all()) == b"done"


async def test_handler_that_is_no_coroutine_function(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "aiopquic"):
        async with ends.serve(lambda conn: 5) as server:  # type: ignore[arg-type,return-value]
            conn = await ends.connect(server)
            assert (await soon(conn.wait_closed())).error_code == aiopquic.HANDLER_FAILED
    assert "coroutine function (async def)" in caplog.text
    caplog.clear()  # a traceback keeps objects alive


async def test_end_of_its_own_connection_is_no_error(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody has to catch it: neither alone nor in a task group."""
    entered = []

    async def alone(conn: aiopquic.Connection) -> None:
        entered.append(conn)
        await conn.accept_stream()

    async def grouped(conn: aiopquic.Connection) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(alone(conn))
            group.create_task(alone(conn))

    with caplog.at_level(logging.WARNING, "aiopquic"):
        for handler in (alone, grouped):
            entered.clear()
            async with ends.serve(handler) as server:
                conn = await ends.connect(server)
                await until(lambda: entered)
                conn.close(5)
                await until(lambda: server.connections == [])
                await conn.wait_closed()
    assert caplog.records == []


async def test_error_of_another_connection_is_one(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    async def relay(conn: aiopquic.Connection) -> None:
        async with ends.connect(behind) as inner:
            await inner.accept_stream()

    async def close(conn: aiopquic.Connection) -> None:
        conn.close(9, "nothing here")

    async with ends.serve(close) as behind, ends.serve(relay) as server:
        with caplog.at_level(logging.ERROR, "aiopquic"):
            conn = await ends.connect(server)
            assert (await soon(conn.wait_closed())).error_code == aiopquic.HANDLER_FAILED
    assert "nothing here" in caplog.text
    caplog.clear()  # a traceback keeps objects alive


async def test_handler_that_returns_closes_after_delivery(ends: Ends) -> None:
    """What it finished arrives in full, then the connection closes with code 0."""

    async def handler(conn: aiopquic.Connection) -> None:
        stream = await conn.open_send_stream()
        await stream.write(bytes(2 << 20), end_stream=True)

    async with ends.serve(handler) as server:
        conn = await ends.connect(server)
        stream = await soon(conn.accept_stream())
        assert len(await soon(stream.read_all())) == 2 << 20
        reason = await soon(conn.wait_closed())
        assert (reason.kind, reason.error_code) == (aiopquic.CloseKind.APPLICATION, 0)


async def test_aclose_tells_every_peer(ends: Ends) -> None:
    """robustness.md, "Close and shutdown": the CONNECTION_CLOSE is on the wire before the socket goes."""
    async with ends.serve(echo) as server:
        connections = [await ends.connect(server) for _ in range(5)]
        await until(lambda: len(server.connections) == 5)
        await soon(server.aclose(0x77, "going down"))
        for conn in connections:
            reason = await soon(conn.wait_closed())
            assert (reason.error_code, reason.reason, reason.is_remote) == (0x77, "going down", True)
        assert server.connections == []
        await server.aclose()
        await server.wait_closed()


async def test_handlers_are_cancelled_and_awaited(ends: Ends) -> None:
    cleaned = []

    async def handler(conn: aiopquic.Connection) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(conn)

    async with ends.serve(handler) as server:
        connections = [await ends.connect(server) for _ in range(3)]
        await until(lambda: len(server.connections) == 3)
        server.close()
        await soon(server.wait_closed())
        assert len(cleaned) == 3
        for conn in connections:
            assert (await soon(conn.wait_closed())).error_code == 0


async def test_handler_may_close_its_server(ends: Ends) -> None:
    async def handler(conn: aiopquic.Connection) -> None:
        await server.aclose(6, "asked to")

    async with ends.serve(handler) as server:
        conn = await ends.connect(server)
        assert (await soon(conn.wait_closed())).error_code == 6
        await soon(server.wait_closed())


async def test_serve_forever(ends: Ends) -> None:
    """Cancelled, it closes the server; closed, it returns."""
    server = await ends.serve(idle)
    conn = await ends.connect(server)
    await cancelled(await started(server.serve_forever()))
    await soon(conn.wait_closed())
    server = await ends.serve(idle)
    serving = await started(server.serve_forever())
    server.close()
    await soon(serving)


async def test_port_is_free_afterwards(ends: Ends) -> None:
    async with ends.serve(idle) as server:
        port = server.port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", port))


async def test_handler_that_does_not_read_holds_its_own_peer_only(ends: Ends) -> None:
    """robustness.md, "Flow control": one stalled connection does not hold another."""
    release = asyncio.Event()

    async def handler(conn: aiopquic.Connection) -> None:
        stream = await conn.accept_stream(bidirectional=True)
        if await stream.readexactly(1) == b"-":
            await release.wait()
        await stream.write(str(len(await stream.read_all())).encode(), end_stream=True)

    async with (
        ends.serve(handler, initial_stream_window=1 << 14, max_stream_data=1 << 16) as server,
        ends.connect(server) as stalled,
        ends.connect(server) as lively,
    ):
        size = 6 << 20  # more than a stream's send budget and its window
        held, free = await stalled.open_stream(), await lively.open_stream()
        await held.write(b"-")
        await free.write(b"+")
        writer = await started(held.write(bytes(size), end_stream=True))
        await soon(free.write(bytes(size), end_stream=True))
        assert await soon(free.read_all()) == str(size).encode()
        assert not writer.done()
        release.set()
        await soon(writer)
        assert await soon(held.read_all()) == str(size).encode()


async def test_incoming_decides_before_the_handshake(ends: Ends) -> None:
    """Accept, refuse and retry; one slow decision at the end of the server."""
    asked: list[aiopquic.Incoming] = []

    async def decide(incoming: aiopquic.Incoming) -> aiopquic.Decision:
        asked.append(incoming)
        if not incoming.is_address_validated:
            return aiopquic.Decision.RETRY
        if incoming.server_name == "slow.example":
            await asyncio.Event().wait()
        return aiopquic.Decision.ACCEPT if incoming.server_name == "localhost" else aiopquic.Decision.REFUSE

    async with ends.serve(echo, incoming=decide) as server:
        async with ends.connect(server, server_name="localhost") as conn:
            assert [incoming.is_address_validated for incoming in asked] == [False, True]
            assert asked[1].alpn == ("test",)
            assert asked[1].peer_address == conn.local_address
        with pytest.raises(aiopquic.ServerRefusedError):
            await ends.connect(server, server_name="example.org")
        slow = asyncio.ensure_future(_slow(ends, server))
        await until(lambda: asked[-1].server_name == "slow.example" and asked[-1].is_address_validated)
    with pytest.raises(aiopquic.QuicConnectionError):
        await soon(slow)


async def _slow(ends: Ends, server: aiopquic.Server) -> aiopquic.Connection:
    return await ends.connect(server, server_name="slow.example")


async def test_retry_for_everybody(ends: Ends) -> None:
    async with ends.serve(echo, retry=True) as server, ends.connect(server) as conn:
        assert await soon(conn.ping()) > 0


async def test_client_errors_of_the_handshake(ends: Ends, unused_port: int) -> None:
    """Each has a class of its own, and nothing is left behind."""
    async with ends.serve(idle) as server:
        with pytest.raises(aiopquic.AlpnError):
            await ends.connect(server, alpn=["other"])
        with pytest.raises(aiopquic.CertificateVerifyError):
            async with ends.connect(server, cafile=ends.certificates.other.cert):
                pass
        with pytest.raises(aiopquic.HandshakeTimeoutError):
            await aiopquic.connect("127.0.0.1", unused_port, alpn=["test"], handshake_timeout=0.3)
        connecting = asyncio.ensure_future(_connected(ends, unused_port))
        await asyncio.sleep(0.01)
        await cancelled(connecting)


async def _connected(ends: Ends, port: int) -> aiopquic.Connection:
    return await aiopquic.connect("127.0.0.1", port, alpn=["test"], cafile=ends.certificates.good.cert)
