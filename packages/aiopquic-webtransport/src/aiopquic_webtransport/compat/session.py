"""A session by stream ids and events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiopquic.exceptions import (
    QuicConnectionError,
    StreamClosedError,
    StreamStoppedError,
    WouldBlockError,
)
from aiopquic.quic import events
from aiopquic.quic.drain_events import ConnectionDrains
from aiopquic_webtransport.compat import numbers
from aiopquic_webtransport.compat.events import EventSession, EventStream, SessionEvent
from aiopquic_webtransport.compat.state import WebTransportSessionState
from aiopquic_webtransport.exceptions import WebTransportError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from aiopquic._sinks import HandshakeInfo
    from aiopquic.quic.protocols import Stream as BindingStream

__all__ = ["WebTransportSession"]

#: Of a stream that comes and goes while nobody takes events: that it is there, and that its peer wants no more of it.
EVENTS_OF_A_STREAM = 2

#: Datagrams that wait for events() at most.
DATAGRAMS_MAX = 1024


class WebTransportSession(ConnectionDrains):
    """One session. Its streams are numbers: :meth:`events` tells of them, :meth:`receive_stream_data` reads one.

    A subclass that overrides :meth:`_on_event` sees each event as a tuple, and bytes count as consumed when it returns.
    Otherwise they count when the generator of their stream is given them. What nobody reads waits in the stream's inbox
    and holds the peer at its windows; when the inboxes of more than 16 384 streams wait, the session is closed.

    Fields begin with ``_wt`` where programs derive classes with fields of their own by the plainer names.
    """

    #: What programs set; the limits are those of the configuration.
    tx_max_queued_bytes = 1 << 22
    stream_ring_cap = 1 << 22

    def __init__(self, transport: Any, role: str, state: WebTransportSessionState | None = None) -> None:
        if role not in ("client", "server"):
            raise ValueError(f'the role of a session is "client" or "server", not {role!r}')
        super().__init__(None)
        self._transport = transport
        self._role = role
        self._state = state if state is not None else WebTransportSessionState(transport)
        self._wt: EventSession | None = None
        self._wt_waiting: deque[SessionEvent] = deque()
        "What events() has not taken."
        self._wt_inboxes: dict[int, deque[tuple[SessionEvent, BindingStream | None]]] = {}
        "What receive_stream_data has not taken, of each stream that has any."
        self._newest: dict[int, int] = {}
        "The largest id of each kind of stream, by its two low bits."
        self._wt_arrival = asyncio.Event()
        self._datagrams_waiting = 0
        self.datagrams_dropped = 0
        "Those that arrived while DATAGRAMS_MAX waited."
        self._cnx_closed = asyncio.Event()
        self._session_close_event = asyncio.Event()
        self._datagram_drain = asyncio.Event()
        self._datagram_drain.set()
        if self._state._session is not None:
            self._attach(self._state._session)

    def _attach(self, session: EventSession) -> None:
        """The session is there: its events come here from now on."""
        self._wt = self._state._session = session
        self._connection = session.quic._binding
        self._info: HandshakeInfo | None = session.quic._info
        self._snapshots = session.quic._snapshots
        session.listen(self._route)

    # ---- what is known ----

    @property
    def role(self) -> str:
        """Which side this is: ``"client"`` or ``"server"``."""
        return self._role

    @property
    def is_client(self) -> bool:
        return self._role == "client"

    @property
    def is_server(self) -> bool:
        return self._role == "server"

    @property
    def session_ready(self) -> bool:
        """True once the session was accepted."""
        return self._wt is not None

    @property
    def session_closed(self) -> bool:
        """True once it has ended."""
        return self._wt is not None and self._wt.is_closed

    @property
    def is_draining(self) -> bool:
        """True once the peer has asked to end it soon."""
        return self._wt is not None and self._wt.is_draining

    @property
    def control_stream_id(self) -> int | None:
        """The id of the CONNECT stream."""
        return self._state.control_stream_id

    @property
    def cnx_ptr(self) -> int:
        """The handle of the connection."""
        return self._state.cnx_ptr

    @property
    def negotiated_protocol(self) -> str | None:
        """The application protocol that both sides agreed on."""
        return self._state.negotiated_wt_protocol

    @property
    def _dispatcher_attached(self) -> bool:
        return self._wt is not None and not self._wt.is_closed

    # ---- streams ----

    async def create_stream(self, bidir: bool = True, timeout: float = 5.0) -> int:
        """Open a stream, once the peer allows one more; return its id.

        Raises:
            TimeoutError: the peer allowed none in ``timeout`` seconds.
            WebTransportError: (a ConnectionError) the session has ended.

        Cancellation: safe; no stream is opened, and no other caller gets this one's.
        """
        async with asyncio.timeout(timeout):
            stream = await self._open_session()._open(EventStream, unidirectional=not bidir, send_order=0)
        self._note(stream.id)
        return stream.id

    def send_stream_data(self, stream_id: int, data: Buffer, end_stream: bool = False) -> None:
        """Queue bytes, and the end of the stream with ``end_stream``. All or nothing.

        Raises:
            WouldBlockError: (a BufferError) a send budget is used up; nothing was taken.
            ValueError: more bytes than the whole budget of a stream.
            WebTransportError: (a ConnectionError) the session has ended, the peer wants no more of the stream, or it
                was finished or reset, or never existed.
        """
        stream = self._stream(stream_id)
        try:
            stream._binding.write(data, end_stream)
        except WouldBlockError:
            self._stream_is_full(stream._binding)
            raise
        except StreamStoppedError:
            raise stream._stopped() from None
        except (StreamClosedError, QuicConnectionError) as error:
            raise self._error(error) from None
        if end_stream:
            stream._is_finished = True

    async def send_stream_data_drained(
        self,
        stream_id: int,
        data: Buffer,
        end_stream: bool = False,
        *,
        soft_yield_at: float = 0.5,
        hard_wait_at: float = 0.9,
    ) -> None:
        """Queue bytes of any number, waiting for room as often as it takes.

        ``soft_yield_at`` and ``hard_wait_at`` are accepted for compatibility; the budgets alone decide.

        Raises:
            WebTransportError: as :meth:`send_stream_data`, also while waiting.

        Cancellation: what was queued before stays queued and is sent; the rest is not.
        """
        stream = self._stream(stream_id)
        try:
            await stream.write(data, end_stream)
        except (StreamClosedError, QuicConnectionError) as error:
            raise self._error(error) from None

    def reset_stream(self, stream_id: int, error_code: int = 0) -> None:
        """Give up sending on a stream; nothing for one that is over."""
        if (stream := self._known(stream_id)) is not None:
            stream.reset(error_code)

    def stop_stream(self, stream_id: int, error_code: int = 0) -> None:
        """Ask the peer to stop sending; nothing for a stream that is over."""
        if (stream := self._known(stream_id)) is not None:
            stream.stop(error_code)

    def set_stream_priority(self, stream_id: int, priority: int) -> int:
        """0 is sent first, 255 last. Returns 1 when it could not be asked for now, else 0."""
        try:
            self._stream(stream_id).priority = priority
        except WouldBlockError:
            return 1
        return 0

    async def receive_stream_data(self, stream_id: int) -> AsyncIterator[events.QuicEvent]:
        """What arrives on one stream, up to its end, its reset or that of the session; also what came before the call.

        Yields ``WebTransportStreamDataReceived`` and, at last, perhaps ``WebTransportStreamReset``.

        Backpressure: bytes count as consumed when they are yielded.

        Cancellation: safe; what was not yielded waits for the next call.
        """
        while True:
            while (inbox := self._wt_inboxes.get(stream_id)) is None:
                if self._is_over(stream_id):
                    return
                await self._next_arrival()
            event, binding = inbox.popleft()
            if not inbox:
                del self._wt_inboxes[stream_id]
            _consume(event, binding)
            yield _quic_event(event)
            if event[0] != numbers._EVT_WT_STREAM_DATA:
                return

    # ---- datagrams ----

    def send_datagram_frame(self, data: Buffer) -> int:
        """Queue a datagram. Returns its length, or 0 when the queue is full: nothing was taken.

        Raises:
            DatagramError: (a ValueError) too large, or the peer takes none.
            WebTransportError: (a ConnectionError) the session has ended.
        """
        session = self._open_session()
        if session.datagrams.try_send(data):
            return memoryview(data).nbytes
        if session.quic._binding.want_datagrams_writable():
            self._datagram_drain.clear()
        return 0

    def get_datagram_tx_drain_event(self) -> asyncio.Event:
        """An event that is set but for the time from a send that found the queue full until there is room."""
        return self._datagram_drain

    def max_datagram_payload(self) -> int:
        """Bytes of the largest datagram that can be sent now."""
        return self._wt.datagrams.max_size if self._wt is not None else 0

    # ---- events ----

    async def events(self) -> AsyncIterator[events.QuicEvent]:
        """Streams that the peer opens or wants no more of, datagrams, and what becomes of the session.

        What arrives on streams is for :meth:`receive_stream_data` alone. Ends behind ``WebTransportSessionClosed``.
        """
        while True:
            while not self._wt_waiting:
                await self._next_arrival()
            event = self._wt_waiting.popleft()
            self._datagrams_waiting -= event[0] == numbers._EVT_WT_DATAGRAM
            yield _quic_event(event)
            if event[0] == numbers._EVT_WT_SESSION_CLOSED:
                return

    def _on_event(self, event: SessionEvent) -> None:
        """Called with each event; a subclass may look at it before or after this keeps it for the generators.

        A tuple: type, stream id, data, whether it is the end, error code, and the handles of the connection and, twice,
        of the stream.
        """
        kind, stream_id = event[:2]
        if kind in (numbers._EVT_STREAM_TX_DRAINED, numbers._EVT_WT_STREAM_DESTROY):
            self._stream_drained(stream_id)
        elif kind == numbers._EVT_DATAGRAM_TX_DRAINED:
            self._datagram_drain.set()
        elif kind == numbers._EVT_WT_SESSION_CLOSED:
            self._all_drained()
            self._datagram_drain.set()
            self._session_close_event.set()

    def _route(self, event: SessionEvent, binding: BindingStream | None) -> None:
        """From the drain."""
        if event[0] == numbers._EVT_WT_NEW_STREAM:
            self._note(event[1])
        self._on_event(event)
        if event[0] == numbers._EVT_WT_SESSION_CLOSED and self._wt is not None and self._wt.quic.is_closed:
            self._cnx_closed.set()
        if type(self)._on_event is not WebTransportSession._on_event and event[0] != numbers._EVT_WT_SESSION_CLOSED:
            _consume(event, binding)
        elif event[0] == numbers._EVT_WT_DATAGRAM and self._datagrams_waiting >= DATAGRAMS_MAX:
            self.datagrams_dropped += 1
        elif event[0] in _OF_A_STREAM:
            self._wt_inboxes.setdefault(event[1], deque()).append((event, binding))
        elif event[0] in _TOLD:
            self._datagrams_waiting += event[0] == numbers._EVT_WT_DATAGRAM
            self._wt_waiting.append(event)
            if self._wt is not None and event[0] == numbers._EVT_WT_NEW_STREAM:
                self._wt._bound(max(len(self._wt_waiting) // EVENTS_OF_A_STREAM, len(self._wt_inboxes)))
        self._wt_arrival.set()

    async def _next_arrival(self) -> None:
        self._wt_arrival.clear()
        await self._wt_arrival.wait()

    # ---- the end ----

    def close(self, error_code: int = 0, reason: bytes | str = b"") -> None:
        """Close with a code of 32 bits and up to 1024 bytes of reason. Harmless when closed.

        Raises:
            ValueError: a code or a reason that can't be sent.
        """
        if self._wt is not None:
            self._wt.close(error_code, reason.decode() if isinstance(reason, bytes) else reason)

    async def aclose(self, error_code: int = 0, reason: bytes | str = b"", *, timeout: float = 2.0) -> None:
        """Close, and wait until the peer has ended its side, ``timeout`` seconds at most."""
        WebTransportSession.close(self, error_code, reason)
        if self._wt is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._wt.aclose()

    def drain(self) -> None:
        """Ask the peer to end the session soon."""
        if self._wt is not None:
            self._wt.drain()

    async def wait_closed(self, timeout: float | None = None) -> None:
        """Wait for the end of the session; TimeoutError after ``timeout`` seconds. Cancellation: safe."""
        async with asyncio.timeout(timeout):
            await self._open_session(may_be_closed=True).closed

    async def detach(self) -> None:
        """Let go of the session: nothing more is told, and what the peer sends is dropped."""
        if self._wt is not None:
            self._wt.let_go()

    # ---- private ----

    def _open_session(self, *, may_be_closed: bool = False) -> EventSession:
        if self._wt is None:
            raise WebTransportError("the session is not open: await open() first")
        if not may_be_closed:
            self._wt._require_open()
        return self._wt

    def _known(self, stream_id: int) -> EventStream | None:
        stream = self._wt._streams.get(stream_id) if self._wt is not None else None
        return stream if isinstance(stream, EventStream) else None

    def _stream(self, stream_id: int) -> EventStream:
        self._open_session()
        stream = self._known(stream_id)
        if stream is None:
            raise WebTransportError(f"stream {stream_id} of this session is over, or was never opened")
        return stream

    def _error(self, error: Exception) -> Exception:
        """A stream's or a connection's error, as one of WebTransport's."""
        if self._wt is not None and self._wt.is_closed:
            return self._wt._end_error()
        return WebTransportError(str(error))

    def _note(self, stream_id: int) -> None:
        """The stream is there: one of its kind with a smaller number that is not known is over."""
        self._newest[stream_id & 3] = max(stream_id, self._newest.get(stream_id & 3, -1))

    def _is_over(self, stream_id: int) -> bool:
        """True when nothing more will come on the stream; False for one that is still to come."""
        stream = self._known(stream_id)
        if self.session_closed or stream is None:
            return self.session_closed or stream_id <= self._newest.get(stream_id & 3, -1)
        return stream._has_end or stream._reset_code is not None


