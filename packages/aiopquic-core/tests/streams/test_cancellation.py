"""Every await of the streams API, cancelled at random moments: nothing is left, no reply is shifted, all goes on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import aiopquic

from .support import Ends, Pair, soon

#: How often each await is cancelled.
ROUNDS = 60

KIB = 1 << 10


async def cancel_somewhere(awaitable: Awaitable[Any], chance: random.Random) -> Any:
    """Give it some turns of the loop, then cancel it; its result when it was faster."""
    task = asyncio.ensure_future(awaitable)
    for _ in range(chance.randrange(6)):
        await asyncio.sleep(0)
    if chance.random() < 0.3:
        await asyncio.sleep(chance.random() * 0.003)
    task.cancel()
    [result] = await asyncio.gather(task, return_exceptions=True)
    return result


def assert_nobody_waits(conn: aiopquic.Connection) -> None:
    """No waiter, no reserved credit, no turn is left over."""
    for kind in conn._credit._kinds:
        assert (kind.reserved, list(kind.waiters or ())) == (0, [])
    assert conn._inbox._waiters == []
    assert conn._pings == {}
    assert len(conn._close_waiters) <= (0 if conn.is_client else 1)  # the handler waits, in Ends.pair
    assert conn._snapshots._waiters == {}
    assert conn._sender._by_stream == {}
    for binding in conn._binding.streams.values():
        stream: Any = binding.state
        if stream is not None:
            assert (stream._writers, stream._turn, stream._reader) == (0, None, None)
            assert not stream._ack_waiters


async def still_works(pair: Pair) -> None:
    await pair.round_trip()
    ours, theirs = await pair.streams()
    await ours.write(b"hello", end_stream=True)
    assert await soon(theirs.read_all()) == b"hello"
    await soon(ours.wait_acked())
    await theirs.finish()
    assert await soon(ours.read_all()) == b""
    assert_nobody_waits(pair.client)
    assert_nobody_waits(pair.peer)


SIMPLE: dict[str, Callable[[aiopquic.Connection], Awaitable[Any]]] = {
    "ping": lambda conn: conn.ping(),
    "stats": lambda conn: conn.stats(),
    "accept_stream": lambda conn: conn.accept_stream(bidirectional=True),
    "incoming_streams": lambda conn: conn.incoming_streams(bidirectional=False).__anext__(),
    "wait_closed": lambda conn: conn.wait_closed(),
}


@pytest.mark.parametrize("name", SIMPLE)
async def test_waits_of_a_connection(ends: Ends, name: str) -> None:
    chance = random.Random(name)
    async with ends.pair() as pair:
        for _ in range(ROUNDS):
            await cancel_somewhere(SIMPLE[name](pair.client), chance)
        await still_works(pair)


async def test_opening(ends: Ends) -> None:
    """Streams that were opened are counted, those that were not are not: the last one gets the next id."""
    chance = random.Random(1)
    async with ends.pair(server={"max_streams_bidi": 3}) as pair:
        opened = 0

        async def serve() -> None:
            async for stream in pair.peer.incoming_streams(bidirectional=True):
                async with stream:
                    await stream.read_all()

        serving = asyncio.create_task(serve())
        for _ in range(ROUNDS):
            result = await cancel_somewhere(pair.client.open_stream(), chance)
            if isinstance(result, aiopquic.Stream):
                assert result.id == opened * 4
                opened += 1
                async with result:
                    pass
        last = await soon(pair.client.open_stream())
        assert last.id == opened * 4
        async with last:
            pass
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        assert_nobody_waits(pair.client)
        await pair.round_trip()


async def test_accepting(ends: Ends) -> None:
    """Each stream is handed out once, in order."""
    chance = random.Random(2)
    async with ends.pair() as pair:
        accepted: list[int] = []
        for _ in range(ROUNDS):
            stream = await pair.client.open_send_stream()
            await stream.write(b"x", end_stream=True)
            result = await cancel_somewhere(pair.peer.accept_stream(), chance)
            if not isinstance(result, BaseException):
                accepted.append(result.id)
        while len(accepted) < ROUNDS:
            accepted.append((await soon(pair.peer.accept_stream())).id)
        assert accepted == [number * 4 + 2 for number in range(ROUNDS)]
        await still_works(pair)


@pytest.mark.parametrize("kind", ["read", "read_chunk", "readexactly", "read_all", "anext", "mixed"])
async def test_reading(ends: Ends, kind: str) -> None:
    """Byte conservation: what the reads return is what was written, whatever was cancelled in between."""
    chance = random.Random(kind)
    data = chance.randbytes(400 * KIB)
    async with ends.pair(initial_stream_window=8 * KIB, max_stream_data=16 * KIB) as pair:
        ours, theirs = await pair.streams()
        writer = asyncio.create_task(ours.write(data, end_stream=True))
        received = bytearray()
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "read": lambda: theirs.read(chance.choice([-1, 1, 1000])),
            "read_chunk": lambda: theirs.read_chunk(),
            "readexactly": lambda: theirs.readexactly(chance.randrange(30 * KIB)),
            "read_all": lambda: theirs.read_all(),
            "anext": lambda: theirs.__anext__(),
        }
        for _ in range(ROUNDS * 2):
            name = kind if kind != "mixed" else chance.choice(sorted(calls))
            result = await cancel_somewhere(calls[name](), chance)
            if isinstance(result, asyncio.IncompleteReadError):
                received += result.partial
            elif isinstance(result, bytes | memoryview):
                received += result
        received += await soon(theirs.read_all())
        await soon(writer)
        assert received == data
        await still_works(pair)


async def test_writing(ends: Ends) -> None:
    """A write that is cancelled has sent a beginning of its data, in its place, and nothing else."""
    chance = random.Random(3)
    async with ends.pair(stream_ring_cap=16 * KIB, initial_stream_window=16 * KIB) as pair:
        ours, theirs = await pair.streams()
        reader = asyncio.create_task(theirs.read_all())
        parts = []
        for number in range(ROUNDS):
            part = bytes([number]) * chance.randrange(100 * KIB)
            result = await cancel_somewhere(ours.write(part), chance)
            parts.append((len(part), result is None))
        await soon(ours.finish())
        received = await soon(reader)
        for number, (length, is_whole) in enumerate(parts):
            count = len(received) - len(received.lstrip(bytes([number])))
            assert count == length if is_whole else count <= length
            received = received[count:]
        assert received == b""
        await still_works(pair)


async def test_writers_in_a_queue(ends: Ends) -> None:
    """Several at once, some of them cancelled: the others arrive whole and in order."""
    chance = random.Random(4)
    async with ends.pair(stream_ring_cap=16 * KIB, initial_stream_window=16 * KIB) as pair:
        for _ in range(8):
            ours, theirs = await pair.streams()
            reader = asyncio.create_task(theirs.read_all())
            parts = [bytes([number]) * chance.randrange(1, 60 * KIB) for number in range(10)]
            writers = [asyncio.create_task(ours.write(part)) for part in parts]
            for task in chance.sample(writers, 4):
                await asyncio.sleep(0)
                task.cancel()
            results = await soon(asyncio.gather(*writers, return_exceptions=True))
            await ours.finish()
            received = await soon(reader)
            for part, result in zip(parts, results, strict=True):
                count = len(received) - len(received.lstrip(part[:1]))
                assert count == len(part) if result is None else count <= len(part)
                received = received[count:]
            assert received == b""
            await theirs.finish()
        await still_works(pair)


async def test_finishing_and_waiting_for_acknowledgements(ends: Ends) -> None:
    chance = random.Random(5)
    async with ends.pair(stream_ring_cap=16 * KIB) as pair:
        for _ in range(ROUNDS // 2):
            ours, theirs = await pair.streams()
            reader = asyncio.create_task(theirs.read_all())
            await cancel_somewhere(ours.write(b"x" * chance.randrange(40 * KIB)), chance)
            await cancel_somewhere(ours.wait_acked(), chance)
            await cancel_somewhere(ours.finish(), chance)
            await soon(ours.finish())
            await cancel_somewhere(ours.wait_acked(), chance)
            await soon(reader)
            await soon(ours.wait_acked())
            async with theirs:
                pass
        await still_works(pair)


async def test_connecting(ends: Ends) -> None:
    """A connection that was not wanted any more is closed, at whatever point it was; the next one works."""
    chance = random.Random(6)

    async def connect() -> aiopquic.Connection:
        return await ends.connect(server)

    async def connect_and_enter() -> None:
        async with ends.connect(server) as conn:
            await conn.ping()

    async with ends.serve(lambda conn: conn.wait_closed()) as server:
        for number in range(ROUNDS // 2):
            result = await cancel_somewhere(connect() if number % 2 else connect_and_enter(), chance)
            if isinstance(result, aiopquic.Connection):
                await result.aclose()
        async with ends.connect(server) as conn:
            assert await soon(conn.ping()) > 0


async def test_serving(ends: Ends) -> None:
    """A server that was not wanted any more gives its port back."""
    chance = random.Random(7)

    async def serve() -> aiopquic.Server:
        return await ends.serve(lambda conn: conn.wait_closed())

    for _ in range(ROUNDS // 4):
        result = await cancel_somewhere(serve(), chance)
        if isinstance(result, aiopquic.Server):
            await cancel_somewhere(result.aclose(), chance)
            await soon(result.aclose())  # the first may have been cancelled before it began


async def test_closing(ends: Ends) -> None:
    """A close that is cancelled closes all the same."""
    chance = random.Random(8)
    for _ in range(8):
        async with ends.pair() as pair:
            ours, _ = await pair.streams()
            await ours.write(bytes(100 * KIB), end_stream=True)
            await cancel_somewhere(pair.client.aclose(), chance)
            await soon(pair.client.wait_closed())
            await soon(pair.peer.wait_closed())
            assert_nobody_waits(pair.client)
