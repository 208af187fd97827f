# cython: language_level=3
"""Received bytes, handed over without another copy."""
cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_FromStringAndSize

from aiopquic.capi cimport aiopq_chunk_free, aiopq_chunk_t

# Below this many bytes a copy costs less than an object of its own around the chunk.
cdef enum:
    COPY_LIMIT = 4096


@cython.final
@cython.no_gc
cdef class StreamChunk:
    """A run of received stream bytes: read-only, with the buffer protocol. Made by the library only."""

    def __cinit__(self):
        self._chunk = NULL

    def __init__(self):
        raise TypeError("StreamChunk objects come from received data; they can't be made by hand")

    def __dealloc__(self):
        aiopq_chunk_free(self._chunk)

    def __len__(self):
        return self._chunk.filled if self._chunk is not NULL else 0

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        if self._chunk is NULL:
            raise BufferError("this chunk holds no data")
        PyBuffer_FillInfo(buffer, self, self._chunk.data, <Py_ssize_t>self._chunk.filled, 1, flags & ~PyBUF_WRITABLE)


cdef object chunk_view(aiopq_chunk_t *chunk):
    cdef StreamChunk holder
    if chunk.filled <= COPY_LIMIT:
        data = PyBytes_FromStringAndSize(<char *>chunk.data, <Py_ssize_t>chunk.filled)
        aiopq_chunk_free(chunk)
        return memoryview(data)
    holder = StreamChunk.__new__(StreamChunk)
    holder._chunk = chunk
    return memoryview(holder)
