# cython: language_level=3
"""One QUIC connection on the loop thread. Every method belongs to that thread."""
cimport cython

from aiopquic._binding._engine cimport Engine
from aiopquic._binding._status cimport fail
from aiopquic._binding._stream cimport wrap_stream
from aiopquic.capi cimport (
    AIOPQ_OK,
    AIOPQ_REASON_MAX,
    aiopq_conn_close,
    aiopq_conn_handle,
    aiopq_conn_is_client,
    aiopq_conn_request_stats,
    aiopq_conn_send_queued,
    aiopq_conn_set_owner,
    aiopq_conn_t,
    aiopq_conn_unref,
    aiopq_conn_want_writable,
    aiopq_stream_new,
    aiopq_stream_t,
)
from libc.stdint cimport uint64_t


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

    def close(self, uint64_t error_code, bytes reason):
        """Send CONNECTION_CLOSE with an application code and up to 1024 bytes of reason."""
        if len(reason) > AIOPQ_REASON_MAX:
            raise ValueError(f"a close reason has at most {AIOPQ_REASON_MAX} bytes, not {len(reason)}")
        if error_code >= 1 << 62:
            raise ValueError(f"an error code is less than 2**62, not {error_code}")
        status = aiopq_conn_close(self._ptr, error_code, reason, <size_t>len(reason))
        if status != AIOPQ_OK:
            fail(status, None)

    def request_stats(self, uint64_t request):
        """Ask for ``connection_stats`` with this number; False when the connection is closed."""
        return aiopq_conn_request_stats(self._ptr, request) == AIOPQ_OK

    def want_writable(self):
        """Ask for ``connection_writable``; False when there is room already and no event will come."""
        return aiopq_conn_want_writable(self._ptr)

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
