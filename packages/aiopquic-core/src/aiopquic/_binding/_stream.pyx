# cython: language_level=3
"""One QUIC stream on the loop thread. Every method belongs to that thread."""
cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.memoryview cimport PyMemoryView_Check
from cpython.ref cimport Py_DECREF, Py_INCREF

from aiopquic._binding._chunk cimport StreamChunk, chunk_view
from aiopquic._binding._connection cimport Connection
from aiopquic._binding._status cimport fail
from aiopquic.capi cimport (
    AIOPQ_NO_SCOPE,
    AIOPQ_ANY_PATH,
    AIOPQ_OK,
    AIOPQ_SEND_FLOOR,
    AIOPQ_TOO_LARGE,
    AIOPQ_WOULD_BLOCK,
    aiopq_chunk_t,
    aiopq_lent_t,
    aiopq_status_t,
    aiopq_stream_abandon,
    aiopq_stream_consume,
    aiopq_stream_handle,
    aiopq_stream_id,
    aiopq_stream_lend,
    aiopq_stream_reset,
    aiopq_stream_room,
    aiopq_stream_scope,
    aiopq_stream_send_queued,
    aiopq_stream_send_state,
    aiopq_stream_sent,
    aiopq_stream_set_owner,
    aiopq_stream_set_path,
    aiopq_stream_set_priority,
    aiopq_stream_stop,
    aiopq_stream_t,
    aiopq_stream_take,
    aiopq_stream_unref,
    aiopq_stream_want_acked,
    aiopq_stream_want_writable,
    aiopq_stream_write,
    c_bool,
)
from libc.stdint cimport UINT32_MAX, uint8_t, uint64_t

#: Bytes that a stream may hold whatever the connection's other streams hold; less when a budget is less.
SEND_FLOOR = AIOPQ_SEND_FLOOR
# From here on lending costs less CPU per byte than copying; at 32 KiB and less no difference was certain, and what is
# copied is let go at once (docs/performance.md, "Steps, and what each gave").
cdef enum:
    _LEND_MIN = 65536

#: Bytes from which on a write of immutable data refers to them instead of copying them.
LEND_MIN = _LEND_MIN


