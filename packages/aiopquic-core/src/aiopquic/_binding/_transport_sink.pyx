# cython: language_level=3
"""From what the engine tells to the tuples of the low-level API."""
from collections import deque
from contextlib import suppress

from aiopquic._binding._transport_numbers import (
    EVT_ALMOST_READY,
    EVT_APP_CLOSE,
    EVT_CLOSE,
    EVT_DATAGRAM,
    EVT_DATAGRAM_ACKED,
    EVT_DATAGRAM_LOST,
    EVT_READY,
    EVT_STOP_SENDING,
    EVT_STREAM_DATA,
    EVT_STREAM_DESTROY,
    EVT_STREAM_FIN,
    EVT_STREAM_RESET,
    EVT_STREAM_TX_DRAINED,
)
from aiopquic._sinks import DATAGRAM_LOST
from aiopquic.exceptions import CloseKind

__all__ = ["ConnectionEvents", "Events"]


class Events:
    """What waits for drain_rx(), and what the handles of one transport stand for."""

    __slots__ = ("connections", "default_priority", "drain_wanted", "rings", "streams", "waiting")

    def __init__(self):
        self.waiting = deque()
        self.connections = {}       # open connections, by handle
        self.streams = {}           # their streams that have a handle with the application
        self.drain_wanted = set()   # handles of streams whose room is to be told
        self.default_priority = None
        self.rings = {}             # datagram rings, by handle

    def add_stream(self, stream):
        """Give the stream's handle a meaning; returns the handle."""
        handle = stream.handle
        if handle not in self.streams:
            self.streams[handle] = stream
            if self.default_priority is not None and stream.can_send:
                with suppress(BufferError):   # a preference, which is not worth an event
                    stream.set_priority(self.default_priority)
        return handle

    def tell(self, number, stream, data=None, fin=False, error_code=0):
        handle = self.add_stream(stream)
        self.waiting.append((number, stream.id, data, fin, error_code, stream.connection.handle, handle, handle))


class ConnectionEvents:
    """The sink of one connection, and the last that is known of it."""

    __slots__ = ("_events", "connection", "info", "is_stats_asked", "stats")

    def __init__(self, connection, events):
        self.connection = connection
        self.info = None
        self.stats = {}
        self.is_stats_asked = False
        self._events = events
        events.connections[connection.handle] = self
        connection.sink = self

    def ask_stats(self):
        """One request at a time: the answer is what there is next time."""
        if not self.is_stats_asked:
            self.is_stats_asked = self.connection.request_stats(0)

    def _tell(self, number, error_code=0):
        self._events.waiting.append((number, 0, None, False, error_code, self.connection.handle, 0, 0))

    def connection_created(self):
        self._tell(EVT_ALMOST_READY)

    def connection_ready(self, info):
        self.info = info
        self.ask_stats()
        self._tell(EVT_READY)
        self.datagrams_writable()   # those that were pushed during the handshake

    def connection_closed(self, reason):
        events = self._events
        for stream in self.connection.streams.values():
            events.streams.pop(stream.handle, None)
            events.drain_wanted.discard(stream.handle)
        for ring in self._rings():
            ring.connection_over()
        events.connections.pop(self.connection.handle, None)
        self._tell(EVT_APP_CLOSE if reason.kind is CloseKind.APPLICATION else EVT_CLOSE, reason.error_code)

    def connection_stats(self, request, stats):
        self.is_stats_asked = False
        self.stats = stats

    def connection_id_issued(self, connection_id):
        """Of no use without an event of its own."""

    def connection_id_retired(self, connection_id):
        """Of no use without an event of its own."""

    def connection_path(self, event, local_address, peer_address):
        """Paths are the stack's affair here."""

    def connection_path_answer(self, answer):
        """Never asked for."""

    def connection_writable(self):
        pass

    def datagrams_readable(self):
        handle = self.connection.handle
        for data in self.connection.take_datagrams():
            self._events.waiting.append((EVT_DATAGRAM, 0, memoryview(data), False, 0, handle, 0, 0))

    def datagrams_writable(self):
        for ring in self._rings():
            ring.go_on()

    def datagram_fate(self, uid, fate):
        kind = EVT_DATAGRAM_LOST if fate == DATAGRAM_LOST else EVT_DATAGRAM_ACKED
        self._events.waiting.append((kind, uid, None, False, 0, self.connection.handle, 0, 0))

    def _rings(self):
        return [ring for ring in self._events.rings.values() if ring.connection is self.connection]

    def stream_readable(self, stream):
        buffers, fin = stream.take()
        if fin and not buffers:
            buffers = [memoryview(b"")]
        last = len(buffers) - 1
        for index, data in enumerate(buffers):
            ends = fin and index == last
            self._events.tell(EVT_STREAM_FIN if ends else EVT_STREAM_DATA, stream, data, ends)
            stream.consume(len(data))

    def stream_reset(self, stream, error_code):
        self._events.tell(EVT_STREAM_RESET, stream, error_code=error_code)

    def stream_stopped(self, stream, error_code):
        self._events.tell(EVT_STOP_SENDING, stream, error_code=error_code)

    def stream_writable(self, stream):
        if stream.handle in self._events.drain_wanted:
            self._events.drain_wanted.discard(stream.handle)
            self._events.tell(EVT_STREAM_TX_DRAINED, stream)

    def stream_released(self, stream):
        events = self._events
        events.tell(EVT_STREAM_DESTROY, stream)
        events.streams.pop(stream.handle, None)
        events.drain_wanted.discard(stream.handle)
