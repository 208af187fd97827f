"""The bytes that travel, which both sides can compute, and their check at the receiver."""

from __future__ import annotations

import hashlib

__all__ = ["LONGEST", "Checker", "Failure", "pattern"]

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
        for start in range(0, len(data), LONGEST):
            piece = data[start : start + LONGEST] if len(data) > LONGEST else data
            if not _PATTERN.startswith(piece, self._position):
                raise Failure(f"bytes behind the first {self.count} of a stream are not those that were sent")
            self.count += len(piece)
            self._position = (self._position + len(piece)) % PERIOD
