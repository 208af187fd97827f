"""The network thread works while Python does not: it never takes the interpreter's lock."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from aiopquic.quic.events import ConnectionTerminated, StreamReset

from .support import DEADLINE, Endpoints, round_trips

MIB = 1 << 20
#: Seconds that the loop's thread computes without a pause.
BUSY = 0.3


@contextmanager
def nobody_else_runs_python() -> Iterator[None]:
    """Other threads that ask for the interpreter's lock do not get it until this ends."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(60)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def compute(is_done: Callable[[], bool] = lambda: True) -> None:
    """For a while, and until the network thread is done with what it has to do."""
    begin = time.monotonic()
    while time.monotonic() < begin + BUSY or not is_done():
        assert time.monotonic() < begin + DEADLINE, "the network thread does not get on"


@pytest.mark.threaded
async def test_transfer_while_the_loop_computes(endpoints: Endpoints):
    """4 MiB cross the network while the loop's thread computes, and arrive whole, in few and large pieces."""
    payload = bytes(range(256)) * (4 * MIB // 256)
    async with endpoints.pair(server_settings={"initial_stream_window": 8 * MIB}) as pair:
        await round_trips(pair)
        stream_id = pair.client.quic.get_next_available_stream_id()
        pair.peer.chunks.clear()
        wakes = pair.peer.quic._connection.engine.counters["loop_wakes"]
        with nobody_else_runs_python():
            pair.client.quic.send_stream_data(stream_id, payload, end_stream=True)
            compute(lambda: pair.client.quic.tx_sent_bytes(stream_id) == len(payload))
            assert pair.client.quic.tx_data_ring_used(stream_id) == 0
            assert pair.peer.chunks == []
            counters = pair.peer.quic._connection.engine.counters
            assert counters["loop_wakes"] - wakes <= 3, "one wake-up is worth many packets"
            assert 0 < counters["events_waiting"] < 10, "and one event is worth many bytes"
        assert await pair.peer.wait_end(stream_id) == payload
        assert len(pair.peer.chunks) <= len(payload) // (32 << 10)


@pytest.mark.threaded
async def test_events_while_the_loop_computes(endpoints: Endpoints):
    """Every event of many streams that happen meanwhile is there afterwards, in order, the end last."""
    async with endpoints.pair() as pair:
        await round_trips(pair)
        ids = [pair.client.quic.get_next_available_stream_id() for _ in range(300)]
        engine = pair.peer.quic._connection.engine
        resets = sum(stream_id % 8 != 0 for stream_id in ids)
        with nobody_else_runs_python():
            for stream_id in ids:
                pair.client.quic.send_stream_data(stream_id, b"%d" % stream_id, end_stream=stream_id % 8 == 0)
            compute(lambda: engine.counters["events_waiting"] >= len(ids))
            for stream_id in ids:
                if stream_id % 8 != 0:
                    pair.client.quic.reset_stream(stream_id, stream_id)
            compute(lambda: engine.counters["events_waiting"] >= len(ids) + resets)
            pair.client.quic.close(5, reason_phrase="busy")
            compute()
        await pair.peer.wait_for(ConnectionTerminated, error_code=5)
        for stream_id in ids:
            if stream_id % 8 == 0:
                assert stream_id in pair.peer.ended
                assert pair.peer.data[stream_id] == b"%d" % stream_id
            else:
                assert pair.peer.seen(StreamReset, stream_id=stream_id) == [StreamReset(stream_id, stream_id)]
        assert isinstance(pair.peer.events[-1], ConnectionTerminated)


@pytest.mark.threaded
async def test_idle_timeout_is_not_the_loops_fault(endpoints: Endpoints):
    """A loop that computes for longer than the idle timeout loses no connection that is kept alive."""
    async with endpoints.pair(idle_timeout=1.0, keep_alive_interval=0.05) as pair:
        await round_trips(pair)
        with nobody_else_runs_python():
            for _ in range(4):
                compute()
        await round_trips(pair)
        assert pair.client.quic.close_reason is None
