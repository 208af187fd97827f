# cython: language_level=3
"""A parser's view of bytes that arrive in pieces: one cursor over many buffers, which are never joined."""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Realloc

from aiopquic._binding._buffer cimport Buffer, as_count, as_unsigned
from aiopquic._binding._key_values cimport parse_key_values, push_key_values
from aiopquic._binding._varint cimport VARINT_LONGEST, varint_length, varint_read
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memmove

from aiopquic.exceptions import BufferReadError, StreamUnderflow

__all__ = ["StreamChain", "encode_object_subgroup", "encode_object_subgroup_vi64"]


# Where a cursor is: a piece, the bytes of it that are behind the cursor, and the bytes since the last commit.
cdef struct place_t:
    Py_ssize_t piece
    Py_ssize_t offset
    Py_ssize_t position


cdef class StreamChain:
    """The bytes of a stream as they come in, for a parser that may have to wait for the rest.

    ``extend()`` adds a buffer and keeps a reference to it, not a copy; a buffer that can change must not, as long as
    the chain holds it. Pulls move the cursor over the buffers as if they were one. Positions count from the last
    ``commit()``, which lets go of everything before the cursor.

    A pull that needs more than there is raises StreamUnderflow, and the cursor stays: add what comes next and try
    again, or go back with ``rollback()`` to where ``save()`` was called.

    ``vi64`` chooses the coding of :meth:`pull_vint`.
    """
    cdef Py_buffer *_pieces
    cdef Py_ssize_t _room             # elements of `_pieces`
    cdef Py_ssize_t _first            # the pieces that are held: [_first, _last)
    cdef Py_ssize_t _last
    cdef place_t _base                # where position 0 is; its piece is `_first`
    cdef place_t _cursor
    cdef place_t _saved
    cdef readonly Py_ssize_t capacity
    cdef public bint vi64

    def __cinit__(self, bint vi64=False):
        self.vi64 = vi64

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self._first, self._last):
            PyBuffer_Release(&self._pieces[i])
        PyMem_Free(self._pieces)

    def __len__(self):
        """Bytes from the cursor on."""
        return self.capacity - self._cursor.position

    # ---- what comes in ----

    def extend(self, data):
        """Add the bytes of any contiguous buffer at the end; None and an empty one are nothing."""
        cdef Py_buffer view
        if data is None:
            return
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        if view.len == 0:
            PyBuffer_Release(&view)
            return
        try:
            self._make_room()
        except MemoryError:
            PyBuffer_Release(&view)
            raise
        self._pieces[self._last] = view
        self._last += 1
        self.capacity += view.len

    push_bytes = extend

    cdef int _make_room(self) except -1:
        cdef Py_ssize_t count = self._last - self._first
        cdef Py_ssize_t room
        cdef Py_buffer *pieces
        if self._last < self._room:
            return 0
        if self._first > count:
            memmove(self._pieces, self._pieces + self._first, <size_t>count * sizeof(Py_buffer))
            self._base.piece -= self._first
            self._cursor.piece -= self._first
            self._saved.piece -= self._first
            self._last = count
            self._first = 0
            return 0
        room = max(2 * self._room, 8)
        pieces = <Py_buffer *>PyMem_Realloc(self._pieces, <size_t>room * sizeof(Py_buffer))
        if pieces is NULL:
            raise MemoryError
        self._pieces = pieces
        self._room = room
        return 0

    # ---- the cursor ----

    def tell(self):
        """The cursor: bytes since the last commit."""
        return self._cursor.position

    def seek(self, pos):
        """Move the cursor; StreamUnderflow for a position that has not come yet."""
        self._cursor = self._place(as_count(pos))

    def save(self):
        """Remember the cursor for ``rollback()``; it stands for what was saved before."""
        self._saved = self._cursor

    def rollback(self):
        """Back to where ``save()`` was called last since the last commit, else to position 0."""
        self._cursor = self._saved

    def commit(self):
        """Let go of everything before the cursor: it is position 0 then, and saved."""
        cdef Py_ssize_t i
        for i in range(self._first, self._cursor.piece):
            PyBuffer_Release(&self._pieces[i])
        self._first = self._cursor.piece
        self.capacity -= self._cursor.position
        self._cursor.position = 0
        if self._first < self._last and self._cursor.offset == self._pieces[self._first].len:
            PyBuffer_Release(&self._pieces[self._first])
            self._first += 1
            self._cursor.piece = self._first
            self._cursor.offset = 0
        self._base = self._cursor
        self._saved = self._cursor

    cdef place_t _place(self, Py_ssize_t position) except *:
        cdef place_t place = self._base
        cdef Py_ssize_t left = position
        if position > self.capacity:
            raise StreamUnderflow(self._cursor.position, max(position - self._cursor.position, 1))
        if position >= self._cursor.position:
            place = self._cursor
            left -= self._cursor.position
        self._advance(&place, NULL, left)
        return place

    # Moves a place over `count` bytes that are there, and copies them unless `target` is NULL.
    cdef void _advance(self, place_t *place, uint8_t *target, Py_ssize_t count) noexcept:
        cdef Py_ssize_t part
        place.position += count
        while count > 0:
            part = self._pieces[place.piece].len - place.offset
            if part == 0:
                place.piece += 1
                place.offset = 0
                continue
            part = min(part, count)
            if target is not NULL:
                memcpy(target, <uint8_t *>self._pieces[place.piece].buf + place.offset, <size_t>part)
                target += part
            place.offset += part
            count -= part

    # ---- pulls ----

    cdef int _need(self, Py_ssize_t count) except -1:
        if count > self.capacity - self._cursor.position:
            raise StreamUnderflow(self._cursor.position, count)
        return 0

    # The next byte, which the caller has found to be there.
    cdef uint8_t _peek(self) noexcept:
        cdef place_t place = self._cursor
        cdef uint8_t byte
        self._advance(&place, &byte, 1)
        return byte

    cdef uint64_t _pull_unsigned(self, int count) except? 0xffffffffffffffff:
        cdef uint8_t scratch[8]
        cdef uint64_t value = 0
        cdef int i
        self._need(count)
        self._advance(&self._cursor, scratch, count)
        for i in range(count):
            value = (value << 8) | scratch[i]
        return value

    cdef uint64_t _pull_varint(self, bint vi64) except? 0xffffffffffffffff:
        cdef uint8_t scratch[VARINT_LONGEST]
        cdef int length
        self._need(1)
        length = varint_length(self._peek(), vi64)
        self._need(length)
        self._advance(&self._cursor, scratch, length)
        return varint_read(scratch, length, vi64)

    cdef bytes _pull(self, Py_ssize_t count):
        cdef bytes result
        self._need(count)
        result = PyBytes_FromStringAndSize(NULL, count)
        self._advance(&self._cursor, <uint8_t *>PyBytes_AS_STRING(result), count)
        return result

    def pull_bytes(self, n):
        """The next ``n`` bytes, in one piece."""
        return self._pull(as_count(n))

    def data_slice(self, start, end):
        """The bytes from position ``start`` to before ``end``, wherever the cursor is, which stays."""
        cdef Py_ssize_t first = as_count(start)
        cdef Py_ssize_t last = as_count(end)
        cdef place_t place
        cdef bytes result
        if first > last:
            raise BufferReadError(f"a slice does not end at {end} when it starts at {start}")
        self._place(last)
        place = self._place(first)
        result = PyBytes_FromStringAndSize(NULL, last - first)
        self._advance(&place, <uint8_t *>PyBytes_AS_STRING(result), last - first)
        return result

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
        cdef Py_ssize_t count = as_count(n)
        if not 1 <= count <= 8:
            raise ValueError(f"an integer has 1 to 8 bytes, not {n}")
        return self._pull_unsigned(<int>count)

    def pull_uint_var(self):
        """A variable-length integer (RFC 9000 section 16)."""
        return self._pull_varint(False)

    def pull_uint_vi64(self):
        """A variable-length integer (draft-ietf-moq-transport-18 section 1.4.1)."""
        return self._pull_varint(True)

    def pull_vint(self):
        """A variable-length integer in the coding that ``vi64`` chooses."""
        return self._pull_varint(self.vi64)

    # ---- MoQT ----

    def parse_object_subgroup(self, bint extensions_present, exts_len_limit, bint kvp_delta=False):
        """An object of a MoQT subgroup stream: ``(delta, extensions, status, payload)``.

        ``extensions`` is None unless ``extensions_present``, else a dict from the type to the value: an int for an even
        type, bytes for an odd one, a list of those for a type that is there more than once. ``kvp_delta``: types are
        written as differences. ``status`` is 0 for an object with a payload, which is ``bytes``.

        Raises StreamUnderflow when not all of the object is there, and BufferReadError for one that can't be right,
        however much follows: a block of extensions of more than ``exts_len_limit`` bytes, or one that does not end
        where a pair does. The cursor is then where it was.
        """
        return self._parse_object(extensions_present, as_count(exts_len_limit), kvp_delta, False)

    def parse_object_subgroup_vi64(self, bint extensions_present, exts_len_limit, bint kvp_delta=False):
        """The same, with every integer in vi64."""
        return self._parse_object(extensions_present, as_count(exts_len_limit), kvp_delta, True)

    cdef tuple _parse_object(self, bint extensions_present, Py_ssize_t limit, bint kvp_delta, bint vi64):
        cdef place_t start = self._cursor
        cdef uint64_t delta
        cdef uint64_t length
        cdef uint64_t status = 0
        extensions = None
        payload = b""
        try:
            delta = self._pull_varint(vi64)
            if extensions_present:
                extensions = self._parse_extensions(limit, kvp_delta, vi64)
            length = self._pull_varint(vi64)
            if length == 0:
                status = self._pull_varint(vi64)
            else:
                payload = self._pull(as_count(length))
        except StreamUnderflow as error:
            self._cursor = start
            raise StreamUnderflow(start.position, error.pos - start.position + error.needed) from None
        except BufferReadError:
            self._cursor = start
            raise
        return delta, extensions, status, payload

    cdef dict _parse_extensions(self, Py_ssize_t limit, bint kvp_delta, bint vi64):
        cdef uint64_t length = self._pull_varint(vi64)
        cdef bytes block
        cdef const uint8_t *at
        if length > <uint64_t>limit:
            raise BufferReadError(f"a block of extensions of {length} bytes is longer than {limit} bytes")
        block = self._pull(<Py_ssize_t>length)
        at = <const uint8_t *>PyBytes_AS_STRING(block)
        return parse_key_values(at, at + len(block), vi64, kvp_delta)


