"""``TransportContext``: events as tuples, commands as calls. asyncio only watches its descriptor here."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

from aiopquic._binding._transport import (
    EVT_APP_CLOSE,
    EVT_CLOSE,
    EVT_READY,
    EVT_STREAM_DATA,
    EVT_STREAM_DESTROY,
    EVT_STREAM_FIN,
    EVT_STREAM_TX_DRAINED,
    TransportContext,
)
from aiopquic.exceptions import CloseKind, CloseReason

from .shape import ALPN, HOST, Connection, Handler, Job, settings_of

__all__ = ["SERVER_NAME", "LowStream", "LowTransport", "library"]

#: What the server's certificate is for.
SERVER_NAME = "localhost"

#: A write is all or nothing: what is longer than a part of the budget goes in pieces.
PIECE = 1 << 18


class LowStream:
    """A stream of a transport."""

    def __init__(self, connection: LowConnection, stream_id: int) -> None:
        self._connection = connection
        self._id = stream_id
        self._chunks: deque[memoryview] = deque()
        self._has_end = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    @property
    def is_client(self) -> bool:
        """Of the connection."""
        return self._connection.is_client

    async def write(self, data: bytes | memoryview, end: bool = False) -> None:
        """Write all of ``data``; waits for room."""
        if len(data) <= PIECE:
            await self._write(data, end)
            return
        view = memoryview(data)
        for start in range(0, len(view), PIECE):
            await self._write(view[start : start + PIECE], end and start + PIECE >= len(view))

    async def _write(self, data: bytes | memoryview, end: bool) -> None:
        connection = self._connection
        while True:
            if connection.end is not None:
                raise connection.end.exception()
            try:
                connection.transport.tx_send_stream(connection.handle, self._id, data, end)
                return
            except BufferError:  # the event of room follows by itself
                self._writer = asyncio.get_running_loop().create_future()
                await self._writer

    async def read_chunk(self) -> memoryview | None:
        """The next bytes, None at the end."""
        while not self._chunks:
            if self._has_end:
                return None
            if self._connection.end is not None:
                raise self._connection.end.exception()
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        return self._chunks.popleft()

    def feed(self, data: memoryview | None, has_end: bool) -> None:
        """Bytes, or the end, have arrived."""
        if data:
            self._chunks.append(data)
        self._has_end = self._has_end or has_end
        _wake(self._reader)

    def writable(self) -> None:
        """There is room again."""
        _wake(self._writer)

    def connection_ended(self) -> None:
        """Whoever waits has to look."""
        _wake(self._reader)
        _wake(self._writer)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class LowConnection:
    """A connection of a transport."""

    def __init__(self, transport: TransportContext, handle: int, *, is_client: bool) -> None:
        self.transport = transport
        self.handle = handle
        self.is_client = is_client
        self.end: CloseReason | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self._streams: dict[int, LowStream] = {}
        self._next_id = 0 if is_client else 1
        self._incoming: asyncio.Queue[LowStream | None] = asyncio.Queue()

    async def open_stream(self) -> LowStream:
        """Open a bidirectional stream: it is there with its first bytes."""
        stream = self._streams[self._next_id] = LowStream(self, self._next_id)
        self._next_id += 4
        return stream

    async def incoming_streams(self) -> AsyncIterator[LowStream]:
        """The peer's streams, until the end of the connection."""
        while (stream := await self._incoming.get()) is not None:
            yield stream

    def close(self, code: int = 0, reason: str = "", /) -> None:
        """Close the connection."""
        if self.end is None:
            self.transport.close_connection(self.handle, code, reason.encode())

    def abort(self) -> None:
        """Close the connection with an error."""
        self.close(1)

    def take(self, kind: int, stream_id: int, data: memoryview | None, code: int) -> None:
        """An event of this connection."""
        if kind in (EVT_STREAM_DATA, EVT_STREAM_FIN):
            stream = self._streams.get(stream_id)
            if stream is None:
                stream = self._streams[stream_id] = LowStream(self, stream_id)
                self._incoming.put_nowait(stream)
            stream.feed(data, kind == EVT_STREAM_FIN)
        elif kind == EVT_STREAM_TX_DRAINED:
            if stream_id in self._streams:
                self._streams[stream_id].writable()
        elif kind == EVT_READY:
            _wake(self.ready)
        elif kind in (EVT_CLOSE, EVT_APP_CLOSE):
            self._over(CloseKind.APPLICATION if kind == EVT_APP_CLOSE else CloseKind.TRANSPORT, code)

    def forget(self, stream_id: int) -> None:
        """The stream is over in both directions; whoever has it still reads what is there."""
        self._streams.pop(stream_id, None)

    def _over(self, kind: CloseKind, code: int) -> None:
        self.end = CloseReason(kind, error_code=code)
        if not self.ready.done():
            self.ready.set_exception(self.end.exception())
            self.ready.exception()  # it may be that nobody waits for it
        for stream in self._streams.values():
            stream.connection_ended()
        self._streams.clear()
        self._incoming.put_nowait(None)
        self.ended.set()


