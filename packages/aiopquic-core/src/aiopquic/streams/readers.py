"""asyncio's readers and writers: code that was written for TCP streams keeps its shape."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from aiopquic._files import StrPath
from aiopquic.exceptions import ConfigurationError, QuicConnectionError, StreamError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.stream_transport import StreamTransport
from aiopquic.streams._opening import Opening
from aiopquic.streams.client import connect
from aiopquic.streams.connection import Connection
from aiopquic.streams.server import Server, serve
from aiopquic.streams.settings import ClientSettings, ServerSettings
from aiopquic.streams.stream import Stream

if TYPE_CHECKING:
    from aiopquic.quic.incoming import IncomingCallback

__all__ = ["ClientConnected", "open_connection", "start_server"]

#: Bytes that a reader holds before its peer is held at the window, as in asyncio.
READER_LIMIT = 1 << 16

ClientConnected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]


async def open_connection(
    host: str,
    port: int,
    *,
    alpn: Sequence[str] | None = None,
    limit: int = READER_LIMIT,
    configuration: QuicConfiguration | None = None,
    local_port: int = 0,
    shared: bool = True,
    **settings: Unpack[ClientSettings],
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect and open one bidirectional stream, as asyncio's reader and writer.

    ``await writer.drain()`` waits until what was written is within the send budgets. ``writer.write_eof()`` ends the
    sending side. ``writer.close()`` closes the connection when the peer has acknowledged what was written, and
    ``await writer.wait_closed()`` waits for that. A reader that nobody reads holds the peer at its window.
    ``writer.get_extra_info("connection")`` is the :class:`Connection`.

    ``limit`` is how many bytes the reader holds, as in :func:`asyncio.open_connection`; everything else is as in
    :func:`aiopquic.connect`.

    Raises:
        ConfigurationError, OSError, QuicConnectionError: as :func:`aiopquic.connect`.

    Cancellation: safe; the connection is closed.
    """
    _check_limit(limit)
    conn = await connect(
        host, port, alpn=alpn, configuration=configuration, local_port=local_port, shared=shared, **settings
    )
    try:
        stream = await conn.open_stream()
    except BaseException:
        conn.close()
        raise
    adapter = _Adapter(stream, limit, closes_connection=True)
    return adapter.reader, adapter.writer


def start_server(
    client_connected_cb: ClientConnected,
    host: str | None,
    port: int,
    *,
    alpn: Sequence[str] | None = None,
    certificate: StrPath | None = None,
    private_key: StrPath | None = None,
    incoming: IncomingCallback | None = None,
    retry: bool = False,
    workers: int = 1,
    limit: int = READER_LIMIT,
    configuration: QuicConfiguration | None = None,
    **settings: Unpack[ServerSettings],
) -> Opening[Server]:
    """Call ``client_connected_cb(reader, writer)`` for every bidirectional stream that a client opens.

    The callback is a function or a coroutine function; a coroutine runs in a task that the server owns. One that
    raises is told to the loop's exception handler and costs its stream a reset, as does one that is cancelled.
    ``writer.close()`` ends the stream: sending is finished, and the peer is asked to stop unless it has ended; ``await
    writer.wait_closed()`` waits until the peer has acknowledged everything. The connection goes on until the client
    closes it. One-way streams are not allowed to clients, unless ``max_streams_uni`` or a ``configuration`` is given.

    Use the result as ``async with start_server(...) as server``, or ``server = await start_server(...)``.

    ``limit`` is how many bytes a reader holds, as in :func:`asyncio.start_server`; everything else is as in
    :func:`aiopquic.serve`.

    Raises:
        ConfigurationError, OSError: as :func:`aiopquic.serve`.
    """
    _check_limit(limit)
    if not callable(client_connected_cb):
        raise ConfigurationError(f"client_connected_cb takes a reader and a writer, not {client_connected_cb!r}")
    if configuration is None:
        settings.setdefault("max_streams_uni", 0)

    async def handle(conn: Connection) -> None:
        await _handle_streams(conn, client_connected_cb, limit)

    return serve(
        handle,
        host,
        port,
        alpn=alpn,
        certificate=certificate,
        private_key=private_key,
        incoming=incoming,
        retry=retry,
        workers=workers,
        configuration=configuration,
        **settings,
    )