def encode_object_subgroup(delta, exts, status, payload, bint extensions_present, bint kvp_delta=False):
    """The bytes that :meth:`StreamChain.parse_object_subgroup` reads; ``exts`` is a mapping or None.

    ValueError for extensions where there is no place for them, and for a status other than 0 with a payload.
    """
    return encode_object(delta, exts, status, payload, extensions_present, kvp_delta, False)


def encode_object_subgroup_vi64(delta, exts, status, payload, bint extensions_present, bint kvp_delta=False):
    """The same, with every integer in vi64."""
    return encode_object(delta, exts, status, payload, extensions_present, kvp_delta, True)


cdef bytes encode_object(delta, exts, status, payload, bint extensions_present, bint kvp_delta, bint vi64):
    cdef Buffer target = Buffer(vi64=vi64)
    cdef Buffer block
    cdef Py_buffer view
    target.push_varint(as_unsigned(delta, 64), vi64)
    if extensions_present:
        block = Buffer(vi64=vi64)
        push_key_values(block, exts if exts is not None else {}, kvp_delta)
        target.push_varint(<uint64_t>block._position, vi64)
        target.push_from(block._bytes, block._position)
    elif exts:
        raise ValueError("this subgroup has no extensions: its header says so")
    PyObject_GetBuffer(payload if payload is not None else b"", &view, PyBUF_SIMPLE)
    try:
        target.push_varint(<uint64_t>view.len, vi64)
        if view.len == 0:
            target.push_varint(as_unsigned(status, 64), vi64)
        elif status:
            raise ValueError(f"an object with a payload has status 0, not {status}")
        target.push_from(<const uint8_t *>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    return PyBytes_FromStringAndSize(<char *>target._bytes, target._position)