class LowTransport:
    """A transport whose events go to the connections that they belong to."""

    def __init__(self, settings: Mapping[str, Any], handler: Callable[[Any], Awaitable[None]] | None = None) -> None:
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._connections: dict[int, LowConnection] = {}
        self._tasks: set[asyncio.Future[None]] = set()
        self.context = TransportContext()
        self.context.start(alpn_list=[ALPN], **settings)
        self._loop.add_reader(self.context.eventfd, self._drain)

    @property
    def port(self) -> int:
        """Of a server."""
        return self.context.port

    def connect(self, port: int) -> LowConnection:
        """Begin a connection to a port of this host."""
        handle = self.context.create_client_connection(HOST, port, sni=SERVER_NAME, alpn=ALPN)
        connection = self._connections[handle] = LowConnection(self.context, handle, is_client=True)
        return connection

    async def aclose(self) -> None:
        """End the handlers, the connections, and the network thread."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.stop()

    def stop(self) -> None:
        """End the network thread."""
        self._loop.remove_reader(self.context.eventfd)
        self.context.stop()

    def _drain(self) -> None:
        for kind, stream_id, data, _, code, handle, _, _ in self.context.drain_rx():
            connection = self._connections.get(handle)
            if connection is None:
                if kind == EVT_READY and handle and self._handler is not None:
                    self._accept(handle, self._handler)
                continue
            if kind == EVT_STREAM_DESTROY:
                connection.forget(stream_id)
                continue
            connection.take(kind, stream_id, data, code)
            if connection.end is not None:
                del self._connections[handle]

    def _accept(self, handle: int, handler: Callable[[Any], Awaitable[None]]) -> None:
        connection = self._connections[handle] = LowConnection(self.context, handle, is_client=False)
        task: asyncio.Future[None] = asyncio.ensure_future(handler(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class library:
    """Connections by transports, those of a client all by one."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._settings = settings_of(job)

    @asynccontextmanager
    async def connect(self, port: int) -> AsyncIterator[Connection]:
        transport = LowTransport({"is_client": True, "ca_file": self._job.authority, **self._settings})
        connection = transport.connect(port)
        try:
            await connection.ready
            yield cast("Connection", connection)
        finally:
            connection.close()
            await connection.ended.wait()
            transport.stop()

    @asynccontextmanager
    async def serve(self, handler: Handler) -> AsyncIterator[int]:
        settings = {"is_client": False, "host": HOST, "max_connections": 4096, "initial_max_streams_bidi": 4096}
        files = {"cert_file": self._job.certificate, "key_file": self._job.private_key}
        transport = LowTransport({**settings, **files, **self._settings}, handler)
        try:
            yield transport.port
        finally:
            await transport.aclose()
