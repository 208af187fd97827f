"""asyncio's readers and writers over the streams API: open_connection and start_server."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from typing import Any

import pytest

import aiopquic

from ..conftest import LoopErrors
from ..support import until
from .support import ALPN, Ends, cancelled, soon, started

MIB = 1 << 20


def start(ends: Ends, callback: Any, **settings: Any) -> Any:
    good = ends.certificates.good
    settings = {"alpn": ALPN, "certificate": good.cert, "private_key": good.key, **settings}
    return aiopquic.start_server(callback, "127.0.0.1", 0, **settings)


async def open_to(ends: Ends, server: aiopquic.Server, **settings: Any) -> tuple[StreamReader, StreamWriter]:
    settings = {"alpn": ALPN, "cafile": ends.certificates.good.cert, **settings}
    return await aiopquic.open_connection("127.0.0.1", server.port, **settings)


async def upper(reader: StreamReader, writer: StreamWriter) -> None:
    """A handler as one writes them for TCP."""
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def test_code_for_tcp_works(ends: Ends) -> None:
    async with start(ends, upper) as server:
        reader, writer = await open_to(ends, server)
        writer.write(b"hello\nwor")
        await writer.drain()
        assert await soon(reader.readline()) == b"HELLO\n"
        writer.writelines([b"ld", b"\n"])
        writer.write_eof()
        assert await soon(reader.read()) == b"WORLD\n"
        assert reader.at_eof()
        conn = writer.get_extra_info("connection")
        assert writer.get_extra_info("peername") == ("127.0.0.1", server.port)
        assert writer.get_extra_info("sockname") == conn.local_address
        assert writer.get_extra_info("stream").id == writer.get_extra_info("stream_id") == 0
        assert writer.get_extra_info("cipher", "none") == "none"
        writer.close()
        assert writer.is_closing()
        await soon(writer.wait_closed())
        assert conn.close_reason.error_code == 0


async def test_one_callback_for_each_stream(ends: Ends) -> None:
    """A plain function will do."""
    writers = []
    async with start(ends, lambda reader, writer: writers.append(writer)) as server, ends.connect(server) as conn:
        for number in range(3):
            stream = await conn.open_stream()
            await stream.write(b"x")
            await until(lambda: len(writers) == number + 1)  # noqa: B023 - evaluated at once
            writers[number].write(b"%d" % number)
            writers[number].close()
            assert await soon(stream.read_all()) == b"%d" % number
            await soon(writers[number].wait_closed())
            await until(lambda: stream.stop_code == 0)  # noqa: B023
        assert conn.try_open_send_stream() is None
        writers.clear()


async def test_drain_waits(ends: Ends) -> None:
    """For a peer that does not read; and what waits is bounded."""
    go_on = asyncio.Event()
    lengths = []

    async def slow(reader: StreamReader, writer: StreamWriter) -> None:
        await go_on.wait()
        lengths.append(len(await reader.read()))
        writer.close()

    async with start(ends, slow, initial_stream_window=1 << 14, max_stream_data=1 << 16) as server:
        _, writer = await open_to(ends, server, stream_ring_cap=1 << 16)
        writer.write(bytes(MIB))
        drain = await started(writer.drain())
        await writer.get_extra_info("connection").ping()
        assert not drain.done()
        await cancelled(drain)
        assert writer.transport.get_write_buffer_size() > 1 << 16
        writer.write(bytes(MIB))
        go_on.set()
        await soon(writer.drain())
        writer.write_eof()
        await until(lambda: lengths == [2 * MIB])
        writer.close()
        await soon(writer.wait_closed())


async def test_close_delivers_what_waits(ends: Ends) -> None:
    received = []

    async def keep(reader: StreamReader, writer: StreamWriter) -> None:
        received.append(await reader.read())
        writer.close()

    async with start(ends, keep) as server:
        _, writer = await open_to(ends, server, stream_ring_cap=1 << 16)
        writer.write(bytes(3 * MIB))
        writer.close()
        await soon(writer.wait_closed())
        with pytest.raises(RuntimeError, match="write after"):
            writer.write(b"x")
        await until(lambda: received)
    assert received == [bytes(3 * MIB)]


async def test_reader_that_nobody_reads_holds_its_peer(ends: Ends) -> None:
    async def flood(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(bytes(8 * MIB))
        await writer.drain()
        writer.close()

    async with start(ends, flood) as server:
        reader, writer = await open_to(ends, server, max_stream_data=1 << 16, initial_stream_window=1 << 16)
        writer.write(b"go")
        await until(lambda: len(reader._buffer) > 1 << 16)  # type: ignore[attr-defined]
        conn = writer.get_extra_info("connection")
        for _ in range(5):
            await conn.ping()
        assert len(reader._buffer) <= 4 << 16  # type: ignore[attr-defined]
        assert len(await soon(reader.readexactly(8 * MIB))) == 8 * MIB
        writer.close()
        await soon(writer.wait_closed())


async def test_callback_that_raises(ends: Ends, loop_errors: LoopErrors) -> None:
    """Its stream is reset, the loop's handler is told, and the connection goes on."""

    async def fail(reader: StreamReader, writer: StreamWriter) -> None:
        if await reader.read(1) == b"x":
            raise KeyError("told to")
        writer.write(b"fine")
        writer.close()

    async with start(ends, fail) as server, ends.connect(server) as conn:
        stream = await conn.open_stream()
        await stream.write(b"x")
        with pytest.raises(aiopquic.StreamResetError):
            await soon(stream.read())
        [context] = loop_errors.expect()
        assert "client_connected_cb raised" in context["message"]
        assert isinstance(context["exception"], KeyError)
        del context
        other = await conn.open_stream()
        await other.write(b"y")
        assert await soon(other.read_all()) == b"fine"


