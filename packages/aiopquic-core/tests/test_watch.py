"""What the engine watches for whoever asks: stream credit, pings, acknowledged bytes; through the bridge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aiopquic._binding._connection import Connection
from aiopquic.exceptions import QuicConnectionError

from .support import Changes, Endpoints, Pair

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
