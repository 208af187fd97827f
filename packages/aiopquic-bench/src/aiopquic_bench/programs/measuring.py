"""What is read off at both ends of the seconds that are measured, and what must be true after them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from .pattern import Failure
from .server import cpu_seconds
from .shape import Job

__all__ = ["Figures", "Peer", "Sample", "Tally", "Window", "check_totals"]

Figures = dict[str, float]


@dataclass
class Tally:
    """What the client has moved."""

    sent: int = 0
    received: int = 0
    count: int = 0


@dataclass
class Peer:
    """The server."""

    port: int
    ask: Callable[[bool], Awaitable[dict[str, Any]]]
    "Its report; True: with its memory."

    async def report(self, with_memory: bool = False) -> dict[str, Any]:
        """What it has counted.

        Raises:
            Failure: among it, bytes that were not sent.
        """
        report = await self.ask(with_memory)
        self.check(report)
        return report

    @staticmethod
    def check(report: dict[str, Any]) -> None:
        """Raises Failure for wrong bytes."""
        if report["failure"] is not None:
            raise Failure(f"at the server, {report['failure']}")


@dataclass
class Sample:
    """Both sides at one moment."""

    time: float
    cpu: float
    tally: Tally
    server: dict[str, Any]

    @classmethod
    async def take(cls, peer: Peer, tally: Tally) -> Sample:
        """Now."""
        report = await peer.report()
        return cls(time.monotonic(), cpu_seconds(), replace(tally), report)


@dataclass
class Window:
    """The seconds that are measured."""

    begin: Sample
    end: Sample

    @classmethod
    async def watch(cls, job: Job, peer: Peer, tally: Tally) -> Window:
        """Wait for the warm-up, then for the duration, and again until something was counted in it."""
        await asyncio.sleep(job.warm_up)
        begin = await Sample.take(peer, tally)
        while True:
            await asyncio.sleep(job.duration)
            window = cls(begin, await Sample.take(peer, tally))
            if window._has_any():
                return window

    def _has_any(self) -> bool:
        return (
            self.end.tally.count > self.begin.tally.count
            or self.end.tally.received > self.begin.tally.received
            or any(self.end.server[name] > self.begin.server[name] for name in ("received", "datagrams"))
        )

    def of_server(self, name: str) -> float:
        """The growth of something at the server."""
        grown: float = self.end.server[name] - self.begin.server[name]
        return grown

    @property
    def cpu(self) -> float:
        """CPU seconds of both processes."""
        return self.end.cpu - self.begin.cpu + self.of_server("cpu")

    def throughput(self) -> Figures:
        """Bytes that arrived, on either side."""
        up, down = self.of_server("received"), self.end.tally.received - self.begin.tally.received
        rate = up / self.of_server("time") + down / (self.end.time - self.begin.time)
        return {"mbit_per_s": rate * 8 / 1e6, "cpu_s_per_gb": self.cpu / ((up + down) / 1e9)}

    def per_second(self, count: float | None = None) -> Figures:
        """What the client counted, or ``count``."""
        number = self.end.tally.count - self.begin.tally.count if count is None else count
        if number <= 0:
            raise Failure("nothing was counted while it was measured", "stalled")
        return {"per_s": number / (self.end.time - self.begin.time), "cpu_us_each": self.cpu / number * 1e6}


async def check_totals(peer: Peer, tally: Tally) -> None:
    """Every byte that one side has sent, the other has received."""
    report = await peer.report()
    for side, sent, received in (
        ("client", tally.sent, report["received"]),
        ("server", report["sent"], tally.received),
    ):
        if sent != received:
            raise Failure(f"the {side} sent {sent} bytes and {received} arrived")
