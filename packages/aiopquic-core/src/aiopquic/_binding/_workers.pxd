from aiopquic.capi cimport aiopq_workers_t


cdef class Workers:
    cdef aiopq_workers_t *_ptr   # a reference; each engine has its own
    cdef int _port               # also when they are closed
