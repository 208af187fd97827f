"""The bytes that travel, which both sides can compute, and their check at the receiver."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

__all__ = ["LONGEST", "Checker", "Failure", "has_pattern", "pattern", "pieces"]

#: A prime: bytes that are missing, doubled or of another stream show, unless they are a multiple of it.
PERIOD = 65521

#: Bytes that one call of :func:`pattern` returns at most.
LONGEST = 1 << 20

_BLOCK = hashlib.shake_256(b"aiopquic-bench").digest(PERIOD)
_PATTERN = (_BLOCK * (LONGEST // PERIOD + 2))[: PERIOD + LONGEST]


class Failure(Exception):
    """A measurement that gives no figure; ``kind`` is ``wrong``, ``stalled``, or ``peer``."""

    def __init__(self, text: str, kind: str = "wrong") -> None:
        super().__init__(text)
        self.kind = kind


def pattern(position: int, size: int) -> bytes:
    """``size`` bytes from ``position`` on."""
    start = position % PERIOD
    return _PATTERN[start : start + size]


def pieces(position: int, size: int) -> Iterator[bytes]:
    """What a stream carries from ``position`` on, ``size`` bytes at a time, without an end."""
    start = position % PERIOD
    while True:
        yield _PATTERN[start : start + size]
        start = (start + size) % PERIOD


def has_pattern(data: bytes | memoryview, position: int) -> bool:
    """Whether ``data``, of ``LONGEST`` bytes at most, is what begins at ``position``."""
    return _PATTERN.startswith(data, position % PERIOD)


class Checker:
    """Compares what arrives with the pattern from a position on."""

    def __init__(self, position: int) -> None:
        self._position = position % PERIOD
        self.count = 0
        "Bytes that were as they should be."

    def check(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            Failure: one of them is not what was sent.
        """
        size = len(data)
        if size > LONGEST:
            for start in range(0, size, LONGEST):
                self.check(data[start : start + LONGEST])
            return
        if not _PATTERN.startswith(data, self._position):  # a comparison in C, which copies nothing
            raise Failure(f"bytes behind the first {self.count} of a stream are not those that were sent")
        self.count += size
        self._position = (self._position + size) % PERIOD
