"""A QUIC connection, client or server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, cast, overload

from aiopquic.exceptions import CloseKind, CloseReason, QuicConnectionError
from aiopquic.quic.path_requests import PathRequests
from aiopquic.quic.paths import ConnectionPaths
from aiopquic.quic.requests import ConnectionRequests
from aiopquic.quic.sending import Sender
from aiopquic.quic.snapshots import PathSnapshots
from aiopquic.streams._base import BaseStream, check_code
from aiopquic.streams._closing import wait_until_delivered
from aiopquic.streams._controls import Controls
from aiopquic.streams._credit import StreamCredit
from aiopquic.streams._events import ConnectionEvents
from aiopquic.streams._facts import HandshakeFacts
from aiopquic.streams._inbox import Inbox, IncomingStreams
from aiopquic.streams.datagrams import DatagramFate, Datagrams, IncomingDatagrams
from aiopquic.streams.receiving import ReceiveStream
from aiopquic.streams.sending import SendStream
from aiopquic.streams.stats import ConnectionStats
from aiopquic.streams.stream import Stream

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from aiopquic._binding._connection import Connection as BindingConnection
    from aiopquic._sinks import HandshakeInfo
    from aiopquic.quic.configuration import QuicConfiguration
    from aiopquic.quic.pool import EngineLease

__all__ = ["Connection"]

#: What a CONNECTION_CLOSE carries at most (the engine's own limit, far below a packet's).
MAX_REASON_BYTES = 1024


class Connection(HandshakeFacts, Controls, ConnectionPaths):
    """One connection. Made by :func:`aiopquic.connect`, or by :func:`aiopquic.serve` for its handler.

    All methods belong to the thread of the loop that it was made on. As a context manager it ends the connection on
    the way out: as :meth:`aclose` does, or at once when the block raised.
    """

    __slots__ = (
        "__weakref__",
        "_binding",
        "_close_reason",
        "_close_waiters",
        "_credit",
        "_datagrams",
        "_end",
        "_events",
        "_inbox",
        "_info",
        "_latest_stats",
        "_lease",
        "_paths",
        "_ping_count",
        "_pings",
        "_ready_waiters",
        "_release",
        "_requests",
        "_sender",
        "_snapshots",
    )

    def __init__(
        self,
        binding: BindingConnection,
        configuration: QuicConfiguration,
        make_events: Callable[[Connection], ConnectionEvents] = ConnectionEvents,
    ) -> None:
        self._binding = binding
        self._info: HandshakeInfo | None = None
        self._end: CloseReason | None = None
        "Why nothing can be done any more: close() was called here, or the connection has ended."
        self._close_reason: CloseReason | None = None
        self._close_waiters: list[asyncio.Future[None]] = []
        self._ready_waiters: list[asyncio.Future[None]] = []
        self._sender = Sender(configuration)
        self._snapshots = PathSnapshots()
        self._requests = ConnectionRequests()
        self._paths = PathRequests()
        self._latest_stats: ConnectionStats | None = None
        self._datagrams = Datagrams(binding)
        self._credit = StreamCredit(binding)
        self._inbox = Inbox()
        self._pings: dict[int, asyncio.Future[None]] = {}
        self._ping_count = 0
        self._lease: EngineLease | None = None
        self._release: asyncio.Task[None] | None = None
        "Gives the engine of a client back."
        self._events = make_events(self)

    # ---- opening streams ----

    async def open_stream(self) -> Stream:
        """Open a bidirectional stream, once the peer allows one more; who asked first gets the first.

        The peer learns of the stream with the first byte, or its end or reset.

        Raises:
            QuicConnectionError: the connection has ended, or ends while this waits.

        Cancellation: safe; no stream is opened, and the peer's credit goes to the next one who waits.
        """
        return Stream(self, self._binding.open_stream(await self._take_id(unidirectional=False)))

    async def open_send_stream(self) -> SendStream:
        """Open a stream that only this side writes; otherwise as :meth:`open_stream`."""
        return SendStream(self, self._binding.open_stream(await self._take_id(unidirectional=True)))

    def try_open_stream(self) -> Stream | None:
        """Open a bidirectional stream now; None when the peer allows none at the moment, or others wait for one.

        Raises:
            QuicConnectionError: the connection has ended.
        """
        stream_id = self._try_take_id(unidirectional=False)
        return Stream(self, self._binding.open_stream(stream_id)) if stream_id is not None else None

    def try_open_send_stream(self) -> SendStream | None:
        """Open a one-way stream now; otherwise as :meth:`try_open_stream`."""
        stream_id = self._try_take_id(unidirectional=True)
        return SendStream(self, self._binding.open_stream(stream_id)) if stream_id is not None else None

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
        that nobody accepts waits as a small object, and its peer is held at the initial window; more than 16 384 that
        wait end the connection with code 2.

        Raises:
            QuicConnectionError: the connection has ended, and no stream is left that came before.

        Cancellation: safe; a stream that has arrived stays for the next one.
        """
        stream = await self._inbox.get(bidirectional)
        if stream is None:
            raise self._reason_of_end().exception()
        return stream

    @overload
    def incoming_streams(self, *, bidirectional: None = None) -> AsyncIterator[Stream | ReceiveStream]: ...
    @overload
    def incoming_streams(self, *, bidirectional: Literal[True]) -> AsyncIterator[Stream]: ...
    @overload
    def incoming_streams(self, *, bidirectional: Literal[False]) -> AsyncIterator[ReceiveStream]: ...
    def incoming_streams(self, *, bidirectional: bool | None = None) -> AsyncIterator[Stream | ReceiveStream]:
        """The peer's streams, one after the other: ``async for stream in conn.incoming_streams()``.

        Ends when the connection does, however that comes; ``close_reason`` says why. Otherwise as
        :meth:`accept_stream`.
        """
        return IncomingStreams(self._inbox, bidirectional)

    # ---- datagrams ----

    @overload
    async def send_datagram(self, data: Buffer, *, track: Literal[False] = False) -> None: ...
    @overload
    async def send_datagram(self, data: Buffer, *, track: Literal[True]) -> DatagramFate: ...
    async def send_datagram(self, data: Buffer, *, track: bool = False) -> DatagramFate | None:
        """Send an unreliable datagram (RFC 9221), in the order of the calls; return its fate if ``track`` is set.

        Raises:
            DatagramError: larger than ``max_datagram_size``, or the peer takes none.
            QuicConnectionError: the connection has ended.

        Backpressure: waits until the queue (``datagram_ring_bytes``) has room; at once while it has.

        Cancellation: safe; the datagram is sent or not, and nothing of it is left.
        """
        datagrams = self._datagrams
        if self._end is not None:
            self._require_open()
        number, fate = datagrams.track() if track else (0, None)
        try:
            # What try_send() does, without a call for each datagram.
            if datagrams._senders or not self._binding.try_send_datagram(data, number):
                await datagrams.send(data, number)
        except QuicConnectionError:
            raise await self._explain() from None
        return fate

    @overload
    def try_send_datagram(self, data: Buffer, *, track: Literal[False] = False) -> bool: ...
    @overload
    def try_send_datagram(self, data: Buffer, *, track: Literal[True]) -> DatagramFate | None: ...
    def try_send_datagram(self, data: Buffer, *, track: bool = False) -> DatagramFate | bool | None:
        """Send a datagram at once: True, or its fate if ``track`` is set. False, or None, when there is no room.

        Raises:
            DatagramError, QuicConnectionError: as :meth:`send_datagram`.
        """
        self._require_open()
        number, fate = self._datagrams.track() if track else (0, None)
        is_sent = self._datagrams.try_send(data, number)
        return (fate if is_sent else None) if track else is_sent

    async def send_datagrams(self, datagrams: Sequence[Buffer]) -> None:
        """Send several datagrams, in their order: for less than as many calls of :meth:`send_datagram` cost.

        Raises:
            DatagramError: one of them is larger than ``max_datagram_size``; those before it are sent.
            QuicConnectionError: the connection has ended.

        Backpressure: as :meth:`send_datagram`.

        Cancellation: safe; those for which there was room are sent, the rest is not.
        """
        self._require_open()
        try:
            await self._datagrams.send_all(datagrams)
        except QuicConnectionError:
            raise await self._explain() from None

    async def receive_datagram(self) -> bytes:
        """Return the peer's next datagram, in the order of arrival.

        Raises:
            QuicConnectionError: the connection has ended, and no datagram is left that came before.

        Backpressure: none reaches the peer; what nobody receives in time is dropped, the newest first, and counted
        in ``stats().datagrams_dropped``.

        Cancellation: safe; a datagram that has arrived stays for the next one.
        """
        datagram = await self._datagrams.receive()
        if datagram is None:
            raise self._reason_of_end().exception()
        return datagram

    async def receive_datagrams(self) -> list[bytes]:
        """Return every datagram that has arrived, at least one; otherwise as :meth:`receive_datagram`."""
        datagrams = await self._datagrams.receive_all()
        if not datagrams:
            raise self._reason_of_end().exception()
        return datagrams

    def incoming_datagrams(self) -> AsyncIterator[bytes]:
        """The peer's datagrams, one after the other; ends when the connection does. See :meth:`receive_datagram`."""
        return IncomingDatagrams(self._datagrams)

    @property
    def max_datagram_size(self) -> int:
        """Bytes of the largest datagram that can be sent now; 0 when the peer takes none."""
        return self._binding.max_datagram_size

    # ---- ping, figures ----

    async def ping(self) -> float:
        """Send a PING frame and wait until the peer acknowledges it; return the seconds that took.

        The loop's own delay is part of it; ``stats().smoothed_rtt`` is without.

        Raises:
            QuicConnectionError: the connection ended before.
            WouldBlockError: 64 pings wait already.

        Cancellation: safe; the acknowledgement is ignored, and none is taken for another ping's.
        """
        self._require_open()
        self._ping_count += 1
        number = self._ping_count
        waiter = self._pings[number] = asyncio.get_running_loop().create_future()
        start = time.monotonic()  # uvloop's own clock counts milliseconds
        try:
            self._binding.ping(number)
            await waiter
        except QuicConnectionError:
            raise await self._explain() from None
        finally:
            self._pings.pop(number, None)
        if self._close_reason is not None:
            raise self._close_reason.exception()
        return time.monotonic() - start

    async def stats(self) -> ConnectionStats:
        """Return the connection's figures of this moment; after its end, the last that were taken.

        Costs one message to the network thread and one back, and no packet.

        Raises:
            QuicConnectionError: the connection ended before any were taken.

        Cancellation: safe.
        """
        if self._close_reason is None:
            await self._snapshots.fresh(self._binding)
        if not self._snapshots.latest:
            raise self._reason_of_end().exception()
        self._latest_stats = ConnectionStats.of(self._snapshots.latest, self._binding.datagram_stats)
        return self._latest_stats

    @property
    def latest_stats(self) -> ConnectionStats | None:
        """What :meth:`stats` returned last; None before its first call."""
        return self._latest_stats

    # ---- the end ----

    def close(self, code: int = 0, reason: str = "") -> None:
        """Close at once, with an application code and a reason (CONNECTION_CLOSE, RFC 9000 section 10.2).

        Bytes that were not sent or not acknowledged may be lost: :meth:`aclose` waits for them. What had arrived can
        still be read. Harmless when the connection is closed or closing: the first close counts.

        Raises:
            ValueError: ``code`` is not 0 to 2**62 - 1, or ``reason`` has more than 1024 bytes of UTF-8.
        """
        check_code(code)
        phrase = reason.encode()
        if len(phrase) > MAX_REASON_BYTES:
            raise ValueError(f"a close reason has at most {MAX_REASON_BYTES} bytes of UTF-8, not {len(phrase)}")
        if self._end is not None:
            return
        self._end = CloseReason(CloseKind.APPLICATION, error_code=code, reason=reason)
        with suppress(QuicConnectionError):  # it ended just now, and its last event says how
            self._binding.close(code, phrase)

    async def aclose(self, code: int = 0, reason: str = "") -> None:
        """Close when the peer has what was finished: wait for its acknowledgements, close, and see the end.

        The wait is for streams that were finished and not reset, and goes on as long as there is progress; when
        nothing moves for three seconds, the connection is closed all the same. A caller who has less time puts
        ``asyncio.timeout`` around it.

        Raises:
            ValueError: as :meth:`close`.

        Cancellation: the connection is closed at once; the rest of the wait is left out.
        """
        if self._end is None:
            check_code(code)
            try:
                await wait_until_delivered(self, [stream.state for stream in self._binding.streams.values()])
            finally:
                self.close(code, reason)
        await self.wait_closed()

    async def wait_closed(self) -> CloseReason:
        """Wait for the end of the connection, whoever brings it; return who ended it and why.

        Cancellation: safe; nothing changes.
        """
        if self._close_reason is None:
            waiter = asyncio.get_running_loop().create_future()
            self._close_waiters.append(waiter)
            try:
                await waiter
            finally:
                self._close_waiters.remove(waiter)
        if self._release is not None:
            await asyncio.shield(self._release)
        return self._reason_of_end()

    @property
    def close_reason(self) -> CloseReason | None:
        """Who ended the connection and why; None while it lives."""
        return self._close_reason

    @property
    def is_closed(self) -> bool:
        """True once the connection has ended, or :meth:`close` was called."""
        return self._end is not None

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
        peer = "{}:{}".format(*self.peer_address) if self._info is not None else "?"
        return f"<Connection {side} {peer} {self._end or 'open'}>"

    # ---- private ----

    def _require_open(self) -> None:
        if self._end is not None:
            raise self._end.exception()

    def _open_connection(self) -> BindingConnection:
        self._require_open()
        return self._binding

    async def _explain(self) -> QuicConnectionError:
        """What ended the connection; the engine may know before its last event has come."""
        if self._end is None:
            await self.wait_closed()
        assert self._end is not None
        return self._end.exception()

    def _reason_of_end(self) -> CloseReason:
        assert self._close_reason is not None
        return self._close_reason

    async def _take_id(self, unidirectional: bool) -> int:
        self._require_open()
        stream_id = await self._credit.take(unidirectional)
        if stream_id is None:
            raise self._reason_of_end().exception()
        return stream_id

    def _try_take_id(self, unidirectional: bool) -> int | None:
        self._require_open()
        return self._credit.try_take(unidirectional)

    def _ping_acked(self, number: int) -> None:
        waiter = self._pings.get(number)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _ended(self, reason: CloseReason) -> None:
        """The last event: everybody who waits is woken."""
        self._close_reason = self._end = reason
        self._snapshots.connection_closed()
        self._requests.connection_closed(reason)
        self._paths.connection_closed(reason)
        self._sender.connection_closed(reason)
        self._credit.closed()
        self._datagrams.closed(reason)
        self._inbox.close()
        for stream in self._binding.streams.values():
            ours = cast(BaseStream | None, stream.state)
            if ours is not None:
                ours._wake()
                stream.state = None
        for waiter in (*self._pings.values(), *self._close_waiters, *self._ready_waiters):
            if not waiter.done():
                waiter.set_result(None)
        self._give_back()

    def _hold(self, lease: EngineLease) -> None:
        """Keep the engine until the end."""
        self._lease = lease
        if self._close_reason is not None:
            self._give_back()

    def _give_back(self) -> None:
        if self._lease is not None:
            self._release = asyncio.get_running_loop().create_task(self._lease.release())
            self._lease = None
