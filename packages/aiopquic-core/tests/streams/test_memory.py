"""What an idle connection takes of Python's memory."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from contextlib import AsyncExitStack

from .support import Ends, soon

CONNECTIONS = 40


async def test_an_idle_connection_is_small(ends: Ends) -> None:
    """No queue, set or dictionary is there before it is used: both ends and the handler's task, in one process."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(ends.serve())

        async def connect() -> None:
            await soon(stack.enter_async_context(ends.connect(server)))
            while len(server.connections) < len(server._engine.binding.connections):  # noqa: ASYNC110
                await asyncio.sleep(0)

        for _ in range(5):
            await connect()
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(CONNECTIONS):
            await connect()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (after - before) / CONNECTIONS < 11_500
