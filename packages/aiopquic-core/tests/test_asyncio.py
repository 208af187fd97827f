"""asyncio readers and writers over streams, and the protocol class around them."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from aiopquic.asyncio import QuicConnectionProtocol
from aiopquic.asyncio.client import connect
from aiopquic.exceptions import (
    ConnectionClosedError,
    StreamClosedError,
    StreamResetError,
    StreamStoppedError,
)
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.events import ConnectionTerminated, StopSendingReceived, StreamReset

from .certificates import Certificates
from .conftest import LoopErrors
from .support import Echo, Endpoints, Recorder, until

MIB = 1 << 20
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Accepted:
    """A stream handler that keeps what it was called with."""

    def __init__(self) -> None:
        self.streams: asyncio.Queue[Streams] = asyncio.Queue()

    def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.streams.put_nowait((reader, writer))

    async def next(self) -> Streams:
        async with asyncio.timeout(10):
            return await self.streams.get()


async def open_both(client: QuicConnectionProtocol, accepted: Accepted) -> tuple[Streams, Streams]:
    """A bidirectional stream: the client's reader and writer, and the server's."""
    ours = await client.create_stream()
    ours[1].write(b"hello\n")
    theirs = await accepted.next()
    assert await theirs[0].readline() == b"hello\n"
    return ours, theirs


# ---- bytes ----


async def test_example_of_the_document(endpoints: Endpoints, certificates: Certificates):
    """The "Asyncio API" example of the user's document runs as it is written."""
    payload = b"opaque bytes"
    async with endpoints.server(alpn_protocols=["myproto"]) as server:
        configuration = QuicConfiguration(alpn_protocols=["myproto"], is_client=True)
        configuration.load_verify_locations(certificates.good.cert)

        async with connect("localhost", server.port, configuration=configuration) as protocol:
            quic = protocol._quic
            stream_id = quic.get_next_available_stream_id()
            quic.send_stream_data(stream_id, payload, end_stream=True)
            protocol.transmit()

            assert await (await server.peer()).wait_end(stream_id) == payload


async def test_create_stream(endpoints: Endpoints):
    """A client's stream comes to the server's handler, and both directions carry bytes and ends."""
    accepted = Accepted()
    async with endpoints.pair(stream_handler=accepted) as pair:
        (reader, writer), (their_reader, their_writer) = await open_both(pair.client, accepted)
        writer.writelines([b"one\n", b"two\n"])
        assert await their_reader.readline() == b"one\n"
        assert await their_reader.readexactly(4) == b"two\n"
        writer.write_eof()
        assert writer.can_write_eof()
        assert await their_reader.read() == b""
        assert their_reader.at_eof()
        their_writer.write(b"answer")
        their_writer.close()
        assert await reader.read() == b"answer"
        assert writer.get_extra_info("stream_id") == 0
        assert writer.get_extra_info("peername") == ("127.0.0.1", pair.server.port)
        assert writer.get_extra_info("sockname") == pair.client.quic.local_address()
        writer.close()
        async with asyncio.timeout(5):
            await writer.wait_closed()
            await their_writer.wait_closed()


async def test_create_stream_of_the_server(endpoints: Endpoints):
    """A server opens streams of both kinds to a client's stream handler, here a coroutine function."""
    received: list[bytes] = []
    done = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read())
        if len(received) == 2:
            done.set()
        writer.close()

    async with endpoints.server() as server, endpoints.connect(server, stream_handler=handler):
        peer = await server.peer()
        for is_unidirectional in (False, True):
            _, writer = await peer.create_stream(is_unidirectional)
            writer.write(b"from the server")
            writer.close()
            async with asyncio.timeout(5):
                await writer.wait_closed()
        async with asyncio.timeout(5):
            await done.wait()
        assert received == [b"from the server"] * 2


