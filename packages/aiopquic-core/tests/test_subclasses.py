"""A protocol whose class gives the names of the transport other meanings, as applications with mixins do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiopquic.asyncio import QuicConnectionProtocol
from aiopquic.exceptions import ConnectionClosedError, HandshakeTimeoutError
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import ConnectionTerminated, DatagramFrameReceived, QuicEvent

from .support import Endpoints, Recorder


class Mixin:
    """What an application's session puts before the protocol class."""

    def __init__(self, *arguments: Any, session: str, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._session = session
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self.said_goodbye = False

    async def close(self, error_code: int, reason: str) -> None:
        """Not the transport's close: a coroutine, with parameters of its own."""
        self.said_goodbye = True
        super().close()  # type: ignore[misc]

    @property
    def peer_address(self) -> str:
        return "the application's"

    @property
    def connection_ids(self) -> str:
        return "the application's"

    def set_stream_priority(self, *arguments: Any) -> None:
        raise AssertionError("the transport called a method of the application")

    connect = ping = set_default_stream_priority = aclose = wait_closed = wait_created = set_stream_priority


class Session(Mixin, Recorder):  # type: ignore[misc]
    """Both."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, session="one", **keywords)


async def test_the_names_of_a_subclass_are_its_own(endpoints: Endpoints):
    """Connecting, sending, answering and leaving call none of the overridden methods."""
    async with endpoints.pair(client=Session, server=Session) as pair:
        stream_id = pair.client.quic.get_next_available_stream_id()
        pair.client.quic.send_stream_data(stream_id, b"hello", True)
        assert await pair.peer.wait_end(stream_id) == b"hello"
        pair.client.quic.send_datagram_frame(b"datagram")
        await pair.peer.wait_for(DatagramFrameReceived)
        await QuicConnectionProtocol.ping(pair.client)
    event = await pair.peer.wait_for(ConnectionTerminated)
    assert event.error_code == 0
    assert not pair.client.said_goodbye  # type: ignore[attr-defined]


async def test_an_overridden_close_reaches_the_transport(endpoints: Endpoints):
    async with endpoints.pair(client=Session) as pair:
        await pair.client.close(1, "done")  # type: ignore[func-returns-value, arg-type]
        await pair.peer.wait_for(ConnectionTerminated)


async def test_wait_created(endpoints: Endpoints):
    """Waits for the start of the handshake: returns with it, or raises when none begins or all is over."""
    async with endpoints.server() as server:
        quic = QuicConnection(configuration=endpoints.client_configuration(server_name="localhost"))
        protocol = QuicConnectionProtocol(quic)
        with pytest.raises(TimeoutError):
            await protocol.wait_created(timeout=0.01)
        waiting = [asyncio.create_task(protocol.wait_created()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        protocol.connect(("127.0.0.1", server.port))
        await asyncio.gather(*waiting[1:])
        await protocol.wait_created()
        assert protocol._transport is not None
        assert protocol._transport.eventfd == quic.eventfd >= 0
        await protocol.wait_connected()
        await protocol.aclose()
        with pytest.raises(ConnectionClosedError):
            await protocol.wait_created()
        await protocol._stop()


async def test_wait_created_when_nobody_answers(endpoints: Endpoints, unused_port: int):
    """The end of the attempt ends the wait too."""
    waiting: list[asyncio.Task[None]] = []

    class Waits(Recorder):
        def __init__(self, quic: QuicConnection, stream_handler: Any = None) -> None:
            super().__init__(quic, stream_handler)
            waiting.append(asyncio.create_task(self.wait_created(timeout=20)))

    with pytest.raises(HandshakeTimeoutError):
        async with endpoints.connect(("127.0.0.1", unused_port), Waits, handshake_timeout=0.2):
            raise AssertionError("there is nobody")
    with pytest.raises(HandshakeTimeoutError):
        await waiting[0]


async def test_process_events(endpoints: Endpoints):
    """What waits is handed over at once, not at the loop's next turn."""
    events: list[QuicEvent] = []

    class Keeps(Recorder):
        def quic_event_received(self, event: QuicEvent) -> None:
            super().quic_event_received(event)
            events.append(event)

    async with endpoints.pair(client=Keeps) as pair:
        pair.client.quic.close(5)
        while not any(isinstance(event, ConnectionTerminated) for event in events):
            pair.client._process_events()
