from aiopquic._binding._engine cimport Engine
from aiopquic.capi cimport aiopq_conn_t
from libc.stdint cimport uint64_t


cdef class Connection:
    cdef aiopq_conn_t *_ptr          # a reference of ours, given back in __dealloc__
    cdef readonly Engine engine      # strong: connections need their engine
    cdef readonly dict streams       # id -> Stream; strong until the stream is released or the connection closed
    cdef public object sink          # receives this connection's events; see _sinks.ConnectionSink
    cdef readonly bint is_closed

    cdef bint _try_send_datagram(self, data, uint64_t uid, bytes prefix) except -1


# Wraps a connection, whose reference it takes.
cdef Connection wrap_connection(Engine engine, aiopq_conn_t *ptr)