async def test_unidirectional_stream(endpoints: Endpoints):
    """The reader of a one-way stream of ours is at its end at once; on the peer's side nothing can be written."""
    accepted = Accepted()
    async with endpoints.pair(stream_handler=accepted) as pair:
        reader, writer = await pair.client.create_stream(is_unidirectional=True)
        assert await reader.read() == b""
        writer.write(b"one way")
        writer.close()
        their_reader, their_writer = await accepted.next()
        assert await their_reader.read() == b"one way"
        with pytest.raises(StreamClosedError, match="stream 2 is the peer's unidirectional stream"):
            their_writer.write(b"back")
        their_writer.close()
        async with asyncio.timeout(5):
            await writer.wait_closed()
            await their_writer.wait_closed()


async def test_large_transfer_both_ways(endpoints: Endpoints):
    """8 MiB each way through drain() and read() arrive unharmed."""
    accepted = Accepted()
    upward, downward = os.urandom(8 * MIB), os.urandom(8 * MIB)

    async def send(writer: asyncio.StreamWriter, payload: bytes) -> None:
        for begin in range(0, len(payload), 50_000):
            writer.write(payload[begin : begin + 50_000])
            await writer.drain()
        writer.close()

    async with endpoints.pair(stream_handler=accepted, stream_ring_cap=1 << 18) as pair:
        ours, theirs = await open_both(pair.client, accepted)
        async with asyncio.TaskGroup() as group:
            group.create_task(send(ours[1], upward))
            group.create_task(send(theirs[1], downward))
            got_up = group.create_task(theirs[0].read())
            got_down = group.create_task(ours[0].read())
        assert got_up.result() == upward
        assert got_down.result() == downward


async def test_one_write_larger_than_every_budget(endpoints: Endpoints):
    """write() takes any size; what does not fit waits, and the end comes behind it."""
    accepted = Accepted()
    payload = os.urandom(5 * MIB)
    async with endpoints.pair(stream_handler=accepted, stream_ring_cap=1 << 16) as pair:
        (_, writer), (their_reader, _) = await open_both(pair.client, accepted)
        writer.write(payload)
        writer.write(b"after")
        writer.write_eof()
        assert writer.transport.get_write_buffer_size() > 4 * MIB
        assert await their_reader.read() == payload + b"after"
        await writer.drain()
        assert writer.transport.get_write_buffer_size() == 0


# ---- backpressure ----


async def test_drain_waits_for_the_peer(endpoints: Endpoints):
    """drain() waits while the peer does not read, and the peer's reader holds us at a bounded number of bytes."""
    accepted = Accepted()
    async with endpoints.pair(
        stream_handler=accepted,
        client_settings={"stream_ring_cap": 1 << 17},
        server_settings={"initial_stream_window": 1 << 16, "max_stream_data": 1 << 18},
    ) as pair:
        (_, writer), (their_reader, _) = await open_both(pair.client, accepted)
        written = 0

        async def write() -> None:
            nonlocal written
            while written < 8 * MIB:
                writer.write(bytes(4096))
                written += 4096
                await writer.drain()
            writer.close()

        task = asyncio.create_task(write())
        before = -1
        while written != before:
            before = written
            for _ in range(30):
                await pair.client.quic.stats()
                await pair.peer.quic.stats()
        # The sender's budget, the window, and what a reader holds before it pauses: twice its limit and a chunk.
        assert 1 << 17 < written <= (1 << 17) + (1 << 18) + (1 << 18) + 8192
        assert not task.done()
        total = 6
        while data := await their_reader.read(1 << 16):
            total += len(data)
        assert total == 8 * MIB + 6
        await task


async def test_slow_reader_gets_everything_of_a_closed_connection(endpoints: Endpoints):
    """Bytes and an end that had arrived are not lost to a reader when the connection ends."""
    accepted = Accepted()
    payload = os.urandom(MIB)
    async with endpoints.pair(
        stream_handler=accepted, server_settings={"initial_stream_window": 2 * MIB, "max_data": 4 * MIB}
    ) as pair:
        (_, writer), (their_reader, _) = await open_both(pair.client, accepted)
        writer.write(payload)
        writer.close()
        await until(lambda: pair.client.quic.tx_data_ring_used(0) == 0)
        await until(lambda: pair.peer.quic._reading.unread and pair.peer.quic._connection is not None)
        for _ in range(10):
            await pair.peer.quic.stats()
            await pair.client.quic.stats()
        pair.client.close()
        await pair.peer.wait_for(ConnectionTerminated)
        assert await their_reader.read() == payload


