"""``aiopquic.asyncio``, by the names that every release of aiopquic has: events in, awaited writes out."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from aiopquic.asyncio import QuicConnectionProtocol
from aiopquic.asyncio import connect as asyncio_connect
from aiopquic.asyncio import serve as asyncio_serve
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.events import ConnectionTerminated, DatagramFrameReceived, StreamDataReceived

from .shape import ALPN, HOST, Connection, Handler, Job, Stream, free_port, settings_of

__all__ = ["library"]


class EventStream:
    """A stream whose bytes come as events."""

    def __init__(self, protocol: Protocol, stream_id: int) -> None:
        self._protocol = protocol
        self._id = stream_id
        self._chunks: deque[memoryview] = deque()
        self._has_end = False
        self._reader: asyncio.Future[None] | None = None

    async def write(self, data: bytes, end: bool = False) -> None:
        await self._protocol.quic.send_stream_data_drained(self._id, data, end)

    async def write_raw(self, data: bytes) -> None:
        while True:
            try:
                self._protocol.quic.send_stream_data(self._id, data)
            except BufferError:
                await asyncio.sleep(0)
            else:
                return

    async def read_chunk(self) -> memoryview | None:
        while not self._chunks:
            if self._has_end:
                return None
            if self._protocol.is_over:
                raise ConnectionError("the connection ended")
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        return self._chunks.popleft()

    def feed(self, event: StreamDataReceived) -> None:
        if event.data:
            self._chunks.append(event.data)
        self._has_end = self._has_end or event.end_stream
        self.wake()

    def wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class Protocol(QuicConnectionProtocol):
    """Sorts the events of a connection by their streams."""

    def __init__(self, quic: Any, stream_handler: Any = None) -> None:
        super().__init__(quic, stream_handler)
        self.quic = quic
        self.is_over = False
        self._streams: dict[int, EventStream] = {}
        self._incoming: asyncio.Queue[Stream | None] = asyncio.Queue()
        self._datagrams: asyncio.Queue[bytes | None] = asyncio.Queue()

    def quic_event_received(self, event: Any) -> None:
        if isinstance(event, StreamDataReceived):
            stream = self._streams.get(event.stream_id)
            if stream is None:
                stream = self._streams[event.stream_id] = EventStream(self, event.stream_id)
                self._incoming.put_nowait(stream)
            stream.feed(event)
            if event.end_stream:
                del self._streams[event.stream_id]
        elif isinstance(event, DatagramFrameReceived):
            self._datagrams.put_nowait(bytes(event.data))
        elif isinstance(event, ConnectionTerminated):
            self.is_over = True
            for stream in self._streams.values():
                stream.wake()
            self._streams.clear()
            self._incoming.put_nowait(None)
            self._datagrams.put_nowait(None)

    async def open_stream(self) -> Stream:
        stream_id = self.quic.get_next_available_stream_id()
        stream = self._streams[stream_id] = EventStream(self, stream_id)
        return stream

    async def incoming_streams(self) -> AsyncIterator[Stream]:
        while (stream := await self._incoming.get()) is not None:
            yield stream

    async def incoming_datagrams(self) -> AsyncIterator[bytes]:
        while (datagram := await self._datagrams.get()) is not None:
            yield datagram

    async def send_datagram(self, data: bytes) -> None:
        # Returns 0 and clears the event while there is no room.
        while not self.quic.send_datagram_frame(data):
            await self.quic.get_datagram_tx_drain_event().wait()

    def abort(self) -> None:
        self.quic.close(error_code=1)


class library:
    """Connections by aiopquic.asyncio."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._settings = {"alpn_protocols": [ALPN], **settings_of(job)}

    @asynccontextmanager
    async def connect(self, port: int) -> AsyncIterator[Connection]:
        configuration = QuicConfiguration(
            is_client=True, cafile=self._job.authority, server_name="localhost", **self._settings
        )
        async with asyncio_connect(HOST, port, configuration=configuration, create_protocol=Protocol) as protocol:
            yield cast("Connection", protocol)

    @asynccontextmanager
    async def serve(self, handler: Handler) -> AsyncIterator[int]:
        tasks: set[asyncio.Future[None]] = set()

        def create(quic: Any, stream_handler: Any = None) -> Protocol:
            protocol = Protocol(quic, stream_handler)
            task = asyncio.ensure_future(handler(cast("Connection", protocol)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            return protocol

        port = free_port()
        configuration = QuicConfiguration(
            is_client=False, certificate_file=self._job.certificate, private_key_file=self._job.private_key,
            max_connections=4096, max_streams_bidi=4096, **self._settings,
        )  # fmt: skip
        server = await asyncio_serve(HOST, port, configuration=configuration, create_protocol=create)
        try:
            yield port
        finally:
            for task in tuple(tasks):
                task.cancel()
            closing: object = cast("Any", server).close()
            if inspect.isawaitable(closing):
                await closing
