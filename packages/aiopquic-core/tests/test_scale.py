"""Many short streams and many connections leave nothing behind: no object, no memory (robustness: leaks).

The session ``scale`` runs the same with more of both, and prints what it saw.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from pathlib import Path

import psutil

from aiopquic._binding._engine import live_counts
from aiopquic.asyncio import QuicConnectionProtocol, connect, serve
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.events import QuicEvent, StreamDataReceived
from aiopquic.testing.certificates import dev_certificate

STREAMS = int(os.environ.get("AIOPQUIC_SCALE_STREAMS", 200_000))
CONNECTIONS = int(os.environ.get("AIOPQUIC_SCALE_CONNECTIONS", 2_000))
#: Of so many as are made at once, and of those that the server still remembers because they have just ended.
CONNECTIONS_AT_ONCE = 16
CONNECTIONS_MAX = 20_000
#: What malloc and the interpreter may keep after a warm-up, whatever the number of streams: far below the
#: 200 bytes per stream that a forgotten one would cost.
STREAM_SLACK_BYTES = 8 << 20
#: The same for connections, each of which costs a few hundred kilobytes while it lives.
CONNECTION_SLACK_BYTES = 32 << 20


class Echo(QuicConnectionProtocol):
    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            self._quic.send_stream_data(event.stream_id, event.data, event.end_stream)


class Client(QuicConnectionProtocol):
    def __init__(self, quic, stream_handler=None) -> None:
        super().__init__(quic, stream_handler)
        self.waiters: dict[int, asyncio.Future[None]] = {}

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived) and event.end_stream:
            self.waiters.pop(event.stream_id).set_result(None)

    async def round_trip(self) -> None:
        stream_id = self._quic.get_next_available_stream_id()
        waiter = self.waiters[stream_id] = asyncio.get_running_loop().create_future()
        self._quic.send_stream_data(stream_id, b"x" * 256, end_stream=True)
        await waiter

    async def round_trips(self, count: int) -> None:
        for _ in range(count):
            await self.round_trip()


def configurations(folder: Path) -> tuple[QuicConfiguration, QuicConfiguration]:
    certificate, key = dev_certificate().write(folder)
    server = QuicConfiguration(alpn_protocols=["scale"], is_client=False, max_connections=CONNECTIONS_MAX)
    server.load_cert_chain(certificate, key)
    return server, QuicConfiguration(alpn_protocols=["scale"], cafile=certificate)


def resident_bytes() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def show(what: str, count: int, seconds: float, before: int, after: int) -> None:
    """For whoever runs it with ``-s``."""
    print(
        f"\n{count:,} {what} in {seconds:.0f} s, {count / seconds:,.0f} a second; "
        f"RSS {before >> 10:,} KiB before, {after >> 10:,} KiB after; alive now: {live_counts()}"
    )


async def test_short_streams_leave_nothing_behind(tmp_path: Path) -> None:
    """The cost of a stream ends with it, on both sides of the connection."""
    server_configuration, client_configuration = configurations(tmp_path)
    async with (
        await serve("127.0.0.1", 0, configuration=server_configuration, create_protocol=Echo) as server,
        connect("localhost", server.port, configuration=client_configuration, create_protocol=Client) as client,
    ):
        assert isinstance(client, Client)

        async def run(count: int) -> int:
            await asyncio.gather(*(client.round_trips(count // 64) for _ in range(64)))
            return resident_bytes()

        before = await run(STREAMS // 10)
        begin = time.monotonic()
        after = await run(STREAMS - STREAMS // 10)
        seconds = time.monotonic() - begin
        async with asyncio.timeout(10):
            while live_counts()["streams"] > 0:  # the last acknowledgements
                await client.round_trip()
                await asyncio.sleep(0.005)
        show("streams", STREAMS - STREAMS // 10, seconds, before, after)
        assert after - before < STREAM_SLACK_BYTES
        assert not client._quic._connection.streams


async def test_connections_leave_nothing_behind(tmp_path: Path) -> None:
    """The cost of a connection ends with it; the clients share an engine, as those of one loop do."""
    server_configuration, client_configuration = configurations(tmp_path)
    async with await serve("127.0.0.1", 0, configuration=server_configuration, create_protocol=Echo) as server:

        async def one() -> None:
            async with connect(
                "localhost", server.port, configuration=client_configuration, create_protocol=Client
            ) as client:
                assert isinstance(client, Client)
                await client.round_trip()

        async def run(count: int) -> int:
            async def some() -> None:
                for _ in range(count // CONNECTIONS_AT_ONCE):
                    await one()

            await asyncio.gather(*(some() for _ in range(CONNECTIONS_AT_ONCE)))
            return resident_bytes()

        before = await run(CONNECTIONS // 4)
        begin = time.monotonic()
        after = await run(CONNECTIONS - CONNECTIONS // 4)
        seconds = time.monotonic() - begin
    show("connections", CONNECTIONS - CONNECTIONS // 4, seconds, before, after)
    assert after - before < CONNECTION_SLACK_BYTES
    counts = live_counts()
    assert counts["streams"] == counts["chunks"] == counts["events"] == 0
