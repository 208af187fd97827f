"""Codes of applications among those of HTTP/3; see robustness.md, "WebTransport error-code mapping"."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiopquic_webtransport.error_codes import MAX_CODE, WT_SESSION_GONE, from_http3, to_http3


@given(st.integers(0, MAX_CODE))
def test_codes_come_back(code: int):
    assert from_http3(to_http3(code)) == code


@given(st.integers(0, MAX_CODE - 1))
def test_none_is_used_twice_and_none_is_for_greasing(code: int):
    assert to_http3(code) < to_http3(code + 1)
    assert (to_http3(code) - 0x21) % 0x1F != 0


def test_the_ends_of_the_range():
    assert to_http3(0) == 0x52E4A40FA8DB
    assert to_http3(MAX_CODE) == 0x52E5AC983162
    assert from_http3(0x52E4A40FA8DA) is None
    assert from_http3(0x52E5AC983163) is None


def test_codes_that_stand_for_none():
    assert from_http3(WT_SESSION_GONE) is None
    greasing = [code for code in range(0x52E4A40FA8DB, 0x52E4A40FA8DB + 64) if (code - 0x21) % 0x1F == 0]
    assert len(greasing) == 2
    assert [from_http3(code) for code in greasing] == [None, None]


@pytest.mark.parametrize("code", [-1, MAX_CODE + 1, 1.5, "1"])
def test_what_is_no_code_is_refused(code: int):
    with pytest.raises(ValueError, match="an error code of WebTransport is 0 to"):
        to_http3(code)
