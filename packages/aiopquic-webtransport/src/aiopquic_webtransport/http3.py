"""One HTTP/3 connection: what its sessions are told, and what they ask of the network thread."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from aiopquic.exceptions import CloseReason, QuicConnectionError
from aiopquic.streams import ReceiveStream, Stream
from aiopquic.streams._base import BaseStream
from aiopquic.streams._events import ConnectionEvents
from aiopquic_webtransport._waiting import Happening
from aiopquic_webtransport._wire import (
    H3_NO_ERROR,
    OWN_STREAMS,
    Command,
    Ended,
    Event,
    PeerSettings,
    RawHeader,
    pack_response,
    unpack_close,
    unpack_headers,
    unpack_response,
    unpack_settings,
)
from aiopquic_webtransport.error_codes import WT_BUFFERED_STREAM_REJECTED
from aiopquic_webtransport.exceptions import CloseInfo, EndKind
from aiopquic_webtransport.streams import SessionStream

if TYPE_CHECKING:
    from aiopquic import Connection
    from aiopquic.quic.protocols import Stream as BindingStream
    from aiopquic_webtransport.headers import HeaderInput
    from aiopquic_webtransport.session import Session

__all__ = ["Http3Connection"]

#: Answers to a CONNECT: the status and the headers.
Response = tuple[int, list[RawHeader]]

_END_KINDS = {
    Ended.CAPSULE: EndKind.CLOSED,
    Ended.FIN: EndKind.CLOSED,
    Ended.RESET: EndKind.RESET,
    Ended.PROTOCOL_ERROR: EndKind.PROTOCOL_ERROR,
}


class Http3Connection(ConnectionEvents):
    """One HTTP/3 connection and its sessions: ``session.connection``.

    It receives the events of its QUIC connection, ``quic``, in place of what a connection of raw QUIC has for them.
    """

    __slots__ = ("_goaway_id", "_peer_settings", "_responses", "_sessions", "answer_timeout", "authority", "on_request")

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        connection._credit.skip(unidirectional=True, count=OWN_STREAMS)
        self._sessions: dict[int, Session] = {}
        "Those that the peer has not ended yet, those that wait for an answer among them."
        self._responses: dict[int, asyncio.Future[Response]] = {}
        self._peer_settings = Happening[PeerSettings]()
        self._goaway_id: int | None = None
        self.authority = ""
        "Client: the host, and the port if it is not 443, of the first session."
        self.answer_timeout = 10.0
        "Client: seconds that a server has to answer a CONNECT."
        self.on_request: Callable[[Http3Connection, int, list[RawHeader]], object] | None = None
        "Server: called with each request."

    # ---- what is known ----

    @property
    def quic(self) -> Connection:
        """The QUIC connection."""
        return self._connection

    @property
    def sessions(self) -> list[Session]:
        """The open sessions, without those that wait for an answer."""
        return [session for session in self._sessions.values() if session._has_begun and not session.is_closed]

    @property
    def is_going_away(self) -> bool:
        """True once the peer has said that it takes no more sessions on this connection (GOAWAY)."""
        return self._goaway_id is not None

    def go_away(self) -> None:
        """Take no more requests on this connection; those there are go on (GOAWAY, RFC 9114 section 5.2)."""
        self._command(Command.GOAWAY, 0)

    async def open_session(
        self,
        path: str,
        *,
        protocols: Sequence[str] = (),
        headers: HeaderInput | None = None,
        origin: str | None = None,
        compatibility: bool = False,
    ) -> Session:
        """Client: open one more session on this connection; the arguments are as those of connect().

        Raises:
            SessionLimitError: the server allows no more on one connection.
            SessionRefusedError, NotSupportedError, SessionTimeoutError, ValueError: as
                :func:`aiopquic_webtransport.connect`.
            QuicConnectionError: the connection has ended.

        Cancellation: safe; the request is cancelled.
        """
        from aiopquic_webtransport.client import SessionOptions, open_session

        if not self._connection.is_client:
            raise ValueError("sessions are opened by clients: this is a server's connection")
        options = SessionOptions.of(
            path, protocols=protocols, headers=headers, origin=origin, compatibility=compatibility
        )
        return await open_session(self, options)

    # ---- for the sessions ----

    def _command(self, command: Command, uid: int, data: bytes = b"") -> None:
        with suppress(QuicConnectionError):  # it ended just now, and its last event tells everybody
            self._connection._binding.protocol_command(command, uid, data)

    def _respond(self, request_id: int, status: int, headers: list[RawHeader]) -> None:
        self._command(Command.RESPOND, request_id, pack_response(status, headers))
        if not 200 <= status < 300:
            self._drop(request_id, CloseInfo(kind=EndKind.REFUSED))

    def _drop(self, session_id: int, info: CloseInfo) -> None:
        """A session that never began is over."""
        session = self._sessions.pop(session_id, None)
        if session is not None:
            session._set_end(info)
            session._peer_done()

    async def _session_left(self, session: Session) -> None:
        """A session was closed by its owner: a client's connection ends with the last one."""
        if self._connection.is_client:
            self._sessions.pop(session.id, None)
            self._close_if_unused()
            if not self._sessions and not self._responses:
                await self._connection.wait_closed()

    def _close_if_unused(self) -> None:
        if self._connection.is_client and not self._sessions and not self._responses:
            self._connection.close(H3_NO_ERROR)

    # ---- events ----

    def protocol_event(self, kind: int, uid: int, data: bytes) -> None:
        """From the drain: see :class:`aiopquic_webtransport._wire.Event`."""
        if kind == Event.REQUEST:
            assert self.on_request is not None
            self.on_request(self, uid, unpack_headers(data))
        elif kind == Event.RESPONSE:
            waiter = self._responses.get(uid)
            if waiter is not None and not waiter.done():
                waiter.set_result(unpack_response(data))
        elif kind == Event.SESSION_CLOSED:
            self._session_closed(uid, *unpack_close(data))
        elif kind == Event.SESSION_DRAINING:
            if uid in self._sessions:
                self._sessions[uid]._peer_drains()
        elif kind == Event.SETTINGS:
            self._peer_settings.come(unpack_settings(data))
        elif kind == Event.GOAWAY:
            (self._goaway_id,) = struct.unpack(">Q", data)
            for session in self._sessions.values():
                session._peer_drains()

    def _session_closed(self, session_id: int, how: Ended, code: int, reason: str) -> None:
        session = self._sessions.pop(session_id, None)
        if session is None:
            return
        if how is Ended.OURS:
            session._peer_done()
            self._close_if_unused()
            return
        is_application = how in (Ended.CAPSULE, Ended.FIN)
        session._set_end(
            CloseInfo(code if is_application else 0, reason, _END_KINDS[how], is_remote=how is not Ended.PROTOCOL_ERROR)
        )
        session._peer_done()
        self._close_if_unused()

    def connection_closed(self, reason: CloseReason) -> None:
        info = CloseInfo(kind=EndKind.CONNECTION_LOST, is_remote=reason.is_remote, connection_reason=reason)
        sessions = list(self._sessions.values())
        self._sessions.clear()
        for session in sessions:
            session._set_end(info)
            session._peer_done()
        for waiter in self._responses.values():
            if not waiter.done():
                waiter.set_exception(reason.exception())
        super().connection_closed(reason)
        self._peer_settings.come(PeerSettings())
        self.on_request = None

    def datagrams_readable(self) -> None:
        for quarter_id, datagram in self._connection._binding.take_datagrams_scoped():
            session = self._sessions.get(quarter_id * 4)
            if session is not None and not session.is_closed:
                session._datagram_arrived(datagram)

    def datagrams_writable(self) -> None:
        super().datagrams_writable()
        for session in self.sessions:
            session._datagrams_writable()

    def stream_writable(self, stream: BindingStream) -> None:
        super().stream_writable(stream)
        if isinstance(stream.state, SessionStream):
            stream.state._writable()

    def _arrived(self, stream: BindingStream) -> BaseStream:
        session = self._sessions.get(stream.scope)
        if session is not None and not session.is_closed:
            return session._arrived(stream)
        kind = ReceiveStream if stream.id & 2 else Stream
        refused = kind(self._connection, stream)
        refused.stop(WT_BUFFERED_STREAM_REJECTED)
        if isinstance(refused, Stream):
            refused.reset(WT_BUFFERED_STREAM_REJECTED)
        return refused
