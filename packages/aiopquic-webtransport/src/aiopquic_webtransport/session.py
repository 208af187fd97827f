"""A WebTransport session, client or server."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeVar, cast, overload

from aiopquic.exceptions import QuicConnectionError
from aiopquic.streams import _inbox
from aiopquic.streams._closing import wait_until_delivered
from aiopquic.streams._inbox import Inbox, IncomingStreams
from aiopquic_webtransport import _varint
from aiopquic_webtransport._waiting import Awaitable, Happening, WhileOpen
from aiopquic_webtransport._wire import MAX_REASON_BYTES, Command, pack_close
from aiopquic_webtransport.datagrams import Datagrams
from aiopquic_webtransport.error_codes import check_code
from aiopquic_webtransport.exceptions import CloseInfo, SessionClosedError
from aiopquic_webtransport.headers import Headers
from aiopquic_webtransport.send_orders import SendOrders
from aiopquic_webtransport.stats import SessionStats
from aiopquic_webtransport.streams import ReceiveStream, SendStream, SessionStream, Stream

if TYPE_CHECKING:
    from aiopquic import Connection
    from aiopquic.quic.protocols import Stream as BindingStream
    from aiopquic_webtransport.http3 import Http3Connection

__all__ = ["STREAMS_IGNORED", "Session", "check_reason"]

logger = logging.getLogger("aiopquic.webtransport")

_S = TypeVar("_S", Stream, SendStream)

#: The first bytes of a stream that belongs to a session (draft-ietf-webtrans-http3 sections 4.2 and 4.3).
_BIDIRECTIONAL = _varint.encode(0x41)
_ONE_WAY = _varint.encode(0x54)

STREAMS_IGNORED = 2
"""The code with which a session is closed whose application leaves too many of the peer's streams waiting."""

#: Seconds that aclose() waits for the peer to end its side of the CONNECT stream.
PEER_SECONDS = 2.0