@cython.final
@cython.no_gc_clear
cdef class Stream:
    """One stream of a connection. Made by ``Connection.open_stream`` or by the drain."""

    def __cinit__(self):
        self._ptr = NULL

    def __init__(self):
        raise TypeError("Stream objects are made by Connection.open_stream()")

    def __dealloc__(self):
        if self._ptr is not NULL:
            aiopq_stream_set_owner(self._ptr, NULL)
            aiopq_stream_abandon(self._ptr)
            aiopq_stream_unref(self._ptr)

    @property
    def handle(self):
        """A number that no other stream of this process ever has."""
        return aiopq_stream_handle(self._ptr)

    def write(self, data, bint fin=False):
        """Queue all of ``data``, and the end of the stream with ``fin``.

        ``bytes``, received chunks and views of them are sent from where they are if they have ``LEND_MIN`` bytes or
        more, and are held until then. Anything else is copied, so it may be changed afterwards.

        Raises WouldBlockError (nothing was taken), ValueError (larger than the whole budget),
        StreamClosedError, StreamStoppedError or QuicConnectionError.
        """
        cdef aiopq_status_t status = self._write(data, fin)
        if status != AIOPQ_OK:
            fail(status, self.id)

    def try_write(self, data, bint fin=False):
        """The same; answers False instead of raising WouldBlockError."""
        cdef aiopq_status_t status = self._write(data, fin)
        if status == AIOPQ_OK:
            return True
        if status == AIOPQ_WOULD_BLOCK:
            return False
        fail(status, self.id)

    def write_bytes(self, data, bint fin=False):
        """``try_write`` for ``bytes``: False too, with nothing taken, for other buffers and beyond the budget."""
        if type(data) is not bytes:
            return False
        cdef aiopq_status_t status = self._write(data, fin)
        if status == AIOPQ_OK:
            return True
        if status == AIOPQ_WOULD_BLOCK or status == AIOPQ_TOO_LARGE:
            return False
        fail(status, self.id)

    cdef aiopq_status_t _write(self, data, bint fin) except *:
        cdef Py_buffer buffer
        cdef object owner
        PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
        try:
            if _LEND_MIN <= buffer.len <= UINT32_MAX:
                owner = data.obj if PyMemoryView_Check(data) else data
                if is_immutable(owner):
                    return self._lend(&buffer, owner, fin)
            return aiopq_stream_write(self._ptr, <const uint8_t *>buffer.buf, <size_t>buffer.len, fin)
        finally:
            PyBuffer_Release(&buffer)

    # Only the owner of the bytes is held: it never changes or moves them, whatever becomes of the views of it.
    cdef aiopq_status_t _lend(self, Py_buffer *buffer, owner, bint fin) except *:
        cdef aiopq_lent_t lent
        lent.bytes = <const uint8_t *>buffer.buf
        lent.length = <size_t>buffer.len
        lent.owner = <void *>owner
        lent.release = release_owner
        Py_INCREF(owner)  # the engine's; release_owner() gives it back
        cdef aiopq_status_t status = aiopq_stream_lend(self._ptr, &lent, fin)
        if status != AIOPQ_OK:
            Py_DECREF(owner)
        return status

    def take(self):
        """Every byte that has arrived: ``(buffers, fin)``, the buffers in order, read-only memoryviews.

        ``fin`` is True once: the end may be seen here an instant before the readable event that tells of it.
        """
        cdef c_bool fin = False
        cdef aiopq_chunk_t *chunk = aiopq_stream_take(self._ptr, &fin)
        cdef aiopq_chunk_t *following
        cdef list buffers = []
        while chunk is not NULL:
            following = chunk.next
            buffers.append(chunk_view(chunk))
            chunk = following
        if not fin or self._end_taken:
            return buffers, False
        self._end_taken = True
        return buffers, True

    def consume(self, uint64_t length):
        """The application is done with ``length`` more bytes: the peer may send that many more."""
        aiopq_stream_consume(self._ptr, length)

    def reset(self, uint64_t error_code, reliable_size=None):
        """Give up sending (RESET_STREAM); bytes that wait are dropped.

        The first ``reliable_size`` bytes that were written arrive nevertheless where the peer knows RESET_STREAM_AT
        (``HandshakeInfo.remote_parameters["reset_stream_at"]``), and so does the preface of a scope. Only the first
        reset of a stream counts.
        """
        cdef uint64_t reliable = 0 if reliable_size is None else reliable_size
        status = aiopq_stream_reset(self._ptr, error_code, reliable)
        if status != AIOPQ_OK:
            fail(status, self.id)

    def stop(self, uint64_t error_code):
        """Ask the peer to stop sending (STOP_SENDING)."""
        status = aiopq_stream_stop(self._ptr, error_code)
        if status != AIOPQ_OK:
            fail(status, self.id)

    def set_priority(self, int priority):
        """0 is sent first, 255 last."""
        if not 0 <= priority <= 255:
            raise ValueError(f"a stream priority is 0 to 255, not {priority}")
        status = aiopq_stream_set_priority(self._ptr, <uint8_t>priority)
        if status != AIOPQ_OK:
            fail(status, self.id)

    def set_path(self, path_id):
        """Send on the path of that id alone; None: on any."""
        status = aiopq_stream_set_path(self._ptr, AIOPQ_ANY_PATH if path_id is None else <uint64_t>path_id)
        if status != AIOPQ_OK:
            fail(status, self.id)

    def want_writable(self):
        """Ask for ``stream_writable``; False when there is room already and no event will come.

        There is room when half of the budgets, or half of ``SEND_FLOOR``, is free: a write of half of that fits.
        """
        return aiopq_stream_want_writable(self._ptr)

    def want_acked(self):
        """Ask for one ``stream_acked`` once the peer has acknowledged all that was written, the end included.

        False when that is so already: then no event comes. A further call replaces the wish by what is written
        then. ``stream_stopped`` or ``connection_closed`` ends the wait too, and so does a ``reset()`` of our own,
        after which none of them comes.

        Raises StreamStoppedError, StreamClosedError (it was reset) or QuicConnectionError when one of these has
        happened.
        """
        cdef c_bool will_tell = False
        status = aiopq_stream_want_acked(self._ptr, &will_tell)
        if status != AIOPQ_OK:
            fail(status, self.id)
        return will_tell

    @property
    def room(self):
        """Bytes that a write can take now."""
        return aiopq_stream_room(self._ptr)

    @property
    def send_queued(self):
        """Bytes that wait to be sent."""
        return aiopq_stream_send_queued(self._ptr)

    @property
    def sent(self):
        """Bytes that went into packets."""
        return aiopq_stream_sent(self._ptr)

    @property
    def can_send(self):
        """True while writes are possible, back-pressure apart."""
        return aiopq_stream_send_state(self._ptr) == AIOPQ_OK


# Exact types alone: nobody can change their bytes, and their end runs no code of the application.
cdef inline bint is_immutable(object owner):
    return type(owner) is bytes or type(owner) is StreamChunk


# Called on the loop thread, with the GIL, in Engine.drain() and at the end of an engine.
cdef void release_owner(void *owner) noexcept:
    Py_DECREF(<object>owner)


cdef Stream wrap_stream(Connection connection, aiopq_stream_t *ptr):
    cdef Stream stream = Stream.__new__(Stream)
    stream._ptr = ptr
    stream.connection = connection
    stream.id = aiopq_stream_id(ptr)
    cdef uint64_t scope = aiopq_stream_scope(ptr)
    stream.scope = -1 if scope == AIOPQ_NO_SCOPE else scope
    aiopq_stream_set_owner(ptr, <void *>stream)
    connection.streams[stream.id] = stream
    return stream