async def test_ends_of_the_connection_and_the_stream_are_told(ends: Ends) -> None:
    """A reset, a stop and a close by the peer reach reader and writer as their own exceptions."""

    async def handler(conn: aiopquic.Connection) -> None:
        stream = await conn.accept_stream(bidirectional=True)
        what = await stream.readexactly(1)
        if what == b"r":
            stream.reset(3)
        elif what == b"s":
            stream.stop(4)
        else:
            conn.close(5, "enough")
        await conn.wait_closed()

    async with ends.serve(handler) as server:
        reader, writer = await open_to(ends, server)
        writer.write(b"r")
        with pytest.raises(aiopquic.StreamResetError):
            await soon(reader.read())
        writer.close()
        await soon(writer.wait_closed())
        reader, writer = await open_to(ends, server)
        writer.write(b"s")
        stream = writer.get_extra_info("stream")
        await until(lambda: stream.stop_code == 4)
        writer.write(b"more")
        with pytest.raises(aiopquic.StreamStoppedError):
            await soon(writer.drain())
        writer.transport.abort()
        stream.connection.close()
        await stream.connection.wait_closed()
        reader, writer = await open_to(ends, server)
        writer.write(b"c")
        with pytest.raises(aiopquic.ConnectionClosedError, match="enough"):
            await soon(reader.read())
        with pytest.raises(ConnectionError):
            await soon(writer.drain())
        writer.close()


async def test_server_ends_its_callbacks(ends: Ends) -> None:
    ended = []

    async def wait(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(writer)
            writer.transport.abort()

    async with start(ends, wait) as server:
        _, writer = await open_to(ends, server)
        writer.write(b"x")
        await until(lambda: server.connections)
        await until(lambda: writer.get_extra_info("stream").bytes_waiting == 0)
        await writer.get_extra_info("connection").ping()
        await soon(server.aclose())
        assert len(ended) == 1
        ended.clear()
        await soon(writer.get_extra_info("connection").wait_closed())
        writer.close()


async def test_callback_that_is_cancelled_leaves_no_open_writer(ends: Ends) -> None:
    """A writer that is left open warns when it goes, and its loop may be gone by then."""
    writers: list[StreamWriter] = []

    async def wait(reader: StreamReader, writer: StreamWriter) -> None:
        writers.append(writer)
        await reader.read()

    async with start(ends, wait) as server:
        _, writer = await open_to(ends, server)
        writer.write(b"x")
        await until(lambda: writers)
        (handler,) = server._hosting._tasks.values()
        handler.cancel()
        await asyncio.wait([handler])
        assert writers[0].is_closing()
        writer.close()


@pytest.mark.parametrize("limit", [0, -1, None, "x"])
async def test_bad_limit(ends: Ends, limit: Any) -> None:
    with pytest.raises(aiopquic.ConfigurationError, match="limit is a number of bytes"):
        start(ends, upper, limit=limit)
    with pytest.raises(aiopquic.ConfigurationError, match="limit is a number of bytes"):
        await aiopquic.open_connection("127.0.0.1", 4433, alpn=ALPN, limit=limit)
    with pytest.raises(aiopquic.ConfigurationError, match="client_connected_cb takes a reader"):
        start(ends, None)
