"""Structured fields (RFC 9651), as far as WebTransport has them: strings, and lists of strings."""

from __future__ import annotations

import re

__all__ = ["parse_string", "parse_strings", "serialize_string", "serialize_strings"]

#: A string; or a token, which some implementations send where the draft has a string.
_STRING = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_TOKEN = re.compile(r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*")

#: What may stand behind the ``=`` of a parameter: number, date, token, boolean or bytes, and strings above.
_BARE = re.compile(r"-?[0-9]+(?:\.[0-9]+)?|@-?[0-9]+|\?[01]|:[A-Za-z0-9+/=]*:")
_KEY = re.compile(r"; *[a-z*][a-z0-9_\-.*]*")
_SPACE = re.compile(r"[ \t]*")


def serialize_string(text: str) -> str:
    """Raises ValueError for anything but printable ASCII (RFC 9651 section 4.1.6)."""
    if any(not " " <= character <= "~" for character in text):
        raise ValueError(f"a name in a structured field is of printable ASCII characters, not {text!r}")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def serialize_strings(texts: list[str]) -> str:
    """A list (RFC 9651 section 4.1.1)."""
    return ", ".join(map(serialize_string, texts))


def parse_string(field: str) -> str | None:
    """The one string of a field, its parameters left out; None for a field that is something else."""
    texts = parse_strings(field)
    return texts[0] if texts is not None and len(texts) == 1 else None


def parse_strings(field: str) -> list[str] | None:
    """The strings of a list, their parameters left out; None for a field that is something else.

    A field with a mistake counts as a whole as if it were not there (RFC 9651 section 4.2).
    """
    texts: list[str] = []
    position = _skip(_SPACE, field, 0)
    while position < len(field):
        found = _item(field, position)
        if found is None:
            return None
        text, position = found
        texts.append(text)
        position = _skip(_SPACE, field, position)
        if position == len(field):
            break
        if field[position] != ",":
            return None
        position = _skip(_SPACE, field, position + 1)
        if position == len(field):
            return None  # a comma with nothing behind it
    return texts


def _item(field: str, position: int) -> tuple[str, int] | None:
    found = _STRING.match(field, position)
    if found is not None:
        text = re.sub(r"\\(.)", r"\1", found[1])
    else:
        found = _TOKEN.match(field, position)
        if found is None:
            return None
        text = found[0]
    end = _parameters(field, found.end())
    return None if end is None else (text, end)


def _parameters(field: str, position: int) -> int | None:
    """Where the parameters end; None when they are malformed."""
    while position < len(field) and field[position] == ";":
        key = _KEY.match(field, position)
        if key is None:
            return None
        position = key.end()
        if position < len(field) and field[position] == "=":
            value = next(filter(None, (kind.match(field, position + 1) for kind in (_STRING, _BARE, _TOKEN))), None)
            if value is None:
                return None
            position = value.end()
    return position


def _skip(pattern: re.Pattern[str], field: str, position: int) -> int:
    found = pattern.match(field, position)
    return found.end() if found is not None else position
