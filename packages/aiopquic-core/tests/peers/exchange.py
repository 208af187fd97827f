"""Bytes of a known pattern, for both ends of a transfer to make and to check."""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Iterator

ALPN = "exchange"
BLOCK = 1 << 20


@functools.cache
def _block(seed: str) -> bytes:
    return random.Random(seed).randbytes(BLOCK)


def pattern(seed: str, size: int) -> Iterator[bytes]:
    """``size`` bytes in blocks; no two blocks are alike."""
    for index in range(0, size, BLOCK):
        yield (index.to_bytes(8, "big") + _block(seed)[8:])[: min(BLOCK, size - index)]


def digest(seed: str, size: int) -> str:
    """The SHA-256 of the pattern."""
    result = hashlib.sha256()
    for piece in pattern(seed, size):
        result.update(piece)
    return result.hexdigest()
