"""Futures of a loop that is gone."""

from __future__ import annotations

import asyncio

from aiopquic.quic.waiters import can_hear


async def test_who_can_hear():
    waiter = asyncio.get_running_loop().create_future()
    assert can_hear(waiter) is waiter
    waiter.set_result(None)
    assert can_hear(waiter) is None
    assert can_hear(None) is None


def test_nobody_hears_on_a_closed_loop():
    """robustness.md, "engine closing Python state": an engine that outlives its loop raises nothing into it."""
    loop = asyncio.new_event_loop()
    waiter = loop.create_future()
    loop.close()
    assert can_hear(waiter) is None
