"""Opening and accepting streams: ids, kinds, order, the peer's credit (RFC 9000 section 4.6)."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import pytest

import aiopquic
from aiopquic._binding._engine import live_counts

from ..support import until
from .support import Ends, Pair, cancelled, soon, started


async def finish_one(pair: Pair, bidirectional: bool = True) -> None:
    """Bring a stream that the client has opened to its end, on both sides."""
    stream = await soon(pair.peer.accept_stream(bidirectional=bidirectional))
    if isinstance(stream, aiopquic.Stream):
        await stream.finish()
    await soon(stream.read_all())


async def test_ids_follow_the_kind_and_the_side(ends: Ends) -> None:
    async with ends.pair() as pair:
        assert [(await pair.client.open_stream()).id for _ in range(3)] == [0, 4, 8]
        assert [(await pair.client.open_send_stream()).id for _ in range(2)] == [2, 6]
        assert (await pair.peer.open_stream()).id == 1
        assert (await pair.peer.open_send_stream()).id == 3


async def test_streams_are_accepted_in_the_order_of_their_arrival(ends: Ends) -> None:
    async with ends.pair() as pair:
        opened: list[Any] = []
        for number in range(6):
            stream = await (pair.client.open_send_stream() if number % 2 else pair.client.open_stream())
            await stream.write(bytes([number]), end_stream=True)
            await pair.client.ping()
            opened.append(stream)
        accepted = [await soon(pair.peer.accept_stream()) for _ in range(6)]
        assert [stream.id for stream in accepted] == [stream.id for stream in opened]
        assert [type(stream) for stream in accepted] == [aiopquic.Stream, aiopquic.ReceiveStream] * 3
        assert [await soon(stream.read_all()) for stream in accepted] == [bytes([number]) for number in range(6)]


async def test_one_kind_can_be_asked_for(ends: Ends) -> None:
    """Streams of the other kind wait."""
    async with ends.pair() as pair:
        one_way = await pair.client.open_send_stream()
        await one_way.write(b"1", end_stream=True)
        await pair.client.ping()
        waits = await started(pair.peer.accept_stream(bidirectional=True))
        both_ways = await pair.client.open_stream()
        await both_ways.write(b"2")
        assert isinstance(await soon(waits), aiopquic.Stream)
        assert await soon((await pair.peer.accept_stream(bidirectional=False)).read_all()) == b"1"


async def test_incoming_streams_ends_with_the_connection(ends: Ends) -> None:
    """What arrived before is still handed out; then the iteration ends, and close_reason says why."""
    async with ends.pair() as pair:
        for _ in range(3):
            stream = await pair.client.open_stream()
            await stream.write(b"hello", end_stream=True)
            await stream.wait_acked()
        pair.client.close(7, "that was all")
        assert (await soon(pair.peer.wait_closed())).error_code == 7
        texts = [await stream.read_all() async for stream in pair.peer.incoming_streams()]
        assert texts == [b"hello"] * 3
        assert pair.peer.close_reason is not None
        assert (pair.peer.close_reason.error_code, pair.peer.close_reason.reason) == (7, "that was all")
        with pytest.raises(aiopquic.ConnectionClosedError):
            await pair.peer.accept_stream()


async def test_opening_waits_for_credit(ends: Ends) -> None:
    """The peer allows two; each one that ends makes room for the next who waits, in the order of asking."""
    async with ends.pair(server={"max_streams_bidi": 2}) as pair:
        for _ in range(2):
            stream = await soon(pair.client.open_stream())
            await stream.write(b"x", end_stream=True)
        assert pair.client.try_open_stream() is None
        waiting = [await started(pair.client.open_stream()) for _ in range(3)]
        await pair.round_trip()
        assert not any(task.done() for task in waiting)
        order = []
        for task in waiting:
            task.add_done_callback(lambda task: order.append(task.result().id))
        for task in waiting:
            await finish_one(pair)
            stream = await soon(task)
            await stream.write(b"x", end_stream=True)
        assert order == [8, 12, 16]


async def test_one_way_streams_have_credit_of_their_own(ends: Ends) -> None:
    async with ends.pair(server={"max_streams_bidi": 1, "max_streams_uni": 1}) as pair:
        first = await pair.client.open_stream()
        one_way = await soon(pair.client.open_send_stream())
        await one_way.write(b"x", end_stream=True)
        both_waits = await started(pair.client.open_stream())
        one_way_waits = await started(pair.client.open_send_stream())
        await finish_one(pair, bidirectional=False)
        assert (await soon(one_way_waits)).id == 6
        assert not both_waits.done()
        await first.write(b"x", end_stream=True)
        await finish_one(pair)
        assert (await soon(both_waits)).id == 4


async def test_cancelled_wait_loses_no_credit(ends: Ends) -> None:
    """Whoever gives up, the next one in the queue gets the stream, and no id is left out."""
    async with ends.pair(server={"max_streams_bidi": 1}) as pair:
        stream = await pair.client.open_stream()
        await stream.write(b"x", end_stream=True)
        waiting = [await started(pair.client.open_stream()) for _ in range(4)]
        await cancelled(waiting[0])
        await cancelled(waiting[2])
        await finish_one(pair)
        second = await soon(waiting[1])
        assert second.id == 4
        await second.write(b"x", end_stream=True)
        await finish_one(pair)
        assert (await soon(waiting[3])).id == 8


async def test_wait_cancelled_after_its_credit_came(ends: Ends) -> None:
    """The credit was the cancelled task's already: it goes to the next one."""
    async with ends.pair(server={"max_streams_bidi": 1}) as pair:
        stream = await pair.client.open_stream()
        await stream.write(b"x", end_stream=True)
        first = await started(pair.client.open_stream())
        second = await started(pair.client.open_stream())
        pair.client._credit.raised(2, 0)  # as the engine tells it, between two turns of the loop
        first.cancel()
        assert (await soon(second)).id == 4
        assert first.cancelled()


