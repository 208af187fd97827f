# cython: language_level=3
"""MoQT's key-value pairs (draft-ietf-moq-transport-18 section 1.4.3), between a block of bytes and a dict.

An even type has an integer as its value, an odd one up to 65535 bytes behind their length. Earlier drafts write each
type as it is, later ones as the difference to the type before (``is_delta``).
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize

from aiopquic._binding._buffer cimport Buffer, as_unsigned
from aiopquic._binding._varint cimport varint_length, varint_read
from libc.stdint cimport uint8_t, uint64_t

from aiopquic.exceptions import BufferReadError

cdef enum:
    VALUE_LONGEST = 65535


cdef struct span_t:
    const uint8_t *at
    const uint8_t *end


cdef uint64_t next_varint(span_t *span, bint vi64) except? 0xffffffffffffffff:
    cdef int length
    cdef uint64_t value
    if span.at < span.end:
        length = varint_length(span.at[0], vi64)
        if length <= span.end - span.at:
            value = varint_read(span.at, length, vi64)
            span.at += length
            return value
    raise BufferReadError("a block of key-value pairs ends inside an integer")


# A type that occurs again has a list of its values, in their order.
cdef dict parse_key_values(const uint8_t *at, const uint8_t *end, bint vi64, bint is_delta):
    cdef span_t span
    cdef dict pairs = {}
    cdef uint64_t kind = 0
    cdef uint64_t number
    span.at, span.end = at, end
    while span.at < span.end:
        number = next_varint(&span, vi64)
        if not is_delta:
            kind = number
        elif number > <uint64_t>0xffffffffffffffff - kind:
            raise BufferReadError("the type of a key-value pair does not fit into 64 bits")
        else:
            kind += number
        number = next_varint(&span, vi64)
        if kind % 2 == 0:
            value = number
        elif number > VALUE_LONGEST:
            raise BufferReadError(f"a value of a key-value pair has at most {VALUE_LONGEST} bytes, not {number}")
        elif number > <uint64_t>(span.end - span.at):
            raise BufferReadError("a value of a key-value pair goes past the end of its block")
        else:
            value = PyBytes_FromStringAndSize(<const char *>span.at, <Py_ssize_t>number)
            span.at += number
        if kind not in pairs:
            pairs[kind] = value
        elif isinstance(pairs[kind], list):
            pairs[kind].append(value)
        else:
            pairs[kind] = [pairs[kind], value]
    return pairs


cdef int push_key_values(Buffer target, object pairs, bint is_delta) except -1:
    cdef uint64_t kind
    cdef uint64_t last = 0
    for key in sorted(pairs) if is_delta else pairs:
        kind = as_unsigned(key, 64)
        values = pairs[key]
        for value in values if isinstance(values, list) else (values,):
            target.push_varint(kind - last if is_delta else kind, target.vi64)
            last = kind
            push_value(target, kind, value)
    return 0


cdef int push_value(Buffer target, uint64_t kind, object value) except -1:
    cdef Py_buffer view
    if kind % 2 == 0:
        if not isinstance(value, int):
            raise ValueError(f"type {kind} is even: its value is an integer, not {type(value).__name__}")
        return target.push_varint(as_unsigned(value, 64), target.vi64)
    if isinstance(value, int):
        raise ValueError(f"type {kind} is odd: its value is bytes, not {type(value).__name__}")
    PyObject_GetBuffer(value, &view, PyBUF_SIMPLE)
    try:
        if view.len > VALUE_LONGEST:
            raise ValueError(f"a value of a key-value pair has at most {VALUE_LONGEST} bytes, not {view.len}")
        target.push_varint(<uint64_t>view.len, target.vi64)
        target.push_from(<const uint8_t *>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    return 0