#: What is for whoever reads the stream.
_OF_A_STREAM = frozenset({numbers._EVT_WT_STREAM_DATA, numbers._EVT_WT_STREAM_FIN, numbers._EVT_WT_STREAM_RESET})

#: What events() tells.
_TOLD = frozenset(
    {
        numbers._EVT_WT_SESSION_READY,
        numbers._EVT_WT_SESSION_CLOSED,
        numbers._EVT_WT_SESSION_DRAINING,
        numbers._EVT_WT_STOP_SENDING,
        numbers._EVT_WT_DATAGRAM,
        numbers._EVT_WT_NEW_STREAM,
    }
)


def _consume(event: SessionEvent, binding: BindingStream | None) -> None:
    if binding is not None and event[2]:
        binding.consume(len(event[2]))


def _quic_event(event: SessionEvent) -> events.QuicEvent:
    kind, stream_id, data, is_fin, code = event[:5]
    if kind in (numbers._EVT_WT_STREAM_DATA, numbers._EVT_WT_STREAM_FIN):
        return events.WebTransportStreamDataReceived(stream_id=stream_id, data=data, end_stream=is_fin)
    if kind == numbers._EVT_WT_STREAM_RESET:
        return events.WebTransportStreamReset(stream_id=stream_id, error_code=code)
    if kind == numbers._EVT_WT_STOP_SENDING:
        return events.WebTransportStopSending(stream_id=stream_id, error_code=code)
    if kind == numbers._EVT_WT_DATAGRAM:
        return events.WebTransportDatagramReceived(data=data)
    if kind == numbers._EVT_WT_NEW_STREAM:
        return events.WebTransportNewStream(stream_id=stream_id)
    if kind == numbers._EVT_WT_SESSION_CLOSED:
        return events.WebTransportSessionClosed(error_code=code, reason=data)
    if kind == numbers._EVT_WT_SESSION_DRAINING:
        return events.WebTransportSessionDraining()
    return events.WebTransportSessionReady()
