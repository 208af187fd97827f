"""Variable-length integers, in two codings.

RFC 9000 section 16: the two leading bits of the first byte give the length, 1, 2, 4 or 8 bytes; values below 2**62.

vi64 (draft-ietf-moq-transport-18 section 1.4.1): as many bytes follow the first as it has leading one bits, 0 to 8;
all values of 64 bits. Both are in network byte order, and both may be longer than they need to be.
"""
from libc.stdint cimport uint8_t, uint64_t

cdef enum:
    VARINT_LONGEST = 9   # bytes; 8 without vi64


# Bytes of an integer that starts with `first`.
cdef inline int varint_length(uint8_t first, bint vi64) noexcept nogil:
    cdef int length = 1
    if not vi64:
        return 1 << (first >> 6)
    while first & 0x80:
        length += 1
        first = <uint8_t>(first << 1)
    return length


# The integer in the `length` bytes at `at`; the length is varint_length()'s.
cdef inline uint64_t varint_read(const uint8_t *at, int length, bint vi64) noexcept nogil:
    cdef uint64_t value = at[0] & ((0xff >> length) if vi64 else 0x3f)
    cdef int i
    for i in range(1, length):
        value = (value << 8) | at[i]
    return value


# Bytes of the shortest form; 0 when the coding has none.
cdef inline int varint_size(uint64_t value, bint vi64) noexcept nogil:
    cdef int length = 1
    if vi64:
        while length < 9 and value >> (7 * length):
            length += 1
        return length
    if value < 0x40:
        return 1
    if value < 0x4000:
        return 2
    if value < 0x40000000:
        return 4
    return 8 if value >> 62 == 0 else 0


# The inverse of varint_read(), into `length` bytes.
cdef inline void varint_write(uint8_t *at, uint64_t value, int length, bint vi64) noexcept nogil:
    cdef int i
    for i in range(length - 1, -1, -1):
        at[i] = <uint8_t>value
        value >>= 8
    if vi64:
        at[0] |= <uint8_t>(0xff << (9 - length))
    elif length > 1:
        at[0] |= <uint8_t>(0x40 if length == 2 else 0x80 if length == 4 else 0xc0)
