"""The streams of a session: both ways, both kinds, their codes, their ends, back-pressure."""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial

import pytest

import aiopquic
from aiopquic_webtransport import (
    STREAMS_IGNORED,
    WT_SESSION_GONE,
    ReceiveStream,
    SendStream,
    Session,
    SessionClosedError,
    Stream,
    StreamResetError,
    StreamStoppedError,
    WebTransport,
    WebTransportError,
)
from aiopquic_webtransport.compat.server import event_protocol
from aiopquic_webtransport.testing import SessionPair, WebTransportLoopback

from .support import DEADLINE, cancelled, echo, hold, round_trip, soon, started, until

MEGABYTE = bytes(range(256)) * 4096


async def both_ends(opener: Session, other: Session) -> tuple[Stream, Stream]:
    """A bidirectional stream, and the peer's end of it; one byte has gone both ways."""
    ours = await soon(opener.open_stream())
    await ours.write(b"!")
    theirs = await soon(other.accept_stream(bidirectional=True))
    assert await soon(theirs.readexactly(1)) == b"!"
    await theirs.write(b"!")
    assert await soon(ours.readexactly(1)) == b"!"
    return ours, theirs


def two_ways(pair: SessionPair) -> list[tuple[Session, Session]]:
    return [(pair.client, pair.peer), (pair.peer, pair.client)]


async def test_one_way_and_both_ways_from_both_sides(webtransport_pair: SessionPair):
    for opener, other in two_ways(webtransport_pair):
        stream = await soon(opener.open_send_stream())
        assert isinstance(stream, SendStream)
        assert isinstance(stream, aiopquic.SendStream)
        assert stream.session is opener
        await stream.write(b"one way", end_stream=True)
        arrived = await soon(other.accept_stream())
        assert isinstance(arrived, ReceiveStream)
        assert not isinstance(arrived, aiopquic.SendStream)
        assert arrived.session is other
        assert arrived.id == stream.id
        assert await soon(arrived.read_all()) == b"one way"
        async with await soon(opener.open_stream()) as ours:
            await ours.write(b"question", end_stream=True)
            async with await soon(other.accept_stream(bidirectional=True)) as theirs:
                assert isinstance(theirs, aiopquic.Stream)
                await theirs.write((await soon(theirs.read_all())).upper())
            assert await soon(ours.read_all()) == b"QUESTION"


