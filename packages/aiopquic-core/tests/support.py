"""What the tests share, beside aiopquic.testing: waiting with a deadline, configurations, writes that are repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.testing.loopback import ALPN, Loopback, Pair, RunningServer
from aiopquic.testing.protocols import DEADLINE, Changes, Echo, Recorder

from .certificates import Certificates

__all__ = [
    "ALPN",
    "DEADLINE",
    "Changes",
    "Echo",
    "Endpoints",
    "Pair",
    "Recorder",
    "RunningServer",
    "client_configuration",
    "round_trips",
    "server_configuration",
    "until",
    "write_when_possible",
]

#: Seconds between two looks at something that tells nobody when it changes.
POLL_INTERVAL = 0.002


async def until(condition: Callable[[], object], what: str = "the condition", timeout: float = DEADLINE) -> None:
    """Wait for something that has no event of its own."""
    try:
        async with asyncio.timeout(timeout):
            while not condition():  # noqa: ASYNC110 - nobody tells of the change
                await asyncio.sleep(POLL_INTERVAL)
    except TimeoutError:
        raise AssertionError(f"{what} did not come true within {timeout} s") from None


def client_configuration(certificates: Certificates, **settings: Any) -> QuicConfiguration:
    return Endpoints(certificates).client_configuration(**settings)


def server_configuration(certificates: Certificates, **settings: Any) -> QuicConfiguration:
    return Endpoints(certificates).server_configuration(**settings)


class Endpoints(Loopback):
    """Starts servers and connects to them with this run's certificates."""

    def __init__(self, certificates: Certificates) -> None:
        super().__init__(certificates.good.cert, certificates.good.key)
        self.certificates = certificates


async def write_when_possible(protocol: Recorder, stream_id: int, data: bytes, end_stream: bool = False) -> int:
    """Retry ``send_stream_data`` with the same data until it is taken; returns how often it was refused."""
    refusals = 0
    while True:
        try:
            protocol.quic.send_stream_data(stream_id, data, end_stream)
            return refusals
        except BufferError:
            refusals += 1
            await asyncio.sleep(POLL_INTERVAL)


async def round_trips(pair: Pair, count: int = 3) -> None:
    """Exchange bytes on other streams: what was on its way has arrived then."""
    for _ in range(count):
        stream_id = pair.client.quic.get_next_available_stream_id()
        pair.client.quic.send_stream_data(stream_id, b"?", end_stream=True)
        if not isinstance(pair.peer, Echo):
            assert await pair.peer.wait_end(stream_id) == b"?"
            pair.peer.quic.send_stream_data(stream_id, b"?", end_stream=True)
        assert await pair.client.wait_end(stream_id) == b"?"
