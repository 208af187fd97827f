"""``aiopquic.asyncio``: events of a QuicConnectionProtocol, and awaited writes (``send_stream_data_drained``)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

from aiopquic.asyncio import QuicConnectionProtocol
from aiopquic.asyncio import connect as asyncio_connect
from aiopquic.asyncio import serve as asyncio_serve
from aiopquic.exceptions import CloseReason
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import ConnectionTerminated, HandshakeCompleted, QuicEvent, StreamDataReceived
from aiopquic_bench.apis.shape import HOST, Connection, Handler, Server, Stream

__all__ = ["StreamsProtocol", "connect", "connect_early", "serve"]


class EventStream:
    """A stream whose bytes come as events."""

    def __init__(self, protocol: StreamsProtocol, stream_id: int) -> None:
        self._protocol = protocol
        self._id = stream_id
        self._chunks: deque[memoryview] = deque()
        self._has_end = False
        self._reader: asyncio.Future[None] | None = None

    async def write(self, data: bytes | memoryview, end_stream: bool = False) -> None:
        """Write all of ``data``; waits for room."""
        await self._protocol.quic.send_stream_data_drained(self._id, data, end_stream)

    async def read_chunk(self) -> memoryview | None:
        """The next bytes, None at the end."""
        while not self._chunks:
            if self._has_end:
                return None
            if self._protocol.end is not None:
                raise self._protocol.end.exception()
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        return self._chunks.popleft()

    def feed(self, event: StreamDataReceived) -> None:
        """Bytes, or the end, have arrived."""
        if event.data:
            self._chunks.append(event.data)
        self._has_end = self._has_end or event.end_stream
        self.wake()

    def wake(self) -> None:
        """Have the reader look."""
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class StreamsProtocol(QuicConnectionProtocol):
    """Sorts the events of a connection by their streams."""

    def __init__(self, quic: QuicConnection, stream_handler: Any = None) -> None:
        super().__init__(quic, stream_handler)
        self.quic = quic
        self.end: CloseReason | None = None
        self.session_resumed = False
        self.early_data_accepted = False
        self._streams: dict[int, EventStream] = {}
        "Those whose end has not arrived."
        self._incoming: asyncio.Queue[EventStream | None] = asyncio.Queue()

    def quic_event_received(self, event: QuicEvent) -> None:
        """Called by aiopquic with each event."""
        if isinstance(event, StreamDataReceived):
            stream = self._streams.get(event.stream_id)
            if stream is None:
                stream = self._streams[event.stream_id] = EventStream(self, event.stream_id)
                self._incoming.put_nowait(stream)
            stream.feed(event)
            if event.end_stream:
                del self._streams[event.stream_id]
        elif isinstance(event, HandshakeCompleted):
            self.session_resumed = event.session_resumed
            self.early_data_accepted = event.early_data_accepted
        elif isinstance(event, ConnectionTerminated):
            self.end = event.close_reason
            for stream in self._streams.values():
                stream.wake()
            self._streams.clear()
            self._incoming.put_nowait(None)

    async def open_stream(self) -> Stream:
        """Open a bidirectional stream."""
        stream_id = self.quic.get_next_available_stream_id()
        stream = self._streams[stream_id] = EventStream(self, stream_id)
        return stream

    async def incoming_streams(self) -> AsyncIterator[Stream]:
        """The peer's streams, until the end of the connection."""
        while (stream := await self._incoming.get()) is not None:
            yield stream


def connect(port: int, configuration: QuicConfiguration) -> AbstractAsyncContextManager[Connection]:
    """Connect to a port of this host."""
    manager = asyncio_connect(HOST, port, configuration=configuration, create_protocol=StreamsProtocol)
    return cast("AbstractAsyncContextManager[Connection]", manager)


def connect_early(port: int, configuration: QuicConfiguration) -> AbstractAsyncContextManager[Connection]:
    """The same, entered at once: what is written before the handshake is complete goes out with its first packet."""
    manager = asyncio_connect(
        HOST, port, configuration=configuration, create_protocol=StreamsProtocol, wait_connected=False
    )
    return cast("AbstractAsyncContextManager[Connection]", manager)


@asynccontextmanager
async def serve(handler: Handler, configuration: QuicConfiguration, workers: int) -> AsyncIterator[Server]:
    """Serve on a port that the system chooses."""
    tasks: set[asyncio.Future[None]] = set()

    def create(quic: QuicConnection, stream_handler: Any = None) -> StreamsProtocol:
        protocol = StreamsProtocol(quic, stream_handler)
        task = asyncio.ensure_future(handler(cast("Connection", protocol)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return protocol

    server = await asyncio_serve(HOST, 0, configuration=configuration, create_protocol=create, workers=workers)
    try:
        yield server
    finally:
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.aclose()
