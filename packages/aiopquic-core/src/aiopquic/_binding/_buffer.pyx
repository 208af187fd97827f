# cython: language_level=3
"""A run of bytes in memory with one cursor, for reading and for writing of integers and byte strings."""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.long cimport PyLong_AsUnsignedLongLong
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.number cimport PyNumber_Index

from aiopquic._binding._varint cimport varint_length, varint_read, varint_size, varint_write
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memset

from aiopquic.exceptions import BufferReadError

__all__ = ["Buffer", "BufferReadError"]

cdef Py_ssize_t DEFAULT_CAPACITY = 1024

# The largest Py_ssize_t, for counts that no buffer reaches.
cdef Py_ssize_t COUNT_MAX = <Py_ssize_t>(<size_t>-1 >> 1)


# A count of bytes or a position: a count that is too large for C is larger than every buffer.
cdef Py_ssize_t as_count(object value) except -1:
    number = PyNumber_Index(value)
    if number < 0:
        raise BufferReadError(f"a position or a length is 0 or more, not {number}")
    return COUNT_MAX if number > COUNT_MAX else <Py_ssize_t>number


cdef uint64_t as_unsigned(object value, int bits) except? 0xffffffffffffffff:
    cdef uint64_t result
    number = PyNumber_Index(value)
    try:
        result = PyLong_AsUnsignedLongLong(number)
    except OverflowError:
        raise ValueError(f"{number} does not fit into an unsigned integer of {bits} bits") from None
    if bits < 64 and result >> bits:
        raise ValueError(f"{number} does not fit into an unsigned integer of {bits} bits")
    return result


cdef int byte_count(object value) except -1:
    count = PyNumber_Index(value)
    if not 1 <= count <= 8:
        raise ValueError(f"an integer has 1 to 8 bytes, not {count}")
    return <int>count