async def _handle_streams(conn: Connection, callback: ClientConnected, limit: int) -> None:
    """One task per stream; all of them end before the connection's handler does."""
    tasks: set[asyncio.Task[None]] = set()
    try:
        async for stream in conn.incoming_streams(bidirectional=True):
            adapter = _Adapter(stream, limit, closes_connection=False)
            task = asyncio.get_running_loop().create_task(_call(callback, adapter))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        raise
    finally:
        if tasks:
            await asyncio.wait(tasks)


async def _call(callback: ClientConnected, adapter: _Adapter) -> None:
    try:
        result = callback(adapter.reader, adapter.writer)
        if result is not None:
            await result
    except asyncio.CancelledError:
        adapter.writer.transport.abort()
        raise
    except Exception as error:
        adapter.writer.transport.abort()
        if not isinstance(error, QuicConnectionError):
            context = {"message": "aiopquic: client_connected_cb raised", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)


class _Adapter:
    """A stream's reader and writer, what keeps the reader fed, and what the writer's transport writes to."""

    def __init__(self, stream: Stream, limit: int, *, closes_connection: bool) -> None:
        loop = asyncio.get_running_loop()
        self._stream = stream
        self._closes_connection = closes_connection
        self._closer: asyncio.Task[None] | None = None
        self._may_feed = asyncio.Event()
        self._may_feed.set()
        self._transport = StreamTransport(self, stream.id, loop)
        self.reader = asyncio.StreamReader(limit=limit, loop=loop)
        self.reader.set_transport(self._transport)
        # Without a reader: its failure is none of the writer's, for the directions of a stream end apart.
        self.writer = asyncio.StreamWriter(self._transport, self._transport.protocol, None, loop)
        self._feeder = loop.create_task(self._feed())

    async def _feed(self) -> None:
        try:
            async for chunk in self._stream:
                self.reader.feed_data(chunk)
                await self._may_feed.wait()
            self.reader.feed_eof()
        except (StreamError, QuicConnectionError) as error:
            if self._transport.is_closing() and self._stream.reset_code is None:
                self.reader.feed_eof()  # closed by this side: as a socket that was closed
            else:
                self.reader.set_exception(error)
                if isinstance(error, QuicConnectionError):
                    self._transport.fail(error)

    async def _close(self) -> None:
        """After the transport was closed: nothing more is written, and nobody reads."""
        await self._transport.sent()
        try:
            if self._closes_connection:
                await self._stream.connection.aclose()
            else:
                self._stream.stop()
                await self._stream.wait_acked()
        except (StreamError, QuicConnectionError) as error:
            self._transport.fail(error)
        else:
            self._transport.finish()

    # ---- Outlet ----

    @property
    def bytes_waiting(self) -> int:
        return self._stream.bytes_waiting

    def send_now(self, data: bytes | bytearray | memoryview, end_stream: bool) -> bool:
        if len(data) > self._stream.connection._sender.budget:
            return False
        if end_stream and self._stream.stop_code is not None and len(data) == 0:
            return True  # the peer wants no more: it need not hear of the end
        return self._stream.try_write(data, end_stream)

    async def send(self, data: bytes, end_stream: bool) -> None:
        await self._stream.write(data, end_stream)

    def reset(self) -> None:
        self._stream.reset()

    def hold(self) -> None:
        self._may_feed.clear()

    def let_go(self) -> None:
        self._may_feed.set()

    def closing(self) -> None:
        self._may_feed.set()
        self._closer = asyncio.get_running_loop().create_task(self._close())

    def extra_info(self, name: str) -> Any:
        conn = self._stream.connection
        known = {"peername": "peer_address", "sockname": "local_address"}
        if name in known:
            return getattr(conn, known[name])
        return {"connection": conn, "stream": self._stream}.get(name)


def _check_limit(limit: int) -> None:
    if not isinstance(limit, int) or limit <= 0:
        raise ConfigurationError(f"limit is a number of bytes, not {limit!r}")
