"""A session whose arrivals are told, as tuples, instead of waited for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiopquic_webtransport.compat import numbers
from aiopquic_webtransport.error_codes import WT_SESSION_GONE, from_http3
from aiopquic_webtransport.exceptions import CloseInfo
from aiopquic_webtransport.session import Session
from aiopquic_webtransport.streams import SessionStream, Stream

if TYPE_CHECKING:
    from aiopquic.quic.protocols import Stream as BindingStream

__all__ = ["EventSession", "EventStream", "SessionEvent"]

#: Type, stream id, data, whether it is the end, error code, connection, stream, stream: the last three are handles.
SessionEvent = tuple[Any, ...]

#: Told of an event, and of the stream whose bytes it has.
Tell = Callable[[SessionEvent, "BindingStream | None"], object]


class EventStream(Stream):
    """A stream of any kind that hands on what arrives as soon as it does."""

    __slots__ = ()

    _session: EventSession

    def _readable(self) -> None:
        buffers, ends = self._binding.take()
        last = len(buffers) - 1
        for index, data in enumerate(buffers):
            kind = numbers._EVT_WT_STREAM_FIN if ends and index == last else numbers._EVT_WT_STREAM_DATA
            self._session._event(kind, self._binding, data)
        if ends:
            self._has_end = True
            if not buffers:
                self._session._event(numbers._EVT_WT_STREAM_FIN, self._binding, memoryview(b""))

    def _peer_reset(self, error_code: int) -> None:
        if self._has_end or self._reset_code is not None:
            return
        self._readable()
        self._reset_code = error_code
        self._session._event(numbers._EVT_WT_STREAM_RESET, self._binding, code=error_code)

    def _peer_stopped(self, error_code: int) -> None:
        super()._peer_stopped(error_code)
        if error_code != WT_SESSION_GONE:  # which the end of the session tells
            self._session._event(numbers._EVT_WT_STOP_SENDING, self._binding, code=error_code)
        self._session._event(numbers._EVT_STREAM_TX_DRAINED, self._binding)

    def _writable(self) -> None:
        self._session._event(numbers._EVT_STREAM_TX_DRAINED, self._binding)

    def _released(self) -> None:
        super()._released()
        self._session._event(numbers._EVT_WT_STREAM_DESTROY, self._binding)


class EventSession(Session):
    """Keeps its events until somebody listens."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._listener: Tell | None = None
        self._early: deque[tuple[SessionEvent, BindingStream | None]] = deque()

    def listen(self, tell: Tell) -> None:
        """Tell everything that comes, after what has come."""
        while self._early:
            tell(*self._early.popleft())
        self._listener = tell
        while self.datagrams._arrived:
            self._datagram_arrived(self.datagrams._arrived.popleft())

    def let_go(self) -> None:
        """Nobody listens any more: what comes is dropped."""
        self._listener = lambda event, stream: None if stream is None else stream.consume(len(event[2] or b""))

    def _event(
        self, kind: int, stream: BindingStream | None = None, data: memoryview | None = None, *, code: int = 0
    ) -> None:
        known = from_http3(code) if stream is not None else code
        handle = stream.handle if stream is not None else 0
        event = (
            kind,
            stream.id if stream is not None else 0,
            data,
            kind == numbers._EVT_WT_STREAM_FIN,
            code if known is None else known,
            self._quic._binding.handle,
            handle,
            handle,
        )
        if self._listener is not None:
            self._listener(event, stream)
        else:
            self._early.append((event, stream))

    def _arrived(self, binding: BindingStream) -> SessionStream:
        stream = EventStream(self, binding)
        self._accepted += 1
        self._event(numbers._EVT_WT_NEW_STREAM, binding)
        return stream

    def _datagram_arrived(self, datagram: bytes) -> None:
        if self._listener is None:
            super()._datagram_arrived(datagram)
        else:
            self._event(numbers._EVT_WT_DATAGRAM, None, memoryview(datagram))

    def _datagrams_writable(self) -> None:
        self._event(numbers._EVT_DATAGRAM_TX_DRAINED)

    def _peer_drains(self) -> None:
        if self._end is None and not self._is_draining:
            self._event(numbers._EVT_WT_SESSION_DRAINING)
        super()._peer_drains()

    def _set_end(self, info: CloseInfo) -> None:
        is_first = self._end is None
        super()._set_end(info)
        if is_first:
            for stream in list(self._streams.values()):
                stream._peer_reset(WT_SESSION_GONE)
            self._event(numbers._EVT_WT_SESSION_CLOSED, None, memoryview(info.reason.encode()), code=info.code)
