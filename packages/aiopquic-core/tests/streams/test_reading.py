"""Reading a stream: what is returned, when it waits, what the peer may send meanwhile, and how it ends."""

from __future__ import annotations

import asyncio

import pytest

import aiopquic
from aiopquic._binding._engine import live_counts

from ..support import until
from .support import Ends, cancelled, soon, started

MIB = 1 << 20


async def test_read_returns_what_has_arrived(ends: Ends) -> None:
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        await ours.write(b"hello world")
        await ours.wait_acked()
        assert await theirs.read(5) == b"hello"
        assert await theirs.read(0) == b""
        assert await theirs.read() == b" world"
        await ours.finish()
        assert await soon(theirs.read()) == b""
        assert await soon(theirs.read(10)) == b""
        assert theirs.at_end


async def test_read_waits_for_the_first_byte(ends: Ends) -> None:
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        reader = await started(theirs.read(100))
        assert not reader.done()
        await ours.write(b"x")
        assert await soon(reader) == b"x"


async def test_readexactly(ends: Ends) -> None:
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        assert await theirs.readexactly(0) == b""
        reader = await started(theirs.readexactly(6))
        await ours.write(b"abc")
        await ours.wait_acked()
        assert not reader.done()
        await ours.write(b"defgh")
        assert await soon(reader) == b"abcdef"
        await ours.finish()
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await soon(theirs.readexactly(3))
        assert (caught.value.partial, caught.value.expected) == (b"gh", 3)
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await soon(theirs.readexactly(1))
        assert caught.value.partial == b""


