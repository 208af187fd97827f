"""QUIC's integers of variable length (RFC 9000 section 16)."""

from __future__ import annotations

__all__ = ["encode"]


def encode(value: int) -> bytes:
    """The shortest encoding of 0 to 2**62 - 1."""
    for bits, size in ((6, 1), (14, 2), (30, 4), (62, 8)):
        if value < 1 << bits:
            return (value | (size.bit_length() - 1) << (size * 8 - 2)).to_bytes(size, "big")
    raise ValueError(f"{value} is not less than 2**62")
