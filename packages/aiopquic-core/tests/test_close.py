"""The end of a connection: told once, to both sides, with its reason (robustness.md, "Close and shutdown")."""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys
import textwrap
import time
from typing import Any

import psutil
import pytest

from aiopquic.asyncio import connect
from aiopquic.exceptions import (
    CloseKind,
    ConnectionClosedError,
    IdleTimeoutError,
    QuicConnectionError,
    StreamResetError,
)
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.error_codes import QuicErrorCode
from aiopquic.quic.events import ConnectionTerminated, HandshakeCompleted, QuicEvent, StreamDataReceived

from .certificates import Certificates
from .conftest import LoopErrors
from .support import Echo, Endpoints, Pair, Recorder, client_configuration, round_trips, until

#: Seconds in which the end has to be known where no timeout is involved.
AT_ONCE = 8.0
DIRECTIONS = ["client closes", "server closes"]


def sides(pair: Pair, direction: str) -> tuple[Recorder, Recorder]:
    """Who closes and who is told."""
    return (pair.client, pair.peer) if direction == DIRECTIONS[0] else (pair.peer, pair.client)


# ---- codes and reasons ----


@pytest.mark.parametrize(
    ("code", "reason"),
    [(0, ""), (7, "enough"), ((1 << 62) - 1, "größtmöglich ✓"), (1, "x" * 1024)],
    ids=["nothing", "both", "largest code", "longest reason"],
)
@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_close(endpoints: Endpoints, direction: str, code: int, reason: str):
    """Code and reason reach both sides, in exactly one ConnectionTerminated each, the last event of all."""
    async with endpoints.pair() as pair:
        closer, told = sides(pair, direction)
        await pair.peer.wait_for(HandshakeCompleted)
        begin = time.monotonic()
        closer.close(error_code=code, reason_phrase=reason)
        closer.close(error_code=99, reason_phrase="the second close counts for nothing")
        for side in (closer, told):
            event = await side.wait_for(ConnectionTerminated)
            assert (event.error_code, event.reason_phrase, event.frame_type) == (code, reason, None)
            assert event.close_reason is side.quic.close_reason
            assert event.close_reason is not None
            assert event.close_reason.kind is CloseKind.APPLICATION
            assert event.close_reason.is_remote == (side is told)
            assert side.quic.closed
            assert not side.quic.is_connected
            await side.wait_closed()
        assert time.monotonic() - begin < AT_ONCE
        closer.close()
        told.close(5)
        await closer.aclose()
        await told.aclose()
    for side in (closer, told):
        assert len(side.seen(ConnectionTerminated)) == 1
        assert isinstance(side.events[-1], ConnectionTerminated)


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_close_with_a_frame_type_is_a_transport_error(endpoints: Endpoints, direction: str):
    """CONNECTION_CLOSE of type 0x1c (RFC 9000 section 19.19), told on both sides."""
    async with endpoints.pair() as pair:
        closer, told = sides(pair, direction)
        await pair.peer.wait_for(HandshakeCompleted)
        with pytest.raises(ValueError, match="a transport error code is 1 to 0x3ff, not 0x400"):
            closer.quic.close(0x400, frame_type=0)
        with pytest.raises(ValueError, match="a frame type is 0 to"):
            closer.quic.close(1, frame_type=1 << 62)
        closer.quic.close(error_code=QuicErrorCode.PROTOCOL_VIOLATION, frame_type=0x1E, reason_phrase="too early")
        for side in (closer, told):
            event = await side.wait_for(ConnectionTerminated)
            assert (event.error_code, event.reason_phrase) == (QuicErrorCode.PROTOCOL_VIOLATION, "too early")
            assert event.frame_type == 0x1E
            assert event.close_reason is not None
            assert event.close_reason.kind is CloseKind.TRANSPORT
            assert event.close_reason.is_remote == (side is told)
        await told.wait_closed()


async def test_both_close_at_once(endpoints: Endpoints):
    """Closes that cross end in one event on each side."""
    for _ in range(20):
        async with endpoints.pair() as pair:
            pair.client.close(1, "mine")
            pair.peer.close(2, "yours")
            for side in (pair.client, pair.peer):
                assert (await side.wait_for(ConnectionTerminated)).error_code in (1, 2)
        for side in (pair.client, pair.peer):
            assert len(side.seen(ConnectionTerminated)) == 1


