from aiopquic.capi cimport aiopq_network_t


cdef class Network:
    cdef aiopq_network_t *_ptr   # owned; every engine on it keeps this object alive
