from aiopquic.capi cimport aiopq_chunk_t


cdef class StreamChunk:
    cdef aiopq_chunk_t *_chunk   # owned; freed with this object


# Turns one chunk, whose ownership it takes, into an object with the buffer protocol.
cdef object chunk_view(aiopq_chunk_t *chunk)