async def test_wrong_close(endpoints: Endpoints):
    """A reason or code that does not fit is refused, and the connection lives on."""
    async with endpoints.pair() as pair:
        with pytest.raises(ValueError, match="1024"):
            pair.client.close(0, "x" * 1025)
        with pytest.raises(ValueError, match="error code"):
            pair.client.close(1 << 62)
        with pytest.raises(ValueError, match="error code"):
            pair.client.close(-1)
        await round_trips(pair)


async def test_data_before_the_close_is_delivered_first(endpoints: Endpoints):
    """Bytes that have arrived come before the end, and nothing after it (robustness.md, "events after the end")."""
    async with endpoints.pair() as pair:
        ends: list[int] = []
        original = pair.peer.quic_event_received

        def received(event: QuicEvent) -> None:
            assert not pair.peer.seen(ConnectionTerminated), "an event after the end"
            original(event)
            ends.append(1)

        pair.peer.quic_event_received = received  # type: ignore[method-assign]
        for number in range(200):
            pair.client.quic.send_stream_data(4 * number, b"x", end_stream=True)
        await until(lambda: all(pair.client.quic.tx_sent_bytes(4 * number) for number in range(200)) or ends)
        pair.client.close(3)
        await pair.peer.wait_for(ConnectionTerminated, error_code=3)
        events = len(ends)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(ends) == events


async def test_close_before_the_handshake(endpoints: Endpoints):
    """A client may close while its handshake is under way; waiting for it ends with the close."""
    async with endpoints.server() as server:
        for _ in range(10):
            async with endpoints.connect(server, wait_connected=False) as client:
                waiter = asyncio.create_task(client.wait_connected())
                await asyncio.sleep(0)
                client.close(4, "changed my mind")
                event = await client.wait_for(ConnectionTerminated, timeout=AT_ONCE)
                assert event.error_code == 4
                (error,) = await asyncio.gather(waiter, return_exceptions=True)
                if error is None:
                    assert client.seen(HandshakeCompleted)
                else:
                    assert isinstance(error, ConnectionClosedError)
                    assert error.error_code == 4


async def test_close_towards_a_dead_port(endpoints: Endpoints, unused_port: int):
    """Leaving a connection that never was costs no timeout (robustness.md, "exits that cost a fixed delay")."""
    configuration = client_configuration(endpoints.certificates)
    begin = time.monotonic()
    async with connect(
        "127.0.0.1", unused_port, configuration=configuration, create_protocol=Recorder, wait_connected=False
    ) as client:
        client.close(1)
        await client.wait_for(ConnectionTerminated)
    assert time.monotonic() - begin < AT_ONCE


async def test_cancelled_connect(endpoints: Endpoints, unused_port: int):
    """Cancelling a connect that waits for nobody's answer ends it at once, and leaves nothing."""
    configuration = client_configuration(endpoints.certificates)

    async def attempt() -> None:
        async with connect("127.0.0.1", unused_port, configuration=configuration):
            pytest.fail("connected")

    task = asyncio.create_task(attempt())
    await asyncio.sleep(0.05)
    begin = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begin < AT_ONCE


# ---- timeouts ----


@pytest.mark.parametrize("impatient", ["client", "server"])
async def test_idle_timeout(endpoints: Endpoints, impatient: str):
    """The smaller idle timeout of both sides ends a silent connection, and says so on each side."""
    settings = {f"{impatient}_settings": {"idle_timeout": 0.4}}
    begin = time.monotonic()
    async with endpoints.pair(**settings) as pair:
        for side in (pair.client, pair.peer):
            event = await side.wait_for(ConnectionTerminated)
            assert event.close_reason is not None
            assert event.close_reason.kind is CloseKind.IDLE_TIMEOUT
            assert event.reason_phrase == "idle timeout"
            with pytest.raises(IdleTimeoutError) as caught:
                side.quic.send_stream_data(side.quic.get_next_available_stream_id(), b"x")
            assert isinstance(caught.value, TimeoutError)
        assert 0.2 < time.monotonic() - begin < 20  # the other side's is 30
    for side in (pair.client, pair.peer):
        assert len(side.seen(ConnectionTerminated)) == 1


