"""Writing a stream: any size and buffer, budgets, order, the end, resets, acknowledgements, priorities."""

from __future__ import annotations

import array
import asyncio
import ctypes
import mmap

import pytest

import aiopquic

from ..support import until
from .support import Ends, cancelled, soon, started

MIB = 1 << 20


async def test_write_takes_any_contiguous_buffer(ends: Ends) -> None:
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        numbers = array.array("H", range(100))
        area = mmap.mmap(-1, 4096)
        raw = (ctypes.c_uint32 * 4)(1, 2, 3, 4)
        matrix = memoryview(bytes(range(12))).cast("B", (3, 4))
        data = [b"bytes", bytearray(b"bytearray"), memoryview(b"view")[1:3], numbers, area, raw, matrix, b""]
        for item in data:
            await ours.write(item)
        await ours.finish()
        assert await soon(theirs.read_all()) == b"".join(bytes(memoryview(item)) for item in data)
        area.close()


async def test_written_data_may_change_afterwards(ends: Ends) -> None:
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        data = bytearray(b"a" * 100_000)
        await ours.write(data)
        data[:] = b"b" * 100_000
        await ours.finish()
        assert await soon(theirs.read_all()) == b"a" * 100_000


@pytest.mark.parametrize("data", ["text", None, 5, memoryview(b"abcdef")[::2]])
async def test_write_refuses_what_is_no_buffer(ends: Ends, data: object) -> None:
    async with ends.pair() as pair:
        ours, _ = await pair.streams()
        with pytest.raises((TypeError, ValueError), match=r"bytes-like object|not contiguous in memory: write bytes"):
            await ours.write(data)  # type: ignore[arg-type]
        with pytest.raises((TypeError, ValueError)):
            ours.try_write(data)  # type: ignore[arg-type]


async def test_write_takes_no_turn_while_there_is_room(ends: Ends) -> None:
    """No task, no future, no other task's turn."""
    async with ends.pair() as pair:
        ours, _ = await pair.streams()
        others = []
        asyncio.get_running_loop().call_soon(others.append, "another turn")
        for _ in range(100):
            await ours.write(b"x" * 1000)
        await ours.finish()
        assert others == []