cdef class Buffer:
    """Bytes with one cursor, which pulls and pushes both move.

    With ``data``, the buffer reads a copy of it: the size is fixed, and a push is a ValueError. Without, it starts
    empty and grows as it is pushed to, by doubling: ``capacity`` is where it starts and what it never falls below.

    A pull or a slice never goes past what was pushed or given: BufferReadError, and the cursor stays. A seek goes
    anywhere up to ``capacity``; what a push leaves out behind the end reads as zeros.

    ``vi64`` chooses the coding of :meth:`pull_vint` and :meth:`push_vint`.
    """

    def __cinit__(self, capacity=None, data=None, bint vi64=False):
        cdef Py_buffer view
        self._bytes = NULL
        self.vi64 = vi64
        if data is not None:
            PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
            try:
                self._allocate(view.len)
                memcpy(self._bytes, view.buf, <size_t>view.len)
            finally:
                PyBuffer_Release(&view)
            self._written = self.capacity
            self._is_fixed = True
            return
        size = DEFAULT_CAPACITY if capacity is None else PyNumber_Index(capacity)
        if size < 0:
            raise ValueError(f"a capacity is 0 or more bytes, not {size}")
        if size > COUNT_MAX:
            raise MemoryError
        self._allocate(size)

    def __dealloc__(self):
        PyMem_Free(self._bytes)

    cdef int _allocate(self, Py_ssize_t size) except -1:
        self._bytes = <uint8_t *>PyMem_Malloc(<size_t>size)
        if self._bytes is NULL:
            raise MemoryError
        self.capacity = size
        return 0

    # ---- the cursor ----

    def tell(self):
        """The cursor: bytes from the start."""
        return self._position

    def seek(self, pos):
        """Move the cursor; BufferReadError for less than 0 or more than ``capacity``."""
        cdef Py_ssize_t position = as_count(pos)
        if position > self.capacity:
            raise BufferReadError(f"position {pos} is behind the end of a buffer of {self.capacity} bytes")
        self._position = position

    def eof(self):
        """True when nothing is left to pull."""
        return self._position >= self._written

    @property
    def data(self):
        """The bytes from the start to the cursor."""
        self._fill_gap()
        return PyBytes_FromStringAndSize(<char *>self._bytes, self._position)

    def data_slice(self, start, end):
        """The bytes from ``start`` to before ``end``, wherever the cursor is."""
        cdef Py_ssize_t first = as_count(start)
        cdef Py_ssize_t last = as_count(end)
        if first > last or last > self._written:
            raise BufferReadError(f"there is no slice from {start} to {end} in {self._written} bytes")
        return PyBytes_FromStringAndSize(<char *>self._bytes + first, last - first)

    # ---- reading ----

    # The next `count` bytes, behind which the cursor is then.
    cdef const uint8_t *_take(self, Py_ssize_t count) except NULL:
        cdef const uint8_t *at = self._bytes + self._position
        cdef Py_ssize_t left = max(self._written - self._position, 0)
        if count > left:
            raise BufferReadError(f"{count} bytes are to be read where {left} are left")
        self._position += count
        return at

    cdef uint64_t _pull_unsigned(self, int count) except? 0xffffffffffffffff:
        cdef const uint8_t *at = self._take(count)
        cdef uint64_t value = 0
        cdef int i
        for i in range(count):
            value = (value << 8) | at[i]
        return value

    cdef uint64_t pull_varint(self, bint vi64) except? 0xffffffffffffffff:
        cdef const uint8_t *at = self._take(1)
        cdef int length = varint_length(at[0], vi64)
        self._position -= 1
        return varint_read(self._take(length), length, vi64)

    def pull_bytes(self, n):
        """The next ``n`` bytes."""
        cdef Py_ssize_t count = as_count(n)
        return PyBytes_FromStringAndSize(<const char *>self._take(count), count)

    def pull_uint8(self):
        return self._pull_unsigned(1)

    def pull_uint16(self):
        return self._pull_unsigned(2)

    def pull_uint32(self):
        return self._pull_unsigned(4)

    def pull_uint64(self):
        return self._pull_unsigned(8)

    def pull_uint(self, n):
        """An integer of ``n`` bytes, 1 to 8, in network byte order."""
        return self._pull_unsigned(byte_count(n))

    def pull_uint_var(self):
        """A variable-length integer (RFC 9000 section 16)."""
        return self.pull_varint(False)

    def pull_uint_vi64(self):
        """A variable-length integer (draft-ietf-moq-transport-18 section 1.4.1)."""
        return self.pull_varint(True)

    def pull_vint(self):
        """A variable-length integer in the coding that ``vi64`` chooses."""
        return self.pull_varint(self.vi64)

    # ---- writing ----

    cdef int _fill_gap(self) except -1:
        if self._position > self._written:
            memset(self._bytes + self._written, 0, <size_t>(self._position - self._written))
            self._written = self._position
        return 0

    # Room for `count` bytes at the cursor, which is behind them then.
    cdef uint8_t *_grow(self, Py_ssize_t count) except NULL:
        cdef Py_ssize_t size = self.capacity
        cdef uint8_t *at
        if self._is_fixed:
            raise ValueError("this buffer reads the data that it was made with: push to a Buffer without data")
        if count > COUNT_MAX - self._position:
            raise MemoryError
        if self._position + count > size:
            while size < self._position + count:
                size = max(size, 1) * 2 if size <= COUNT_MAX // 2 else COUNT_MAX
            at = <uint8_t *>PyMem_Realloc(self._bytes, <size_t>size)
            if at is NULL:
                raise MemoryError
            self._bytes = at
            self.capacity = size
        self._fill_gap()
        at = self._bytes + self._position
        self._position += count
        self._written = max(self._written, self._position)
        return at

    cdef int _push_unsigned(self, uint64_t value, int count) except -1:
        cdef uint8_t *at = self._grow(count)
        cdef int i
        for i in range(count - 1, -1, -1):
            at[i] = <uint8_t>value
            value >>= 8
        return 0

    cdef int push_varint(self, uint64_t value, bint vi64) except -1:
        cdef int length = varint_size(value, vi64)
        if length == 0:
            raise ValueError(f"a variable-length integer is less than 2**62, not {value}")
        varint_write(self._grow(length), value, length, vi64)
        return 0

    cdef int push_from(self, const uint8_t *data, Py_ssize_t length) except -1:
        memcpy(self._grow(length), data, <size_t>length)
        return 0

    def push_bytes(self, data):
        """The bytes of any contiguous buffer."""
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            self.push_from(<const uint8_t *>view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    def push_uint8(self, v):
        """ValueError, as for each of these, when the value does not fit."""
        self._push_unsigned(as_unsigned(v, 8), 1)

    def push_uint16(self, v):
        self._push_unsigned(as_unsigned(v, 16), 2)

    def push_uint32(self, v):
        self._push_unsigned(as_unsigned(v, 32), 4)

    def push_uint64(self, v):
        self._push_unsigned(as_unsigned(v, 64), 8)

    def push_uint(self, n, v):
        """An integer in ``n`` bytes, 1 to 8, in network byte order."""
        cdef int count = byte_count(n)
        self._push_unsigned(as_unsigned(v, 8 * count), count)

    def push_uint_var(self, v):
        """A variable-length integer (RFC 9000 section 16) in its shortest form: less than 2**62."""
        self.push_varint(as_unsigned(v, 62), False)

    def push_uint_vi64(self, v):
        """A variable-length integer (draft-ietf-moq-transport-18 section 1.4.1) in its shortest form."""
        self.push_varint(as_unsigned(v, 64), True)

    def push_vint(self, v):
        """A variable-length integer in the coding that ``vi64`` chooses."""
        self.push_varint(as_unsigned(v, 64 if self.vi64 else 62), self.vi64)