@pytest.mark.parametrize("keeper", ["client", "server"])
async def test_keep_alive(endpoints: Endpoints, keeper: str):
    """``keep_alive_interval`` on either side keeps a silent connection over several idle timeouts."""
    settings = {f"{keeper}_settings": {"keep_alive_interval": 0.1}}
    async with endpoints.pair(idle_timeout=0.6, **settings) as pair:
        loop = asyncio.get_running_loop()
        passed = loop.create_future()
        loop.call_later(2, passed.set_result, None)
        await passed
        assert pair.client.quic.close_reason is None
        assert pair.peer.quic.close_reason is None
        await round_trips(pair)


async def test_no_idle_timeout(endpoints: Endpoints):
    """0 on both sides switches the idle timeout off."""
    async with endpoints.pair(idle_timeout=0) as pair:
        assert pair.client.quic.peer_transport_parameters["max_idle_timeout"] == 0
        await round_trips(pair)


# ---- servers ----


async def test_server_aclose_tells_its_clients(endpoints: Endpoints):
    """Closing a server reaches every client on the wire, long before any timeout, and frees the port."""
    async with endpoints.server() as server:
        async with (
            endpoints.connect(server) as first,
            endpoints.connect(server) as second,
            endpoints.connect(server) as third,
        ):
            clients = [first, second, third]
            await server.peer(2)
            begin = time.monotonic()
            await server.server.aclose()
            for client in clients:
                event = await client.wait_for(ConnectionTerminated)
                assert event.close_reason is not None
                assert event.close_reason.kind is CloseKind.APPLICATION
                assert event.close_reason.is_remote
            assert time.monotonic() - begin < AT_ONCE
            for peer in server.peers:
                assert not (await peer.wait_for(ConnectionTerminated)).close_reason.is_remote  # type: ignore[union-attr]
            assert server.server.protocols == []
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind(("127.0.0.1", server.port))
        await server.server.aclose()
        server.server.close()
        await server.server.wait_closed()


async def test_serve_forever(endpoints: Endpoints):
    """serve_forever() returns when the server is closed, and closes it when cancelled."""
    async with endpoints.server() as server:
        waiting = asyncio.create_task(server.server.serve_forever())
        async with endpoints.connect(server) as client:
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await client.wait_for(ConnectionTerminated)
        await server.server.serve_forever()


async def test_client_exit_frees_the_server_side(endpoints: Endpoints):
    """Leaving the client's context ends the server's connection at once, with code 0."""
    async with endpoints.server() as server:
        for number in range(5):
            async with endpoints.connect(server):
                peer = await server.peer(number)
                assert server.server.protocols == [peer]
            event = await peer.wait_for(ConnectionTerminated, timeout=AT_ONCE)
            assert event.error_code == 0
            assert event.close_reason is not None
            assert event.close_reason.is_remote
            assert server.server.protocols == []


async def test_connections_do_not_keep_descriptors(endpoints: Endpoints):
    """robustness.md, "file descriptors per connection cycle": the tenth connection leaves as many as the first."""
    process = psutil.Process()
    counts: list[int] = []
    async with endpoints.server(Echo) as server:
        for _ in range(10):
            async with endpoints.connect(server) as client:
                client.quic.send_stream_data(0, b"x", end_stream=True)
                await client.wait_end(0)
            del client
            gc.collect()
            counts.append(process.num_fds())
    assert counts[-1] == counts[0], counts


# ---- use after the end ----