async def test_try_open_learns_of_new_credit(ends: Ends) -> None:
    async with ends.pair(server={"max_streams_uni": 1}) as pair:
        stream = pair.client.try_open_send_stream()
        assert stream is not None
        assert pair.client.try_open_send_stream() is None
        await stream.write(b"x", end_stream=True)
        await finish_one(pair, bidirectional=False)
        opened: list[aiopquic.SendStream] = []

        def can_open() -> bool:
            another = pair.client.try_open_send_stream()
            opened.extend([another] if another is not None else [])
            return bool(opened)

        await until(can_open)
        assert opened[0].id == 6


async def test_waiting_to_open_ends_with_the_connection(ends: Ends) -> None:
    async with ends.pair(server={"max_streams_bidi": 0}) as pair:
        waits = await started(pair.client.open_stream())
        accepts = await started(pair.client.accept_stream())
        await pair.client.ping()
        pair.peer.close(3, "no more")
        for task in (waits, accepts):
            with pytest.raises(aiopquic.ConnectionClosedError, match="no more"):
                await soon(task)
        with pytest.raises(aiopquic.ConnectionClosedError):
            await pair.client.open_stream()
        with pytest.raises(aiopquic.ConnectionClosedError):
            pair.client.try_open_send_stream()


async def test_accept_cancelled_after_its_stream_came(ends: Ends) -> None:
    """The stream goes to the next one, or waits before those that came later."""
    async with ends.pair() as pair:
        opened = [await pair.client.open_stream() for _ in range(2)]
        for stream in opened:
            await stream.write(b"x")
        arrived = [await soon(pair.peer.accept_stream()) for _ in range(2)]
        first = await started(pair.peer.accept_stream())
        second = await started(pair.peer.accept_stream())
        pair.peer._inbox.put(arrived[0])
        first.cancel()
        assert await soon(second) is arrived[0]
        third = await started(pair.peer.accept_stream())
        pair.peer._inbox.put(arrived[0])
        pair.peer._inbox.put(arrived[1])
        await cancelled(third)
        assert [await soon(pair.peer.accept_stream()) for _ in range(2)] == arrived


async def test_thousand_streams_of_one_byte(ends: Ends) -> None:
    """robustness.md, "Flow control": they wait as small objects; no window is filled and no task is started."""
    async with ends.pair(server={"max_streams_uni": 1000}) as pair:
        tasks = len(asyncio.all_tasks())
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(1000):
            stream = await soon(pair.client.open_send_stream())
            await stream.write(b"x", end_stream=True)
        await until(lambda: pair.peer._inbox.waiting == 1000)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(asyncio.all_tasks()) == tasks
        assert after - before < 4_000_000
        assert live_counts()["chunks"] <= 2000
        async for stream in pair.peer.incoming_streams(bidirectional=False):
            assert await stream.read_all() == b"x"
            if stream.id == 999 * 4 + 2:
                break


async def test_an_application_that_accepts_nothing_is_bounded(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Streams that come and go make room for others, so those that wait have a bound of their own."""
    monkeypatch.setattr("aiopquic.streams._inbox.WAITING_MAX", 100)
    async with ends.pair() as pair:

        async def open_for_ever() -> None:
            while True:
                await (await pair.client.open_send_stream()).finish()

        with pytest.raises(aiopquic.QuicConnectionError):
            await soon(open_for_ever())
        reason = await soon(pair.client.wait_closed())
        assert reason.error_code == 2
        assert reason.reason == "too many streams wait to be accepted"
        assert "more than 100 streams wait to be accepted" in caplog.text
    caplog.clear()
