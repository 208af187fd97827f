"""aiopquic.streamchain: pulls over the edges of buffers, waiting for the rest, and MoQT's objects in a subgroup."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiopquic._binding import _streamchain
from aiopquic.buffer import Buffer, BufferReadError
from aiopquic.exceptions import AiopquicError, StreamUnderflow
from aiopquic.streamchain import StreamChain, encode_object_subgroup, encode_object_subgroup_vi64

UINT62 = st.integers(0, (1 << 62) - 1)
BODY = st.binary(max_size=40)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data in pieces, some of them empty."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def chain_of(*pieces: bytes, vi64: bool = False) -> StreamChain:
    chain = StreamChain(vi64=vi64)
    for piece in pieces:
        chain.extend(piece)
    return chain


@st.composite
def objects(draw: st.DrawFn) -> tuple[int, dict[int, Any] | None, int, bytes]:
    """What parse_object_subgroup() returns."""
    pairs = st.one_of(
        st.tuples(st.integers(0, (1 << 61) - 1).map(lambda n: 2 * n), UINT62),
        st.tuples(st.integers(0, (1 << 61) - 1).map(lambda n: 2 * n + 1), BODY),
    )
    extensions = draw(st.none() | st.lists(pairs, max_size=5).map(dict))
    payload = draw(BODY)
    return draw(UINT62), extensions, 0 if payload else draw(UINT62), payload


@given(st.lists(st.one_of(UINT62, BODY)), st.lists(st.integers(0, 1 << 16)), st.booleans())
def test_any_split_reads_the_same(values: list[int | bytes], cuts: list[int], vi64: bool) -> None:
    """However the bytes are cut into buffers, the pulls give what was pushed."""
    source = Buffer(vi64=vi64)
    for value in values:
        if isinstance(value, bytes):
            source.push_bytes(value)
        else:
            source.push_vint(value)
    data = source.data
    chain = chain_of(*split(data, cuts), vi64=vi64)
    assert len(chain) == chain.capacity == len(data)
    for value in values:
        if isinstance(value, bytes):
            assert chain.pull_bytes(len(value)) == value
        else:
            assert chain.pull_vint() == value
    assert (len(chain), chain.tell()) == (0, len(data))
    assert chain.data_slice(0, len(data)) == data


@given(objects(), st.booleans(), st.booleans(), st.lists(st.integers(0, 1 << 16)))
def test_an_object_comes_back(
    item: tuple[int, dict[int, Any] | None, int, bytes], vi64: bool, kvp_delta: bool, cuts: list[int]
) -> None:
    """Round trip in both codings, with and without extensions, over any split; what follows is left alone."""
    delta, extensions, status, payload = item
    encode = encode_object_subgroup_vi64 if vi64 else encode_object_subgroup
    data = encode(delta, extensions, status, payload, extensions is not None, kvp_delta)
    chain = chain_of(*split(data + b"next", cuts))
    parse = chain.parse_object_subgroup_vi64 if vi64 else chain.parse_object_subgroup
    assert parse(extensions is not None, 1 << 16, kvp_delta) == item
    assert chain.pull_bytes(4) == b"next"


@given(objects(), st.booleans(), st.data())
def test_an_object_that_is_cut_off_waits(
    item: tuple[int, dict[int, Any] | None, int, bytes], vi64: bool, data: st.DataObject
) -> None:
    """Each prefix is an underflow that moves nothing and asks for no more than the object has; then it is read."""
    delta, extensions, status, payload = item
    encode = encode_object_subgroup_vi64 if vi64 else encode_object_subgroup
    whole = encode(delta, extensions, status, payload, extensions is not None)
    cut = data.draw(st.integers(0, len(whole) - 1))
    chain = chain_of(b"head", whole[:cut])
    chain.pull_bytes(4)
    parse = chain.parse_object_subgroup_vi64 if vi64 else chain.parse_object_subgroup
    with pytest.raises(StreamUnderflow) as caught:
        parse(extensions is not None, 1 << 16)
    assert caught.value.pos == chain.tell() == 4
    assert cut < caught.value.needed <= len(whole)
    chain.extend(whole[cut:])
    assert parse(extensions is not None, 1 << 16) == item


@given(st.binary(max_size=64), st.booleans(), st.booleans(), st.integers(0, 40))
def test_any_bytes_are_read_or_refused(data: bytes, vi64: bool, kvp_delta: bool, limit: int) -> None:
    """Nothing a peer sends does more than an underflow or a BufferReadError, both with the cursor where it was."""
    chain = chain_of(data)
    parse = chain.parse_object_subgroup_vi64 if vi64 else chain.parse_object_subgroup
    try:
        parse(True, limit, kvp_delta)
    except (StreamUnderflow, BufferReadError):
        assert chain.tell() == 0
    else:
        assert 0 < chain.tell() <= len(data)


@given(st.lists(st.tuples(st.binary(max_size=9), st.sampled_from(["pull", "commit", "save", "rollback"])), max_size=60))
def test_positions_follow_a_model(steps: list[tuple[bytes, str]]) -> None:
    """Against plain bytes: extend, then pull half, commit, save or rollback."""
    chain = StreamChain()
    data, position, saved = b"", 0, 0
    for piece, action in steps:
        chain.extend(piece)
        data += piece
        if action == "pull":
            count = (len(data) - position) // 2
            assert chain.pull_bytes(count) == data[position : position + count]
            position += count
        elif action == "commit":
            chain.commit()
            data, position, saved = data[position:], 0, 0
        elif action == "save":
            chain.save()
            saved = position
        else:
            chain.rollback()
            position = saved
        assert (chain.tell(), chain.capacity, len(chain)) == (position, len(data), len(data) - position)
        assert chain.data_slice(0, len(data)) == data


def test_the_names_are_those_of_the_binding() -> None:
    assert _streamchain.StreamChain is StreamChain
    assert _streamchain.encode_object_subgroup is encode_object_subgroup
    assert issubclass(StreamUnderflow, AiopquicError)
    assert not issubclass(StreamUnderflow, BufferReadError)


def test_an_underflow_says_what_is_missing() -> None:
    chain = chain_of(b"\x01\xc0", b"\0")
    assert chain.pull_uint8() == 1
    with pytest.raises(StreamUnderflow, match="8 bytes are needed from position 1 on") as caught:
        chain.pull_uint_var()
    assert (caught.value.pos, caught.value.needed, chain.tell()) == (1, 8, 1)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.pos, copy.needed) == (1, 8)


def test_integers_over_the_edge() -> None:
    chain = chain_of(b"\x01\x02", b"\x03", b"\x04\x05\x06\x07\x08\x09\x0a", b"\x0b\x0c\x0d\x0e\x0f\x10\x11\x12")
    assert chain.pull_uint16() == 0x0102
    assert chain.pull_uint32() == 0x03040506
    assert chain.pull_uint64() == 0x0708090A0B0C0D0E
    assert chain.pull_uint(3) == 0x0F1011
    chain.seek(0)
    assert chain.pull_uint8() == 1
    for count in (0, 9, 1 << 70):
        with pytest.raises(ValueError, match="1 to 8"):
            chain.pull_uint(count)
    with pytest.raises(BufferReadError, match="0 or more"):
        chain.pull_uint(-1)


def test_vi64_is_chosen_or_named() -> None:
    chain = chain_of(b"\x80\x25", b"\x40\x25\x80", b"\x25")
    assert chain.pull_uint_vi64() == 37
    assert chain.pull_vint() == 37
    chain.vi64 = True
    assert chain.pull_vint() == 37


def test_a_rollback_without_save_goes_to_the_last_commit() -> None:
    chain = chain_of(b"abc", b"def")
    chain.pull_bytes(4)
    chain.commit()
    assert (chain.tell(), chain.capacity) == (0, 2)
    chain.pull_bytes(1)
    chain.rollback()
    assert chain.pull_bytes(2) == b"ef"
    chain.commit()
    assert (chain.capacity, len(chain)) == (0, 0)
    with pytest.raises(StreamUnderflow):
        chain.pull_uint8()
    chain.push_bytes(b"g")
    assert chain.pull_bytes(1) == b"g"


def test_a_commit_lets_go_of_the_buffers() -> None:
    """A bytearray can't be resized while the chain holds it."""
    held = bytearray(b"abc")
    chain = chain_of(held, b"d")
    with pytest.raises(BufferError):
        held.clear()
    chain.pull_bytes(3)
    chain.commit()
    held.clear()
    kept = bytearray(b"abc")
    chain.extend(kept)
    del chain
    kept.clear()


