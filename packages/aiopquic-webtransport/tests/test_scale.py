"""Many sessions and many of their streams leave nothing behind: no object, no memory (robustness: leaks).

The session ``scale`` runs the same with more of both, and prints what it saw.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time

import psutil

from aiopquic.testing.leaks import live_counts
from aiopquic_webtransport import Session
from aiopquic_webtransport.testing import WebTransportLoopback

from .support import echo, until

STREAMS = int(os.environ.get("AIOPQUIC_SCALE_WT_STREAMS", 8_000))
SESSIONS = int(os.environ.get("AIOPQUIC_SCALE_WT_SESSIONS", 200))
AT_ONCE = 16
#: Of connections, those included that the server still remembers because they have just ended.
CONNECTIONS_MAX = 20_000
#: What malloc and the interpreter may keep after a warm-up, whatever the number.
STREAM_SLACK_BYTES = 8 << 20
SESSION_SLACK_BYTES = 32 << 20


def resident_bytes() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def show(what: str, count: int, seconds: float, before: int, after: int) -> None:
    """For whoever runs it with ``-s``."""
    print(
        f"\n{count:,} {what} in {seconds:.0f} s, {count / seconds:,.0f} a second; "
        f"RSS {before >> 10:,} KiB before, {after >> 10:,} KiB after; alive now: {live_counts()}"
    )


async def round_trips(session: Session, count: int) -> None:
    for _ in range(count):
        async with await session.open_stream() as stream:
            await stream.write(b"x" * 256, end_stream=True)
            assert len(await stream.read_all()) == 256


async def test_streams_of_a_session_leave_nothing_behind(webtransport: WebTransportLoopback):
    """The cost of a stream ends with it, on both sides."""
    async with webtransport.serve(echo) as server, webtransport.connect(server) as session:

        async def run(count: int) -> int:
            await asyncio.gather(*(round_trips(session, count // 64) for _ in range(64)))
            return resident_bytes()

        before = await run(STREAMS // 4)
        begin = time.monotonic()
        after = await run(STREAMS - STREAMS // 4)
        seconds = time.monotonic() - begin
        async with asyncio.timeout(30):
            while session._streams:  # the last acknowledgements
                await session.quic.ping()
        show("streams", STREAMS - STREAMS // 4, seconds, before, after)
        assert after - before < STREAM_SLACK_BYTES
        assert not session.connection.quic._binding.streams


def nothing_is_left() -> bool:
    """No stream, chunk or event; the clients' network thread may still be at work on the last closes."""
    gc.collect()
    counts = live_counts()
    return counts["streams"] == counts["chunks"] == counts["events"] == 0


async def test_sessions_leave_nothing_behind(webtransport: WebTransportLoopback):
    """The cost of a session ends with it: those that share a connection, and those that have one each."""
    async with webtransport.serve(echo, max_connections=CONNECTIONS_MAX) as server:

        async def one() -> None:
            async with webtransport.connect(server, compatibility=True) as session:
                other = await session.connection.open_session("/other", compatibility=True)
                for used in (session, other):
                    await round_trips(used, 1)
                await other.aclose()

        async def run(count: int) -> int:
            async def some() -> None:
                for _ in range(count // 2 // AT_ONCE):
                    await one()

            await asyncio.gather(*(some() for _ in range(AT_ONCE)))
            return resident_bytes()

        before = await run(SESSIONS // 4)
        begin = time.monotonic()
        after = await run(SESSIONS - SESSIONS // 4)
        seconds = time.monotonic() - begin
    show("sessions", SESSIONS - SESSIONS // 4, seconds, before, after)
    assert after - before < SESSION_SLACK_BYTES
    await until(nothing_is_left)
