"""The bytes that travel: both sides can compute them, so that the receiver checks each one."""

from __future__ import annotations

import hashlib

from aiopquic_bench.problems import ExitCode, Problem

__all__ = ["LONGEST", "Checker", "pattern"]

#: A prime: bytes that are missing, doubled or of another stream show, unless they are a multiple of it.
PERIOD = 65521

#: Bytes that one call of :func:`pattern` returns at most.
LONGEST = 1 << 20

_BLOCK = hashlib.shake_256(b"aiopquic-bench").digest(PERIOD)
_PATTERN = (_BLOCK * (LONGEST // PERIOD + 2))[: PERIOD + LONGEST]
_VIEW = memoryview(_PATTERN)

#: From this size on a view is cheaper than a copy.
_VIEW_SIZE = 1 << 13


def pattern(position: int, size: int) -> bytes | memoryview:
    """``size`` bytes from ``position`` on, where a stream begins at a position of its own."""
    start = position % PERIOD
    return (_VIEW if size >= _VIEW_SIZE else _PATTERN)[start : start + size]


class Checker:
    """Compares what arrives with the pattern from a position on."""

    __slots__ = ("_position", "count")

    def __init__(self, position: int) -> None:
        self._position = position % PERIOD
        self.count = 0
        "Bytes that were as they should be."

    def check(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            Problem: one of them is not what was sent.
        """
        for start in range(0, len(data), LONGEST):
            piece = data[start : start + LONGEST] if len(data) > LONGEST else data
            if not _PATTERN.startswith(piece, self._position):
                self._fail(bytes(piece))
            self.count += len(piece)
            self._position = (self._position + len(piece)) % PERIOD

    def _fail(self, piece: bytes) -> None:
        wanted = bytes(pattern(self._position, len(piece)))
        first = next(number for number, (a, b) in enumerate(zip(piece, wanted, strict=True)) if a != b)
        text = f"byte {self.count + first} is not the one that was sent: the run is a failure and gives no figure"
        raise Problem(text, ExitCode.WRONG_BYTES)
