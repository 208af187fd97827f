"""What is read off at the two ends of the seconds that are measured, and what must be true after them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from aiopquic_bench.job import Job
from aiopquic_bench.moving import Tally
from aiopquic_bench.peers import Peer
from aiopquic_bench.problems import ExitCode, Problem
from aiopquic_bench.serving import Report
from aiopquic_bench.usage import cpu_seconds

__all__ = ["Figures", "Sample", "Window", "check_totals"]

Figures = dict[str, float]
"Values by the names of :data:`aiopquic_bench.figures.KINDS`."


@dataclass(frozen=True, slots=True)
class Sample:
    """Both sides at one moment."""

    time: float
    cpu_seconds: float
    "Of the client's process."
    received: int
    count: int
    server: Report

    @classmethod
    async def take(cls, peer: Peer, tally: Tally) -> Sample:
        """Now.

        Raises:
            Problem: the server has found wrong bytes.
        """
        report = _checked(await peer.report())
        return cls(time.monotonic(), cpu_seconds(), tally.received, tally.count, report)


@dataclass(frozen=True, slots=True)
class Window:
    """The seconds that are measured."""

    begin: Sample
    end: Sample

    @classmethod
    async def watch(cls, job: Job, peer: Peer, tally: Tally) -> Window:
        """Wait for the warm-up, then for the duration, once more where nothing was counted in it.

        The deadline of the whole measurement ends a wait in which nothing ever is.
        """
        await asyncio.sleep(job.warm_up)
        begin = await Sample.take(peer, tally)
        while True:
            await asyncio.sleep(job.duration)
            window = cls(begin, await Sample.take(peer, tally))
            if window._has_any():
                return window

    @property
    def count(self) -> int:
        """Of what the client counts."""
        return self.end.count - self.begin.count

    def throughput(self) -> Figures:
        """Bytes that arrived on either side, and what they cost."""
        to_server = self.end.server.received - self.begin.server.received
        to_client = self.end.received - self.begin.received
        rate = to_server / (self.end.server.time - self.begin.server.time)
        rate += to_client / (self.end.time - self.begin.time)
        gigabytes = (to_server + to_client) / 1e9
        return {
            "mbit_per_s": rate * 8 / 1e6,
            "cpu_s_per_gb": (self._client_cpu + self._server_cpu) / gigabytes,
            **self._each_side(gigabytes),
        }

    def per_second(self, count: int | None = None) -> Figures:
        """What the client counted, or ``count``, per second, and what each cost."""
        count = self.count if count is None else count
        return {
            "per_s": count / (self.end.time - self.begin.time),
            "cpu_us_each": (self._client_cpu + self._server_cpu) / count * 1e6,
        }

    def _has_any(self) -> bool:
        begin, end = self.begin, self.end
        return (
            end.count > begin.count
            or end.received > begin.received
            or end.server.received > begin.server.received
            or end.server.datagrams > begin.server.datagrams
        )

    @property
    def _client_cpu(self) -> float:
        return self.end.cpu_seconds - self.begin.cpu_seconds

    @property
    def _server_cpu(self) -> float:
        return self.end.server.cpu_seconds - self.begin.server.cpu_seconds

    def _each_side(self, gigabytes: float) -> Figures:
        if not self.end.server.cpu_seconds:
            return {}  # one process, one account
        return {
            "client_cpu_s_per_gb": self._client_cpu / gigabytes,
            "server_cpu_s_per_gb": self._server_cpu / gigabytes,
        }


async def check_totals(peer: Peer, tally: Tally) -> None:
    """Every byte that one side has sent, the other has received.

    Raises:
        Problem: bytes were lost, or the server found wrong ones.
    """
    report = _checked(await peer.report())
    for side, sent, received in (
        ("client", tally.sent, report.received),
        ("server", report.sent, tally.received),
    ):
        if sent != received:
            text = f"the {side} sent {sent} bytes and {received} arrived: the run is a failure and gives no figure"
            raise Problem(text, ExitCode.WRONG_BYTES)


def _checked(report: Report) -> Report:
    if report.problem is not None:
        raise Problem(f"at the server, {report.problem}", ExitCode.WRONG_BYTES)
    return report
