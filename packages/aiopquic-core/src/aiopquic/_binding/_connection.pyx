# cython: language_level=3
"""One QUIC connection on the loop thread. Every method belongs to that thread."""
cimport cython

from aiopquic._binding._engine cimport Engine
from aiopquic._binding._status cimport fail
from aiopquic._binding._stream cimport wrap_stream
from aiopquic.capi cimport (
    AIOPQ_OK,
    AIOPQ_PINGS_MAX,
    AIOPQ_REASON_MAX,
    AIOPQ_TRANSPORT_ERROR_MAX,
    AIOPQ_WOULD_BLOCK,
    aiopq_conn_close,
    aiopq_conn_close_transport,
    aiopq_conn_handle,
    aiopq_conn_is_client,
    aiopq_conn_ping,
    aiopq_conn_request_stats,
    aiopq_conn_send_queued,
    aiopq_conn_set_owner,
    aiopq_conn_t,
    aiopq_conn_unref,
    aiopq_conn_want_streams,
    aiopq_conn_want_writable,
    aiopq_stream_new,
    aiopq_stream_t,
)
from libc.stdint cimport uint64_t

from aiopquic import exceptions


@cython.final
@cython.no_gc_clear
cdef class Connection:
    """One connection of an engine. Made by ``Engine.connect`` or by the drain."""

    def __cinit__(self):
        self._ptr = NULL
        self.streams = {}

    def __init__(self):
        raise TypeError("Connection objects are made by Engine.connect()")

    def __dealloc__(self):
        if self._ptr is not NULL:
            aiopq_conn_set_owner(self._ptr, NULL)
            aiopq_conn_unref(self._ptr)

    @property
    def handle(self):
        """A number that no other connection of this process ever has."""
        return aiopq_conn_handle(self._ptr)

    @property
    def is_client(self):
        return aiopq_conn_is_client(self._ptr)

    def open_stream(self, uint64_t stream_id):
        """Make a stream of our own; the peer learns of it with the first byte."""
        cdef aiopq_stream_t *ptr
        if stream_id in self.streams:
            raise ValueError(f"stream {stream_id} is open already")
        status = aiopq_stream_new(self._ptr, stream_id, &ptr)
        if status != AIOPQ_OK:
            fail(status, stream_id)
        return wrap_stream(self, ptr)

    def close(self, uint64_t error_code, bytes reason, frame_type=None):
        """Send CONNECTION_CLOSE with an application code and up to 1024 bytes of reason.

        With a ``frame_type`` it is a transport error about such a frame (type 0x1c, RFC 9000 section 19.19; 0: about
        none); its code is 1 to 0x3ff.
        """
        if len(reason) > AIOPQ_REASON_MAX:
            raise ValueError(f"a close reason has at most {AIOPQ_REASON_MAX} bytes, not {len(reason)}")
        if error_code >= 1 << 62:
            raise ValueError(f"an error code is less than 2**62, not {error_code}")
        if frame_type is None:
            status = aiopq_conn_close(self._ptr, error_code, reason, <size_t>len(reason))
        else:
            if not 0 < error_code <= AIOPQ_TRANSPORT_ERROR_MAX:
                raise ValueError(f"a transport error code is 1 to {AIOPQ_TRANSPORT_ERROR_MAX:#x}, not {error_code:#x}: "
                                 "leave out the frame type to close with an application code")
            if not 0 <= frame_type < 1 << 62:
                raise ValueError(f"a frame type is 0 to 2**62 - 1, not {frame_type}")
            status = aiopq_conn_close_transport(
                self._ptr, error_code, <uint64_t>frame_type, reason, <size_t>len(reason))
        if status != AIOPQ_OK:
            fail(status, None)

    def request_stats(self, uint64_t request):
        """Ask for ``connection_stats`` with this number; False when the connection is closed."""
        return aiopq_conn_request_stats(self._ptr, request) == AIOPQ_OK

    def want_writable(self):
        """Ask for ``connection_writable``; False when there is room already and no event will come."""
        return aiopq_conn_want_writable(self._ptr)

    def want_streams(self, uint64_t known_bidi, uint64_t known_uni):
        """Ask for one ``connection_streams`` as soon as the peer allows more streams of either kind than given.

        At once if it does already. A further call replaces the wish. A number above the limit says that nobody
        waits for that kind; at the limit the peer is told that we are blocked (STREAMS_BLOCKED). The wait ends
        with ``connection_closed`` too.

        Raises QuicConnectionError when the connection has ended.
        """
        status = aiopq_conn_want_streams(self._ptr, known_bidi, known_uni)
        if status != AIOPQ_OK:
            fail(status, None)

    def ping(self, uint64_t uid):
        """Send a PING (RFC 9000 section 19.2), before the handshake is over as soon as it is.

        ``connection_ping_acked(uid)`` tells that the peer has acknowledged a packet sent after the call, or
        ``connection_closed`` comes.

        Raises WouldBlockError (64 wait for that already) or QuicConnectionError.
        """
        status = aiopq_conn_ping(self._ptr, uid)
        if status == AIOPQ_WOULD_BLOCK:
            raise exceptions.WouldBlockError(
                f"no more pings for now: up to {AIOPQ_PINGS_MAX} wait for the peer to acknowledge them, or the command "
                "queue is full")
        if status != AIOPQ_OK:
            fail(status, None)

    @property
    def send_queued(self):
        """Bytes that wait to be sent, over all streams."""
        return aiopq_conn_send_queued(self._ptr)


cdef Connection wrap_connection(Engine engine, aiopq_conn_t *ptr):
    cdef Connection connection = Connection.__new__(Connection)
    connection._ptr = ptr
    connection.engine = engine
    aiopq_conn_set_owner(ptr, <void *>connection)
    return connection