@pytest.mark.parametrize("when", ["as soon as close() was called", "after the end"])
@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_use_after_close(endpoints: Endpoints, direction: str, when: str):
    """Every use raises the connection's own error, which says who ended it and why."""
    async with endpoints.pair() as pair:
        closer, told = sides(pair, direction)
        closer.quic.send_stream_data(closer.quic.get_next_available_stream_id(), b"x")
        stream_id = closer.quic.get_next_available_stream_id()
        closer.close(6, "over")
        users = [closer]
        if when == "after the end":
            await told.wait_for(ConnectionTerminated)
            await closer.wait_for(ConnectionTerminated)
            users = [closer, told]
        for side in users:
            for call in (
                lambda side=side: side.quic.send_stream_data(stream_id, b"x"),
                lambda side=side: side.quic.reset_stream(stream_id, 1),
                lambda side=side: side.quic.stop_stream(stream_id, 1),
                lambda side=side: side.quic.set_stream_priority(stream_id, 1),
            ):
                with pytest.raises(ConnectionClosedError, match="application code 0x6: over") as caught:
                    call()
                assert caught.value.error_code == 6
                assert caught.value.close_reason.is_remote == (side is told)
            with pytest.raises(ConnectionClosedError):
                await side.quic.send_stream_data_drained(stream_id, b"x")
            assert isinstance(await side.quic.stats(), dict)
            side.quic.pause_reading(stream_id)
            side.quic.resume_reading(stream_id)
        await told.wait_for(ConnectionTerminated)
        with pytest.raises(ConnectionClosedError):
            await told.wait_connected()


async def test_close_wakes_whoever_waits(endpoints: Endpoints):
    """Writers, stats and handshake waits end when the connection does (robustness.md, "a writer parked on a
    stream whose connection died")."""
    async with endpoints.pair() as pair:
        pair.peer.quic.pause_reading(0)
        writers = [
            asyncio.create_task(pair.client.quic.send_stream_data_drained(stream_id, bytes(12 << 20)))
            for stream_id in (0, 4, 8)
        ]
        await until(lambda: pair.client.quic.tx_sent_bytes(0) > 0)
        pair.peer.close(11, "no more")
        statistics = asyncio.create_task(pair.client.quic.stats())
        async with asyncio.timeout(AT_ONCE):
            for writer in writers:
                with pytest.raises(ConnectionClosedError, match="no more"):
                    await writer
            assert isinstance(await statistics, dict)


async def test_second_connect(endpoints: Endpoints):
    """A QuicConnection is good for one connection; the second connect() says so."""
    async with endpoints.server() as server:
        quic = QuicConnection(configuration=client_configuration(endpoints.certificates))
        with pytest.raises(RuntimeError, match="not started: call connect"):
            quic.send_stream_data(0, b"x")
        quic.connect(("127.0.0.1", server.port))
        with pytest.raises(RuntimeError, match="called before"):
            quic.connect(("127.0.0.1", server.port))
        quic.stop()
        quic.stop()
        quic.close()
        with pytest.raises(RuntimeError, match="called before"):
            quic.connect(("127.0.0.1", server.port))


# ---- handlers that raise ----


async def test_handler_that_raises(endpoints: Endpoints, loop_errors: LoopErrors):
    """robustness.md, "an exception in one handler losing the rest of the batch": it is told to the loop, and
    nobody else loses an event."""
    loop_errors.expect()

    class Clumsy(Recorder):
        def quic_event_received(self, event: QuicEvent) -> None:
            super().quic_event_received(event)
            if isinstance(event, StreamDataReceived) and event.stream_id % 8 == 0:
                raise ZeroDivisionError(f"stream {event.stream_id}")

    async with (
        endpoints.server(Clumsy) as server,
        endpoints.connect(server) as client,
        endpoints.connect(server) as other,
    ):
        first, second = await server.peer(0), await server.peer(1)
        for number in range(40):
            client.quic.send_stream_data(4 * number, b"x", end_stream=True)
            other.quic.send_stream_data(4 * number + 2, b"y", end_stream=True)
        for number in range(40):
            assert await first.wait_end(4 * number) == b"x"
            assert await second.wait_end(4 * number + 2) == b"y"
        assert {str(context["exception"]) for context in loop_errors} == {
            f"stream {stream_id}" for stream_id in range(0, 160, 8)
        }
        assert all("handler raised" in context["message"] for context in loop_errors)
        count = len(loop_errors)
        await client.quic.send_stream_data_drained(400, bytes(4 << 20), end_stream=True)
        assert len(await first.wait_end(400)) == 4 << 20
        assert len(loop_errors) > count


