"""Is anything of the engine left: engines, connections, streams, chunks of received bytes, events.

The counts are those of the whole process, so a check compares them with what they were when it began.
"""

from __future__ import annotations

import asyncio
import gc
import time
from types import TracebackType
from typing import Self

from aiopquic._binding._engine import live_counts
from aiopquic.quic.pool import close_idle_engines

__all__ = ["LeakCheck", "assert_no_leaks", "live_counts"]

#: Seconds between two looks at the counts.
_POLL_INTERVAL = 0.005


class LeakCheck:
    """What :func:`assert_no_leaks` returns: a context manager, for ``with`` and for ``async with``."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._before: dict[str, int] = {}

    def left_behind(self) -> dict[str, int]:
        """How many more objects of each kind are alive than when the check began; empty when there is none."""
        now = live_counts()
        return {kind: now[kind] - count for kind, count in self._before.items() if now[kind] > count}

    def __enter__(self) -> Self:
        self._before = live_counts()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            return  # its traceback keeps objects alive
        end = time.monotonic() + self._timeout
        while self._is_waiting(end):
            time.sleep(_POLL_INTERVAL)
        self._judge()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            return
        await close_idle_engines()  # they wait for another connection
        end = time.monotonic() + self._timeout
        while self._is_waiting(end):  # noqa: ASYNC110 - nobody tells of the change
            await asyncio.sleep(_POLL_INTERVAL)
        self._judge()

    def _is_waiting(self, end: float) -> bool:
        gc.collect()
        return bool(self.left_behind()) and time.monotonic() < end

    def _judge(self) -> None:
        left = self.left_behind()
        if left:
            what = ", ".join(f"{count} {kind[:-1] if count == 1 else kind}" for kind, count in left.items())
            raise AssertionError(
                f"left behind: {what}. Close connections and servers, await what closes them, and let go of them"
            )


def assert_no_leaks(*, timeout: float = 5.0) -> LeakCheck:
    """Check that the block leaves no engine, connection, stream, chunk or event behind.

    ``with assert_no_leaks():`` around whole programs (``asyncio.run``), ``async with assert_no_leaks():`` on a loop,
    which goes on running while the check waits for what is about to go. When the block raises, nothing is checked.

    Args:
        timeout: seconds that objects may take to go after the block.

    Raises:
        AssertionError: something is left; the text says how many of what.
    """
    return LeakCheck(timeout)