class Session:
    """One session. Made by :func:`aiopquic_webtransport.connect`, or by a request's ``accept()``.

    All methods belong to the thread of the loop that it was made on. As a context manager it closes the session on the
    way out: as :meth:`aclose` does, or at once when the block raised.
    """

    def __init__(self, http3: Http3Connection, session_id: int, path: str, authority: str) -> None:
        self._http3 = http3
        self._quic: Connection = http3.quic
        self._id = session_id
        self._path = path
        self._authority = authority
        self._protocol: str | None = None
        self._response_headers = Headers()
        self._has_begun = False
        "It was accepted."
        self._end: CloseInfo | None = None
        "Why nothing can be done any more."
        self._streams: dict[int, SessionStream] = {}
        "Those that are not over."
        self._inbox = Inbox()
        self._datagrams = Datagrams(self, _varint.encode(session_id // 4))
        self._send_orders = SendOrders()
        self._prefaces = (_BIDIRECTIONAL + _varint.encode(session_id), _ONE_WAY + _varint.encode(session_id))
        self._opened = self._accepted = 0
        self._waits: set[asyncio.Timeout] = set()
        "What waits for something that comes only while the session lives."
        self._over = Happening[CloseInfo]()
        self._draining = Happening[None]()
        "The peer asks to end the session soon, or it has ended."
        self._is_draining = False
        self._finished = Happening[None]()
        "Both sides have ended the CONNECT stream, or the connection is gone."

    # ---- opening streams ----

    async def open_stream(self, *, send_order: int = 0) -> Stream:
        """Open a bidirectional stream, once the peer allows one more; who asked first gets the first.

        Raises:
            SessionClosedError: the session has ended, or ends while this waits.

        Cancellation: safe; no stream is opened, and the peer's credit goes to the next one who waits.
        """
        return await self._open(Stream, unidirectional=False, send_order=send_order)

    async def open_send_stream(self, *, send_order: int = 0) -> SendStream:
        """Open a stream that only this side writes; otherwise as :meth:`open_stream`."""
        return await self._open(SendStream, unidirectional=True, send_order=send_order)

    def try_open_stream(self, *, send_order: int = 0) -> Stream | None:
        """Open a bidirectional stream now; None when the peer allows none at the moment, or others wait for one.

        Raises:
            SessionClosedError: the session has ended.
        """
        return self._try_open(Stream, unidirectional=False, send_order=send_order)

    def try_open_send_stream(self, *, send_order: int = 0) -> SendStream | None:
        """Open a one-way stream now; otherwise as :meth:`try_open_stream`."""
        return self._try_open(SendStream, unidirectional=True, send_order=send_order)

    # ---- the peer's streams ----

    @overload
    async def accept_stream(self, *, bidirectional: None = None) -> Stream | ReceiveStream: ...
    @overload
    async def accept_stream(self, *, bidirectional: Literal[True]) -> Stream: ...
    @overload
    async def accept_stream(self, *, bidirectional: Literal[False]) -> ReceiveStream: ...
    async def accept_stream(self, *, bidirectional: bool | None = None) -> Stream | ReceiveStream:
        """Return the next stream that the peer has opened, in the order in which they arrive.

        Of both kinds, a :class:`Stream` or a :class:`ReceiveStream`, unless ``bidirectional`` asks for one. A stream
        that nobody accepts waits as a small object, and its peer is held at the initial window.

        Raises:
            SessionClosedError: the session has ended, and no stream is left that came before.

        Cancellation: safe; a stream that has arrived stays for the next one.
        """
        stream = await self._inbox.get(bidirectional)
        if stream is None:
            raise self._end_error()
        return cast(Stream, stream)

    @overload
    def incoming_streams(self, *, bidirectional: None = None) -> AsyncIterator[Stream | ReceiveStream]: ...
    @overload
    def incoming_streams(self, *, bidirectional: Literal[True]) -> AsyncIterator[Stream]: ...
    @overload
    def incoming_streams(self, *, bidirectional: Literal[False]) -> AsyncIterator[ReceiveStream]: ...
    def incoming_streams(self, *, bidirectional: bool | None = None) -> AsyncIterator[Stream | ReceiveStream]:
        """The peer's streams, one after the other; ends with the session, behind those that came before.

        ``close_info`` says why it ended. Otherwise as :meth:`accept_stream`.
        """
        return IncomingStreams(self._inbox, bidirectional)

    # ---- datagrams, figures, keys ----

    @property
    def datagrams(self) -> Datagrams:
        """Sends and receives the session's datagrams."""
        return self._datagrams

    async def stats(self) -> SessionStats:
        """Return the session's figures of this moment, and those of its connection.

        Raises:
            QuicConnectionError: the connection ended before any were taken.

        Cancellation: safe.
        """
        return SessionStats(
            connection=await self._quic.stats(),
            streams_opened=self._opened,
            streams_accepted=self._accepted,
            streams_open=len(self._streams),
            datagrams_sent=self._datagrams._sent,
            datagrams_received=self._datagrams._received,
            datagrams_dropped=self._datagrams._dropped,
        )

    async def export_keying_material(self, label: bytes, context: bytes = b"", length: int = 32) -> bytes:
        """Return keys for another protocol, the same on both sides and others for each session of a connection.

        draft-ietf-webtrans-http3 section 4.8, over RFC 8446 section 7.5.

        Raises:
            ValueError: the label or the context has more than 255 bytes, or the length is not 1 to 8160.
            SessionClosedError: the session has ended, or its connection does while this waits.

        Cancellation: safe.
        """
        self._require_open()
        if len(label) > 255 or len(context) > 255:
            raise ValueError("the label and the context of a session's keys have at most 255 bytes each")
        whole = struct.pack(">QB", self._id, len(label)) + label + struct.pack(">B", len(context)) + context
        try:
            return await self._quic.export_keying_material("EXPORTER-WebTransport", whole, length)
        except QuicConnectionError:
            raise await self._explain() from None

    # ---- what is known ----

    @property
    def id(self) -> int:
        """The number of the CONNECT stream, which is the session's number on its connection."""
        return self._id

    @property
    def connection(self) -> Http3Connection:
        """The HTTP/3 connection; it may have other sessions."""
        return self._http3

    @property
    def quic(self) -> Connection:
        """The QUIC connection underneath: addresses, certificate, ping, figures."""
        return self._quic

    @property
    def path(self) -> str:
        """The path that was asked for, with its query."""
        return self._path

    @property
    def authority(self) -> str:
        """The host, and the port if it is not 443, that the client asked."""
        return self._authority

    @property
    def protocol(self) -> str | None:
        """The application protocol that both sides agreed on; None when there is none."""
        return self._protocol

    @property
    def response_headers(self) -> Headers:
        """The headers of the server's answer."""
        return self._response_headers

    @property
    def peer_address(self) -> tuple[str, int]:
        """The peer's address and port, as of the handshake."""
        return self._quic.peer_address

    @property
    def is_client(self) -> bool:
        """True on the side that connected."""
        return self._quic.is_client

    # ---- the end ----

    def close(self, code: int = 0, reason: str = "") -> None:
        """Close at once, with a code and a reason that the peer is told.

        Streams end with the session: what was not acknowledged may be lost, and :meth:`aclose` waits for it. What had
        arrived can still be read. Harmless when the session has ended: the first end counts.

        Raises:
            ValueError: ``code`` is not 0 to 2**32 - 1, or ``reason`` has more than 1024 bytes of UTF-8.
        """
        phrase = check_reason(code, reason)
        if self._end is not None:
            return
        self._tell(Command.CLOSE_SESSION, pack_close(code, phrase))
        self._set_end(CloseInfo(code, reason))

    async def aclose(self, code: int = 0, reason: str = "") -> None:
        """Close when the peer has what was finished: wait for its acknowledgements, close, and see the end.

        The wait is for streams that were finished and not reset, and goes on as long as there is progress; when
        nothing moves for three seconds, the session is closed all the same. A client's connection ends with its last
        session, unless it is pooled.

        Raises:
            ValueError: as :meth:`close`.

        Cancellation: the session is closed at once; the rest of the wait is left out.
        """
        check_reason(code, reason)
        try:
            if self._end is None:
                await wait_until_delivered(self._quic, list(self._streams.values()))
        finally:
            self.close(code, reason)
        with suppress(TimeoutError):
            async with asyncio.timeout(PEER_SECONDS):
                await self._finished.wait()
        await self._http3._session_left(self)

    @property
    def closed(self) -> Awaitable[CloseInfo]:
        """``await session.closed`` waits for the end of the session, whoever brings it, and returns its CloseInfo.

        Cancellation: safe; nothing changes.
        """
        return Awaitable(self._over.wait)

    @property
    def close_info(self) -> CloseInfo | None:
        """Who ended the session and why; None while it lives."""
        return self._end

    @property
    def is_closed(self) -> bool:
        """True once the session has ended."""
        return self._end is not None

    def drain(self) -> None:
        """Ask the peer to end the session soon: it goes on as before, and a polite peer begins nothing new.

        WT_DRAIN_SESSION, draft-ietf-webtrans-http3 section 4.7.
        """
        if self._end is None:
            self._tell(Command.DRAIN_SESSION)

    @property
    def draining(self) -> Awaitable[None]:
        """``await session.draining`` waits until the peer asks to end the session soon.

        Raises:
            SessionClosedError: the session ended before.

        Cancellation: safe; nothing changes.
        """
        return Awaitable(self._wait_draining)

    @property
    def is_draining(self) -> bool:
        """True once the peer has asked to end the session soon."""
        return self._is_draining

    # ---- as a context manager ----

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.close()
        await self.aclose()

    def __repr__(self) -> str:
        side = "client" if self.is_client else "server"
        return f"<Session {self._id} {side} {self._path} {self._end or 'open'}>"

    # ---- private: streams ----

    async def _open(self, kind: type[_S], *, unidirectional: bool, send_order: int) -> _S:
        self._require_open()
        credit = self._quic._credit
        stream_id = credit.try_take(unidirectional)
        if stream_id is None:
            async with self._while_open():
                stream_id = await credit.take(unidirectional)
            if stream_id is None:
                raise await self._explain()
        try:
            return self._begin(kind, stream_id, send_order)
        except QuicConnectionError:
            raise await self._explain() from None

    def _try_open(self, kind: type[_S], *, unidirectional: bool, send_order: int) -> _S | None:
        self._require_open()
        stream_id = self._quic._credit.try_take(unidirectional)
        if stream_id is None:
            return None
        return self._begin(kind, stream_id, send_order)

    def _begin(self, kind: type[_S], stream_id: int, send_order: int) -> _S:
        """The stream with its id; one whose session has ended meanwhile ends at once."""
        binding = self._quic._binding.open_stream(stream_id, self._id, self._prefaces[stream_id >> 1 & 1])
        stream = kind(self, binding)
        self._opened += 1
        if send_order:
            self._send_orders.set(stream, send_order)
        else:
            self._send_orders.added(stream)
        return stream

    def _arrived(self, binding: BindingStream) -> SessionStream:
        """From the drain: the peer has opened a stream of this session."""
        stream = ReceiveStream(self, binding) if binding.id & 2 else Stream(self, binding)
        self._accepted += 1
        self._send_orders.added(stream)
        self._inbox.put(stream)
        self._bound(self._inbox.waiting)
        return stream

    def _bound(self, waiting: int) -> None:
        """Close the session when too much waits for an application that does not look."""
        if waiting > _inbox.WAITING_MAX:
            logger.error(
                "%r is closed: more than %d streams of its peer's wait to be accepted", self, _inbox.WAITING_MAX
            )
            self.close(STREAMS_IGNORED, "too many streams wait to be accepted")

    def _datagram_arrived(self, datagram: bytes) -> None:
        """From the drain."""
        self._datagrams._put(datagram)

    def _datagrams_writable(self) -> None:
        """From the drain: the connection's queue has room again, if somebody asked."""

    def _forget(self, stream: SessionStream) -> None:
        """The stream is over, in both directions."""
        self._streams.pop(stream.id, None)
        self._send_orders.forget(stream)

    # ---- private: the end ----

    def _tell(self, command: Command, data: bytes = b"") -> None:
        with suppress(QuicConnectionError):  # it ended just now, and its last event ends the session
            self._quic._binding.protocol_command(command, self._id, data)

    def _set_end(self, info: CloseInfo) -> None:
        """The session is over: streams end, and everybody who waits is woken."""
        if self._end is not None:
            return
        self._end = info
        for stream in list(self._streams.values()):  # which core resets and stops
            stream._wake()
        self._inbox.close()
        self._datagrams._session_over()
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            wait.reschedule(now)
        self._over.come(info)
        self._draining.come(None)

    def _peer_done(self) -> None:
        """The peer's side of the CONNECT stream is over, too."""
        self._finished.come(None)

    def _peer_drains(self) -> None:
        if self._end is None:
            self._is_draining = True
            self._draining.come(None)

    def _require_open(self) -> None:
        if self._end is not None:
            raise SessionClosedError(self._end)

    def _end_error(self) -> SessionClosedError:
        assert self._end is not None
        return SessionClosedError(self._end)

    def _gone_error(self) -> SessionClosedError:
        """For a stream that the peer ended with the session, of whose end it may not have told yet."""
        return SessionClosedError(self._end or CloseInfo(is_remote=True))

    async def _explain(self) -> SessionClosedError:
        """What ended the session, after its connection has turned out to be closed."""
        await self.closed
        return self._end_error()

    def _while_open(self) -> WhileOpen:
        return WhileOpen(self)

    async def _wait_draining(self) -> None:
        await self._draining.wait()
        if self._end is not None:
            raise self._end_error()


def check_reason(code: int, reason: str) -> bytes:
    """The reason as it is sent; a ValueError for a code or a reason that can't be."""
    check_code(code)
    phrase = reason.encode()
    if len(phrase) > MAX_REASON_BYTES:
        raise ValueError(f"a close reason has at most {MAX_REASON_BYTES} bytes of UTF-8, not {len(phrase)}")
    return phrase
