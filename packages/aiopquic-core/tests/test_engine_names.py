"""Serving with a QuicEngine alone, and the private names that programs written for earlier releases know."""

from __future__ import annotations

import asyncio
import errno
import logging
import select
import time
from collections.abc import Callable
from typing import Any

import pytest

from aiopquic._binding import _transport_numbers as numbers
from aiopquic._binding._transport import TransportContext
from aiopquic.exceptions import BindError, ConfigurationError
from aiopquic.quic import connection as names
from aiopquic.quic.connection import QuicConnection, drain_and_route, route_batch
from aiopquic.quic.engine import QuicEngine
from aiopquic.quic.events import (
    DatagramFrameReceived,
    HandshakeCompleted,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)

from .conftest import LoopErrors
from .support import DEADLINE, Echo, Endpoints, Recorder, client_configuration, server_configuration, until


class Shout:
    """A protocol that is none of asyncio's: it answers in capitals."""

    def __init__(self, quic: QuicConnection, stream_handler: Any = None) -> None:
        self.quic = quic
        self.seen: list[QuicEvent] = []

    def quic_event_received(self, event: QuicEvent) -> None:
        self.seen.append(event)
        if isinstance(event, StreamDataReceived):
            self.quic.send_stream_data(event.stream_id, bytes(event.data).upper(), event.end_stream)


async def test_an_engine_serves_on_a_loop_of_asyncio(endpoints: Endpoints) -> None:
    """One protocol for each connection whose handshake is complete, as long as it lives; closing tells the peers."""
    engine = QuicEngine(
        configuration=server_configuration(endpoints.certificates),
        create_protocol=lambda quic, stream_handler=None: Echo(quic, stream_handler),
    )
    engine._start_transport(port=0)
    loop = asyncio.get_running_loop()
    loop.add_reader(engine.eventfd, engine.drain_and_route)
    try:
        assert engine.port
        clients = [await connected(endpoints, engine.port, loop) for _ in range(3)]
        await until(lambda: len(engine.protocols) == 3)  # the server hears of the end of a handshake later
        for number, client in enumerate(clients):
            client.quic.send_stream_data(0, bytes([number]), end_stream=True)
            assert await client.wait_end(0) == bytes([number])
        clients[0].close()
        await clients[0].wait_closed()
        await until(lambda: len(engine.protocols) == 2)
    finally:
        loop.remove_reader(engine.eventfd)
        engine.close()
    for client in clients[1:]:
        await client.wait_closed()
    for client in clients:
        await client._stop()
    assert engine.protocols == []


async def connected(endpoints: Endpoints, port: int, loop: asyncio.AbstractEventLoop) -> Recorder:
    quic = QuicConnection(configuration=client_configuration(endpoints.certificates, server_name="localhost"))
    client = Recorder(quic)
    client.connect(("127.0.0.1", port))
    await client.wait_connected()
    return client


def both(server: QuicEngine, client: QuicConnection, condition: Callable[[], object]) -> list[QuicEvent]:
    """Drain both without a loop until the condition holds; what the client was told."""
    seen: list[QuicEvent] = []
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, seen
        select.select([server.eventfd, client.eventfd], [], [], 0.05)
        server.drain_and_route()
        while (event := client.next_event()) is not None:
            seen.append(event)
    return seen


def test_an_engine_serves_without_asyncio(endpoints: Endpoints) -> None:
    """What ``create_protocol`` returns needs no more than ``quic_event_received``."""
    protocols: list[Shout] = []

    def create(quic: QuicConnection, stream_handler: Any = None) -> Shout:
        protocols.append(Shout(quic))
        return protocols[-1]

    server = QuicEngine(configuration=server_configuration(endpoints.certificates), create_protocol=create)
    server._start_transport()
    client = QuicConnection(configuration=client_configuration(endpoints.certificates, server_name="localhost"))
    assert (client._cnx_ptr, client._created, client._connected, client._closed) == (0, False, False, False)
    assert (client._transport, client._stream_ctxs, client._negotiated_alpn(0)) == (None, {}, None)
    client._start_transport()
    assert client._transport is not None
    assert client._transport.thread_ready
    with pytest.raises(RuntimeError, match="started before"):
        client._start_transport()
    assert server.port
    client.connect(("127.0.0.1", server.port))
    assert client._created
    with pytest.raises(RuntimeError, match="called before"):
        client.connect(("127.0.0.1", server.port))
    seen = both(server, client, lambda: client.is_connected and protocols)
    client.send_stream_data(0, b"hello", True)
    handle = client._stream_ctxs[0]
    assert handle > 0
    seen += both(server, client, lambda: 0 not in client._stream_ctxs)
    assert any(isinstance(event, HandshakeCompleted) for event in seen)
    assert b"".join(bytes(event.data) for event in seen if isinstance(event, StreamDataReceived)) == b"HELLO"
    facts(client, server, protocols[0].quic)
    client.close()
    both(server, client, lambda: client._closed and not server.protocols)
    assert not client._connected
    client.stop()
    server.close()