async def test_factory_that_raises(endpoints: Endpoints, loop_errors: LoopErrors):
    """A protocol that can't be made costs one connection, whose peer is told; the server goes on."""
    loop_errors.expect()
    attempts: list[int] = []

    def factory(*arguments: Any, **keywords: Any) -> Recorder:
        attempts.append(1)
        if len(attempts) == 1:
            raise ZeroDivisionError("no protocol today")
        return Echo(*arguments, **keywords)

    async with endpoints.server(factory) as server:
        async with endpoints.connect(server) as client:
            event = await client.wait_for(ConnectionTerminated, timeout=AT_ONCE)
            assert event.error_code == 1
            assert "could not make a handler" in event.reason_phrase
        async with endpoints.connect(server) as client:
            client.quic.send_stream_data(0, b"x", end_stream=True)
            assert await client.wait_end(0) == b"x"
        assert [str(context["exception"]) for context in loop_errors] == ["no protocol today"]


async def test_streams_api_after_loss(endpoints: Endpoints):
    """A QuicConnectionError is a ConnectionError; a StreamError is none, for the connection lives on."""
    assert issubclass(QuicConnectionError, ConnectionError)
    assert not issubclass(StreamResetError, ConnectionError)
    async with endpoints.pair() as pair:
        pair.client.close(1)
        await pair.client.wait_for(ConnectionTerminated)
        with pytest.raises(ConnectionError):
            pair.client.quic.send_stream_data(0, b"x")


# ---- the end of the process ----

EXITS = {
    "nothing closed": "await client.hold()",
    "client closed": "client.close(); await client.wait_closed()",
    "server closed": "server.close()",
    "loop stopped in the middle of a transfer": "client.send_much()",
    "exception": "raise SystemExit(0)",
    "sys.exit in a handler": "Protocol.leaves = True; await client.hold(); await asyncio.Event().wait()",
}


@pytest.mark.parametrize("how", EXITS)
def test_process_exit(certificates: Certificates, how: str):
    """A process that ends with open connections ends at once, with its own exit code and no noise."""
    program = f"""
        import asyncio, sys
        from aiopquic.asyncio import QuicConnectionProtocol, connect, serve
        from aiopquic.quic.configuration import QuicConfiguration

        class Protocol(QuicConnectionProtocol):
            leaves = False

            async def hold(self):
                stream_id = self._quic.get_next_available_stream_id()
                await self._quic.send_stream_data_drained(stream_id, bytes(1 << 20))

            def send_much(self):
                self._quic.send_stream_data(self._quic.get_next_available_stream_id(), bytes(1 << 22))

            def quic_event_received(self, event):
                if self.leaves and type(event).__name__ == "StreamDataReceived":
                    sys.exit(0)

        async def main():
            served = QuicConfiguration(is_client=False, alpn_protocols=["exit"])
            served.load_cert_chain({str(certificates.good.cert)!r}, {str(certificates.good.key)!r})
            asked = QuicConfiguration(alpn_protocols=["exit"], cafile={str(certificates.good.cert)!r})
            server = await serve("127.0.0.1", 0, configuration=served, create_protocol=Protocol)
            connection = connect("127.0.0.1", server.port, configuration=asked, create_protocol=Protocol)
            globals().update(server=server, connection=connection)
            client = globals()["client"] = await connection.__aenter__()
            {EXITS[how]}

        asyncio.run(main())
    """
    begin = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stderr == ""
    assert result.returncode == 0
    assert time.monotonic() - begin < 25  # the idle timeout is 30


def test_configuration_is_not_used_up(certificates: Certificates):
    """One configuration object serves any number of connections, one loop after the other."""
    configuration = client_configuration(certificates)
    assert isinstance(configuration, QuicConfiguration)

    async def once() -> None:
        endpoints = Endpoints(certificates)
        async with (
            endpoints.server(Echo) as server,
            connect("127.0.0.1", server.port, configuration=configuration, create_protocol=Recorder) as client,
        ):
            client.quic.send_stream_data(0, b"x", end_stream=True)
            assert await client.wait_end(0) == b"x"

    for _ in range(3):
        asyncio.run(once())
