"""The baton: a number goes back and forth, one higher each time, on a stream of its own, until it wraps.

Who gets it on a one-way stream opens a two-way stream and sends it there; who gets it on a two-way stream of the peer's
answers on that same stream; who gets it back on an own two-way stream opens a one-way stream. So each kind of stream,
opened by either side, carries one baton after another, and many batons run at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aiopquic.asyncio import QuicConnectionProtocol
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import QuicEvent, StreamDataReceived
from aiopquic.quic.streams import stream_is_unidirectional
from aiopquic.testing.leaks import live_counts
from aiopquic.testing.protocols import Changes

from .support import Endpoints, until

WRAP = 256
#: Before the number, so that it comes in pieces now and then.
PADDING = 1500


class Runner(QuicConnectionProtocol):
    """One side of the relay."""

    def __init__(self, quic: QuicConnection, stream_handler: Any = None) -> None:
        super().__init__(quic, stream_handler)
        self.buffers: dict[int, bytearray] = {}
        self.passed = {"uni": 0, "bidi": 0, "back": 0}
        self.finished = 0
        self.changes = Changes()

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            self.buffers.setdefault(event.stream_id, bytearray()).extend(event.data)
            if event.end_stream:
                message = self.buffers.pop(event.stream_id)
                if message:
                    assert len(message) == PADDING + 1
                    self.arrived(event.stream_id, message[-1])
                self.changes.tell()

    def arrived(self, stream_id: int, baton: int) -> None:
        is_own = self._quic._streams.is_own(stream_id)
        if stream_is_unidirectional(stream_id):
            kind, reply = "bidi", self._quic.get_next_available_stream_id
        elif not is_own:
            kind, reply = "back", lambda: stream_id
        else:
            kind, reply = "uni", lambda: self._quic.get_next_available_stream_id(is_unidirectional=True)
        if baton == 0:
            self.finished += 1
            if kind == "back":  # the stream's other direction ends too
                self._quic.send_stream_data(stream_id, b"", end_stream=True)
            return
        self.send(kind, reply, (baton + 1) % WRAP)

    def send(self, kind: str, stream: Callable[[], int], baton: int) -> None:
        self.passed[kind] += 1
        self._quic.send_stream_data(stream(), bytes(PADDING) + bytes([baton]), end_stream=True)

    def start(self, baton: int) -> None:
        self.send("uni", lambda: self._quic.get_next_available_stream_id(is_unidirectional=True), baton)


@pytest.mark.parametrize(("count", "starts"), [(1, [1]), (16, [1, 200, 255])])
async def test_batons_run_until_they_wrap(endpoints: Endpoints, count: int, starts: list[int]):
    """Each baton crosses as often as its number says, and no stream is left when the last has wrapped."""
    runners: list[Runner] = []

    def make(quic: QuicConnection, stream_handler: Any = None) -> Any:
        runners.append(Runner(quic, stream_handler))
        return runners[-1]

    async with endpoints.server(make) as server, endpoints.connect(server, make) as client:
        assert isinstance(client, Runner)
        await until(lambda: len(runners) == 2, "the server's side")
        batons = [starts[number % len(starts)] for number in range(count)]
        for baton in batons:
            client.start(baton)
        await until(lambda: sum(runner.finished for runner in runners) == count, "the end of every baton")
        sent = {kind: sum(runner.passed[kind] for runner in runners) for kind in ("uni", "bidi", "back")}
        crossings = [(WRAP - baton) + 1 for baton in batons]
        assert sum(sent.values()) == sum(crossings)
        assert sent == {
            "uni": sum((hops + 2) // 3 for hops in crossings),
            "bidi": sum((hops + 1) // 3 for hops in crossings),
            "back": sum(hops // 3 for hops in crossings),
        }
        for runner in runners:
            assert not runner.buffers
        await until(lambda: live_counts()["streams"] == 0, "the end of every stream")


async def test_batons_through_narrow_limits(endpoints: Endpoints):
    """The same with two streams of each kind at a time: batons wait for their turn and none is lost."""
    limits = {"max_streams_bidi": 2, "max_streams_uni": 2, "initial_stream_window": 1000}

    def make(quic: QuicConnection, stream_handler: Any = None) -> Any:
        return Runner(quic, stream_handler)

    async with endpoints.server(make, **limits) as server, endpoints.connect(server, make, **limits) as client:
        assert isinstance(client, Runner)
        peer = await server.peer()
        assert isinstance(peer, Runner)
        for _ in range(8):
            client.start(WRAP - 60)
        await until(lambda: client.finished + peer.finished == 8, "the end of every baton")
