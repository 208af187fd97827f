"""The datagrams of a session."""

from __future__ import annotations

import pytest

from aiopquic.exceptions import ConfigurationError, DatagramError
from aiopquic_webtransport import Session, SessionClosedError, connect, serve
from aiopquic_webtransport.testing import SessionPair, WebTransportLoopback

from .support import cancelled, hold, soon, started, until


async def sent(sender: Session, receiver: Session, data: bytes) -> None:
    """Send until it has arrived: datagrams may be lost, also here."""
    await sender.datagrams.send(data)
    assert await soon(receiver.datagrams.receive()) == data


async def test_both_ways(webtransport_pair: SessionPair):
    client, peer, _ = webtransport_pair
    for data in (b"", b"x", b"y" * 1000, memoryview(bytearray(b"z" * 10))):
        await client.datagrams.send(data)
        assert await soon(peer.datagrams.receive()) == bytes(data)
        assert peer.datagrams.try_send(data)
        assert await soon(client.datagrams.receive()) == bytes(data)


async def test_the_largest(webtransport_pair: SessionPair):
    client, peer, _ = webtransport_pair
    size = client.datagrams.max_size
    assert size == client.quic.max_datagram_size - 1  # the session's number
    await client.datagrams.send(b"x" * size)
    assert len(await soon(peer.datagrams.receive())) == size
    for send in (client.datagrams.try_send, peer.datagrams.try_send):
        with pytest.raises(DatagramError, match=f"at most {size} bytes now, not {size + 1}"):
            send(b"x" * (size + 1))
    with pytest.raises(DatagramError):
        await client.datagrams.send(b"x" * 70000)


async def test_the_fate_of_one(webtransport_pair: SessionPair):
    fate = await webtransport_pair.client.datagrams.send(b"x", track=True)
    assert await soon(fate.wait()) == "acked"
    fate = webtransport_pair.client.datagrams.try_send(b"x", track=True)
    assert fate is not None
    assert await soon(fate.wait()) == "acked"


async def test_iteration_ends_with_the_session_behind_what_had_arrived(webtransport_pair: SessionPair):
    client, peer, _ = webtransport_pair
    for number in range(5):
        fate = await client.datagrams.send(b"%d" % number, track=True)
        await soon(fate.wait())
    await until(lambda: peer.datagrams._received == 5)
    client.close()
    await soon(peer.closed)
    assert [datagram async for datagram in peer.datagrams] == [b"0", b"1", b"2", b"3", b"4"]
    with pytest.raises(SessionClosedError):
        await peer.datagrams.receive()
    for attempt in (client.datagrams.send(b"x"), peer.datagrams.send(b"x")):
        with pytest.raises(SessionClosedError):
            await attempt


async def test_waiting_ends_with_the_session(webtransport_pair: SessionPair):
    client, peer, _ = webtransport_pair
    waiting = await started(peer.datagrams.receive())
    client.close(4)
    with pytest.raises(SessionClosedError, match="with code 4"):
        await soon(waiting)


async def test_what_nobody_receives_is_dropped_the_oldest_first(webtransport_pair: SessionPair):
    client, peer, _ = webtransport_pair
    peer.datagrams.max_buffered = 3 * (1 + 64)
    for number in range(8):
        await soon((await client.datagrams.send(b"%d" % number, track=True)).wait())
    await until(lambda: peer.datagrams._received == 8)
    assert peer.datagrams.dropped == 5
    assert [await soon(peer.datagrams.receive()) for _ in range(3)] == [b"5", b"6", b"7"]
    assert (await soon(peer.stats())).datagrams_dropped == 5
    with pytest.raises(ValueError, match="max_buffered is a number of bytes"):
        peer.datagrams.max_buffered = 0


async def test_receivers_take_turns_and_can_be_cancelled(webtransport_pair: SessionPair):
    client, peer, _ = webtransport_pair
    first, second, third = [await started(peer.datagrams.receive()) for _ in range(3)]
    await cancelled(second)
    await client.datagrams.send(b"1")
    assert await soon(first) == b"1"
    await client.datagrams.send(b"2")
    assert await soon(third) == b"2"


async def test_sending_waits_for_room(webtransport: WebTransportLoopback):
    """A queue of a few datagrams: sending a hundred waits, and none is lost on the way to the network."""
    async with webtransport.pair(client={"datagram_ring_bytes": 4096}) as (client, peer, _):
        for _ in range(100):
            await soon(client.datagrams.send(bytes(1000)))
        assert (await soon(client.stats())).datagrams_sent == 100
        await until(lambda: client.quic._binding.datagram_stats["queued"] == 0)
        assert client.quic._binding.datagram_stats["sent"] == 100
        assert not peer.is_closed


async def test_webtransport_needs_datagrams(webtransport: WebTransportLoopback):
    for size in (0, None):
        with pytest.raises(ConfigurationError, match="WebTransport needs datagrams"):
            connect("https://localhost/", max_datagram_frame_size=size)
        with pytest.raises(ConfigurationError, match="WebTransport needs datagrams"):
            await serve(
                hold,
                "127.0.0.1",
                0,
                certificate=webtransport.certificate,
                private_key=webtransport.private_key,
                max_datagram_frame_size=size,
            )
