"""An engine ends with its loop, whoever forgot to close it."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncGenerator, Callable
from types import AsyncGeneratorType
from typing import Protocol, cast

__all__ = ["close_with_loop"]


class _Closeable(Protocol):
    async def aclose(self) -> None: ...


async def _until_loop_ends(target: weakref.ref[_Closeable]) -> AsyncGenerator[None, None]:
    try:
        yield
    except GeneratorExit:
        closeable = target()
        if closeable is not None:
            await closeable.aclose()
        raise


def close_with_loop(closeable: _Closeable) -> Callable[[], None]:
    """Call ``closeable.aclose()`` when the running loop ends; the function that is returned takes that back.

    What tells of the end is ``loop.shutdown_asyncgens()``, which ``asyncio.run()`` and its kin call last of all: it
    closes every asynchronous generator that has begun on the loop. Without a running loop nothing happens.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return lambda: None
    watcher = cast(AsyncGeneratorType[None, None], _until_loop_ends(weakref.ref(closeable)))
    _advance(watcher)  # to its yield: the loop knows it from now on

    def forget() -> None:
        if not watcher.ag_running:
            _advance(watcher)

    return forget


def _advance(watcher: AsyncGeneratorType[None, None]) -> None:
    """Run to the next yield, or to the end; neither waits for anything."""
    with contextlib.suppress(StopIteration, StopAsyncIteration):
        watcher.__anext__().send(None)
