"""aiopquic.buffer: one cursor, the integers of RFC 9000 and of MoQT, and no way past what is there."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiopquic._binding import _buffer
from aiopquic.buffer import Buffer, BufferReadError
from aiopquic.exceptions import AiopquicError

#: The examples of RFC 9000 appendix A.1, the last one longer than it needs to be.
VARINTS = [
    ("c2197c5eff14e88c", 151_288_809_941_952_652),
    ("9d7f3e7d", 494_878_333),
    ("7bbd", 15_293),
    ("25", 37),
    ("4025", 37),
]

#: The examples of draft-ietf-moq-transport-18 section 1.4.1.
VI64 = [
    ("25", 37),
    ("8025", 37),
    ("bbbd", 15_293),
    ("ed7f3e7d", 226_442_877),
    ("faa1a0e403d8", 2_893_212_287_960),
    ("fc8998abc66bc0", 151_288_809_941_952),
    ("fefa318fa8e3ca11", 70_423_237_261_249_041),
    ("ffffffffffffffffff", (1 << 64) - 1),
]

UINT64 = st.integers(0, (1 << 64) - 1)
UINT62 = st.integers(0, (1 << 62) - 1)


def test_the_names_are_those_of_the_binding() -> None:
    """Programs import from either."""
    assert _buffer.Buffer is Buffer
    assert _buffer.BufferReadError is BufferReadError
    assert issubclass(BufferReadError, ValueError)
    assert issubclass(BufferReadError, AiopquicError)


@pytest.mark.parametrize(("encoded", "value"), VARINTS)
def test_varint_examples_of_the_rfc(encoded: str, value: int) -> None:
    assert Buffer(data=bytes.fromhex(encoded)).pull_uint_var() == value


@pytest.mark.parametrize(("encoded", "value"), VI64)
def test_vi64_examples_of_the_draft(encoded: str, value: int) -> None:
    buffer = Buffer(data=bytes.fromhex(encoded))
    assert buffer.pull_uint_vi64() == value
    assert buffer.eof()


@pytest.mark.parametrize(
    ("value", "length"),
    [(0, 1), (63, 1), (64, 2), (16_383, 2), (16_384, 4), ((1 << 30) - 1, 4), (1 << 30, 8), ((1 << 62) - 1, 8)],
)
def test_varints_are_as_short_as_they_can_be(value: int, length: int) -> None:
    buffer = Buffer()
    buffer.push_uint_var(value)
    assert buffer.tell() == length


@pytest.mark.parametrize("length", range(1, 10))
def test_vi64_are_as_short_as_they_can_be(length: int) -> None:
    """Seven bits a byte, but eight bytes of value behind a first byte of ones."""
    largest = (1 << 64) - 1 if length == 9 else (1 << (7 * length)) - 1
    smallest = 0 if length == 1 else 1 << (7 * (length - 1))
    for value in (smallest, largest):
        buffer = Buffer()
        buffer.push_uint_vi64(value)
        assert buffer.tell() == length
        buffer.seek(0)
        assert buffer.pull_uint_vi64() == value


@given(st.lists(st.one_of(UINT64, st.binary(max_size=20))), st.booleans())
def test_what_is_pushed_is_pulled(values: list[int | bytes], vi64: bool) -> None:
    """Any sequence of integers and byte strings comes back, in both codings."""
    buffer = Buffer(capacity=0, vi64=vi64)
    for value in values:
        if isinstance(value, bytes):
            buffer.push_bytes(value)
        else:
            buffer.push_vint(value if vi64 else value >> 2)
    end = buffer.tell()
    assert buffer.eof()
    buffer.seek(0)
    for value in values:
        if isinstance(value, bytes):
            assert buffer.pull_bytes(len(value)) == value
        else:
            assert buffer.pull_vint() == (value if vi64 else value >> 2)
    assert buffer.tell() == end


@given(UINT62, st.booleans(), st.data())
def test_a_truncated_integer_is_an_error_and_takes_nothing(value: int, vi64: bool, data: st.DataObject) -> None:
    whole = Buffer(vi64=vi64)
    whole.push_vint(value)
    cut = data.draw(st.integers(0, whole.tell() - 1))
    part = Buffer(data=whole.data[:cut], vi64=vi64)
    with pytest.raises(BufferReadError, match="are to be read"):
        part.pull_vint()
    assert part.tell() == 0


def test_the_coding_can_be_changed() -> None:
    """vi64 chooses for pull_vint and push_vint; the other names say it themselves."""
    buffer = Buffer()
    assert not buffer.vi64
    buffer.push_vint(100)
    buffer.vi64 = True
    buffer.push_vint(100)
    assert buffer.data == b"\x40\x64\x64"


@pytest.mark.parametrize(("bits", "code"), [(8, "B"), (16, "H"), (32, "I"), (64, "Q")])
def test_integers_of_fixed_size(bits: int, code: str) -> None:
    largest = (1 << bits) - 1
    buffer = Buffer()
    push, pull = getattr(buffer, f"push_uint{bits}"), getattr(buffer, f"pull_uint{bits}")
    push(largest)
    push(1)
    assert buffer.data == struct.pack(f">2{code}", largest, 1)
    buffer.seek(0)
    assert (pull(), pull()) == (largest, 1)
    for wrong in (largest + 1, -1, 1 << 200):
        with pytest.raises(ValueError, match=f"unsigned integer of {bits} bits"):
            push(wrong)
    with pytest.raises(TypeError):
        push("1")
    assert buffer.tell() == bits // 4


@given(st.integers(1, 8), st.data())
def test_integers_of_n_bytes(count: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(0, (1 << (8 * count)) - 1))
    buffer = Buffer()
    buffer.push_uint(count, value)
    assert buffer.data == value.to_bytes(count, "big")
    buffer.seek(0)
    assert buffer.pull_uint(count) == value


@pytest.mark.parametrize("count", [0, 9, -1, 1 << 100])
def test_integers_have_one_to_eight_bytes(count: int) -> None:
    buffer = Buffer(data=bytes(16))
    with pytest.raises(ValueError, match="1 to 8 bytes"):
        buffer.pull_uint(count)
    with pytest.raises(ValueError, match="1 to 8 bytes"):
        buffer.push_uint(count, 0)


@pytest.mark.parametrize("value", [1 << 62, (1 << 64) - 1, 1 << 64, -1])
def test_a_varint_has_62_bits(value: int) -> None:
    with pytest.raises(ValueError, match="62 bits"):
        Buffer().push_uint_var(value)


def test_a_vi64_has_64_bits() -> None:
    for wrong in (1 << 64, -1):
        with pytest.raises(ValueError, match="64 bits"):
            Buffer().push_uint_vi64(wrong)


def test_a_buffer_with_data_is_for_reading() -> None:
    """Its bytes are a copy, and no push reaches them (gap 11)."""
    source = bytearray(b"abc")
    buffer = Buffer(data=source)
    source[0] = 0
    for push in (lambda: buffer.push_bytes(b"xyz"), lambda: buffer.push_uint8(1), lambda: buffer.push_uint_var(1)):
        with pytest.raises(ValueError, match="push to a Buffer without data"):
            push()
    assert (buffer.tell(), buffer.capacity) == (0, 3)
    assert buffer.pull_bytes(3) == b"abc"


def test_nothing_is_read_that_was_never_written() -> None:
    """Not the rest of the capacity, whatever the heap holds there (gap 11)."""
    buffer = Buffer(capacity=64)
    buffer.push_bytes(b"abc")
    buffer.seek(0)
    with pytest.raises(BufferReadError, match="4 bytes are to be read where 3 are left"):
        buffer.pull_bytes(4)
    with pytest.raises(BufferReadError, match="no slice"):
        buffer.data_slice(0, 4)
    buffer.seek(32)
    with pytest.raises(BufferReadError, match="where 0 are left"):
        buffer.pull_uint8()
    assert buffer.eof()


def test_what_a_seek_leaves_out_is_zeros() -> None:
    """Room for a length that is known later."""
    buffer = Buffer(capacity=8)
    buffer.seek(4)
    assert buffer.data == bytes(4)
    buffer.push_bytes(b"body")
    buffer.seek(0)
    buffer.push_uint8(4)
    buffer.seek(8)
    assert buffer.data == b"\x04\0\0\0body"


@pytest.mark.parametrize("number", [-1, -(1 << 80)])
def test_negative_numbers_are_refused(number: int) -> None:
    buffer = Buffer(data=b"abc")
    calls: list[Any] = [
        lambda: buffer.pull_bytes(number),
        lambda: buffer.seek(number),
        lambda: buffer.data_slice(number, 2),
        lambda: buffer.data_slice(0, number),
    ]
    for call in calls:
        with pytest.raises(BufferReadError, match="0 or more"):
            call()
    with pytest.raises(ValueError, match="capacity is 0 or more"):
        Buffer(capacity=number)


@pytest.mark.parametrize("number", [4, 1 << 62, 1 << 63, 1 << 80])
def test_numbers_past_the_end_are_refused(number: int) -> None:
    buffer = Buffer(data=b"abc")
    buffer.seek(1)
    calls: list[Any] = [
        lambda: buffer.pull_bytes(number),
        lambda: buffer.seek(number),
        lambda: buffer.data_slice(0, number),
        lambda: buffer.data_slice(number, number),
    ]
    for call in calls:
        with pytest.raises(BufferReadError):
            call()
    assert buffer.tell() == 1


def test_more_than_memory_holds_is_a_memory_error() -> None:
    with pytest.raises(MemoryError):
        Buffer(capacity=1 << 80)
    with pytest.raises(MemoryError):
        Buffer(capacity=(1 << 63) - 1)


def test_it_grows_by_doubling() -> None:
    buffer = Buffer()
    assert buffer.capacity == 1024
    buffer.push_bytes(bytes(1025))
    assert buffer.capacity == 2048
    assert Buffer(capacity=10).capacity == 10
    assert Buffer(data=b"").eof()


def test_every_kind_of_bytes_is_taken() -> None:
    for kind in (bytes, bytearray, memoryview):
        buffer = Buffer()
        buffer.push_bytes(kind(b"abc"))
        assert buffer.data == b"abc"
        assert Buffer(data=kind(b"abc")).pull_bytes(3) == b"abc"
    with pytest.raises(TypeError):
        Buffer().push_bytes("abc")  # type: ignore[arg-type]


def test_a_slice_leaves_the_cursor() -> None:
    buffer = Buffer(data=b"abcdef")
    buffer.seek(5)
    assert buffer.data_slice(1, 3) == b"bc"
    assert buffer.data_slice(2, 2) == b""
    assert (buffer.tell(), buffer.data) == (5, b"abcde")
    with pytest.raises(BufferReadError, match="no slice from 3 to 1"):
        buffer.data_slice(3, 1)
