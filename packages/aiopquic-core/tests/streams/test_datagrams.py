"""Datagrams of the streams API (RFC 9221): order, room, arrivals, fates, and their ends."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

import aiopquic
from aiopquic.testing.simnet import SimulatedNetwork, simulated

from ..support import until
from .support import Ends, cancelled, soon, started


async def test_datagrams_go_both_ways(ends: Ends) -> None:
    async with ends.pair() as pair:
        assert pair.client.max_datagram_size == 1200
        for data in (b"one", bytearray(b"two"), memoryview(b"three"), b""):
            await pair.client.send_datagram(data)
            assert await soon(pair.peer.receive_datagram()) == bytes(data)
        assert pair.peer.try_send_datagram(b"back") is True
        assert await soon(pair.client.receive_datagram()) == b"back"


@simulated()
async def test_several_at_once(network: SimulatedNetwork, ends: Ends) -> None:
    """More than the queue holds: those that have no room wait for it, and others wait behind them."""
    with network.host("both ends", "127.0.0.1"):
        async with ends.pair(client={"datagram_ring_bytes": 4096}) as pair:
            many = [number.to_bytes(2, "big") * 250 for number in range(60)]
            sending = await started(pair.client.send_datagrams(many))
            behind = await started(pair.client.send_datagrams([b"a", bytearray(b"b")]))
            assert pair.client.try_send_datagram(b"no room") is False
            received: list[bytes] = []
            while len(received) < 62:
                arrived = await soon(pair.peer.receive_datagrams())
                assert arrived
                received += arrived
            assert received == [*many, b"a", b"b"]
            await soon(sending)
            await soon(behind)
            await pair.client.send_datagrams([])
            with pytest.raises(aiopquic.DatagramError, match="at most 1200 bytes"):
                await pair.client.send_datagrams([b"first", bytes(1201), b"never"])
            assert await soon(pair.peer.receive_datagrams()) == [b"first"]
            pair.client.close(3, "done")
            with pytest.raises(aiopquic.ConnectionClosedError):
                await pair.client.send_datagrams([b"x"])
            with pytest.raises(aiopquic.ConnectionClosedError, match="done"):
                await soon(pair.peer.receive_datagrams())


async def test_receiving_waits(ends: Ends) -> None:
    """Several may wait; who gives up leaves the datagram to the others."""
    async with ends.pair() as pair:
        waiting = [await started(pair.peer.receive_datagram()) for _ in range(4)]
        await cancelled(waiting[1])
        for number in range(3):
            await pair.client.send_datagram(bytes([number]))
            await pair.client.ping()
        received = [await soon(waiting[index]) for index in (0, 2, 3)]
        assert sorted(received) == [b"\0", b"\1", b"\2"]


async def test_receiver_cancelled_after_its_datagram_came(ends: Ends) -> None:
    async with ends.pair() as pair:
        first = await started(pair.peer.receive_datagram())
        second = await started(pair.peer.receive_datagram())
        await pair.client.send_datagram(b"x")
        await until(lambda: len(pair.peer._datagrams._receivers) == 1 or first.done())
        if first.cancel():
            assert await soon(second) == b"x"
        else:
            await cancelled(second)


@simulated()
async def test_incoming_datagrams_ends_with_the_connection(network: SimulatedNetwork, ends: Ends) -> None:
    """What arrived before is still there."""
    with network.host("both ends", "127.0.0.1"):
        async with ends.pair() as pair:
            fates = [await pair.client.send_datagram(bytes([number]), track=True) for number in range(3)]
            assert [await soon(fate.wait()) for fate in fates] == ["acked"] * 3
            waits = await started(pair.client.receive_datagram())
            pair.client.close(3, "done")
            await soon(pair.peer.wait_closed())
            assert [datagram async for datagram in pair.peer.incoming_datagrams()] == [b"\0", b"\1", b"\2"]
            with pytest.raises(aiopquic.ConnectionClosedError, match="done"):
                await pair.peer.receive_datagram()
            with pytest.raises(aiopquic.ConnectionClosedError, match="done"):
                await soon(waits)
            for send in (pair.client.send_datagram, pair.peer.send_datagram):
                with pytest.raises(aiopquic.ConnectionClosedError):
                    await send(b"x")
            with pytest.raises(aiopquic.ConnectionClosedError):
                pair.client.try_send_datagram(b"x")


async def test_sending_waits_for_room(ends: Ends) -> None:
    """robustness.md, "Flow control": all are sent, in order, and none is dropped on this side."""
    async with ends.pair(client={"datagram_ring_bytes": 4096}) as pair:
        received: list[bytes] = []

        async def receive() -> None:
            async for datagram in pair.peer.incoming_datagrams():
                received.append(datagram[:4])

        receiving = asyncio.create_task(receive())
        senders = [
            asyncio.create_task(pair.client.send_datagram(number.to_bytes(4, "big") + bytes(1000)))
            for number in range(200)
        ]
        await soon(asyncio.gather(*senders))
        assert (await pair.client.stats()).datagrams_sent <= 200
        await until(lambda: pair.client._binding.datagram_stats["sent"] == 200)
        await pair.client.ping()
        stats = await pair.peer.stats()
        assert stats.datagrams_received + stats.datagrams_dropped <= 200
        assert received == sorted(received)
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)


@simulated()
async def test_try_send_finds_no_room(network: SimulatedNetwork, ends: Ends) -> None:
    """Nothing leaves the queue before the test waits: a simulated network works then and at no other time."""
    with network.host("both ends", "127.0.0.1"):
        async with ends.pair(client={"datagram_ring_bytes": 4096}) as pair:
            results = [pair.client.try_send_datagram(bytes(1200)) for _ in range(50)]
            assert results == sorted(results, reverse=True)
            assert 0 < sum(results) <= 3
            assert pair.client.try_send_datagram(bytes(1200), track=True) is None
            await soon(pair.client.send_datagram(b"x"))
            for _ in range(sum(results)):
                assert await soon(pair.peer.receive_datagram()) == bytes(1200)
            assert await soon(pair.peer.receive_datagram()) == b"x"
            assert pair.client.try_send_datagram(bytes(1200)) is True


async def test_cancelled_sends_send_nothing_and_hold_nobody(ends: Ends) -> None:
    chance = random.Random(1)
    async with ends.pair(client={"datagram_ring_bytes": 4096}) as pair:
        for _ in range(30):
            tasks = [asyncio.create_task(pair.client.send_datagram(bytes(1000))) for _ in range(10)]
            for task in chance.sample(tasks, 5):
                await asyncio.sleep(0)
                task.cancel()
            results = await soon(asyncio.gather(*tasks, return_exceptions=True))
            assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
        assert pair.client._datagrams._senders == 0
        assert pair.client._datagrams._room is None
        await soon(pair.client.send_datagram(b"x"))


async def test_senders_that_wait_end_with_the_connection(ends: Ends) -> None:
    async with ends.pair(client={"datagram_ring_bytes": 4096}) as pair:
        senders = [asyncio.create_task(pair.client.send_datagram(bytes(1200))) for _ in range(50)]
        await asyncio.sleep(0)
        pair.client.close(2, "enough")
        results = await soon(asyncio.gather(*senders, return_exceptions=True))
        assert all(result is None or isinstance(result, aiopquic.ConnectionClosedError) for result in results)


@simulated()
async def test_fate(network: SimulatedNetwork, ends: Ends) -> None:
    with network.host("both ends", "127.0.0.1"):
        async with ends.pair() as pair:
            fate = pair.client.try_send_datagram(b"x", track=True)
            assert fate is not None
            waiters = [await started(fate.wait()) for _ in range(2)]
            await cancelled(waiters[0])
            assert await soon(waiters[1]) == "acked"
            assert (fate.outcome, fate.spurious) == ("acked", False)
            assert await fate.wait() == "acked"
            assert (await pair.client.stats()).datagrams_acked == 1


async def test_fate_that_is_not_known_at_the_end(ends: Ends) -> None:
    """Whoever waits for it gets the connection's error; one that nobody holds costs nothing."""
    async with ends.pair() as pair:
        for _ in range(5):
            await pair.client.send_datagram(b"x", track=True)
        fate = await pair.client.send_datagram(b"x", track=True)
        pair.client.close(4, "too early")
        [result] = await soon(asyncio.gather(fate.wait(), return_exceptions=True))
        assert result == "acked" or isinstance(result, aiopquic.ConnectionClosedError)
        await soon(pair.client.wait_closed())
        fates = pair.client._datagrams._fates
        assert fates is not None
        assert len(fates) <= 1


