"""Futures that an event of the engine completes."""

from __future__ import annotations

import asyncio
from typing import TypeVar

__all__ = ["can_hear"]

T = TypeVar("T")


def can_hear(waiter: asyncio.Future[T] | None) -> asyncio.Future[T] | None:
    """The future, if somebody may still wait for it.

    None when it is done, and when its loop is closed: an engine that outlives its loop tells its end to nobody.
    """
    if waiter is None or waiter.done() or waiter.get_loop().is_closed():
        return None
    return waiter