async def test_write_larger_than_every_budget(ends: Ends) -> None:
    async with ends.pair(stream_ring_cap=1 << 16, tx_max_queued_bytes=1 << 17) as pair:
        ours, theirs = await pair.streams()
        data = bytes(range(256)) * (8 * MIB // 256)
        writer = await started(ours.write(data, end_stream=True))
        assert not writer.done()
        assert await soon(theirs.read_all()) == data
        await soon(writer)
        assert ours.is_finished


async def test_try_write(ends: Ends) -> None:
    async with ends.pair(stream_ring_cap=1 << 16) as pair:
        ours, theirs = await pair.streams()
        taken = 0
        while ours.try_write(b"x" * 10_000):
            taken += 10_000
            assert taken < 64 * MIB
        assert not ours.try_write(b"x" * 65_536)
        with pytest.raises(ValueError, match="larger than the send budget of 65536 bytes: await write"):
            ours.try_write(bytes(65_537))
        finish = await started(ours.finish())
        assert len(await soon(theirs.read_all())) == taken
        await soon(finish)


async def test_concurrent_writes_keep_together_and_in_order(ends: Ends) -> None:
    async with ends.pair(stream_ring_cap=1 << 15) as pair:
        ours, theirs = await pair.streams()
        parts = [bytes([number]) * (50_000 + number) for number in range(8)]
        writers = [await started(ours.write(part)) for part in parts]
        finish = await started(ours.finish())
        assert not ours.try_write(b"between")
        assert await soon(theirs.read_all()) == b"".join(parts)
        for task in (*writers, finish):
            await soon(task)


async def test_cancelled_write_in_the_queue_writes_nothing(ends: Ends) -> None:
    """One that waits for its turn has no byte in the stream yet; those behind it go on."""
    async with ends.pair(stream_ring_cap=1 << 15) as pair:
        ours, theirs = await pair.streams()
        first = await started(ours.write(b"1" * 200_000))
        second = await started(ours.write(b"2" * 200_000))
        third = await started(ours.write(b"3" * 200_000, end_stream=True))
        await cancelled(second)
        assert await soon(theirs.read_all()) == b"1" * 200_000 + b"3" * 200_000
        await soon(asyncio.gather(first, third))


async def test_cancelled_write_sends_its_beginning(ends: Ends) -> None:
    """What was within the budget is sent, the rest is not, and the stream goes on."""
    async with ends.pair(stream_ring_cap=1 << 15) as pair:
        ours, theirs = await pair.streams()
        data = bytes(range(256)) * 4096
        writer = await started(ours.write(data))
        assert await soon(theirs.readexactly(1000)) == data[:1000]
        await cancelled(writer)
        finish = await started(ours.write(b"END", end_stream=True))
        rest = await soon(theirs.read_all())
        await soon(finish)
        assert rest[-3:] == b"END"
        assert data[1000:].startswith(rest[:-3])
        assert len(rest) < len(data)


async def test_finish(ends: Ends) -> None:
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        assert not ours.is_finished
        await asyncio.gather(ours.finish(), ours.finish())
        await ours.finish()
        assert ours.is_finished
        assert await soon(theirs.read()) == b""
        for write in (lambda: ours.write(b"x"), lambda: ours.write(b"", end_stream=True)):
            with pytest.raises(aiopquic.StreamClosedError, match="already finished or reset by this side"):
                await write()
        with pytest.raises(aiopquic.StreamClosedError):
            ours.try_write(b"x")


async def test_two_tasks_finish_behind_a_write(ends: Ends) -> None:
    async with ends.pair(stream_ring_cap=1 << 15) as pair:
        ours, theirs = await pair.streams()
        writer = await started(ours.write(bytes(MIB)))
        finishes = [await started(ours.finish()) for _ in range(2)]
        assert len(await soon(theirs.read_all())) == MIB
        await soon(asyncio.gather(writer, *finishes))


async def test_reset(ends: Ends) -> None:
    """Writers that wait raise; the peer reads the code; again is harmless."""
    async with ends.pair(stream_ring_cap=1 << 15) as pair:
        ours, theirs = await pair.streams()
        writer = await started(ours.write(bytes(MIB)))
        behind = await started(ours.write(bytes(MIB)))
        ours.reset(42)
        ours.reset(43)
        for task in (writer, behind):
            with pytest.raises(aiopquic.StreamClosedError):
                await soon(task)
        assert ours.is_reset
        with pytest.raises(aiopquic.StreamClosedError):
            await ours.finish()
        with pytest.raises(aiopquic.StreamClosedError, match="was reset by this side"):
            await ours.wait_acked()
        await until(lambda: theirs.reset_code is not None)
        assert theirs.reset_code == 42
        await theirs.write(b"the other direction goes on")
        assert await soon(ours.read()) == b"the other direction goes on"


async def test_stop_by_the_peer_ends_writes_that_wait(ends: Ends) -> None:
    # Nobody reads, and the window is less than what is written at first: nothing is acknowledged to its end.
    async with ends.pair(stream_ring_cap=1 << 15, server={"initial_stream_window": 1 << 13}) as pair:
        ours, theirs = await pair.streams()
        writers = [await started(ours.write(bytes(MIB))) for _ in range(2)]
        acked = await started(ours.wait_acked())
        theirs.stop(11)
        for task in (*writers, acked):
            with pytest.raises(aiopquic.StreamStoppedError, match="stop sending on stream 0, with code 0xb") as caught:
                await soon(task)
            assert caught.value.error_code == 11
        with pytest.raises(aiopquic.StreamStoppedError) as caught:
            ours.try_write(b"x")
        assert caught.value.error_code == 11
        with pytest.raises(aiopquic.StreamStoppedError):
            await ours.finish()


async def test_wait_acked(ends: Ends) -> None:
    """The peer's stack has the bytes, though nobody has read them; with the end as well."""
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        await ours.write(bytes(10_000))
        await asyncio.gather(*(soon(ours.wait_acked()) for _ in range(3)))
        assert theirs._buffered == 0
        await ours.wait_acked()
        await ours.write(b"", end_stream=True)
        await soon(ours.wait_acked())
        assert await soon(theirs.read_all()) == bytes(10_000)
        await theirs.finish()
        await soon(ours.read_all())
        await soon(theirs.wait_acked())
        await pair.round_trip()
        await soon(ours.wait_acked())


async def test_wait_acked_waits(ends: Ends) -> None:
    """A stream that the peer's window holds is not acknowledged; giving up the wait changes nothing."""
    async with ends.pair(initial_stream_window=1 << 14, max_stream_data=1 << 14) as pair:
        ours, theirs = await pair.streams()
        await ours.write(bytes(MIB), end_stream=True)
        waiters = [await started(ours.wait_acked()) for _ in range(2)]
        await pair.round_trip()
        assert not any(task.done() for task in waiters)
        await cancelled(waiters[0])
        assert len(await soon(theirs.read_all())) == MIB
        await soon(waiters[1])


async def test_end_of_the_connection_ends_writes(ends: Ends) -> None:
    # Nobody reads, and the window is less than what is written at first: nothing is acknowledged to its end.
    async with ends.pair(stream_ring_cap=1 << 15, server={"initial_stream_window": 1 << 13}) as pair:
        ours, _ = await pair.streams()
        writers = [await started(ours.write(bytes(MIB))) for _ in range(2)]
        acked = await started(ours.wait_acked())
        pair.peer.close(6, "leaving")
        for task in (*writers, acked):
            with pytest.raises(aiopquic.ConnectionClosedError, match="leaving"):
                await soon(task)
        for call in (ours.write, ours.wait_acked, ours.finish):
            with pytest.raises(aiopquic.ConnectionClosedError, match="leaving"):
                await (call(b"x") if call == ours.write else call())  # type: ignore[operator]
        ours.reset(1)
        ours.stop(1)
        ours.priority = 3


async def test_write_after_an_end_that_is_not_told_yet(ends: Ends) -> None:
    """The reason is on its way from the network thread: it is waited for."""
    async with ends.pair() as pair:
        ours, _ = await pair.streams()
        pair.peer.close(6, "leaving")

        async def write_on() -> None:
            while True:  # without a turn of the loop until a write finds the connection closed
                await ours.write(b"x")

        with pytest.raises(aiopquic.ConnectionClosedError, match="leaving"):
            await soon(write_on())


async def test_own_close_ends_writes_at_once(ends: Ends) -> None:
    async with ends.pair() as pair:
        ours, _ = await pair.streams()
        pair.client.close(1, "mine")
        with pytest.raises(aiopquic.ConnectionClosedError, match="mine"):
            await ours.write(b"x")
        with pytest.raises(aiopquic.ConnectionClosedError):
            ours.try_write(b"x")


async def test_priority(ends: Ends) -> None:
    async with ends.pair() as pair:
        ours, _ = await pair.streams()
        assert ours.priority == 9
        ours.priority = 255
        assert ours.priority == 255
        for value in (-1, 256, "high", 1.0):
            with pytest.raises(ValueError, match="a stream priority is 0 to 255"):
                ours.priority = value  # type: ignore[assignment]
        for code in (-1, 1 << 62, None):
            with pytest.raises(ValueError, match="an error code is 0 to"):
                ours.reset(code)  # type: ignore[arg-type]
        await pair.round_trip()


async def test_urgent_stream_goes_first(ends: Ends) -> None:
    """With everything waiting at the connection's window, the stream of the lowest number is the first to go on."""
    async with ends.pair(max_data=1 << 16, initial_stream_window=1 << 16) as pair:
        hold, hold_peer = await pair.streams()
        await hold.write(bytes(1 << 16))
        await pair.client.ping()
        late, urgent = await pair.client.open_send_stream(), await pair.client.open_send_stream()
        late.priority, urgent.priority = 200, 0
        await late.write(bytes(40_000), end_stream=True)
        await urgent.write(bytes(40_000), end_stream=True)
        await pair.client.ping()
        await soon(hold_peer.readexactly((1 << 16) - 1))
        await soon(urgent.wait_acked())
        first = await soon(pair.peer.accept_stream(bidirectional=False))
        assert len(await soon(first.read_all())) == 40_000


async def test_context_manager(ends: Ends) -> None:
    """Clean: finished and, where not read, stopped. After an error: reset and stopped, both with code 0."""
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        async with ours:
            await ours.write(b"clean")
        assert await soon(theirs.read_all()) == b"clean"
        await until(lambda: theirs.stop_code == 0)
        ours, theirs = await pair.streams()
        with pytest.raises(KeyError):
            async with ours:
                raise KeyError
        await until(lambda: (theirs.reset_code, theirs.stop_code) == (0, 0))
        send = await pair.client.open_send_stream()
        async with send:
            await send.write(b"one way")
        receive = await soon(pair.peer.accept_stream(bidirectional=False))
        assert await soon(receive.read_all()) == b"one way"


async def test_context_manager_of_a_stream_that_is_over(ends: Ends) -> None:
    """Whatever ended it, leaving says nothing about it."""
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        async with ours:
            theirs.stop(3)
            await until(lambda: ours.stop_code == 3)
        ours, theirs = await pair.streams()
        async with ours:
            ours.reset(4)
        await until(lambda: theirs.reset_code == 4)
        ours, theirs = await pair.streams()
        async with ours, theirs:
            await asyncio.gather(ours.finish(), theirs.finish())
            await soon(asyncio.gather(ours.read_all(), theirs.read_all()))
        assert (ours.stop_code, theirs.stop_code, ours.reset_code) == (None, None, None)


async def test_context_manager_cancelled_at_its_end(ends: Ends) -> None:
    """The finish that waits for another task's write gives up: the stream is reset."""
    async with ends.pair(stream_ring_cap=1 << 15) as pair:
        ours, theirs = await pair.streams()
        writer = await started(ours.write(bytes(MIB)))

        async def leave() -> None:
            async with ours:
                pass

        await cancelled(await started(leave()))
        with pytest.raises(aiopquic.StreamClosedError):
            await soon(writer)
        await until(lambda: theirs.reset_code == 0)


async def test_reset_of_a_stream_that_was_never_used(ends: Ends) -> None:
    """The peer hears of it by the reset alone."""
    async with ends.pair() as pair:
        ours = await pair.client.open_send_stream()
        ours.reset(5)
        theirs = await soon(pair.peer.accept_stream())
        with pytest.raises(aiopquic.StreamResetError) as caught:
            await soon(theirs.read())
        assert caught.value.error_code == 5
