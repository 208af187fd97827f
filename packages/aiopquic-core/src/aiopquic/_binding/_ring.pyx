# cython: language_level=3
"""The engine's queue between two threads, for programs and tests that use it by itself."""
cimport cython
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject

from libc.stdint cimport uint32_t, uint64_t


# This module has a copy of the queue's code: the shared library does not export it.
cdef extern from "base/spsc_queue.h" nogil:
    ctypedef struct aiopq_spsc_queue_t:
        pass
    bint aiopq_spsc_init(aiopq_spsc_queue_t *queue, size_t entry_bytes, uint32_t block_entries)
    void aiopq_spsc_dispose(aiopq_spsc_queue_t *queue)
    bint aiopq_spsc_push(aiopq_spsc_queue_t *queue, const void *entry)
    bint aiopq_spsc_pop(aiopq_spsc_queue_t *queue, void *entry)
    uint64_t aiopq_spsc_size(const aiopq_spsc_queue_t *queue)


cdef extern from "<stdlib.h>" nogil:
    void *aligned_alloc(size_t alignment, size_t size)
    void free(void *memory)


cdef enum:
    BLOCK_ENTRIES = 256
    CACHE_LINE = 64         # how the queue is aligned


cdef struct entry_t:
    int event_type
    bint is_fin
    uint64_t stream_id
    uint64_t error_code
    PyObject *data          # a reference that the entry holds; NULL for None


@cython.final
@cython.no_gc
cdef class RingBuffer:
    """Up to ``capacity`` events between one thread that pushes and one that pops.

    Memory is taken as entries come, by the block, and not for the whole capacity.
    """
    cdef aiopq_spsc_queue_t *_queue
    cdef readonly uint64_t capacity

    def __cinit__(self, uint64_t capacity=262144):
        if capacity == 0:
            raise ValueError("a ring has room for at least one entry")
        self.capacity = capacity
        self._queue = <aiopq_spsc_queue_t *>aligned_alloc(CACHE_LINE, sizeof(aiopq_spsc_queue_t))
        if self._queue is NULL:
            raise MemoryError
        if not aiopq_spsc_init(self._queue, sizeof(entry_t), BLOCK_ENTRIES):
            free(self._queue)
            self._queue = NULL
            raise MemoryError

    def __dealloc__(self):
        cdef entry_t entry
        if self._queue is not NULL:
            while aiopq_spsc_pop(self._queue, &entry):
                Py_XDECREF(entry.data)
            aiopq_spsc_dispose(self._queue)
            free(self._queue)

    @property
    def count(self):
        """Entries that wait."""
        return aiopq_spsc_size(self._queue)

    @property
    def empty(self):
        return aiopq_spsc_size(self._queue) == 0

    def push(self, int event_type, uint64_t stream_id=0, bytes data=None, bint is_fin=False, uint64_t error_code=0):
        """Add an entry at the end; BufferError when ``capacity`` entries wait."""
        cdef entry_t entry
        if aiopq_spsc_size(self._queue) >= self.capacity:
            raise BufferError(f"{self.capacity} entries wait: pop some before the next push")
        entry.event_type = event_type
        entry.is_fin = is_fin
        entry.stream_id = stream_id
        entry.error_code = error_code
        entry.data = NULL
        if data is not None:
            Py_INCREF(data)
            entry.data = <PyObject *>data
        if not aiopq_spsc_push(self._queue, &entry):
            Py_XDECREF(entry.data)
            raise MemoryError

    def pop(self):
        """The oldest entry, ``(event_type, stream_id, data, is_fin, error_code)``; None when there is none."""
        cdef entry_t entry
        data = None
        if not aiopq_spsc_pop(self._queue, &entry):
            return None
        if entry.data is not NULL:
            data = <object>entry.data
            Py_XDECREF(entry.data)
        return entry.event_type, entry.stream_id, data, <bint>entry.is_fin, entry.error_code
