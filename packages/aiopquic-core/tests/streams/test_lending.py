"""Large immutable data is sent from where it is, held until then, and let go on the loop, whatever ends its stream."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

import aiopquic
from aiopquic._binding._stream import LEND_MIN

from ..support import until
from .support import Ends, Pair, soon

MIB = 1 << 20
WINDOW = 1 << 16
BUDGET = 1 << 20


def fresh(size: int) -> bytes:
    """Bytes that nobody else refers to."""
    return bytes(bytearray(range(256)) * (size // 256 + 1))[:size]


def holders(data: object) -> int:
    """References to ``data`` beside those of the caller."""
    return sys.getrefcount(data) - BASE


#: What getrefcount() says in holders() of an object that one name refers to.
BASE = 0
BASE = holders(probe := object())


async def let_go(data: bytes) -> None:
    """Wait until nobody but the caller refers to ``data``."""
    # The parameter counts here as that of holders() does there.
    await until(lambda: sys.getrefcount(data) == BASE, "the data to be let go")


@pytest.fixture(params=["thread", "inline"])
async def pair(request: pytest.FixtureRequest, ends: Ends) -> AsyncIterator[Pair]:
    """Ends whose streams take little that is not read."""
    settings = {"initial_stream_window": WINDOW, "max_stream_data": WINDOW, "stream_ring_cap": BUDGET}
    async with ends.pair(client={"driver": request.param}, **settings) as pair:
        yield pair


async def blocked(pair: Pair, data: bytes) -> tuple[aiopquic.Stream, aiopquic.Stream]:
    """A stream on which ``data`` waits, because the peer does not read."""
    ours, theirs = await pair.streams()
    await ours.write(data)
    await until(lambda: ours.bytes_waiting == len(data) - WINDOW + 1, "the window to be used up")
    return ours, theirs


@pytest.mark.parametrize("size", [LEND_MIN, BUDGET, 3 * MIB])
async def test_sent_data_is_let_go(pair: Pair, size: int) -> None:
    """Also by a loop that has nothing else to do: no event follows the last byte."""
    ours, theirs = await pair.streams()
    for _ in range(3):
        data = fresh(size)
        received = asyncio.create_task(theirs.readexactly(size))
        await soon(ours.write(data))
        assert await soon(received) == data
        await let_go(data)


async def test_small_data_is_copied(pair: Pair) -> None:
    ours, _ = await pair.streams()
    data = fresh(LEND_MIN - 1)
    await ours.write(data)
    assert holders(data) == 0


async def test_views_hold_what_they_are_of(pair: Pair) -> None:
    """Not the view: it may be released, or be one of many."""
    ours, theirs = await pair.streams()
    data = fresh(2 * LEND_MIN)
    view = memoryview(data)[100 : 100 + LEND_MIN].cast("H")
    assert ours.try_write(view)
    view.release()
    assert await soon(theirs.readexactly(LEND_MIN)) == data[100 : 100 + LEND_MIN]
    await let_go(data)


@pytest.mark.parametrize("kind", [bytearray, lambda data: memoryview(bytearray(data))])
async def test_what_can_change_is_copied(pair: Pair, kind: type[bytearray]) -> None:
    ours, theirs = await pair.streams()
    data = kind(b"a" * 4 * LEND_MIN)
    assert ours.try_write(memoryview(data).toreadonly())
    data[:] = b"b" * 4 * LEND_MIN
    assert await soon(theirs.readexactly(4 * LEND_MIN)) == b"a" * 4 * LEND_MIN


async def test_a_subclass_is_copied(pair: Pair) -> None:
    class Tracked(bytes):
        pass

    ours, _ = await pair.streams()
    data = Tracked(LEND_MIN)
    assert ours.try_write(data)
    assert holders(data) == 0


async def test_received_chunks_are_sent_on(pair: Pair) -> None:
    """Small and large ones, with bytes of our own between."""
    ours, theirs = await pair.streams()
    data = fresh(MIB)

    async def send_back() -> None:
        count = 0
        while count < len(data):
            chunk = await theirs.read_chunk()
            assert chunk is not None
            count += len(chunk)
            await theirs.write(chunk)
            await theirs.write(b"-")
        await theirs.finish()

    _, _, received = await soon(asyncio.gather(ours.write(data), send_back(), ours.read_all()))
    assert received.replace(b"-", b"") == data.replace(b"-", b"")


async def test_the_budget_counts_what_is_lent(pair: Pair) -> None:
    data = fresh(BUDGET)
    ours, _ = await blocked(pair, data)
    assert holders(data) == 1
    other = fresh(BUDGET)
    assert not ours.try_write(other)
    assert holders(other) == 0
    with pytest.raises(ValueError, match="larger than the send budget"):
        ours.try_write(fresh(BUDGET + 1))


@pytest.mark.parametrize("by_us", [True, False], ids=["reset", "stop"])
async def test_giving_up_lets_go(pair: Pair, by_us: bool) -> None:
    data = fresh(BUDGET)
    ours, theirs = await blocked(pair, data)
    assert holders(data) == 1
    if by_us:
        ours.reset(1)
    else:
        theirs.stop(1)
    await let_go(data)


async def test_the_end_of_the_connection_lets_go(pair: Pair) -> None:
    data = fresh(BUDGET)
    await blocked(pair, data)
    assert holders(data) == 1
    await soon(pair.client.aclose())
    await let_go(data)


@pytest.mark.parametrize("driver", ["thread", "inline"])
async def test_the_end_of_the_engine_lets_go(ends: Ends, driver: str) -> None:
    """Also with a stream that somebody still holds."""
    data = fresh(BUDGET)
    async with ends.pair(server={"driver": driver}, initial_stream_window=WINDOW, max_stream_data=WINDOW) as pair:
        _, theirs = await pair.streams()
        await theirs.write(data)
        await until(lambda: theirs.bytes_waiting == len(data) - WINDOW + 1, "the window to be used up")
        assert holders(data) == 1
        await soon(pair.server.aclose())
        assert holders(data) == 0
        assert theirs.bytes_waiting == 0
