"""Names that programs written for earlier releases know, over what there is here. docs/aioquic-api.md lists them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from aiopquic._binding import _transport_numbers as numbers
from aiopquic._binding._transport_counters import counters_of
from aiopquic._binding._transport_sink import Events
from aiopquic.quic.events import (
    DatagramFrameReceived,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)
from aiopquic.quic.facts import ConnectionFacts

if TYPE_CHECKING:
    from aiopquic.quic.engine import QuicEngine

__all__ = [
    "_EVT_ALMOST_READY",
    "_EVT_APP_CLOSE",
    "_EVT_CLOSE",
    "_EVT_DATAGRAM",
    "_EVT_DATAGRAM_ACKED",
    "_EVT_DATAGRAM_LOST",
    "_EVT_DATAGRAM_TX_DRAINED",
    "_EVT_READY",
    "_EVT_STOP_SENDING",
    "_EVT_STREAM_DATA",
    "_EVT_STREAM_DESTROY",
    "_EVT_STREAM_FIN",
    "_EVT_STREAM_RESET",
    "_EVT_STREAM_TX_DRAINED",
    "_STREAM_RING_CAP",
    "_TX_CLOSE",
    "_TX_STOP_SENDING",
    "_TX_STREAM_DATA",
    "_TX_STREAM_FIN",
    "_TX_STREAM_RESET",
    "ConnectionNames",
    "TransportNames",
    "drain_and_route",
    "quic_event",
    "route_batch",
]

logger = logging.getLogger("aiopquic.engine")

_EVT_STREAM_DATA = numbers.EVT_STREAM_DATA
_EVT_STREAM_FIN = numbers.EVT_STREAM_FIN
_EVT_STREAM_RESET = numbers.EVT_STREAM_RESET
_EVT_STOP_SENDING = numbers.EVT_STOP_SENDING
_EVT_CLOSE = numbers.EVT_CLOSE
_EVT_APP_CLOSE = numbers.EVT_APP_CLOSE
_EVT_READY = numbers.EVT_READY
_EVT_ALMOST_READY = numbers.EVT_ALMOST_READY
_EVT_DATAGRAM = numbers.EVT_DATAGRAM
_EVT_DATAGRAM_ACKED = numbers.EVT_DATAGRAM_ACKED
_EVT_DATAGRAM_LOST = numbers.EVT_DATAGRAM_LOST
_EVT_STREAM_TX_DRAINED = numbers.EVT_STREAM_TX_DRAINED
_EVT_STREAM_DESTROY = numbers.EVT_STREAM_DESTROY
_EVT_DATAGRAM_TX_DRAINED = numbers.EVT_DATAGRAM_TX_DRAINED
_TX_STREAM_DATA = numbers.TX_STREAM_DATA
_TX_STREAM_FIN = numbers.TX_STREAM_FIN
_TX_CLOSE = numbers.TX_CLOSE
_TX_STREAM_RESET = numbers.TX_STREAM_RESET
_TX_STOP_SENDING = numbers.TX_STOP_SENDING
_STREAM_RING_CAP = 1 << 20

LowLevelEvent = tuple[Any, ...]


def route_batch(events: Iterable[LowLevelEvent], route: Callable[[LowLevelEvent], object]) -> None:
    """Call ``route`` with each event; an exception goes to the logger ``aiopquic.engine`` and costs no other event."""
    for event in events:
        try:
            route(event)
        except Exception:
            logger.exception("an event could not be routed: %r", event[:2])


def drain_and_route(transport: Any, route: Callable[[LowLevelEvent], object]) -> int:
    """Take the events that wait in a ``TransportContext``, at most 256, and route each; returns how many there were."""
    events = transport.drain_rx()
    route_batch(events, route)
    return len(events)


def quic_event(event: LowLevelEvent) -> QuicEvent | None:
    """The same as a QuicEvent; None for what is no event of a stream or a datagram."""
    kind, stream_id, data, _, error_code = event[:5]
    if kind in (_EVT_STREAM_DATA, _EVT_STREAM_FIN):
        return StreamDataReceived(stream_id=stream_id, data=data, end_stream=kind == _EVT_STREAM_FIN)
    if kind == _EVT_STREAM_RESET:
        return StreamReset(stream_id=stream_id, error_code=error_code)
    if kind == _EVT_STOP_SENDING:
        return StopSendingReceived(stream_id=stream_id, error_code=error_code)
    if kind == _EVT_DATAGRAM:
        return DatagramFrameReceived(data=data)
    return None


class ConnectionNames(ConnectionFacts):
    """Private names of QuicConnection. A handle stands where programs expect a pointer; 0 stands for none."""

    _engine: QuicEngine | None

    @property
    def _transport(self) -> TransportNames | None:
        return TransportNames(self._engine) if self._engine is not None else None

    @property
    def _cnx_ptr(self) -> int:
        return self._connection.handle if self._connection is not None else 0

    @property
    def _created(self) -> bool:
        return self._connection is not None

    @property
    def _connected(self) -> bool:
        return self._info is not None and self._close_reason is None

    @property
    def _closed(self) -> bool:
        return self._close_reason is not None

    @property
    def _stream_ctxs(self) -> dict[int, int]:
        """The handles of the open streams, by their ids."""
        streams = self._connection.streams if self._connection is not None else {}
        return {stream_id: stream.handle for stream_id, stream in streams.items()}

    def _negotiated_alpn(self, cnx_ptr: int = 0) -> str | None:
        """The application protocol of this connection, whose handle may be given."""
        return self._info.alpn if self._info is not None and cnx_ptr in (0, self._cnx_ptr) else None


class TransportNames:
    """What programs ask the transport of a connection or a server, answered by its engine.

    A question about a handle that stands for no open connection has an empty answer.
    """

    def __init__(self, engine: QuicEngine) -> None:
        self._engine = engine
        self._has_room = asyncio.Event()
        self._has_room.set()

    @property
    def started(self) -> bool:
        """True while the network thread runs."""
        return self._engine.binding.is_running

    @property
    def thread_ready(self) -> bool:
        """True once the sockets are open."""
        return self._engine.port is not None

    @property
    def eventfd(self) -> int:
        """Readable while events wait."""
        return self._engine.eventfd

    @property
    def port(self) -> int:
        """The local UDP port; 0 before the sockets are open."""
        return self._engine.port or 0

    @property
    def counters(self) -> dict[str, int]:
        """What the engine has done, by its own names and by those of ``TransportContext.counters``."""
        return counters_of(self._engine.binding, Events(), {})

    @property
    def tx_event_ring_drain_event(self) -> asyncio.Event:
        """Always set: commands have room, or will before anybody could wait."""
        return self._has_room

    def arm_tx_event_ring_drain_pending(self) -> bool:
        """False: there is nothing to wait for."""
        return False

    def peer_address(self, cnx_ptr: int) -> tuple[str, int] | None:
        facts = self._facts(cnx_ptr)
        return ConnectionFacts.peer_address(facts) if facts is not None else None

    def local_address(self, cnx_ptr: int) -> tuple[str, int] | None:
        facts = self._facts(cnx_ptr)
        return ConnectionFacts.local_address(facts) if facts is not None else None

    def get_negotiated_alpn(self, cnx_ptr: int) -> str | None:
        facts = self._facts(cnx_ptr)
        return facts.alpn if facts is not None else None

    def transport_parameters(self, cnx_ptr: int, local: bool = False) -> dict[str, int | bool]:
        facts = self._facts(cnx_ptr)
        if facts is None:
            return {}
        return facts.local_transport_parameters if local else facts.peer_transport_parameters

    def connection_ids(self, cnx_ptr: int) -> dict[str, bytes]:
        facts = self._facts(cnx_ptr)
        return facts.connection_ids if facts is not None else {}

    def path_quality(self, cnx_ptr: int) -> dict[str, int]:
        facts = self._facts(cnx_ptr)
        return ConnectionFacts.path_quality(facts) if facts is not None else {}

    def _facts(self, handle: int) -> ConnectionFacts | None:
        connection = self._engine.binding.connection(handle)
        sink = connection.sink if connection is not None else None
        return sink if isinstance(sink, ConnectionFacts) else None
