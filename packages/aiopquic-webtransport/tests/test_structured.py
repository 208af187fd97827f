"""Structured fields: what is written can be read, and what others write is read as RFC 9651 has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiopquic_webtransport._structured import parse_string, parse_strings, serialize_string, serialize_strings

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)


@given(st.lists(PRINTABLE, max_size=10))
def test_lists_come_back(texts: list[str]):
    assert parse_strings(serialize_strings(texts)) == texts


@given(PRINTABLE)
def test_strings_come_back(text: str):
    assert parse_string(serialize_string(text)) == text


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str):
    """Whatever a peer sends, it is a list of strings or nothing."""
    texts = parse_strings(text)
    assert texts is None or all(isinstance(one, str) for one in texts)


@pytest.mark.parametrize("text", ["\n", "café", "\x7f", "a\0b"])
def test_what_no_string_can_hold_is_refused(text: str):
    with pytest.raises(ValueError, match="printable ASCII"):
        serialize_string(text)


@pytest.mark.parametrize(
    ("field", "texts"),
    [
        ("", []),
        ("   ", []),
        ('"a"', ["a"]),
        ('"a","b"', ["a", "b"]),
        ('  "a" \t,\t"b"  ', ["a", "b"]),
        (r'"a\"b\\c"', [r"a\"b\\c".replace("\\\\", "\\").replace('\\"', '"')]),
        ('"a";q=1, "b";x;y="z, \\"w";d=@-12, "c";b=?1;bin=:YQ==:;t=tok/en', ["a", "b", "c"]),
        ("moqt-18, *x", ["moqt-18", "*x"]),  # tokens, as some write them
    ],
)
def test_what_others_write(field: str, texts: list[str]):
    assert parse_strings(field) == texts


@pytest.mark.parametrize(
    "field",
    ['"a', 'a"', '"a",', ',"a"', '"a" "b"', '"a";', '"a";q=', '"a";Q=1', '"\\n"', "1", "(a b)", '"é"', '"a\x7f"'],
)
def test_a_mistake_voids_the_field(field: str):
    assert parse_strings(field) is None
    assert parse_string(field) is None


def test_one_string_is_one():
    assert parse_string('"a", "b"') is None
    assert parse_string("") is None