def facts(client: QuicConnection, server: QuicEngine, peer: QuicConnection) -> None:
    """The private names agree with the public ones, and both ends with each other."""
    transport = client._transport
    assert transport is not None
    assert client._connected
    assert client._cnx_ptr not in (0, peer._cnx_ptr)
    assert client._negotiated_alpn(0) == client._negotiated_alpn(client._cnx_ptr) == client.alpn
    assert client._negotiated_alpn(peer._cnx_ptr) is None
    assert transport.started
    assert transport.eventfd == client.eventfd
    assert transport.counters["loop_callbacks"] > 0
    assert transport.tx_event_ring_drain_event.is_set()
    assert not transport.arm_tx_event_ring_drain_pending()
    assert transport.peer_address(client._cnx_ptr) == ("127.0.0.1", server.port)
    assert server._transport.peer_address(peer._cnx_ptr) == ("127.0.0.1", transport.port)
    assert transport.local_address(client._cnx_ptr) == client.local_address()
    assert transport.get_negotiated_alpn(client._cnx_ptr) == client.alpn
    assert transport.transport_parameters(client._cnx_ptr) == server._transport.transport_parameters(
        peer._cnx_ptr, local=True
    )
    assert transport.connection_ids(client._cnx_ptr) == client.connection_ids
    assert transport.path_quality(client._cnx_ptr) == client.path_quality()
    for handle in (0, 123456):
        assert transport.peer_address(handle) is transport.local_address(handle) is None
        assert transport.get_negotiated_alpn(handle) is None
        assert transport.transport_parameters(handle) == transport.connection_ids(handle) == {}
        assert transport.path_quality(handle) == {}


def test_a_connection_by_its_handle(endpoints: Endpoints) -> None:
    """``cnx_ptr`` takes over an open connection of the engine; a number that names none is refused."""
    handles: list[int] = []
    taken: list[QuicConnection] = []
    configuration = server_configuration(endpoints.certificates)

    def accept(connection: Any) -> None:
        handles.append(connection.handle)
        taken.append(QuicConnection(configuration=configuration, engine=server, cnx_ptr=connection.handle))

    server = QuicEngine(configuration=configuration, on_accept=accept)
    server._start_transport()
    client = QuicConnection(configuration=client_configuration(endpoints.certificates, server_name="localhost"))
    client.connect(("127.0.0.1", server.port or 0))
    both(server, client, lambda: client.is_connected and taken and taken[0].is_connected)
    assert taken[0]._cnx_ptr == handles[0]
    assert not taken[0]._is_client
    for engine in (server, None):
        with pytest.raises(ValueError, match="no open connection 99999"):
            QuicConnection(configuration=configuration, engine=engine, cnx_ptr=99999)
    client.stop()
    server.close()


def test_an_engine_says_why_it_cannot_start(endpoints: Endpoints) -> None:
    """A busy port, a second start, and a client's settings."""
    configuration = server_configuration(endpoints.certificates)
    first = QuicEngine(configuration=configuration, create_protocol=Shout, bind_addresses=("127.0.0.1",))
    first._start_transport(retry=True)
    assert first.settings.always_retry
    with pytest.raises(RuntimeError, match="started before"):
        first._start_transport()
    second = QuicEngine(configuration=configuration, create_protocol=Shout, bind_addresses=("127.0.0.1",))
    with pytest.raises(BindError) as caught:
        second._start_transport(port=first.port or 0)
    assert caught.value.errno == errno.EADDRINUSE
    first.close()
    with pytest.raises(ConfigurationError, match="create_protocol is for servers"):
        QuicEngine(configuration=client_configuration(endpoints.certificates), create_protocol=Shout)