# ---- ends that are not clean ----


async def test_reset(endpoints: Endpoints):
    """A reset by the peer makes read() raise StreamResetError with its code; writing goes on."""
    accepted = Accepted()
    async with endpoints.pair(stream_handler=accepted) as pair:
        (_, writer), (their_reader, their_writer) = await open_both(pair.client, accepted)
        waiting = asyncio.create_task(their_reader.read())
        await asyncio.sleep(0)
        pair.client.quic.reset_stream(0, 77)
        with pytest.raises(StreamResetError, match="reset stream 0 with code 0x4d") as caught:
            await waiting
        assert caught.value.error_code == 77
        assert caught.value.stream_id == 0
        with pytest.raises(StreamResetError):
            await their_reader.read()
        their_writer.write(b"still here")
        await their_writer.drain()
        their_writer.close()
        writer.close()


async def test_stop(endpoints: Endpoints):
    """A stop by the peer makes drain() raise StreamStoppedError, whether it waits or not; reading goes on."""
    accepted = Accepted()
    async with endpoints.pair(stream_handler=accepted, client_settings={"stream_ring_cap": 1 << 16}) as pair:
        (reader, writer), (_, their_writer) = await open_both(pair.client, accepted)
        pair.peer.quic.pause_reading(0)
        writer.write(bytes(20 * MIB))
        waiting = asyncio.create_task(writer.drain())
        await asyncio.sleep(0)
        assert not waiting.done()
        pair.peer.quic.stop_stream(0, 78)
        for _ in range(2):
            with pytest.raises(StreamStoppedError, match="stream 0") as caught:
                await waiting
            assert caught.value.error_code == 78
            writer.write(b"dropped")
            waiting = asyncio.create_task(writer.drain())
        with pytest.raises(StreamStoppedError):
            await waiting
        their_writer.write(b"still here")
        their_writer.close()
        assert await reader.read() == b"still here"
        writer.close()


async def test_lost_connection(endpoints: Endpoints):
    """When the connection ends, readers and writers on both sides raise its error, also those who wait."""
    accepted = Accepted()
    async with endpoints.pair(stream_handler=accepted, stream_ring_cap=1 << 16) as pair:
        ours, theirs = await open_both(pair.client, accepted)
        pair.client.quic.pause_reading(0)
        theirs[1].write(bytes(20 * MIB))
        waiting = [asyncio.create_task(theirs[0].read()), asyncio.create_task(theirs[1].drain())]
        await asyncio.sleep(0)
        pair.client.close(9, "enough")
        for task in waiting:
            with pytest.raises(ConnectionClosedError, match="0x9: enough") as caught:
                await task
            assert caught.value.close_reason.is_remote
        await pair.client.wait_for(ConnectionTerminated)
        for reader, writer in (ours, theirs):
            with pytest.raises(ConnectionClosedError):
                await reader.read()
            with pytest.raises(ConnectionClosedError):
                await writer.drain()
            with pytest.raises(ConnectionClosedError):
                await writer.wait_closed()
            writer.write(b"dropped")
            writer.close()
        with pytest.raises(ConnectionClosedError):
            await pair.client.create_stream()


async def test_abort(endpoints: Endpoints):
    """transport.abort() resets the stream."""
    accepted = Accepted()
    async with endpoints.pair(stream_handler=accepted) as pair:
        (_, writer), (their_reader, their_writer) = await open_both(pair.client, accepted)
        writer.transport.abort()
        with pytest.raises(StreamResetError):
            await their_reader.read()
        with pytest.raises(RuntimeError):
            writer.write(b"more")
        their_writer.close()