def test_many_buffers_stay_cheap() -> None:
    """Ten thousand buffers, a few of them held at any time, and a commit for each."""
    chain = StreamChain()
    chain.extend(b"ab")
    for number in range(10_000):
        chain.extend(number.to_bytes(2, "big"))
        chain.extend(None)
        chain.extend(b"")
        chain.pull_bytes(2)
        chain.commit()
        assert chain.capacity == 2


def test_positions_that_cannot_be() -> None:
    chain = chain_of(b"abc")
    chain.pull_bytes(1)
    for call in (lambda: chain.seek(4), lambda: chain.data_slice(0, 4)):
        with pytest.raises(StreamUnderflow, match="3 bytes are needed from position 1 on"):
            call()
    for wrong in (lambda: chain.seek(-1), lambda: chain.data_slice(2, 1), lambda: chain.pull_bytes(-1)):
        with pytest.raises(BufferReadError):
            wrong()
    with pytest.raises(StreamUnderflow):
        chain.pull_bytes(1 << 80)
    assert chain.tell() == 1
    with pytest.raises(TypeError):
        chain.extend("text")  # type: ignore[arg-type]


def test_an_object_of_the_draft() -> None:
    """Delta 3; a block of one integer (type 2) and one byte string (type 5); then two bytes of payload."""
    data = bytes.fromhex("03 06 02 07 05 02 6869 02 6f6b")
    assert chain_of(data).parse_object_subgroup(True, 100) == (3, {2: 7, 5: b"hi"}, 0, b"ok")
    data = bytes.fromhex("03 06 02 07 03 02 6869 02 6f6b")
    assert chain_of(data).parse_object_subgroup(True, 100, True) == (3, {2: 7, 5: b"hi"}, 0, b"ok")
    assert chain_of(b"\x00\x00\x03").parse_object_subgroup(False, 0) == (0, None, 3, b"")
    assert chain_of(b"\x00\x00\x01x").parse_object_subgroup(True, 0) == (0, {}, 0, b"x")


