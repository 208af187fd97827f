"""One request of the peer tests: SIZE bytes of a known pattern each way over one bidirectional stream.

The client sends its pattern and FIN; the server answers with its own pattern, then the SHA-256 of what it received.
Both ends, ours and the peer's, take the bytes from here.
"""

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


def digest(seed: str, size: int) -> bytes:
    """The SHA-256 of the pattern."""
    result = hashlib.sha256()
    for piece in pattern(seed, size):
        result.update(piece)
    return result.digest()


class Answer:
    """Checks what a client receives: the server's pattern, then the digest of what the server received."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.received = 0
        self.hash = hashlib.sha256()
        self.trailer = bytearray()

    def feed(self, data: bytes | memoryview) -> None:
        body = data[: max(0, self.size - self.received)]
        self.hash.update(body)
        self.trailer += data[len(body) :]
        self.received += len(data)

    def check(self) -> None:
        assert self.received == self.size + 32, f"{self.received} bytes instead of {self.size + 32}"
        assert self.hash.digest() == digest("server", self.size), "the server's bytes were damaged on the way"
        assert bytes(self.trailer) == digest("client", self.size), "the client's bytes were damaged on the way"
