"""Header fields of HTTP messages (RFC 9110 section 5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from aiopquic_webtransport._wire import MAX_HEADER_BYTES, RawHeader

__all__ = ["HeaderInput", "Headers", "checked"]

#: What an application gives: a mapping, or pairs where a name may come twice.
HeaderInput = Mapping[str, str] | Iterable[tuple[str, str]]

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+\Z")

#: Names that belong to the connection of HTTP/1 (RFC 9114 section 4.2), or are written by this package.
_RESERVED = {
    "connection": "HTTP/3 has none",
    "keep-alive": "HTTP/3 has none",
    "proxy-connection": "HTTP/3 has none",
    "transfer-encoding": "HTTP/3 has none",
    "upgrade": "HTTP/3 has none",
    "host": "the URL says it",
    "wt-available-protocols": "use protocols=",
    "wt-protocol": "use protocol=",
}


class Headers(Mapping[str, str]):
    """Header fields by name, in any case of letters; those that came several times are joined by commas.

    Pseudo-header fields, such as ``:path``, are not among them.
    """

    __slots__ = ("_fields",)

    def __init__(self, raw: Iterable[RawHeader] = ()) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in raw:
            if not name.startswith(b":"):
                self._fields.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1").strip())

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._fields[name.lower()])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def get_all(self, name: str) -> list[str]:
        """Every field of that name, in order; empty when there is none."""
        return list(self._fields.get(name.lower(), ()))

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"


def checked(headers: HeaderInput | None) -> list[RawHeader]:
    """An application's fields, as they are sent.

    Raises:
        ValueError: a name or a value that HTTP/3 does not have, one that is written by this package, or too much.
    """
    if headers is None:
        return []
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    result = [(_checked_name(name), _checked_value(name, value)) for name, value in pairs]
    size = sum(len(name) + len(value) for name, value in result)
    if size > MAX_HEADER_BYTES:
        raise ValueError(f"the headers have {size} bytes together; {MAX_HEADER_BYTES} are the most that is sent")
    return result


def _checked_name(name: str) -> bytes:
    lower = name.lower() if isinstance(name, str) else ""
    if not _NAME.match(lower):
        raise ValueError(f"{name!r} is no name of a header (RFC 9110 section 5.1)")
    if lower in _RESERVED:
        raise ValueError(f"the header {lower!r} can't be set here: {_RESERVED[lower]}")
    return lower.encode()


def _checked_value(name: str, value: str) -> bytes:
    try:
        data = value.strip(" \t").encode("latin-1")
    except (AttributeError, UnicodeEncodeError):
        raise ValueError(f"the value of the header {name!r} is a text of Latin-1 characters, not {value!r}") from None
    if any((byte < 0x20 and byte != 0x09) or byte == 0x7F for byte in data):
        raise ValueError(f"the value of the header {name!r} has a control character: {value!r}")
    return data
