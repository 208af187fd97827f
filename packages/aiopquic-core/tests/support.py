"""What the tests share: protocols that record, a pair of connected ones, waiting with a deadline."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from aiopquic.asyncio import QuicConnectionProtocol, QuicServer, connect, serve
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import QuicEvent, StreamDataReceived
from aiopquic.quic.streams import stream_is_client_initiated, stream_is_unidirectional

from .certificates import Certificates

#: Seconds until a test gives up waiting for something that should come at once.
DEADLINE = 20.0
#: Seconds between two looks at something that tells nobody when it changes.
POLL_INTERVAL = 0.002

ALPN = "test"

E = TypeVar("E", bound=QuicEvent)


async def until(condition: Callable[[], object], what: str = "the condition", timeout: float = DEADLINE) -> None:
    """Wait for something that has no event of its own."""
    try:
        async with asyncio.timeout(timeout):
            while not condition():  # noqa: ASYNC110 - nobody tells of the change
                await asyncio.sleep(POLL_INTERVAL)
    except TimeoutError:
        raise AssertionError(f"{what} did not come true within {timeout} s") from None


class Changes:
    """Wakes whoever waits for the next change."""

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    def tell(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_for(
        self, condition: Callable[[], object], what: str | Callable[[], str], timeout: float = DEADLINE
    ) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.append(waiter)
                    await waiter
        except TimeoutError:
            what = what if isinstance(what, str) else what()
            raise AssertionError(f"{what} within {timeout} s") from None


class Recorder(QuicConnectionProtocol):
    """Keeps every event, and the bytes of every stream, for a test to wait for."""

    def __init__(self, quic: QuicConnection, stream_handler: Any = None) -> None:
        super().__init__(quic, stream_handler)
        self.quic = quic
        self.events: list[QuicEvent] = []
        "Every event but StreamDataReceived."
        self.data: defaultdict[int, bytearray] = defaultdict(bytearray)
        self.chunks: list[tuple[int, int]] = []
        "Stream id and length of each StreamDataReceived."
        self.ended: set[int] = set()
        self.changes = Changes()

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            self.chunks.append((event.stream_id, len(event.data)))
            self.keep(event.stream_id, event.data)
            if event.end_stream:
                assert event.stream_id not in self.ended, "two ends of one stream"
                self.ended.add(event.stream_id)
        else:
            self.events.append(event)
        self.changes.tell()

    def keep(self, stream_id: int, data: memoryview) -> None:
        self.data[stream_id] += data

    def seen(self, kind: type[E], **fields: object) -> list[E]:
        """The events of that kind with those fields, so far."""
        return [
            event
            for event in self.events
            if isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items())
        ]

    async def wait_for(self, kind: type[E], timeout: float = DEADLINE, **fields: object) -> E:
        """The first event of that kind with those fields, once it is there."""

        def what() -> str:
            return f"no {kind.__name__}({fields}) among {self.events}"

        await self.changes.wait_for(lambda: self.seen(kind, **fields), what, timeout)
        return self.seen(kind, **fields)[0]

    async def wait_end(self, stream_id: int, timeout: float = DEADLINE) -> bytes:
        """All bytes of the stream, once it has ended."""
        await self.changes.wait_for(
            lambda: stream_id in self.ended,
            lambda: f"no end of stream {stream_id}: {dict(self.lengths)}",
            timeout,
        )
        return bytes(self.data[stream_id])

    async def wait_bytes(self, stream_id: int, count: int, timeout: float = DEADLINE) -> bytes:
        """The bytes of the stream, once there are ``count``."""
        await self.changes.wait_for(
            lambda: len(self.data[stream_id]) >= count,
            lambda: f"no {count} bytes: {dict(self.lengths)}",
            timeout,
        )
        return bytes(self.data[stream_id])

    @property
    def lengths(self) -> dict[int, int]:
        return {stream_id: len(data) for stream_id, data in self.data.items()}


class Echo(Recorder):
    """Sends back what it gets on the peer's bidirectional streams, in order, however much."""

    def __init__(self, quic: QuicConnection, stream_handler: Any = None) -> None:
        super().__init__(quic, stream_handler)
        self._queues: dict[int, asyncio.Queue[tuple[bytes, bool]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def quic_event_received(self, event: QuicEvent) -> None:
        super().quic_event_received(event)
        if isinstance(event, StreamDataReceived) and self._is_echoed(event.stream_id):
            if event.stream_id not in self._queues:
                self._queues[event.stream_id] = asyncio.Queue()
                task = asyncio.get_running_loop().create_task(self._send(event.stream_id))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            self._queues[event.stream_id].put_nowait((bytes(event.data), event.end_stream))

    def keep(self, stream_id: int, data: memoryview) -> None:
        """Not kept."""

    def _is_echoed(self, stream_id: int) -> bool:
        is_own = stream_is_client_initiated(stream_id) == self._quic.configuration.is_client
        return not is_own and not stream_is_unidirectional(stream_id)

    async def _send(self, stream_id: int) -> None:
        end = False
        try:
            while not end:
                data, end = await self._queues[stream_id].get()
                await self._quic.send_stream_data_drained(stream_id, data, end)
        except ConnectionError:
            pass
        finally:
            del self._queues[stream_id]

    def close_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()


@dataclass
class Pair:
    """A client's protocol, and the server's for the same connection."""

    server: QuicServer
    client: Recorder
    peer: Recorder


def client_configuration(certificates: Certificates, **settings: Any) -> QuicConfiguration:
    settings.setdefault("alpn_protocols", [ALPN])
    settings.setdefault("cafile", certificates.good.cert)
    return QuicConfiguration(is_client=True, **settings)


def server_configuration(certificates: Certificates, **settings: Any) -> QuicConfiguration:
    settings.setdefault("alpn_protocols", [ALPN])
    settings.setdefault("certificate_file", certificates.good.cert)
    settings.setdefault("private_key_file", certificates.good.key)
    return QuicConfiguration(is_client=False, **settings)


class Endpoints:
    """Starts servers and connects to them with this run's certificates."""

    def __init__(self, certificates: Certificates) -> None:
        self.certificates = certificates

    @asynccontextmanager
    async def server(
        self,
        protocol: Callable[..., Recorder] = Recorder,
        *,
        host: str = "127.0.0.1",
        stream_handler: Any = None,
        **settings: Any,
    ) -> AsyncIterator[RunningServer]:
        peers: list[Recorder] = []
        changes = Changes()

        def create(quic: QuicConnection, stream_handler: Any = None) -> Recorder:
            peers.append(protocol(quic, stream_handler=stream_handler))
            changes.tell()
            return peers[-1]

        configuration = server_configuration(self.certificates, **settings)
        server = await serve(
            host, 0, configuration=configuration, create_protocol=create, stream_handler=stream_handler
        )
        running = RunningServer(server, host, peers, changes)
        try:
            yield running
        finally:
            for peer in peers:
                if isinstance(peer, Echo):
                    peer.close_tasks()
            await server.aclose()

    def connect(
        self,
        server: RunningServer,
        protocol: Callable[..., Recorder] = Recorder,
        *,
        host: str | None = None,
        stream_handler: Any = None,
        wait_connected: bool = True,
        **settings: Any,
    ) -> Any:
        return connect(
            host or server.host,
            server.port,
            configuration=client_configuration(self.certificates, **settings),
            create_protocol=protocol,
            stream_handler=stream_handler,
            wait_connected=wait_connected,
        )

    @asynccontextmanager
    async def pair(
        self,
        client: Callable[..., Recorder] = Recorder,
        server: Callable[..., Recorder] = Recorder,
        *,
        client_settings: dict[str, Any] | None = None,
        server_settings: dict[str, Any] | None = None,
        stream_handler: Any = None,
        **settings: Any,
    ) -> AsyncIterator[Pair]:
        """A connection; ``settings`` go to both sides, ``stream_handler`` to the server."""
        async with (
            self.server(server, stream_handler=stream_handler, **settings, **(server_settings or {})) as running,
            self.connect(running, client, **settings, **(client_settings or {})) as protocol,
        ):
            yield Pair(running.server, protocol, await running.peer())


@dataclass
class RunningServer:
    server: QuicServer
    host: str
    peers: list[Recorder]
    changes: Changes

    @property
    def port(self) -> int:
        return self.server.port

    async def peer(self, number: int = 0) -> Recorder:
        """The protocol of the connection that was accepted as the ``number``-th."""
        await self.changes.wait_for(lambda: len(self.peers) > number, "no connection was accepted")
        return self.peers[number]


async def write_when_possible(protocol: Recorder, stream_id: int, data: bytes, end_stream: bool = False) -> int:
    """Retry ``send_stream_data`` with the same data until it is taken; returns how often it was refused."""
    refusals = 0
    while True:
        try:
            protocol.quic.send_stream_data(stream_id, data, end_stream)
            return refusals
        except BufferError:
            refusals += 1
            await asyncio.sleep(POLL_INTERVAL)


async def round_trips(pair: Pair, count: int = 3) -> None:
    """Exchange bytes on other streams: what was on its way has arrived then."""
    for _ in range(count):
        stream_id = pair.client.quic.get_next_available_stream_id()
        pair.client.quic.send_stream_data(stream_id, b"?", end_stream=True)
        if not isinstance(pair.peer, Echo):
            assert await pair.peer.wait_end(stream_id) == b"?"
            pair.peer.quic.send_stream_data(stream_id, b"?", end_stream=True)
        assert await pair.client.wait_end(stream_id) == b"?"