async def test_readexactly_of_more_than_the_window(ends: Ends) -> None:
    """robustness.md, "Flow control": no stall when the window is used up before the read is satisfied."""
    async with ends.pair(max_data=1 << 16, max_stream_data=1 << 14, initial_stream_window=1 << 14) as pair:
        ours, theirs = await pair.streams()
        data = bytes(range(256)) * (MIB // 256)
        writer = await started(ours.write(data, end_stream=True))
        assert await soon(theirs.readexactly(MIB - 1)) == data[:-1]
        assert await soon(theirs.read_all()) == data[-1:]
        await soon(writer)


async def test_read_all(ends: Ends) -> None:
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        data = bytes(3 * MIB)
        await ours.write(data, end_stream=True)
        assert await soon(theirs.read_all(limit=len(data))) == data
        assert await theirs.read_all() == b""
        assert theirs.at_end


async def test_read_all_has_a_limit(ends: Ends) -> None:
    """More than that stops the stream; the connection lives on."""
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        await ours.write(b"x" * 1001, end_stream=True)
        with pytest.raises(aiopquic.StreamLimitError, match="more than 1000 bytes") as caught:
            await soon(theirs.read_all(limit=1000))
        assert caught.value.stream_id == theirs.id
        endless, endless_peer = await pair.streams()
        writer = await started(endless.write(bytes(64 * MIB)))
        with pytest.raises(aiopquic.StreamLimitError):
            await soon(endless_peer.read_all(limit=100_000))
        with pytest.raises(aiopquic.StreamStoppedError) as stopped:
            await soon(writer)
        assert stopped.value.error_code == 0
        with pytest.raises(aiopquic.StreamClosedError, match="was stopped by this side"):
            await endless_peer.read()
        await pair.round_trip()


async def test_chunks_are_read_only_and_outlive_the_connection(ends: Ends) -> None:
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        data = bytes(range(256)) * 4096
        writer = await started(ours.write(data, end_stream=True))
        chunks = [chunk async for chunk in theirs]
        await soon(writer)
        assert await theirs.read_chunk() is None
        assert all(chunk.readonly and len(chunk) > 0 for chunk in chunks)
    assert b"".join(chunks) == data
    with pytest.raises(TypeError):
        chunks[0][0] = 1
    chunks.clear()


async def test_kinds_of_reads_take_turns(ends: Ends) -> None:
    """Each goes on where the one before stopped."""
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        data = bytes(range(256)) * 1024
        await ours.write(data, end_stream=True)
        parts = [await soon(theirs.readexactly(1000)), await soon(theirs.read(17))]
        chunk = await soon(theirs.read_chunk())
        assert chunk is not None
        parts += [bytes(chunk), await soon(theirs.readexactly(10)), await soon(theirs.read_all())]
        assert b"".join(parts) == data


async def test_stream_that_is_not_read_holds_its_peer(ends: Ends) -> None:
    """robustness.md, "Flow control": at the window, with nothing taken from the engine; other streams go on."""
    async with ends.pair(initial_stream_window=1 << 14) as pair:
        ours, theirs = await pair.streams()
        size = 2 * MIB
        await ours.write(bytes(size), end_stream=True)
        await until(lambda: ours.bytes_waiting <= size - (1 << 14) + 1)
        for _ in range(3):
            await pair.round_trip()
            assert ours.bytes_waiting >= size - (1 << 14)
        assert theirs._buffered == 0
        assert len(await soon(theirs.read_all())) == size


async def test_reset_by_the_peer(ends: Ends) -> None:
    """A blocked read raises with the code; what was not read is dropped (RFC 9000 section 3.2) and freed."""
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        reader = await started(theirs.read())
        ours.reset(7)
        with pytest.raises(aiopquic.StreamResetError) as caught:
            await soon(reader)
        assert (caught.value.error_code, theirs.reset_code) == (7, 7)
        ours, theirs = await pair.streams()
        await ours.write(bytes(50_000))
        await ours.wait_acked()
        await theirs.readexactly(10)
        ours.reset(8)
        await until(lambda: theirs.reset_code is not None)
        for read in (theirs.read, theirs.read_chunk, theirs.read_all, theirs.__anext__):
            with pytest.raises(aiopquic.StreamResetError, match="code 0x8"):
                await read()
        await until(lambda: live_counts()["chunks"] == 0)
        await pair.round_trip()


async def test_end_that_came_before_a_reset_counts(ends: Ends) -> None:
    """All of the stream is here: a reset changes nothing (RFC 9000 section 3.2)."""
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        await ours.write(b"complete", end_stream=True)
        await ours.wait_acked()
        ours.reset(1)
        await pair.round_trip()
        assert await soon(theirs.read_all()) == b"complete"


async def test_stop_asks_the_peer(ends: Ends) -> None:
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        reader = await started(theirs.read())
        theirs.stop(9)
        theirs.stop(10)
        with pytest.raises(aiopquic.StreamClosedError, match="stopped by this side"):
            await soon(reader)
        await until(lambda: ours.stop_code is not None)
        assert ours.stop_code == 9
        with pytest.raises(aiopquic.StreamStoppedError) as caught:
            await ours.write(b"x")
        assert caught.value.error_code == 9
        await theirs.write(b"the other direction goes on")
        assert await soon(ours.read()) == b"the other direction goes on"


async def test_stop_after_the_end_does_nothing(ends: Ends) -> None:
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        await ours.finish()
        assert await soon(theirs.read_all()) == b""
        theirs.stop(9)
        await pair.round_trip()
        assert ours.stop_code is None
        assert await theirs.read() == b""


async def test_bytes_of_a_stopped_stream_are_dropped(ends: Ends) -> None:
    """They give the connection its credit back, and hold no memory."""
    async with ends.pair(max_data=1 << 16) as pair:
        for _ in range(4):
            ours, theirs = await pair.streams()
            await ours.write(bytes(1 << 15))
            await ours.wait_acked()
            theirs.stop()
        await pair.round_trip()
        ours, theirs = await pair.streams()
        writer = await started(ours.write(bytes(MIB), end_stream=True))
        assert len(await soon(theirs.read_all())) == MIB
        await soon(writer)


async def test_one_task_reads_at_a_time(ends: Ends) -> None:
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        reader = await started(theirs.read())
        for read in (theirs.read, theirs.read_chunk, theirs.read_all, theirs.__anext__):
            with pytest.raises(RuntimeError, match="another task is reading stream 0"):
                await read()
        with pytest.raises(RuntimeError, match="one reads at a time"):
            await theirs.readexactly(1)
        await ours.write(b"x")
        assert await soon(reader) == b"x"


async def test_what_arrived_outlives_the_connection(ends: Ends) -> None:
    """The end discards nothing: what came before can be read, and then its reason is raised."""
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        done, done_peer = await pair.streams()
        await done.write(b"all of it", end_stream=True)
        await ours.write(b"abcdef")
        await ours.wait_acked()
        await done.wait_acked()
        pair.client.close(5, "enough")
        await soon(pair.peer.wait_closed())
        assert await theirs.read(2) == b"ab"
        with pytest.raises(aiopquic.ConnectionClosedError, match="enough"):
            await theirs.readexactly(10)
        assert await theirs.read() == b"cdef"
        with pytest.raises(aiopquic.ConnectionClosedError, match="enough"):
            await theirs.read()
        assert await done_peer.read_all() == b"all of it"


async def test_end_of_the_connection_ends_a_read(ends: Ends) -> None:
    async with ends.pair() as pair:
        _, theirs = await pair.streams()
        reader = await started(theirs.read_all())
        pair.client.close(5, "enough")
        with pytest.raises(aiopquic.ConnectionClosedError) as caught:
            await soon(reader)
        assert (caught.value.error_code, caught.value.close_reason.is_remote) == (5, True)


@pytest.mark.parametrize("kind", ["read", "readexactly", "read_all", "read_chunk", "anext"])
async def test_cancelled_read_loses_nothing(ends: Ends, kind: str) -> None:
    """Whatever had arrived is there for the next read, and one that waits can follow."""
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()

        def read() -> asyncio.Task[object]:
            calls = {
                "read": lambda: theirs.read(),
                "readexactly": lambda: theirs.readexactly(1000),
                "read_all": lambda: theirs.read_all(),
                "read_chunk": lambda: theirs.read_chunk(),
                "anext": lambda: theirs.__anext__(),
            }
            return asyncio.ensure_future(calls[kind]())

        sent = b""
        for number in range(5):
            reader = read()
            await asyncio.sleep(0)
            if kind in ("readexactly", "read_all"):
                part = bytes([number]) * 100
                await ours.write(part)
                await ours.wait_acked()
                await pair.round_trip()
                sent += part
            await cancelled(reader)
        await ours.write(b"tail", end_stream=True)
        assert await soon(theirs.read_all()) == sent + b"tail"


async def test_read_cancelled_after_its_bytes_came(ends: Ends) -> None:
    async with ends.pair() as pair:
        ours, theirs = await pair.streams()
        reader = await started(theirs.read())
        await ours.write(b"kept")
        await until(lambda: theirs._reader is None or theirs._reader.done())
        if reader.cancel():
            await asyncio.gather(reader, return_exceptions=True)
            assert await soon(theirs.read()) == b"kept"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda stream: stream.read(-2), "max_bytes is -1 for no limit, or a number of bytes, not -2"),
        (lambda stream: stream.read(1.5), "not 1.5"),
        (lambda stream: stream.readexactly(-1), "count is a number of bytes, not -1"),
        (lambda stream: stream.read_all(limit=-1), "limit is a number of bytes, not -1"),
        (lambda stream: stream.read_all(limit=None), "not None"),
    ],
)
async def test_bad_counts(ends: Ends, call: object, text: str) -> None:
    async with ends.pair() as pair:
        _, theirs = await pair.streams()
        with pytest.raises(ValueError, match=text):
            await call(theirs)  # type: ignore[operator]
        for code in (-1, 1 << 62, "x"):
            with pytest.raises(ValueError, match="an error code is 0 to"):
                theirs.stop(code)  # type: ignore[arg-type]


async def test_context_manager_stops_what_was_not_read(ends: Ends) -> None:
    async with ends.pair() as pair:
        ours = await pair.client.open_send_stream()
        await ours.write(b"much more than is read")
        async with await soon(pair.peer.accept_stream(bidirectional=False)) as theirs:
            await theirs.read(4)
        await until(lambda: ours.stop_code == 0)
        other = await pair.client.open_send_stream()
        await other.write(b"read", end_stream=True)
        async with await soon(pair.peer.accept_stream(bidirectional=False)) as theirs:
            await soon(theirs.readexactly(4))
        await pair.round_trip()
        assert other.stop_code is None
