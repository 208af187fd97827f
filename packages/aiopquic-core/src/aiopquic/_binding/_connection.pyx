# cython: language_level=3
"""One QUIC connection on the loop thread. Every method belongs to that thread."""
cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize

from aiopquic._binding._engine cimport Engine
from aiopquic._binding._paths cimport fill_request
from aiopquic._binding._status cimport fail
from aiopquic._binding._stream cimport wrap_stream
from aiopquic._binding._varint cimport varint_length, varint_read
from aiopquic.capi cimport (
    AIOPQ_EXPORT_LABEL_MAX,
    AIOPQ_EXPORT_MAX,
    AIOPQ_NO_SCOPE,
    AIOPQ_OK,
    AIOPQ_PINGS_MAX,
    AIOPQ_PREFACE_MAX,
    AIOPQ_REASON_MAX,
    AIOPQ_TOO_LARGE,
    AIOPQ_TRANSPORT_ERROR_MAX,
    AIOPQ_WOULD_BLOCK,
    aiopq_bytes_t,
    aiopq_conn_close,
    aiopq_conn_close_transport,
    aiopq_conn_datagrams_arrived,
    aiopq_conn_drop_first_datagram,
    aiopq_conn_export_secret,
    aiopq_conn_first_datagram,
    aiopq_conn_get_datagram_stats,
    aiopq_conn_handle,
    aiopq_conn_is_client,
    aiopq_conn_max_datagram,
    aiopq_conn_ping,
    aiopq_conn_protocol_command,
    aiopq_conn_request_path,
    aiopq_conn_request_stats,
    aiopq_conn_send_datagram,
    aiopq_conn_send_queued,
    aiopq_conn_set_owner,
    aiopq_conn_start_qlog,
    aiopq_conn_stop_qlog,
    aiopq_conn_t,
    aiopq_conn_unref,
    aiopq_conn_update_keys,
    aiopq_conn_want_datagrams_writable,
    aiopq_conn_want_streams,
    aiopq_conn_want_writable,
    aiopq_datagram_stats_t,
    aiopq_path_request_t,
    aiopq_status_t,
    aiopq_stream_new_scoped,
    aiopq_stream_t,
)
from libc.stdint cimport int32_t, uint8_t, uint64_t

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

    def open_stream(self, uint64_t stream_id, scope=-1, bytes preface=b""):
        """Make a stream of our own; the peer learns of it with the first byte.

        ``scope`` is what it belongs to in the connection's protocol; it ends with that. The ``preface``, up to 16
        bytes, is sent at once, whatever the budgets have room for; it counts as bytes of the stream, and arrives even
        when the stream is reset, where the peer knows RESET_STREAM_AT.
        """
        cdef aiopq_stream_t *ptr
        cdef uint64_t scope_id = AIOPQ_NO_SCOPE if scope == -1 else scope
        cdef aiopq_bytes_t front = aiopq_bytes_t(<const uint8_t *><const char *>preface, <size_t>len(preface))
        if stream_id in self.streams:
            raise ValueError(f"stream {stream_id} is open already")
        if len(preface) > AIOPQ_PREFACE_MAX:
            raise ValueError(f"a preface has at most {AIOPQ_PREFACE_MAX} bytes, not {len(preface)}")
        status = aiopq_stream_new_scoped(self._ptr, stream_id, scope_id, front, &ptr)
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

    def request_path(self, request, str wish, path_id=0, local_address=None, peer_address=None, rtt_change_us=0,
                     rate_change=0):
        """Ask for something about paths, by one of ``_paths.PATH_WISHES``; see ``include/aiopquic/path.h``.

        ``connection_path_answer`` with the number follows, or ``connection_closed``. Addresses are IP literals with a
        port.

        Raises QuicConnectionError when the connection has ended.
        """
        cdef aiopq_path_request_t wanted
        fill_request(&wanted, request, wish, path_id, local_address, peer_address, rtt_change_us, rate_change)
        status = aiopq_conn_request_path(self._ptr, &wanted)
        if status != AIOPQ_OK:
            fail(status, None)

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

    def export_secret(self, uint64_t request, bytes label, bytes context, length):
        """Ask for ``length`` bytes of keying material (RFC 8446 section 7.5); ``connection_answered`` brings them.

        Raises ValueError (a label of 1 to 249 bytes without NUL, 1 to 8160 bytes of material) or QuicConnectionError.
        """
        cdef aiopq_bytes_t value
        if not 0 < len(label) <= AIOPQ_EXPORT_LABEL_MAX or b"\0" in label:
            raise ValueError(f"the label of an exporter has 1 to {AIOPQ_EXPORT_LABEL_MAX} bytes without NUL, "
                             f"not {len(label)}")
        if not 0 < length <= AIOPQ_EXPORT_MAX:
            raise ValueError(f"an exporter gives 1 to {AIOPQ_EXPORT_MAX} bytes, not {length}")
        value.data = <const uint8_t *><const char *>context
        value.length = <size_t>len(context)
        status = aiopq_conn_export_secret(self._ptr, request, label, value, <size_t>length)
        if status != AIOPQ_OK:
            fail(status, None)

    def update_keys(self, uint64_t request):
        """Change the keys (RFC 9001 section 6) once the peer has the present ones; ``connection_answered`` follows."""
        status = aiopq_conn_update_keys(self._ptr, request)
        if status != AIOPQ_OK:
            fail(status, None)

    def start_qlog(self, uint64_t request, bytes folder):
        """Begin a qlog file in an existing folder; ``connection_answered`` brings None when that could not be done."""
        status = aiopq_conn_start_qlog(self._ptr, request, folder)
        if status != AIOPQ_OK:
            fail(status, None)

    def stop_qlog(self, uint64_t request):
        """Complete the qlog file; ``connection_answered`` brings None when there is none."""
        status = aiopq_conn_stop_qlog(self._ptr, request)
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

    def protocol_command(self, int32_t kind, uint64_t uid, bytes data=b""):
        """Ask something of the connection's protocol on the network thread; ``protocol_event`` is how it answers.

        What the numbers mean is the protocol's affair. A command to a connection without one does nothing.

        Raises WouldBlockError (the command queue is full) or QuicConnectionError.
        """
        status = aiopq_conn_protocol_command(
            self._ptr, kind, uid, <const uint8_t *><const char *>data, <size_t>len(data))
        if status == AIOPQ_WOULD_BLOCK:
            raise exceptions.WouldBlockError("the command queue is full")
        if status != AIOPQ_OK:
            fail(status, None)

    def try_send_datagram(self, data, uint64_t uid=0, bytes prefix=b""):
        """Queue a datagram (RFC 9221); the bytes are copied. False when the queue has no room: nothing was taken.

        A ``prefix`` goes in front of the data, and counts towards the size of the datagram.

        With a ``uid`` other than 0, ``datagram_fate`` tells what became of it, unless the connection ends first.

        Raises DatagramError (a ValueError) when it is larger than ``max_datagram_size`` or that is 0, and
        QuicConnectionError.
        """
        return self._try_send_datagram(data, uid, prefix)

    def try_send_datagrams(self, datagrams, Py_ssize_t first):
        """Queue those of a sequence from ``first`` on, as many as there is room for; returns where it stopped.

        Raises as ``try_send_datagram``, and those before the one that can't be sent are queued.
        """
        while first < len(datagrams) and self._try_send_datagram(datagrams[first], 0, b""):
            first += 1
        return first

    cdef bint _try_send_datagram(self, data, uint64_t uid, bytes prefix) except -1:
        cdef Py_buffer buffer
        cdef aiopq_status_t status
        PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
        length = len(prefix) + buffer.len
        try:
            status = aiopq_conn_send_datagram(
                self._ptr, aiopq_bytes_t(<const uint8_t *><const char *>prefix, <size_t>len(prefix)),
                aiopq_bytes_t(<const uint8_t *>buffer.buf, <size_t>buffer.len), uid)
        finally:
            PyBuffer_Release(&buffer)
        if status == AIOPQ_OK:
            return True
        if status == AIOPQ_WOULD_BLOCK:
            return False
        if status == AIOPQ_TOO_LARGE:
            limit = aiopq_conn_max_datagram(self._ptr)
            raise exceptions.DatagramError(
                f"a datagram of this connection has at most {limit} bytes now, not {length}" if limit else
                "no datagram can be sent: the handshake is not complete, or the peer takes none (RFC 9221 section 3)")
        fail(status, None)

    def want_datagrams_writable(self):
        """Ask for ``datagrams_writable``; False when there is room already and no event will come."""
        return aiopq_conn_want_datagrams_writable(self._ptr)

    def take_datagrams(self):
        """The datagrams that have arrived, oldest first, each as ``bytes``."""
        cdef uint64_t left = aiopq_conn_datagrams_arrived(self._ptr)
        cdef size_t length
        cdef const uint8_t *data
        cdef list datagrams = []
        while left > 0:
            left -= 1
            data = aiopq_conn_first_datagram(self._ptr, &length)
            if data is NULL:
                break  # counted, and not yet to be seen: the event that tells of it is on its way
            datagrams.append(PyBytes_FromStringAndSize(<const char *>data, <Py_ssize_t>length))
            aiopq_conn_drop_first_datagram(self._ptr)
        return datagrams

    def take_datagrams_scoped(self):
        """The same, each as ``(number, bytes)``: the variable-length integer in front is read away.

        That is the quarter stream id of HTTP datagrams (RFC 9297 section 2.1). A datagram that does not begin with
        one is dropped.
        """
        cdef uint64_t left = aiopq_conn_datagrams_arrived(self._ptr)
        cdef size_t length
        cdef int front
        cdef const uint8_t *data
        cdef list datagrams = []
        while left > 0:
            left -= 1
            data = aiopq_conn_first_datagram(self._ptr, &length)
            if data is NULL:
                break  # counted, and not yet to be seen: the event that tells of it is on its way
            front = varint_length(data[0], False) if length > 0 else 1
            if <size_t>front <= length:
                datagrams.append((varint_read(data, front, False),
                                  PyBytes_FromStringAndSize(<const char *>data + front, <Py_ssize_t>length - front)))
            aiopq_conn_drop_first_datagram(self._ptr)
        return datagrams

    @property
    def max_datagram_size(self):
        """Bytes of the largest datagram that can be sent now; 0 before the handshake and when the peer takes none."""
        return aiopq_conn_max_datagram(self._ptr)

    @property
    def datagram_stats(self):
        """Counts of datagrams, since the connection began but for those ``queued`` now."""
        cdef aiopq_datagram_stats_t stats
        aiopq_conn_get_datagram_stats(self._ptr, &stats)
        return {
            "queued": stats.queued,
            "queued_bytes": stats.queued_bytes,
            "sent": stats.sent,
            "received": stats.received,
            "dropped_received": stats.dropped_received,
            "acked": stats.acked,
            "lost": stats.lost,
            "spurious": stats.spurious,
        }

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