def test_a_type_that_is_there_twice_has_a_list() -> None:
    for kvp_delta in (False, True):
        extensions: dict[int, Any] = {1: [b"a", b"b"], 2: [1, 2, 3]}
        data = encode_object_subgroup(0, extensions, 0, b"x", True, kvp_delta)
        assert chain_of(data).parse_object_subgroup(True, 100, kvp_delta)[1] == extensions


@pytest.mark.parametrize(
    ("block", "kvp_delta", "reason"),
    [
        ("01 05 6869", False, "past the end of its block"),
        ("02", False, "ends inside an integer"),
        ("02 40", False, "ends inside an integer"),
        ("01 80010000", False, "at most 65535"),
        ("ff ffffffffffffffff 00 02 00", True, "64 bits"),
    ],
)
def test_a_block_that_cannot_be_right_is_refused_at_once(block: str, kvp_delta: bool, reason: str) -> None:
    """A value never reaches into the payload behind its block, and no length is waited for in vain."""
    vi64 = block.startswith("ff")
    content = bytes.fromhex(block)
    chain = chain_of(bytes([0, len(content)]) + content + bytes(100_000))
    parse = chain.parse_object_subgroup_vi64 if vi64 else chain.parse_object_subgroup
    with pytest.raises(BufferReadError, match=reason):
        parse(True, 1 << 20, kvp_delta)
    assert chain.tell() == 0


def test_a_block_above_the_limit_is_not_waited_for() -> None:
    chain = chain_of(bytes.fromhex("00 c000000000100000"))
    with pytest.raises(BufferReadError, match="1048576 bytes is longer than 65535"):
        chain.parse_object_subgroup(True, 65_535)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((0, {2: 1}, 0, b"", False), "no extensions"),
        ((0, None, 3, b"data", False), "has status 0"),
        ((1 << 62, None, 0, b"", False), "2\\*\\*62"),
        ((1 << 64, None, 0, b"", False), "64 bits"),
        ((-1, None, 0, b"", False), "64 bits"),
        ((0, {2: b"x"}, 0, b"", True), "is even"),
        ((0, {1: 5}, 0, b"", True), "is odd"),
        ((0, {1: bytes(65_536)}, 0, b"", True), "at most 65535"),
        ((0, {-2: 5}, 0, b"", True), "64 bits"),
    ],
)
def test_what_cannot_be_encoded(arguments: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        encode_object_subgroup(*arguments)


def test_payloads_of_every_kind() -> None:
    for kind in (bytes, bytearray, memoryview):
        assert encode_object_subgroup(1, None, 0, kind(b"abc"), False) == b"\x01\x03abc"
    assert encode_object_subgroup(1, None, 4, None, True) == b"\x01\x00\x00\x04"