async def test_write_after_end(endpoints: Endpoints):
    """write() after write_eof() or close() raises, as asyncio's own transports do."""
    accepted = Accepted()
    async with endpoints.pair(stream_handler=accepted) as pair:
        (_, writer), (their_reader, their_writer) = await open_both(pair.client, accepted)
        writer.write_eof()
        writer.write_eof()
        with pytest.raises(RuntimeError, match="write after write_eof"):
            writer.write(b"more")
        assert await their_reader.read() == b""
        writer.close()
        their_writer.close()


# ---- handlers ----


async def test_stream_handler_that_raises(endpoints: Endpoints, loop_errors: LoopErrors):
    """A stream handler that raises, plain or coroutine, is told to the loop; other streams go on."""
    loop_errors.expect()

    def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Any:
        stream_id = writer.get_extra_info("stream_id")
        writer.close()
        if stream_id == 0:
            raise ZeroDivisionError("plain")
        return fail() if stream_id == 4 else None

    async def fail() -> None:
        raise ZeroDivisionError("coroutine")

    async with endpoints.pair(stream_handler=handler) as pair:
        for _ in range(3):
            reader, writer = await pair.client.create_stream()
            writer.write(b"x")
            assert await reader.read() == b""
            writer.close()
        assert {str(context["exception"]) for context in loop_errors} == {"plain", "coroutine"}


async def test_events_and_stream_handler(endpoints: Endpoints):
    """With a stream handler the peer's streams go there; events of our own plain streams still come as events."""
    accepted = Accepted()
    async with endpoints.server(Echo) as server, endpoints.connect(server, stream_handler=accepted) as client:
        assert isinstance(client, Recorder)
        client.quic.send_stream_data(0, b"x", end_stream=True)
        assert await client.wait_end(0) == b"x"
        assert accepted.streams.empty()
        peer = await server.peer()
        peer.quic.send_stream_data(1, b"y", end_stream=True)
        reader, writer = await accepted.next()
        assert await reader.read() == b"y"
        writer.close()
        assert 1 not in client.data


async def test_finished_streams_are_forgotten(endpoints: Endpoints):
    """robustness.md, "Per-stream state kept after both sides are done": nothing is, with readers and writers too."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read()
        if not writer.is_closing():  # of a one-way stream it is from the start
            writer.write(data)
            writer.close()

    async with endpoints.pair(stream_handler=handler) as pair:
        for number in range(100):
            reader, writer = await pair.client.create_stream(is_unidirectional=number % 10 == 0)
            writer.write(bytes(3000))
            writer.close()
            assert len(await reader.read()) == (0 if number % 10 == 0 else 3000)
        for side in (pair.client, pair.peer):
            await until(lambda side=side: not side._adapters, "no reader and writer left")
            await until(lambda side=side: not side.quic._connection.streams)
            assert not side._handler_tasks
            assert not side.quic._reading.paused
            assert not side.quic._reading.unread


async def test_state_of_plain_streams_is_forgotten(endpoints: Endpoints):
    """The same for streams that ended, were reset, stopped or paused, without readers and writers."""
    async with endpoints.pair(server=Echo) as pair:
        client, peer = pair.client.quic, pair.peer.quic
        for _ in range(20):
            ids = [client.get_next_available_stream_id() for _ in range(4)]
            peer.pause_reading(ids[1])
            for stream_id in ids[:3]:
                client.send_stream_data(stream_id, b"x", end_stream=stream_id == ids[0])
            await pair.client.wait_end(ids[0])
            await until(lambda ids=ids: ids[1] in peer._reading.unread)
            client.reset_stream(ids[1], 1)
            client.stop_stream(ids[1], 1)
            await pair.peer.wait_for(StreamReset, stream_id=ids[1])
            await pair.peer.wait_for(StopSendingReceived, stream_id=ids[1])
            client.stop_stream(ids[2], 2)
            client.reset_stream(ids[2], 2)
            client.reset_stream(ids[3], 3)
            client.stop_stream(ids[3], 3)
        for quic in (client, peer):
            await until(lambda quic=quic: not quic._connection.streams, "no stream left")
            assert not quic._reading.paused
            assert not quic._reading.unread