async def test_a_megabyte_both_ways(webtransport: WebTransportLoopback):
    async with (
        webtransport.serve(echo) as server,
        webtransport.connect(server) as session,
        await session.open_stream() as stream,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(stream.write(MEGABYTE, end_stream=True))
        digest = hashlib.sha256()
        async for chunk in stream:
            digest.update(chunk)
        assert digest.digest() == hashlib.sha256(MEGABYTE).digest()


async def test_a_hundred_streams_at_once(webtransport: WebTransportLoopback):
    async def one(session: Session, number: int) -> None:
        async with await session.open_stream() as stream:
            await stream.write(b"%d" % number * 100, end_stream=True)
            assert await stream.read_all() == b"%d" % number * 100

    async with (
        webtransport.serve(echo) as server,
        webtransport.connect(server) as session,
        asyncio.timeout(DEADLINE),
        asyncio.TaskGroup() as group,
    ):
        for number in range(100):
            group.create_task(one(session, number))


async def test_a_stream_without_a_byte_arrives(webtransport_pair: SessionPair):
    """Opening is told at once, as in browsers; so is a stream that ends empty."""
    for opener, other in two_ways(webtransport_pair):
        stream = await soon(opener.open_stream())
        arrived = await soon(other.accept_stream())
        assert arrived.id == stream.id
        await stream.finish()
        assert await soon(arrived.read()) == b""
        empty = await soon(opener.open_send_stream())
        await empty.finish()
        assert await soon((await soon(other.accept_stream())).read_all()) == b""


@pytest.mark.parametrize("code", [0, 1, 29, 30, 31, 0xFFFFFFFF])
async def test_reset_and_stop_with_codes(webtransport_pair: SessionPair, code: int):
    for opener, other in two_ways(webtransport_pair):
        ours, theirs = await both_ends(opener, other)
        reading = await started(theirs.read())
        ours.reset(code)
        with pytest.raises(StreamResetError, match=f"with code {code}$") as raised:
            await soon(reading)
        assert raised.value.stream_error_code == raised.value.error_code == theirs.reset_code == code
        assert isinstance(raised.value, aiopquic.StreamResetError)
        assert isinstance(raised.value, WebTransportError)
        ours.stop(code)
        await until(lambda theirs=theirs: theirs.stop_code is not None)
        with pytest.raises(StreamStoppedError, match=f"with code {code}$") as stopped:
            await theirs.write(b"x")
        assert stopped.value.stream_error_code == stopped.value.error_code == theirs.stop_code == code
        assert isinstance(stopped.value, aiopquic.StreamStoppedError)


async def test_a_reset_before_any_byte_arrives(webtransport_pair: SessionPair):
    """The peer learns whose stream it was, by RESET_STREAM_AT."""
    for opener, other in two_ways(webtransport_pair):
        stream = await soon(opener.open_send_stream())
        stream.reset(7)
        arrived = await soon(other.accept_stream())
        assert arrived.id == stream.id
        with pytest.raises(StreamResetError) as raised:
            await soon(arrived.read())
        assert raised.value.stream_error_code == 7


@pytest.mark.parametrize("code", [-1, 1 << 32, "1"])
async def test_codes_have_32_bits(webtransport_pair: SessionPair, code: int):
    stream = await soon(webtransport_pair.client.open_stream())
    for call in (stream.reset, stream.stop):
        with pytest.raises(ValueError, match="an error code of WebTransport is 0 to"):
            call(code)
    await stream.write(b"still open")


async def test_a_code_of_http3_stands_for_none(webtransport_pair: SessionPair):
    ours, theirs = await both_ends(*webtransport_pair[:2])
    ours._binding.reset(0x10C)
    with pytest.raises(StreamResetError, match="HTTP/3's code 0x10c") as raised:
        await soon(theirs.read())
    assert raised.value.stream_error_code is None
    assert raised.value.error_code == 0x10C


async def test_streams_end_with_their_session(webtransport: WebTransportLoopback):
    """Readers and writers that wait are told, on both sides, by SessionClosedError."""
    async with webtransport.pair(initial_stream_window=1000) as (client, peer, _):
        ours, _ = await both_ends(client, peer)
        more = await soon(peer.open_send_stream())
        quiet, listening = await both_ends(client, peer)
        waiting = [
            await started(quiet.read()),
            await started(listening.read()),
            await started(ours.write(bytes(8 << 20))),
            await started(more.write(bytes(8 << 20))),
            await started(more.wait_acked()),
        ]
        peer.close(3, "over")
        for task in waiting:
            with pytest.raises(SessionClosedError) as raised:
                await soon(task)
            assert raised.value.code in (0, 3)  # 0: the stream's end came before the session's
        await soon(client.closed)
        for stream in (quiet, listening):
            for call in (partial(stream.write, b"x"), stream.finish, stream.wait_acked, partial(stream.readexactly, 1)):
                with pytest.raises(SessionClosedError, match="with code 3: over"):
                    await soon(call())
            with pytest.raises(SessionClosedError):
                stream.try_write(b"x")
        assert WT_SESSION_GONE == 0x170D7B68


async def test_own_close_ends_writes_at_once(webtransport_pair: SessionPair):
    """Before the network thread has heard of it, with room for all that is written, whatever kind of buffer."""
    client, peer, _ = webtransport_pair
    stream, _ = await both_ends(client, peer)
    client.close(3, "over")
    for data in (b"x", bytearray(b"x")):
        with pytest.raises(SessionClosedError, match="with code 3: over"):
            await stream.write(data)
    assert stream.bytes_waiting == 0


async def test_what_had_arrived_can_be_read_after_the_end(webtransport_pair: SessionPair):
    client, peer, _ = webtransport_pair
    finished = await soon(client.open_send_stream())
    await finished.write(b"whole", end_stream=True)
    await soon(finished.wait_acked())
    await until(lambda: peer._accepted)
    client.close()
    await soon(peer.closed)
    stream = await soon(peer.accept_stream())
    assert await soon(stream.read_all()) == b"whole"
    with pytest.raises(SessionClosedError):
        await peer.accept_stream()


async def test_iterators_end_behind_what_was_queued(webtransport_pair: SessionPair):
    client, peer, _ = webtransport_pair
    for number in range(5):
        stream = await soon(client.open_send_stream())
        await stream.write(b"%d" % number, end_stream=True)
        await soon(stream.wait_acked())
    await until(lambda: peer._accepted == 5)
    client.close()
    await soon(peer.closed)
    texts = [await soon(stream.read_all()) async for stream in peer.incoming_streams()]
    assert texts == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_peer_that_never_reads_is_bounded(webtransport: WebTransportLoopback):
    """What waits is bounded by the budgets and the window, and other streams go on."""
    limits = {"stream_ring_cap": 100_000, "initial_stream_window": 50_000, "max_stream_data": 50_000}
    async with webtransport.pair(**limits) as (client, peer, _):
        stream = await soon(client.open_stream())
        writing = await started(stream.write(bytes(10 << 20)))
        await soon(peer.accept_stream())
        await until(lambda: stream.bytes_waiting > 0)
        await round_trip(client, peer)
        assert stream.bytes_waiting <= 100_000
        assert not writing.done()
        await cancelled(writing)


async def open_for_ever(session: Session) -> None:
    while True:
        await (await session.open_send_stream()).finish()


@pytest.mark.parametrize("by_events", [False, True])
async def test_an_application_that_accepts_nothing_is_bounded(
    webtransport: WebTransportLoopback,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    by_events: bool,
):
    """Streams that come and go leave room for others, so what waits for the application has a bound of its own."""
    monkeypatch.setattr("aiopquic.streams._inbox.WAITING_MAX", 100)
    protocol = event_protocol("", lambda session: None, None, None, None) if by_events else WebTransport(hold)
    files = {"certificate": webtransport.certificate, "private_key": webtransport.private_key}
    serving = aiopquic.serve(None, "127.0.0.1", 0, protocols=[protocol], **files)
    async with serving as server, webtransport.connect(server) as client:
        with pytest.raises(SessionClosedError) as raised:
            await soon(open_for_ever(client))
        assert raised.value.code in (0, STREAMS_IGNORED)
        assert (await soon(client.closed)).code == STREAMS_IGNORED
    assert "streams of its peer's wait" in caplog.text
    caplog.clear()


async def test_a_cancelled_open_gives_nothing_to_the_next(webtransport: WebTransportLoopback):
    """See the issue of shifted replies in robustness.md, "Lost wake-ups"."""
    async with webtransport.pair(server={"max_streams_uni": 4, "max_streams_bidi": 2}) as (client, peer, _):
        only = await soon(client.open_send_stream())  # three of the four are HTTP/3's own
        assert client.try_open_send_stream() is None
        first = await started(client.open_send_stream())
        second = await started(client.open_send_stream())
        both = await soon(client.open_stream())
        await cancelled(first)
        await only.finish()
        assert await soon((await soon(peer.accept_stream(bidirectional=False))).read_all()) == b""
        opened = await soon(second)
        assert opened.id & 2
        assert opened.id != only.id
        await opened.write(b"mine", end_stream=True)
        assert await soon((await soon(peer.accept_stream(bidirectional=False))).read_all()) == b"mine"
        assert not both.id & 2


async def test_opening_ends_with_the_session(webtransport: WebTransportLoopback):
    async with webtransport.pair(server={"max_streams_uni": 4}) as (client, peer, _):
        await soon(client.open_send_stream())
        opening = await started(client.open_send_stream())
        peer.close(1)
        with pytest.raises(SessionClosedError, match="with code 1"):
            await soon(opening)
        with pytest.raises(SessionClosedError):
            client.try_open_send_stream()
        with pytest.raises(SessionClosedError):
            client.try_open_stream()


async def test_send_order(webtransport_pair: SessionPair):
    """Priorities follow the order; streams without one keep the middle."""
    client = webtransport_pair.client
    plain = await soon(client.open_send_stream())
    assert plain.priority == 9
    high = await soon(client.open_send_stream(send_order=10))
    low = await soon(client.open_stream(send_order=-(10**12)))
    assert (high.send_order, plain.send_order, low.send_order) == (10, 0, -(10**12))
    assert high.priority < plain.priority < low.priority
    higher = await soon(client.open_send_stream(send_order=11))
    assert higher.priority < high.priority < plain.priority
    later = await soon(client.open_send_stream())
    assert later.priority == plain.priority
    low.send_order = 5
    assert higher.priority < high.priority < low.priority < plain.priority
    for number in range(200):
        low.send_order = number
        assert 0 <= low.priority <= 255
    with pytest.raises(ValueError, match="a send order is a whole number"):
        low.send_order = 1.5


async def test_try_open(webtransport_pair: SessionPair):
    client, peer, _ = webtransport_pair
    for kind in (client.try_open_stream, client.try_open_send_stream):
        stream = kind()
        assert stream is not None
        await stream.write(b"x", end_stream=True)
        assert await soon((await soon(peer.accept_stream())).read_all()) == b"x"
