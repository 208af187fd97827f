"""RingBuffer: the engine's queue between two threads, from Python. The C tests look at it closer."""

from __future__ import annotations

import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiopquic._binding._transport import RingBuffer

ENTRY = st.tuples(
    st.integers(0, 255),
    st.integers(0, (1 << 64) - 1),
    st.none() | st.binary(max_size=20),
    st.booleans(),
    st.integers(0, (1 << 62) - 1),
)


@given(st.lists(st.none() | ENTRY, max_size=100))
def test_it_is_a_queue(steps: list[tuple[int, int, bytes | None, bool, int] | None]) -> None:
    """Against a list: None pops, anything else is pushed, whole and in order."""
    ring = RingBuffer(capacity=8)
    model: list[object] = []
    for step in steps:
        if step is None:
            assert ring.pop() == (model.pop(0) if model else None)
        elif len(model) == 8:
            with pytest.raises(BufferError, match="8 entries wait"):
                ring.push(*step)
        else:
            ring.push(*step)
            model.append(step)
        assert (ring.count, ring.empty) == (len(model), not model)


def test_its_defaults() -> None:
    ring = RingBuffer()
    assert (ring.capacity, ring.count, ring.empty) == (262_144, 0, True)
    ring.push(5)
    assert ring.pop() == (5, 0, None, False, 0)
    with pytest.raises(ValueError, match="at least one"):
        RingBuffer(0)
    with pytest.raises(OverflowError):
        RingBuffer(-1)


def test_it_holds_its_bytes_and_lets_go_of_them() -> None:
    """One reference for an entry that waits; popped, or dropped with the ring, it is gone (leaks)."""
    data = bytes(1000)
    before = sys.getrefcount(data)
    ring = RingBuffer(4)
    ring.push(0, 0, data)
    ring.push(0, 0, data)
    assert sys.getrefcount(data) == before + 2
    ring.pop()
    assert sys.getrefcount(data) == before + 1
    del ring
    assert sys.getrefcount(data) == before


def test_between_two_threads() -> None:
    """Every entry arrives once and in order, over many blocks of memory and a ring that is often full or empty."""
    ring = RingBuffer(64)
    total = 20_000

    def produce() -> None:
        number = 0
        while number < total:
            try:
                ring.push(0, number, number.to_bytes(4, "big"))
            except BufferError:
                time.sleep(0)  # lets the other thread run
                continue
            number += 1

    thread = threading.Thread(target=produce)
    thread.start()
    expected = 0
    while expected < total:
        entry = ring.pop()
        if entry is not None:
            assert entry[1:3] == (expected, expected.to_bytes(4, "big"))
            expected += 1
        else:
            time.sleep(0)
    thread.join()
    assert ring.empty
