# cython: language_level=3
"""Datagrams of the low-level API (RFC 9221): rings that a program fills, and connections that empty them."""
import itertools
from collections import deque

from aiopquic._binding._transport_facts import TransportFacts
from aiopquic._binding._transport_numbers import EVT_DATAGRAM_TX_DRAINED
from aiopquic.exceptions import DatagramError, QuicConnectionError

__all__ = ["DatagramRing", "TransportDatagrams"]

# What a record counts above its bytes, so that empty ones are bounded too.
cdef int RECORD_BYTES = 4

# Answers of dgram_send(). A ring that is full answers 0.
cdef int TAKEN = 1
cdef int WAITS = 2
cdef int NEVER = -1


class DatagramRing:
    """Datagrams that wait for room in the queue of a connection, oldest first."""

    __slots__ = ("_events", "_records", "bytes_used", "capacity", "connection", "dropped", "handle", "is_awaited",
                 "max_record")

    def __init__(self, handle, capacity, max_record, events):
        self._events = events
        self._records = deque()
        self.handle = handle
        self.capacity = capacity
        self.max_record = max_record
        self.bytes_used = 0
        self.dropped = 0
        self.connection = None   # the bridge's, once dgram_mark_ready() or dgram_send() named one
        self.is_awaited = False  # something had to wait: its going is told

    def push(self, data, uid):
        """Bytes that were taken, 0 without room, -1 when there never will be."""
        data = bytes(data)
        size = len(data)
        if size > self.max_record:
            return NEVER
        if self.bytes_used + size + RECORD_BYTES > self.capacity:
            self.is_awaited = True
            return 0
        self._records.append((data, uid))
        self.bytes_used += size + RECORD_BYTES
        return size

    def hand_over(self):
        """Give the connection what it takes; False when some wait on."""
        connection = self.connection
        while self._records:
            data, uid = self._records[0]
            try:
                if not connection.try_send_datagram(data, uid):
                    if connection.want_datagrams_writable():
                        return False
                    continue   # there is room by now
            except DatagramError:
                if connection.sink.info is None:
                    return False   # what the peer takes is known once the handshake is complete
                self.dropped += 1
            except QuicConnectionError:
                return False   # the event of the end empties the ring
            self._records.popleft()
            self.bytes_used -= len(data) + RECORD_BYTES
        return True

    def go_on(self):
        """There may be room: hand over; True when it was told that nothing waits any more that had to."""
        if not (self.hand_over() and self.is_awaited):
            return False
        self.is_awaited = False
        self._events.waiting.append(
            (EVT_DATAGRAM_TX_DRAINED, 0, None, False, 0, self.connection.handle, self.handle, self.handle))
        return True

    def connection_over(self):
        """Nobody takes what waits."""
        self.dropped += len(self._records)
        self._records.clear()
        self.bytes_used = 0
        self.connection = None

    @property
    def records(self):
        return len(self._records)


class TransportDatagrams(TransportFacts):
    """The part of TransportContext that sends datagrams. Rings are named by handles, as connections are."""

    def __init__(self):
        super().__init__()
        self._ring_handles = itertools.count(1)

    def dgram_ring_create(self, capacity, max_record):
        """A ring of ``capacity`` bytes for datagrams of up to ``max_record``; returns its handle.

        Each datagram counts four bytes more than it has.
        """
        if not 0 <= max_record <= capacity - RECORD_BYTES:
            raise ValueError(f"a ring of {capacity} bytes has no room for a datagram of {max_record}")
        handle = next(self._ring_handles)
        self._events.rings[handle] = DatagramRing(handle, capacity, max_record, self._events)
        return handle

    def dgram_ring_release(self, db, cnx=0):
        """Forget the ring with what waits in it; harmless when it is gone. ``cnx`` is not needed."""
        self._events.rings.pop(db, None)

    def dgram_push(self, db, data, uid=0):
        """Put a datagram into the ring: its bytes, 0 without room, -1 when it is larger than a record, or no ring.

        With a ``uid``, event 9 or 10 tells what became of it, with the ``uid`` in the place of the stream id.
        """
        ring = self._events.rings.get(db)
        return NEVER if ring is None else ring.push(data, uid)

    def dgram_mark_ready(self, cnx_ptr, db):
        """Send what the ring holds on that connection, now and as there is room; 1 when some wait on, else 0.

        When something had to wait or found no room, event 19 tells that the ring is empty again.

        Raises StreamClosedError when the connection is over, ValueError when there is no such ring.
        """
        ring = self._events.rings.get(db)
        if ring is None:
            raise ValueError(f"there is no datagram ring {db}")
        ring.connection = self._connection(cnx_ptr)
        if ring.go_on():
            self._engine.rearm()
        if not ring.records:
            return 0
        ring.is_awaited = True
        return 1

    def dgram_send(self, cnx_ptr, db, data, uid=0):
        """Both at once: 1 taken by the connection, 2 it waits in the ring, 0 the ring is full, -1 it can't be sent."""
        connection = self._engine.connection(cnx_ptr) if self._engine is not None else None
        ring = self._events.rings.get(db)
        if connection is None or ring is None:
            return NEVER
        ceiling = connection.max_datagram_size
        if connection.sink.info is not None and (ceiling == 0 or len(data) > ceiling):
            return NEVER
        before = self.dgram_mark_ready(cnx_ptr, db) and ring.records
        taken = ring.push(data, uid)
        if ring.records == before:
            return taken
        return WAITS if self.dgram_mark_ready(cnx_ptr, db) else TAKEN

    def dgram_ring_stats(self, db):
        """``capacity``, ``bytes_used``, ``records`` that wait and those ``dropped``; empty when there is no ring."""
        ring = self._events.rings.get(db)
        names = ("capacity", "bytes_used", "records", "dropped")
        return {} if ring is None else {name: getattr(ring, name) for name in names}

    def datagram_payload_ceiling(self, cnx_ptr):
        """Bytes of the largest datagram now; 0 before the handshake, for a peer that takes none, and after the end."""
        connection = self._engine.connection(cnx_ptr) if self._engine is not None else None
        return connection.max_datagram_size if connection is not None else 0