async def test_a_protocol_that_cannot_be_made_costs_its_connection_alone(
    endpoints: Endpoints, loop_errors: LoopErrors
) -> None:
    """The peer is told, the loop hears of it, and the next one is served."""
    answers: list[Any] = [RuntimeError("not this one"), None]

    def create(quic: QuicConnection, stream_handler: Any = None) -> Echo:
        if isinstance(error := answers.pop(0), Exception):
            raise error
        return Echo(quic, stream_handler)

    async with endpoints.server(create) as server:
        async with endpoints.connect(server, Recorder) as client:
            await client.wait_closed()
            assert client.quic.close_reason is not None
            assert client.quic.close_reason.error_code == 1
        async with endpoints.connect(server, Recorder) as client:
            client.quic.send_stream_data(0, b"x", end_stream=True)
            assert await client.wait_end(0) == b"x"
        assert server.server._transport.port == server.server._engine._transport.port == server.server.port
    assert [str(context["exception"]) for context in loop_errors.expect()] == ["not this one"]


def event(kind: int, handle: int, data: bytes | None = None, code: int = 0) -> tuple[Any, ...]:
    return kind, 8, memoryview(data) if data is not None else None, kind == 1, code, handle, 0, 0


def test_events_of_a_programs_own_are_routed(endpoints: Endpoints) -> None:
    """``route_event`` tells the protocol of the handle, in the classes of QuicEvent; nobody for other handles."""
    protocols: list[Shout] = []

    def create(quic: QuicConnection, stream_handler: Any = None) -> Shout:
        protocols.append(Shout(quic))
        return protocols[-1]

    server = QuicEngine(configuration=server_configuration(endpoints.certificates), create_protocol=create)
    server.route_event(event(numbers.EVT_STREAM_DATA, 1, b"nobody"))
    server._start_transport()
    client = QuicConnection(configuration=client_configuration(endpoints.certificates, server_name="localhost"))
    client.connect(("127.0.0.1", server.port or 0))
    both(server, client, lambda: protocols and client.is_connected)
    handle = protocols[0].quic._cnx_ptr
    del protocols[0].seen[:]
    for kind, code in ((numbers.EVT_STREAM_RESET, 5), (numbers.EVT_STOP_SENDING, 6), (numbers.EVT_READY, 0)):
        server.route_event(event(kind, handle, code=code))
        server.route_event(event(kind, handle + 12345, code=code))
    server.route_event(event(numbers.EVT_DATAGRAM, handle, b"datagram"))
    assert protocols[0].seen == [
        StreamReset(stream_id=8, error_code=5),
        StopSendingReceived(stream_id=8, error_code=6),
        DatagramFrameReceived(data=memoryview(b"datagram")),
    ]
    client.stop()
    server.close()


def test_a_batch_loses_no_event_to_an_exception(caplog: pytest.LogCaptureFixture) -> None:
    got: list[int] = []

    def route(entry: tuple[Any, ...]) -> None:
        if entry[0] == 2:
            raise ValueError("a handler's own")
        got.append(entry[0])

    with caplog.at_level(logging.ERROR, "aiopquic.engine"):
        route_batch([(1, 0), (2, 0), (3, 0)], route)
    assert got == [1, 3]
    assert "could not be routed: (2, 0)" in caplog.text


def test_a_transport_is_drained_and_routed(endpoints: Endpoints) -> None:
    transport = TransportContext()
    transport.start(alpn="a", ca_file=endpoints.certificates.good.cert)
    got: list[tuple[Any, ...]] = []
    assert drain_and_route(transport, got.append) == 1
    assert got == [(names._EVT_READY, 0, None, False, 0, 0, 0, 0)]  # type: ignore[attr-defined]
    transport.stop()


def test_private_constants() -> None:
    """Every number of the low-level API by its older name."""
    for name in dir(numbers):
        if name.startswith(("EVT_", "TX_")):
            assert getattr(names, f"_{name}") == getattr(numbers, name)
    assert names._STREAM_RING_CAP == 1 << 20  # type: ignore[attr-defined]
