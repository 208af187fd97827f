from aiopquic._binding._connection cimport Connection
from aiopquic._binding._network cimport Network
from aiopquic.capi cimport aiopq_engine_t, aiopq_event_t
from posix.types cimport pid_t


cdef class Engine:
    cdef aiopq_engine_t *_ptr        # owned; freed in __dealloc__, when no connection can need it any more
    cdef bint _is_inline             # drains move the datagrams
    cdef pid_t _pid                  # of the process that has the engine's thread
    cdef tuple _protocols            # capsules, whose structures the C side borrows
    cdef Network _network            # the simulated network it lives on, or None; freed behind the C side
    cdef dict _connections           # handle -> Connection; strong until its last event
    cdef public object sink          # receives the engine's events; see _sinks.EngineSink
    cdef readonly bint is_running    # started and not yet joined
    cdef object __weakref__

    cdef void _dispatch(self, aiopq_event_t *event) except *
    cdef _create(self, settings)
    cdef _dispatch_own(self, aiopq_event_t *event)
    cdef Connection _connection_of(self, aiopq_event_t *event)
    cdef _dispatch_connection(self, Connection connection, aiopq_event_t *event)
    cdef _dispatch_stream(self, Connection connection, sink, aiopq_event_t *event)
