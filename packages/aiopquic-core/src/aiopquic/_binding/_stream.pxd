from aiopquic._binding._connection cimport Connection
from aiopquic.capi cimport aiopq_status_t, aiopq_stream_t


cdef class Stream:
    cdef aiopq_stream_t *_ptr            # a reference of ours, given back in __dealloc__
    cdef readonly Connection connection  # keeps the engine alive
    cdef readonly object id              # the QUIC stream id
    cdef readonly object scope           # what it belongs to in the connection's protocol; -1: nothing
    cdef public object sink              # whoever reads this stream; None: the connection's sink does
    cdef public object state             # free for the sink
    cdef bint _end_taken                 # take() has told of the end

    cdef aiopq_status_t _write(self, data, bint fin) except *
    cdef aiopq_status_t _lend(self, Py_buffer *buffer, owner, bint fin) except *


# Wraps a stream, whose reference it takes.
cdef Stream wrap_stream(Connection connection, aiopq_stream_t *ptr)