async def test_fate_as_the_engine_tells_it(ends: Ends) -> None:
    """Lost, and acknowledged after all."""
    async with ends.pair() as pair:
        number, fate = pair.client._datagrams.track()
        assert fate.outcome is None
        pair.client._events.datagram_fate(number, 1)
        assert await fate.wait() == "lost"
        pair.client._events.datagram_fate(number, 2)
        assert (fate.outcome, fate.spurious) == ("lost", True)
        pair.client._events.datagram_fate(number + 1, 0)


@pytest.mark.parametrize("track", [False, True])
async def test_datagrams_that_can_not_be_sent(ends: Ends, track: Any) -> None:
    async with ends.pair() as pair:
        for send in (pair.client.try_send_datagram, pair.client.send_datagram):
            with pytest.raises(aiopquic.DatagramError, match="at most 1200 bytes now, not 1201"):
                await soon(_call(send, bytes(1201), track))
            with pytest.raises(TypeError, match="bytes-like object"):
                await soon(_call(send, "text", track))
    async with ends.pair(server={"max_datagram_frame_size": 0}) as pair:
        assert pair.client.max_datagram_size == 0
        with pytest.raises(aiopquic.DatagramError, match="takes none"):
            await pair.client.send_datagram(b"x", track=track)


async def _call(send: Any, data: Any, track: bool) -> None:
    result = send(data, track=track)
    if asyncio.iscoroutine(result):
        await result
