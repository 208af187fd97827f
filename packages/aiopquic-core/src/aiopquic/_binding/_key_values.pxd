from aiopquic._binding._buffer cimport Buffer
from libc.stdint cimport uint8_t


cdef dict parse_key_values(const uint8_t *at, const uint8_t *end, bint vi64, bint is_delta)

cdef int push_key_values(Buffer target, object pairs, bint is_delta) except -1
