from libc.stdint cimport uint8_t, uint64_t


cdef Py_ssize_t as_count(object value) except -1

cdef uint64_t as_unsigned(object value, int bits) except? 0xffffffffffffffff


cdef class Buffer:
    cdef uint8_t *_bytes
    cdef readonly Py_ssize_t capacity
    cdef Py_ssize_t _written      # bytes from the start that hold data
    cdef Py_ssize_t _position
    cdef bint _is_fixed
    cdef public bint vi64

    cdef int _allocate(self, Py_ssize_t size) except -1
    cdef int _fill_gap(self) except -1
    cdef const uint8_t *_take(self, Py_ssize_t count) except NULL
    cdef uint8_t *_grow(self, Py_ssize_t count) except NULL
    cdef uint64_t _pull_unsigned(self, int count) except? 0xffffffffffffffff
    cdef int _push_unsigned(self, uint64_t value, int count) except -1
    cdef uint64_t pull_varint(self, bint vi64) except? 0xffffffffffffffff
    cdef int push_varint(self, uint64_t value, bint vi64) except -1
    cdef int push_from(self, const uint8_t *data, Py_ssize_t length) except -1
