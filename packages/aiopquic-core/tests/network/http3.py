"""As much of HTTP/3 (RFC 9114) as a request and an answer take, with field sections of the static table (RFC 9204)."""

from __future__ import annotations

#: A control stream with empty SETTINGS.
CONTROL = b"\x00\x04\x00"
HEADERS, DATA = 1, 0


def _integer(value: int) -> bytes:
    return (0x80000000 | value).to_bytes(4, "big")


def _frame(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + _integer(len(content)) + content


def request(path: bytes) -> bytes:
    """GET https://localhost and the path."""
    fields = b"\0\0\xd1\xd7" + b"\x51" + bytes([len(path)]) + path + b"\x50\x09localhost"
    return _frame(HEADERS, fields)


def answer(body: bytes) -> bytes:
    """200, and the body."""
    return _frame(HEADERS, b"\0\0\xd9") + _frame(DATA, body)


def body(message: bytes) -> bytes:
    """The DATA frames of a message."""
    found, position = b"", 0

    def integer() -> int:
        nonlocal position
        length = 1 << (message[position] >> 6)
        value = int.from_bytes(message[position : position + length], "big") & ((1 << (8 * length - 2)) - 1)
        position += length
        return value

    while position < len(message):
        kind, length = integer(), integer()
        if kind == DATA:
            found += message[position : position + length]
        position += length
    return found
