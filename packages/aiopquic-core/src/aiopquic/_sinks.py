"""Who receives what the engine tells: the contract between the bridge and the code above it.

Every method is called on the loop thread, from inside ``Engine.drain()``. An exception that one raises is
handed to ``EngineSink.handler_failed`` and costs nobody else an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aiopquic._binding._convert import HandshakeInfo, IncomingInfo

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection
    from aiopquic._binding._stream import Stream
    from aiopquic._paths import PathAnswer, PathEvent
    from aiopquic.exceptions import CloseReason

__all__ = [
    "DATAGRAM_ACKED",
    "DATAGRAM_LOST",
    "DATAGRAM_SPURIOUS",
    "INCOMING_ACCEPT",
    "INCOMING_REFUSE",
    "INCOMING_RETRY",
    "ConnectionSink",
    "EngineSink",
    "HandshakeInfo",
    "IncomingInfo",
]

DATAGRAM_ACKED = 0
"The peer has acknowledged the datagram."
DATAGRAM_LOST = 1
"It was declared lost; it is not sent again."
DATAGRAM_SPURIOUS = 2
"Declared lost before, it was acknowledged after all."


#: Answers for ``Engine.answer_incoming``.
INCOMING_ACCEPT = 0
INCOMING_REFUSE = 1
INCOMING_RETRY = 2


class ConnectionSink(Protocol):
    """Receives the events of one connection."""

    def connection_created(self) -> None:
        """The client's first packet is on its way."""

    def connection_ready(self, info: HandshakeInfo) -> None:
        """The handshake is complete."""

    def connection_closed(self, reason: CloseReason) -> None:
        """The end; no event follows. Streams may still hold bytes that nobody took."""

    def connection_stats(self, request: int, stats: dict[str, int]) -> None:
        """The answer to ``Connection.request_stats``."""

    def connection_id_issued(self, connection_id: bytes) -> None:
        """The peer may send to this id of ours from now on (RFC 9000 section 19.15); after ``connection_ready``."""

    def connection_id_retired(self, connection_id: bytes) -> None:
        """The peer has let go of this id of ours (RFC 9000 section 19.16)."""

    def connection_path(
        self, event: PathEvent, local_address: tuple[str, int] | None, peer_address: tuple[str, int] | None
    ) -> None:
        """Something happened to a path; the addresses are those of the path that the connection prefers now."""

    def connection_path_answer(self, answer: PathAnswer) -> None:
        """The answer to ``Connection.request_path``."""

    def connection_writable(self) -> None:
        """The connection's send budget has room again, after ``Connection.want_writable``."""

    def connection_streams(self, max_bidi: int, max_uni: int) -> None:
        """How many streams of each kind we may open in total (RFC 9000 section 4.6), after ``want_streams``."""

    def connection_ping_acked(self, uid: int) -> None:
        """The peer has acknowledged a packet sent after ``Connection.ping``."""

    def connection_answered(self, request: int, answer: bytes | None) -> None:
        """What a request with that number brought; None when it could not be done."""

    def protocol_event(self, kind: int, uid: int, data: bytes) -> None:
        """Something that the connection's protocol has to tell; what the numbers mean is the protocol's affair."""

    def datagrams_readable(self) -> None:
        """Datagrams wait; told once until ``Connection.take_datagrams`` was called."""

    def datagrams_writable(self) -> None:
        """The datagram queue has room again, after ``Connection.want_datagrams_writable``."""

    def datagram_fate(self, uid: int, fate: int) -> None:
        """What became of a datagram that was sent with a ``uid``: one of the ``DATAGRAM_...`` numbers."""

    def stream_readable(self, stream: Stream) -> None:
        """Bytes or the end of the stream wait; told once until ``Stream.take`` was called."""

    def stream_reset(self, stream: Stream, error_code: int) -> None:
        """The peer gave up its side of the stream (RFC 9000 section 19.4)."""

    def stream_stopped(self, stream: Stream, error_code: int) -> None:
        """The peer wants no more of the stream (RFC 9000 section 19.5)."""

    def stream_writable(self, stream: Stream) -> None:
        """The stream's send budget has room again, after ``Stream.want_writable``."""

    def stream_acked(self, stream: Stream) -> None:
        """The peer has all that was written before ``Stream.want_acked``."""

    def stream_released(self, stream: Stream) -> None:
        """Both directions are over and acknowledged; no event of this stream follows."""


class EngineSink(Protocol):
    """Receives the events of one engine."""

    def engine_ready(self, port: int) -> None:
        """The sockets are open; ``port`` is the local UDP port."""

    def engine_stopped(self, error: int) -> None:
        """The driver has ended; ``error`` is an errno, 0 when it was asked to."""

    def connection_accepted(self, connection: Connection) -> None:
        """A peer connected; set ``connection.sink`` here."""

    def certificates_set(self, request: int) -> None:
        """Handshakes that begin from here on get the certificates of ``Engine.set_certificates``."""

    def connection_incoming(self, incoming: IncomingInfo) -> None:
        """A client wants to connect and waits for ``Engine.answer_incoming``; no answer drops it in time."""

    def handler_failed(self, error: Exception, connection: Connection | None) -> None:
        """Code above the bridge raised; the drain goes on."""
