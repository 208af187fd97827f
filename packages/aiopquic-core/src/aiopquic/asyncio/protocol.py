"""The class that programs derive from to receive a connection's events."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aiopquic.asyncio.streams import StreamAdapter
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    PingAcknowledged,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)
from aiopquic.quic.waiters import can_hear

if TYPE_CHECKING:
    from aiopquic.quic.compat import TransportNames

__all__ = ["QuicConnectionProtocol", "StreamHandler"]

StreamHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]

#: What leaving a context manager waits for at most, in seconds: the end of a connection is an instant away.
CLOSE_TIMEOUT = 2.0

#: The uids of ping() are the upper half of the numbers; a program's own send_ping() has the others for itself.
PING_UIDS = 1 << 63


class QuicConnectionProtocol:
    """One connection on an asyncio loop. Override :meth:`quic_event_received` to see its events.

    With a ``stream_handler``, streams that the peer opens come as asyncio readers and writers instead: it is called
    with ``(reader, writer)`` and may be a coroutine function.
    """

    def __init__(self, quic: QuicConnection, stream_handler: StreamHandler | None = None) -> None:
        self._quic = quic
        self._stream_handler = stream_handler
        self._loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._closed = asyncio.Event()
        self._connected_waiter: asyncio.Future[None] | None = None
        self._created_waiter: asyncio.Future[None] | None = None
        self._pings: dict[int, asyncio.Future[None]] = {}
        self._ping_uids = itertools.count(PING_UIDS)
        self._adapters: dict[int, StreamAdapter] = {}
        self._handler_tasks: set[asyncio.Task[Any]] = set()
        quic._on_created = self._connection_created
        quic._on_stream_over = self._stream_over

    # ---- overridable ----

    def quic_event_received(self, event: QuicEvent) -> None:
        """Called with each event, on the loop. An exception is logged and costs no other event.

        Backpressure: the bytes of a ``StreamDataReceived`` count as consumed when this returns, and the peer may send
        more; to hold it at its window, call ``self._quic.pause_reading(stream_id)``.
        """

    # ---- for programs ----

    def connect(self, addr: tuple[str, int]) -> None:
        """Start a client's handshake with an IP literal and a port."""
        self._quic.connect(addr)
        self._start(self._loop)

    async def wait_created(self, timeout: float = 5.0) -> None:
        """Wait until the handshake has begun, ``timeout`` seconds at most: from then on streams can be written.

        Raises:
            TimeoutError: it has not.
            QuicConnectionError: the connection ended before; the subclass and ``close_reason`` say why.

        Cancellation: safe.
        """
        if self._quic.close_reason is not None:
            raise self._quic.close_reason.exception()
        if self._quic._connection is not None:
            return
        if self._created_waiter is None:
            self._created_waiter = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(timeout):
            await asyncio.shield(self._created_waiter)

    async def wait_connected(self) -> None:
        """Wait for the end of the handshake.

        Raises:
            QuicConnectionError: it failed; the subclass and ``close_reason`` say why.

        Cancellation: safe.
        """
        if self._quic.close_reason is not None:
            raise self._quic.close_reason.exception()
        if self._quic.is_connected:
            return
        if self._connected_waiter is None:
            self._connected_waiter = self._loop.create_future()
        await asyncio.shield(self._connected_waiter)

    async def wait_closed(self) -> None:
        """Wait for the end of the connection. Cancellation: safe."""
        await self._closed.wait()

    async def ping(self) -> None:
        """Send a PING (RFC 9000 section 19.2) and wait until the peer has acknowledged it.

        :meth:`quic_event_received` sees the :class:`PingAcknowledged` too.

        Raises:
            WouldBlockError: (a BufferError) 64 pings wait for their answers.
            QuicConnectionError: the connection has ended, also while waiting.

        Cancellation: safe; the answer is waited for no more.
        """
        uid = next(self._ping_uids)
        self._quic.send_ping(uid)
        waiter = self._pings[uid] = asyncio.get_running_loop().create_future()
        try:
            await waiter
        finally:
            del self._pings[uid]

    def close(self, error_code: int = 0, reason_phrase: str = "") -> None:
        """Close with an application code and a reason; :meth:`wait_closed` tells when it is done."""
        self._quic.close(error_code=error_code, reason_phrase=reason_phrase)

    async def aclose(self, error_code: int = 0, *, reason_phrase: str = "", timeout: float = CLOSE_TIMEOUT) -> None:
        """Close, and wait until it is done, ``timeout`` seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not self._closed.is_set():
                    try:
                        QuicConnectionProtocol.close(self, error_code, reason_phrase)
                        await self._closed.wait()
                    except BufferError:
                        await asyncio.sleep(0)  # the network thread is behind with commands

    def transmit(self) -> None:
        """Nothing to do: the network thread sends what was queued by itself. Kept for programs that call it."""

    async def create_stream(self, is_unidirectional: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a stream and return an asyncio reader and writer for it.

        Backpressure: ``await writer.drain()`` waits until the send budget has room; a reader that nobody reads holds
        the peer at its window. The reader of a unidirectional stream is at its end from the start.
        ``await writer.wait_closed()`` waits until both directions have ended and the peer has everything.

        Raises:
            QuicConnectionError: the connection has ended.
        """
        self._quic._open_connection()
        stream_id = self._quic.get_next_available_stream_id(is_unidirectional)
        adapter = self._new_adapter(stream_id)
        if is_unidirectional:
            adapter.reader.feed_eof()
        return adapter.reader, adapter.writer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await QuicConnectionProtocol.aclose(self)

    # ---- private ----

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Receive events on ``loop``; a client's engine is drained there from now on."""
        self._loop = loop
        self._quic._attach(loop, self._route)

    @property
    def _transport(self) -> TransportNames | None:
        """What programs ask the transport underneath; None before there is one."""
        return self._quic._transport

    def _process_events(self) -> None:
        """Hand over at once what waits, where the loop would do it at its next turn."""
        if self._quic._engine is not None:
            self._quic._engine.drain_and_route()

    async def _stop(self) -> None:
        """End what a client started with :meth:`connect`."""
        await self._quic._aclose_engine()

    def _route(self, event: QuicEvent) -> None:
        if isinstance(event, HandshakeCompleted):
            _resolve(self._connected_waiter)
        elif isinstance(event, PingAcknowledged):
            _resolve(self._pings.get(event.uid))
        elif isinstance(event, ConnectionTerminated):
            self._connection_terminated(event)
        elif isinstance(event, StreamDataReceived | StreamReset | StopSendingReceived) and self._to_adapter(event):
            return
        self.quic_event_received(event)

    def _connection_created(self) -> None:
        _resolve(self._created_waiter)

    def _connection_terminated(self, event: ConnectionTerminated) -> None:
        assert event.close_reason is not None
        for waiter in (self._connected_waiter, self._created_waiter, *self._pings.values()):
            _resolve(waiter, event.close_reason.exception())
        for stream_id, adapter in list(self._adapters.items()):
            while stream_id in self._quic._reading.unread:  # what has arrived is the reader's, however slow it is
                self._quic.resume_reading(stream_id)
            adapter.connection_lost(event.close_reason.exception())
        self._adapters.clear()
        self._closed.set()

    def _to_adapter(self, event: StreamDataReceived | StreamReset | StopSendingReceived) -> bool:
        """True when a reader and writer took the event."""
        adapter = self._adapters.get(event.stream_id)
        if adapter is None:
            if self._stream_handler is None or self._quic._streams.is_own(event.stream_id):
                return False
            adapter = self._new_adapter(event.stream_id)
            self._run_stream_handler(adapter)
        adapter.event_received(event)
        return True

    def _new_adapter(self, stream_id: int) -> StreamAdapter:
        adapter = StreamAdapter(self._quic, stream_id, self._loop)
        self._adapters[stream_id] = adapter
        return adapter

    def _stream_over(self, stream_id: int) -> None:
        adapter = self._adapters.get(stream_id)
        if adapter is not None:
            adapter.stream_over()
            if stream_id not in self._quic._reading.unread:
                del self._adapters[stream_id]

    def _run_stream_handler(self, adapter: StreamAdapter) -> None:
        assert self._stream_handler is not None
        result = self._stream_handler(adapter.reader, adapter.writer)
        if asyncio.iscoroutine(result):
            task = self._loop.create_task(result)
            self._handler_tasks.add(task)
            task.add_done_callback(self._handler_done)

    def _handler_done(self, task: asyncio.Task[Any]) -> None:
        self._handler_tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._loop.call_exception_handler(
                {"message": "aiopquic: a stream handler raised", "exception": task.exception(), "task": task}
            )


def _resolve(waiter: asyncio.Future[None] | None, error: BaseException | None = None) -> None:
    waiter = can_hear(waiter)
    if waiter is not None:
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
            waiter.exception()  # retrieved: somebody who gave up waiting must not cause a warning
