"""How far a transfer is: bars on a terminal, a line now and then elsewhere. Both go to stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

__all__ = ["Bars", "Lines", "Meter", "Silent", "make_meter"]

#: Seconds between two plain lines, and between two changes of a bar.
LINE_INTERVAL = 5.0
BAR_INTERVAL = 0.1


class Meter(Protocol):
    """Counts what moves between ``__enter__`` and ``__exit__``."""

    def start(self, label: str, total: int | None) -> None:
        """Something begins; ``total`` bytes, None when that is not known."""

    def advance(self, count: int) -> None:
        """That many more bytes are done."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Silent:
    """Shows nothing."""

    def start(self, label: str, total: int | None) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Lines(Silent):
    """A line at the start, every ``LINE_INTERVAL`` seconds, and at the end."""

    def __init__(self) -> None:
        self._label = ""
        self._total: int | None = None
        self._done = 0
        self._begun = self._next = time.monotonic()

    def start(self, label: str, total: int | None) -> None:
        self._label, self._total, self._done = label, total, 0
        self._begun = time.monotonic()
        self._next = self._begun + LINE_INTERVAL

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now >= self._next:
            self._next = now + LINE_INTERVAL
            self._print(now)

    def _print(self, now: float) -> None:
        share = f" of {decimal(self._total)}" if self._total is not None else ""
        rate = self._done / max(now - self._begun, 1e-6)
        rest = f", {(self._total - self._done) / rate:.0f} s to go" if self._total is not None and rate > 0 else ""
        print(
            f"{self._label}: {decimal(self._done)}{share}, {decimal(int(rate))}/s{rest}",
            file=sys.stderr,
            flush=True,
        )


class Bars(Silent):
    """A bar with bytes, rate, and the time that is left."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            refresh_per_second=5,
        )
        self._task: TaskID | None = None
        self._held = 0
        self._next = 0.0

    def start(self, label: str, total: int | None) -> None:
        self._task = self._progress.add_task(label, total=total)

    def advance(self, count: int) -> None:
        self._held += count
        now = time.monotonic()
        if now >= self._next:
            self._next = now + BAR_INTERVAL
            self._show()

    def _show(self) -> None:
        if self._task is not None:
            self._progress.advance(self._task, self._held)
            self._held = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._show()
        self._progress.stop()


def make_meter(*, show: bool = True) -> Meter:
    """What suits the place that stderr goes to."""
    if not show:
        return Silent()
    console = Console(stderr=True)
    return Bars(console) if console.is_terminal else Lines()
