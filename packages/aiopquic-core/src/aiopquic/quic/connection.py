"""A QUIC connection in the shape that aioquic made familiar: stream ids, events, plain calls."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aiopquic._addresses import has_ipv6, ip_version
from aiopquic._sinks import HandshakeInfo
from aiopquic.exceptions import CloseKind, CloseReason, StreamClosedError, WouldBlockError
from aiopquic.quic._engine_settings import alpn_of
from aiopquic.quic.compat import *  # noqa: F403 - the private names too
from aiopquic.quic.compat import ConnectionNames
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.controls import ConnectionControls
from aiopquic.quic.datagrams import ConnectionDatagrams
from aiopquic.quic.drain_events import ConnectionDrains
from aiopquic.quic.engine import QuicEngine
from aiopquic.quic.error_codes import QuicErrorCode
from aiopquic.quic.events import (
    ConnectionIdIssued,
    ConnectionIdRetired,
    ConnectionTerminated,
    DatagramFrameReceived,
    HandshakeCompleted,
    PathChanged,
    PingAcknowledged,
    ProtocolNegotiated,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)
from aiopquic.quic.paths import path_id
from aiopquic.quic.priorities import StreamPriorities
from aiopquic.quic.reading import StreamReading
from aiopquic.quic.sending import Sender
from aiopquic.quic.streams import StreamTable, stream_is_unidirectional

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection
    from aiopquic._binding._stream import Stream
    from aiopquic._paths import PathAnswer, PathEvent, PathInfo

__all__ = ["QuicConnection", "QuicErrorCode", "stream_is_unidirectional"]

Buffer = bytes | bytearray | memoryview


class QuicConnection(ConnectionDatagrams, ConnectionDrains, ConnectionControls, ConnectionNames):
    """One connection, client or server.

    A client is made with its configuration and started with :meth:`connect`; a server's are made by
    :func:`aiopquic.asyncio.serve`. Events come through ``handler`` when one is set, else from
    :meth:`next_event`. All methods belong to the thread of the loop that drains the engine.
    """

    def __init__(
        self,
        *,
        configuration: QuicConfiguration,
        engine: QuicEngine | None = None,
        connection: Connection | None = None,
        cnx_ptr: int = 0,
    ) -> None:
        if connection is None and cnx_ptr:
            connection = engine.binding.connection(cnx_ptr) if engine is not None else None
            if connection is None:
                raise ValueError(f"the engine has no open connection {cnx_ptr}")
        super().__init__(connection)
        self._configuration = configuration
        self._engine = engine
        self._owns_engine = engine is None
        self._is_client = connection is None or connection.is_client
        self._streams = StreamTable(self._is_client)
        self._events: deque[tuple[QuicEvent, Stream | None]] = deque()
        self._handler: Callable[[QuicEvent], None] | None = None
        self._datagrams_wait = False
        "True while datagrams wait in the bounded queue of the bridge for somebody to take events."
        self._priorities = StreamPriorities()
        self._sender = Sender(configuration)
        self._reading = StreamReading()
        self._on_created: Callable[[], object] | None = None
        self._on_closed: Callable[[], object] | None = None
        self._on_stream_over: Callable[[int], object] | None = None
        "Called when both directions of a stream have ended, and again when its reader has taken the last bytes."
        if connection is not None:
            connection.sink = self

    # ---- starting ----

    def connect(self, addr: tuple[str, int], now: float = 0.0) -> None:
        """Start a client's handshake with an IP literal and a port.

        Raises:
            ConfigurationError: a setting is wrong.
            ValueError: ``addr`` is not an IP literal and a port.
            RuntimeError: the connection was started before.
        """
        if self._engine is None or self._connection is not None:
            self._make_engine(addr, 0).start()
        self._begin(addr, addr[0])

    def _make_engine(self, addr: tuple[str, int], local_port: int) -> QuicEngine:
        """The engine of a client that has one for itself."""
        if self._connection is not None or self._engine is not None:
            raise RuntimeError("connect() was called before: a QuicConnection is good for one connection")
        version = ip_version(addr[0])
        self._engine = QuicEngine(
            configuration=self._configuration,
            bind_addresses=("0.0.0.0",) if version == 4 else ("::",),
            port=local_port,
        )
        return self._engine

    def _start_transport(self, port: int = 0) -> None:
        """Open the sockets before :meth:`connect` tells the address; that is all it does then."""
        if self._engine is not None:
            raise RuntimeError("the transport was started before")
        hosts = ("0.0.0.0", "::") if has_ipv6() else ("0.0.0.0",)
        self._engine = QuicEngine(configuration=self._configuration, bind_addresses=hosts, port=port)
        self._engine._start_transport()

    def _begin(self, addr: tuple[str, int], host: str) -> None:
        """Start the handshake; ``host`` is what the user asked for and the certificate must name."""
        assert self._engine is not None
        name = self._configuration.server_name or host
        self._connection = self._engine.binding.connect(addr[0], addr[1], name, alpn_of(self._configuration))
        self._connection.sink = self
        self._tell_created()

    def _adopt(self, connection: Connection, engine: QuicEngine) -> QuicConnection:
        """Be the sink of a client connection on an engine that is not ours."""
        self._connection, self._engine, self._owns_engine = connection, engine, False
        self._tell_created()
        return self

    def _tell_created(self) -> None:
        if self._on_created is not None:
            self._on_created()

    def _attach(self, loop: asyncio.AbstractEventLoop, handler: Callable[[QuicEvent], None]) -> None:
        """Deliver events to ``handler``, on ``loop``."""
        if self._owns_engine and self._engine is not None:
            self._engine.detach()
            self._engine.attach(loop)
        self.set_handler(handler)

    async def _aclose_engine(self) -> None:
        """End the engine that :meth:`connect` started, with CONNECTION_CLOSE on the wire."""
        if self._owns_engine and self._engine is not None:
            await self._engine.aclose()

    @property
    def configuration(self) -> QuicConfiguration:
        return self._configuration

    @property
    def eventfd(self) -> int:
        """A descriptor that is readable while events wait; -1 before :meth:`connect`."""
        return self._engine.eventfd if self._engine is not None else -1

    # ---- events ----

    def set_handler(self, handler: Callable[[QuicEvent], None] | None) -> None:
        """Call ``handler`` with each event as it comes; what :meth:`next_event` had kept comes first."""
        self._handler = handler
        while handler is not None and self._events:
            event, stream = self._events.popleft()
            self._deliver(handler, event, stream)
        if handler is not None and self._datagrams_wait:
            self._tell_datagrams()

    def next_event(self) -> QuicEvent | None:
        """The next event, None when there is none.

        Backpressure: bytes of a :class:`StreamDataReceived` count as consumed when the event is taken here.
        """
        if not self._events and self._engine is not None and self._handler is None:
            self._engine.drain_and_route()
            if self._datagrams_wait:
                self._tell_datagrams()
        if not self._events:
            return None
        event, stream = self._events.popleft()
        if stream is not None and isinstance(event, StreamDataReceived):
            stream.consume(len(event.data))
        return event

    def _emit(self, event: QuicEvent, stream: Stream | None = None) -> None:
        if self._handler is None:
            self._events.append((event, stream))
        else:
            self._deliver(self._handler, event, stream)

    def _deliver(self, handler: Callable[[QuicEvent], None], event: QuicEvent, stream: Stream | None) -> None:
        """Bytes count as consumed when the handler returns, or raises: a broken handler must not stall its peer."""
        try:
            handler(event)
        except Exception as error:
            assert self._engine is not None
            self._engine.handler_failed(error, self._connection)
        finally:
            if stream is not None and isinstance(event, StreamDataReceived):
                stream.consume(len(event.data))

    # ---- sending ----

    def get_next_available_stream_id(self, is_unidirectional: bool = False) -> int:
        """Hand out the id for a new stream of our own; each call gives another one. The first send opens it."""
        return self._streams.next_id(is_unidirectional)

    def send_stream_data(self, stream_id: int, data: Buffer, end_stream: bool = False) -> None:
        """Queue bytes, and the end of the stream with ``end_stream``. All or nothing.

        What can change is copied; 64 KiB or more of ``bytes``, or of a memoryview of ``bytes``, are held until sent.

        Raises:
            WouldBlockError: (a BufferError) a send budget is used up; nothing was taken, retry later with the
                same data, or await :meth:`send_stream_data_drained`.
            ValueError: more bytes than the whole budget of a stream.
            StreamClosedError: the stream was finished, is the peer's one-way stream, or never existed.
            StreamStoppedError: the peer wants no more of it.
            QuicConnectionError: the connection has ended; ``close_reason`` says why.
        """
        stream = self._stream_to_send(stream_id)
        try:
            stream.write(data, end_stream)
        except WouldBlockError:
            self._stream_is_full(stream)
            raise

    async def send_stream_data_drained(
        self,
        stream_id: int,
        data: Buffer,
        end_stream: bool = False,
        *,
        soft_yield_at: float = 0.5,
        hard_wait_at: float = 0.9,
    ) -> None:
        """Queue bytes of any number, waiting for room in the send budgets as often as it takes.

        ``soft_yield_at`` and ``hard_wait_at`` are accepted for compatibility; the budgets alone decide.

        Raises:
            StreamClosedError, StreamStoppedError, QuicConnectionError: as :meth:`send_stream_data`, also while
                waiting.

        Backpressure: returns when the last byte is within the budget, not when it was acknowledged.

        Cancellation: what was queued before stays queued and is sent; the rest is not. Safe between calls.
        """
        stream = self._stream_to_send(stream_id)
        await self._sender.write(self._open_connection(), stream, data, end_stream)

    def reset_stream(self, stream_id: int, error_code: int) -> None:
        """Give up sending on a stream (RESET_STREAM, RFC 9000 section 19.4); queued bytes are dropped."""
        _check_code(error_code)
        self._stream_to_send(stream_id).reset(error_code)
        self._stream_changed(stream_id)

    def stop_stream(self, stream_id: int, error_code: int) -> None:
        """Ask the peer to stop sending (STOP_SENDING, RFC 9000 section 19.5).

        No more bytes of the stream are told from now on, only its end or its reset.
        """
        _check_code(error_code)
        connection = self._open_connection()
        stream = connection.streams.get(stream_id)
        if stream is None:
            if self._streams.is_own(stream_id) and not stream_is_unidirectional(stream_id):
                stream = self._stream_to_send(stream_id)
            else:
                raise self._no_stream(stream_id)
        stream.stop(error_code)
        self._tell(stream, self._reading.stop(stream))

    def set_stream_priority(self, stream_id: int, priority: int) -> int:
        """0 is sent first, 255 last; the default is 9. Returns 1 when it could not be asked for now, else 0."""
        stream = self._stream_to_send(stream_id)
        return 0 if self._priorities.set(stream, priority) else 1

    def set_stream_path(self, stream_id: int, path: PathInfo | int | None) -> None:
        """Send the bytes of a stream on that path alone; None: on any."""
        self._stream_to_send(stream_id).set_path(path_id(path) if path is not None else None)

    def set_default_stream_priority(self, priority: int) -> None:
        """The priority of every stream that nothing was sent on yet, of either side's, unless it is given another.

        Raises:
            ValueError: not 0 to 255.
        """
        self._priorities.set_default(priority)

    def tx_event_ring_fill(self) -> float:
        """The share of ``event_ring_capacity`` that commands to the network thread take; 0.0 without a capacity."""
        capacity = self._engine.settings.command_capacity if self._engine is not None else 0
        if self._engine is None or not capacity:
            return 0.0
        return min(1.0, self._engine.binding.counters["commands_waiting"] / capacity)

    def send_ping(self, uid: int) -> None:
        """Send a PING (RFC 9000 section 19.2); :class:`PingAcknowledged` with the ``uid`` tells of the answer.

        Raises:
            WouldBlockError: (a BufferError) 64 pings wait for theirs.
            ValueError: a uid below 0, or of 2**64 or more.
            QuicConnectionError: the connection has ended.
        """
        if not 0 <= uid < 1 << 64:
            raise ValueError(f"the uid of a ping is 0 to 2**64 - 1, not {uid}")
        self._open_connection().ping(uid)

    def close(
        self, error_code: int = QuicErrorCode.NO_ERROR, frame_type: int | None = None, reason_phrase: str = ""
    ) -> None:
        """Close with a code and a reason of up to 1024 bytes of UTF-8. Harmless when closed.

        The code is the application's. With a ``frame_type`` it is a transport error about a frame of that type, 0 for
        about none (CONNECTION_CLOSE of type 0x1c, RFC 9000 section 19.19); NO_ERROR is the application's in any case.

        Raises:
            ValueError: a code of 2**62 or more, a transport error code above 0x3ff, a longer reason.
            WouldBlockError: (a BufferError) ``event_ring_capacity`` commands wait for the network thread already.
        """
        _check_code(error_code)
        if self._connection is not None and self._close_reason is None and self._own_close is None:
            if error_code == QuicErrorCode.NO_ERROR:
                frame_type = None
            self._connection.close(error_code, reason_phrase.encode(), frame_type)
            kind = CloseKind.APPLICATION if frame_type is None else CloseKind.TRANSPORT
            self._own_close = CloseReason(kind, error_code=error_code, frame_type=frame_type, reason=reason_phrase)

    def stop(self) -> None:
        """End the engine of a client that was started with :meth:`connect`; a server's is left alone."""
        if self._owns_engine and self._engine is not None:
            self._engine.close()

    # ---- receiving ----

    def pause_reading(self, stream_id: int) -> None:
        """Hold the peer at its window: no more data events of this stream until :meth:`resume_reading`."""
        self._reading.pause(stream_id)

    def resume_reading(self, stream_id: int) -> None:
        """Undo :meth:`pause_reading`; what waits is delivered at once."""
        unread = self._reading.resume(stream_id)
        if unread is not None:
            self._tell(unread[0], self._reading.hand_over(*unread))

    # ---- ConnectionSink ----

    def connection_created(self) -> None:
        """The first packet is on its way."""

    def connection_ready(self, info: HandshakeInfo) -> None:
        self._info = info
        self._local_ids.append(info.connection_ids["local"])
        self._emit(HandshakeCompleted(info.alpn, info.early_data_accepted, info.is_resumed, info.ech_accepted))
        self._emit(ProtocolNegotiated(alpn_protocol=info.alpn))

    def connection_closed(self, reason: CloseReason) -> None:
        self._close_reason = reason
        self._snapshots.connection_closed()
        self._requests.connection_closed(reason)
        self._paths.connection_closed(reason)
        self._sender.connection_closed(reason)
        self._all_drained()
        self.datagrams_writable()
        self._tell_datagrams()
        self._emit(
            ConnectionTerminated(
                error_code=reason.error_code,
                frame_type=reason.frame_type,
                reason_phrase=reason.reason or ("" if reason.kind is CloseKind.APPLICATION else str(reason)),
                close_reason=reason,
            )
        )
        self._handler = self._on_stream_over = None
        if self._on_closed is not None:
            self._on_closed()

    def connection_stats(self, request: int, stats: dict[str, int]) -> None:
        self._snapshots.received(request, stats)

    def connection_id_issued(self, connection_id: bytes) -> None:
        self._local_ids.append(connection_id)
        self._emit(ConnectionIdIssued(connection_id=connection_id))

    def connection_id_retired(self, connection_id: bytes) -> None:
        if connection_id in self._local_ids:
            self._local_ids.remove(connection_id)
        self._emit(ConnectionIdRetired(connection_id=connection_id))

    def connection_path(
        self, event: PathEvent, local_address: tuple[str, int] | None, peer_address: tuple[str, int] | None
    ) -> None:
        self._paths.changed(event, local_address, peer_address)
        self._emit(PathChanged(kind=event.kind, path=event.path))

    def connection_path_answer(self, answer: PathAnswer) -> None:
        self._paths.answered(answer)

    def connection_writable(self) -> None:
        self._sender.connection_writable()

    def connection_streams(self, max_bidi: int, max_uni: int) -> None:
        """Never asked for: a stream id is handed out whether or not the peer allows it yet."""

    def connection_ping_acked(self, uid: int) -> None:
        self._emit(PingAcknowledged(uid=uid))

    def protocol_event(self, kind: int, uid: int, data: bytes) -> None:
        """Nothing to tell: connections of a protocol with such events have a sink of their own."""

    def datagrams_readable(self) -> None:
        if self._handler is None:
            self._datagrams_wait = True
        else:
            self._tell_datagrams()

    def _tell_datagrams(self) -> None:
        self._datagrams_wait = False
        for datagram in self._connection.take_datagrams() if self._connection is not None else ():
            self._emit(DatagramFrameReceived(data=memoryview(datagram)))

    def stream_readable(self, stream: Stream) -> None:
        self._streams.seen(stream.id)
        self._tell(stream, self._reading.readable(stream))

    def _tell(self, stream: Stream, events: Iterator[StreamDataReceived]) -> None:
        for event in events:
            self._emit(event, stream)
        if stream.id not in stream.connection.streams and stream.id not in self._reading.unread:
            self._stream_over(stream.id)

    def stream_reset(self, stream: Stream, error_code: int) -> None:
        self._streams.seen(stream.id)
        self._reading.discard(stream)
        self._emit(StreamReset(stream_id=stream.id, error_code=error_code))

    def stream_stopped(self, stream: Stream, error_code: int) -> None:
        self._streams.seen(stream.id)
        self._stream_changed(stream.id)
        self._emit(StopSendingReceived(stream_id=stream.id, error_code=error_code))

    def stream_writable(self, stream: Stream) -> None:
        self._stream_changed(stream.id)

    def _stream_changed(self, stream_id: int) -> None:
        """There is room again, or the stream takes no more: writers look for themselves."""
        self._sender.stream_changed(stream_id)
        self._stream_drained(stream_id)

    def stream_acked(self, stream: Stream) -> None:
        """Never asked for: this API tells nothing of acknowledgements."""

    def stream_released(self, stream: Stream) -> None:
        self._stream_changed(stream.id)
        self._stream_over(stream.id)

    def _stream_over(self, stream_id: int) -> None:
        self._reading.over(stream_id)
        self._priorities.over(stream_id)
        if self._on_stream_over is not None:
            self._on_stream_over(stream_id)

    # ---- streams ----

    def _stream_to_send(self, stream_id: int) -> Stream:
        connection = self._open_connection()
        stream = connection.streams.get(stream_id)
        if stream is None:
            if not self._streams.is_own(stream_id) or not self._streams.claim(stream_id):
                raise self._no_stream(stream_id)
            stream = connection.open_stream(stream_id)
        self._priorities.before_send(stream)
        return stream

    def _no_stream(self, stream_id: int) -> StreamClosedError:
        if stream_is_unidirectional(stream_id) and not self._streams.is_own(stream_id):
            return StreamClosedError(
                f"stream {stream_id} is the peer's unidirectional stream: it can't be written here", stream_id
            )
        if self._streams.was_open(stream_id):
            return StreamClosedError(f"stream {stream_id} is over: both directions have ended", stream_id)
        whose = "the peer has not opened it" if not self._streams.is_own(stream_id) else "it was never opened"
        return StreamClosedError(f"stream {stream_id} does not exist: {whose}", stream_id)


def _check_code(error_code: int) -> None:
    if not 0 <= error_code < 1 << 62:
        raise ValueError(f"an error code is 0 to 2**62 - 1 (RFC 9000 section 16), not {error_code}")
