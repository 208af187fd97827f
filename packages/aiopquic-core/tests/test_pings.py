"""Pings of QuicConnection and of its protocol (RFC 9000 section 19.2)."""

from __future__ import annotations

import asyncio

import pytest

from aiopquic.exceptions import ConnectionClosedError, WouldBlockError
from aiopquic.quic.events import PingAcknowledged

from .support import Endpoints


async def test_pings(endpoints: Endpoints):
    """``send_ping`` is answered by an event, ``ping()`` waits for it; the end of the connection ends the wait."""
    async with endpoints.pair() as pair:
        pair.client.quic.send_ping(7)
        await pair.client.wait_for(PingAcknowledged, uid=7)
        async with asyncio.timeout(20):
            await asyncio.gather(*(pair.client.ping() for _ in range(10)), pair.peer.ping())
        assert len({event.uid for event in pair.client.seen(PingAcknowledged)}) == 11
        for uid in (-1, 1 << 64):
            with pytest.raises(ValueError, match="the uid of a ping"):
                pair.client.quic.send_ping(uid)
        given_up = asyncio.create_task(pair.client.ping())
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert not pair.client._pings


async def test_too_many_pings(endpoints: Endpoints):
    async with endpoints.pair() as pair:
        # Nothing is drained meanwhile: answers that have come count as awaited still.
        with pytest.raises(WouldBlockError, match="up to 64 wait"):  # noqa: PT012 - the last of many
            for uid in range(10_000):
                pair.client.quic.send_ping(uid)


async def test_the_end_wakes_who_waits_for_a_ping(endpoints: Endpoints):
    async with endpoints.pair() as pair:
        quic = pair.client.quic
        waiting = asyncio.create_task(pair.client.ping())
        await asyncio.sleep(0)
        quic.close(4)
        quic.connection_ping_acked = lambda uid: None  # type: ignore[method-assign]
        with pytest.raises(ConnectionClosedError):
            await asyncio.wait_for(waiting, 20)
        with pytest.raises(ConnectionClosedError):
            await pair.client.ping()
