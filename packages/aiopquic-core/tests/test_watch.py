"""What the engine watches for whoever asks: stream credit, pings, acknowledged bytes; through the bridge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiopquic._binding._connection import Connection
from aiopquic.exceptions import QuicConnectionError, StreamClosedError, StreamStoppedError, WouldBlockError
from aiopquic.quic.events import StopSendingReceived
from aiopquic.quic.pool import close_idle_engines

from .support import Changes, Endpoints, Pair, until

#: A limit above any: nobody waits for that kind of stream.
NOBODY = 2**64 - 1


class Told:
    """Records what one method of a connection's sink is called with."""

    def __init__(self, pair: Pair, method: str) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.changes = Changes()
        setattr(pair.client.quic, method, self._called)

    def _called(self, *arguments: Any) -> None:
        self.calls.append(arguments)
        self.changes.tell()

    async def wait(self, count: int) -> None:
        await self.changes.wait_for(lambda: len(self.calls) >= count, lambda: f"{count} calls, not {self.calls}")


def binding(pair: Pair) -> Connection:
    connection = pair.client.quic._connection
    assert connection is not None
    return connection


def logged(folder: Path, word: str) -> int:
    """How often the one qlog in the folder names it."""
    (log,) = folder.iterdir()
    return log.read_text().count(word)


async def test_stream_credit_is_told_when_it_comes(endpoints: Endpoints):
    """robustness.md: flow control; a peer's limit of streams is waited for, not run into."""
    async with endpoints.pair(server_settings={"max_streams_bidi": 2, "max_streams_uni": 1}) as pair:
        limits = Told(pair, "connection_streams")
        parameters = pair.client.quic.peer_transport_parameters
        assert (parameters["initial_max_streams_bidi"], parameters["initial_max_streams_uni"]) == (2, 1)
        connection = binding(pair)
        connection.want_streams(1, NOBODY)
        await limits.wait(1)
        assert limits.calls == [(2, 1)]
        for number in range(5):
            connection.want_streams(NOBODY, number + 1)
            pair.client.quic.send_stream_data(4 * number + 2, b"x", end_stream=True)
            await limits.wait(number + 2)
            assert limits.calls[-1][1] >= number + 2


async def test_a_wish_after_the_end_is_refused(endpoints: Endpoints):
    async with endpoints.pair() as pair:
        connection = binding(pair)
        pair.client.quic.close()
        await pair.client.wait_closed()
        calls: list[Callable[[], object]] = [lambda: connection.want_streams(0, 0), lambda: connection.ping(1)]
        for call in calls:
            with pytest.raises(QuicConnectionError, match="ended"):
                call()


async def test_the_peer_is_told_that_streams_are_wanted(endpoints: Endpoints, tmp_path: Path):
    """STREAMS_BLOCKED (RFC 9000 section 19.14), once for each limit; nothing of the kind nobody waits for."""
    settings = {"qlog_dir": str(tmp_path)}
    async with endpoints.pair(client_settings=settings, server_settings={"max_streams_bidi": 3}) as pair:
        acked = Told(pair, "connection_ping_acked")
        for _ in range(3):
            binding(pair).want_streams(3, NOBODY)
        binding(pair).ping(1)
        await acked.wait(1)
    await close_idle_engines()  # a client's qlog is whole when its connection has drained
    assert logged(tmp_path, "streams_blocked") == 1


async def test_ping_is_acknowledged_on_an_idle_connection(endpoints: Endpoints):
    async with endpoints.pair() as pair:
        acked = Told(pair, "connection_ping_acked")
        binding(pair).ping(7)
        await acked.wait(1)
        binding(pair).ping(8)
        binding(pair).ping(9)
        await acked.wait(3)
        assert acked.calls == [(7,), (8,), (9,)]


async def test_pings_are_bounded(endpoints: Endpoints):
    """A peer that acknowledges nothing must not make us keep more and more."""
    async with endpoints.pair() as pair:
        acked = Told(pair, "connection_ping_acked")
        for uid in range(64):
            binding(pair).ping(uid)
        with pytest.raises(WouldBlockError, match="up to 64 wait"):
            binding(pair).ping(64)
        await acked.wait(64)
        binding(pair).ping(64)
        await acked.wait(65)


async def test_written_bytes_are_acknowledged(endpoints: Endpoints):
    """Bytes, and then the end, of a stream whose other direction stays open."""
    async with endpoints.pair() as pair:
        acked = Told(pair, "stream_acked")
        stream = binding(pair).open_stream(0)
        assert not stream.want_acked()
        stream.write(b"some")
        assert stream.want_acked()
        await acked.wait(1)
        assert not stream.want_acked()
        stream.write(b"", True)
        assert stream.want_acked()
        await acked.wait(2)
        assert acked.calls == [(stream,), (stream,)]
        assert not stream.want_acked()
        assert stream.id in binding(pair).streams


async def test_what_ends_the_wait_for_an_acknowledgement(endpoints: Endpoints):
    """robustness.md: lost wake-ups; a reset, a STOP_SENDING and the end of the connection leave nobody waiting."""
    async with endpoints.pair(initial_stream_window=1024) as pair:
        acked = Told(pair, "stream_acked")
        pair.peer.quic.pause_reading(0)
        pair.peer.quic.pause_reading(4)
        pair.peer.quic.pause_reading(8)
        reset, stopped, closed = (binding(pair).open_stream(number) for number in (0, 4, 8))
        for stream in (reset, stopped, closed):
            stream.write(bytes(200_000))
            assert stream.want_acked()
        reset.reset(1)
        with pytest.raises(StreamClosedError):
            reset.want_acked()
        await until(lambda: 4 in pair.peer.quic._connection.streams)  # type: ignore[union-attr]
        pair.peer.quic.stop_stream(4, 2)
        await pair.client.wait_for(StopSendingReceived, stream_id=4)
        with pytest.raises(StreamStoppedError):
            stopped.want_acked()
        pair.client.quic.close()
        await pair.client.wait_closed()
        with pytest.raises(QuicConnectionError):
            closed.want_acked()
        assert acked.calls == []
