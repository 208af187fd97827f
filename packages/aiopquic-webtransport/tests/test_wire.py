"""What the two halves tell each other."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from aiopquic_webtransport import _varint
from aiopquic_webtransport._wire import (
    Ended,
    pack_close,
    pack_headers,
    pack_response,
    unpack_close,
    unpack_headers,
    unpack_response,
    unpack_settings,
)

HEADERS = st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=300)), max_size=20)


@given(HEADERS)
def test_headers_come_back(headers: list[tuple[bytes, bytes]]):
    assert unpack_headers(pack_headers(headers)) == headers


@given(st.integers(100, 599), HEADERS)
def test_responses_come_back(status: int, headers: list[tuple[bytes, bytes]]):
    assert unpack_response(pack_response(status, headers)) == (status, headers)


@given(st.integers(0, 2**32 - 1), st.text(max_size=30))
def test_ends_come_back(code: int, reason: str):
    assert unpack_close(b"\0" + pack_close(code, reason.encode())) == (Ended.CAPSULE, code, reason)


def test_a_reason_that_is_no_text_is_shown_as_well_as_it_can_be():
    assert unpack_close(b"\1" + pack_close(3, b"a\xff")) == (Ended.FIN, 3, "a\N{REPLACEMENT CHARACTER}")


def test_settings():
    peer = unpack_settings(struct.pack(">BBIHQQQQ", 15, 1, 16, 2, 0x33, 1, 0x2C7CF000, 1))
    assert (peer.dialect, peer.conforms, peer.max_sessions) == (15, True, 16)
    assert peer.values == {0x33: 1, 0x2C7CF000: 1}


@given(st.integers(0, 2**62 - 1))
def test_integers_of_variable_length(value: int):
    data = _varint.encode(value)
    assert len(data) == next(size for bits, size in ((6, 1), (14, 2), (30, 4), (62, 8)) if value < 1 << bits)
    assert len(data) == 1 << (data[0] >> 6)
    assert int.from_bytes(data, "big") & ((1 << (8 * len(data) - 2)) - 1) == value
