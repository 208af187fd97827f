"""Running a scenario: flows from one host to another, sampled by the network's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiopquic
from aiopquic.exceptions import QuicConnectionError, StreamError
from aiopquic.streams import Connection
from aiopquic.testing.simnet import SimulatedNetwork
from aiopquic_bench.congestion.scenarios import Path, Scenario
from aiopquic_bench.figures import percentile
from aiopquic_bench.pattern import Checker, pattern
from aiopquic_bench.problems import ExitCode, Problem

__all__ = ["Flow", "Sample", "Trace", "run"]

ALPN = "aiopquic-bench-cc"
WRITE_SIZE = 1 << 15

#: How many samples a run has, however long it is.
SAMPLES = 200

#: A first byte that tells the flow.
FLOWS = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """One flow at one moment."""

    time: float
    "Virtual seconds since the start of the scenario."
    mbit_per_s: float
    "What arrived since the sample before."
    rtt_ms: float
    "The latest that the sender has measured."
    window_kb: float
    "The congestion window."


@dataclass(slots=True)
class Flow:
    """One sender, from start to end."""

    algorithm: str
    begins: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    received: int = 0
    packets_sent: int = 0
    packets_lost: int = 0

    def goodput(self, duration: float) -> float:
        """Mbit/s that arrived, over its own time."""
        return self.received * 8 / (duration - self.begins) / 1e6

    def rtt(self, percent: float) -> float:
        """Of the samples, in milliseconds."""
        return percentile(sorted(sample.rtt_ms for sample in self.samples), percent)

    @property
    def lost_percent(self) -> float:
        """Packets that it declared lost."""
        return 100 * self.packets_lost / self.packets_sent if self.packets_sent else 0.0


@dataclass(slots=True)
class Trace:
    """What a run gave."""

    scenario: str
    seed: int
    duration: float
    flows: list[Flow]
    capacity: list[tuple[float, float]] = field(default_factory=list)
    "Time, and what the link could carry then, in Mbit/s."

    @property
    def mean_capacity(self) -> float:
        """Mbit/s, over the whole run."""
        return sum(mbps for _, mbps in self.capacity) / len(self.capacity)

    @property
    def fairness(self) -> float | None:
        """Jain's index of the flows while all of them send: 1 where they have the same, 1/n where one has all."""
        if len(self.flows) < 2:
            return None
        since = max(flow.begins for flow in self.flows)
        shares = [sum(sample.mbit_per_s for sample in flow.samples if sample.time > since) for flow in self.flows]
        squares = sum(share * share for share in shares)
        return sum(shares) ** 2 / (len(shares) * squares) if squares else None


def run(scenario: Scenario, algorithms: Sequence[str], *, seed: int, duration: float) -> Trace:
    """Run a scenario with one algorithm, or with one for each of two flows; the same seed gives the same trace.

    Raises:
        Problem: a byte arrived that was not sent.
    """
    network = SimulatedNetwork(seed, link=scenario.link)
    sender, receiver = network.host("localhost"), network.host("server")
    begins = [duration / 4 * number for number in range(len(algorithms))]
    flows = [Flow(name, begin) for name, begin in zip(algorithms, begins, strict=True)]
    trace = Trace(scenario.name, seed, duration, flows)
    network.run(_main(scenario, Path(network, sender, receiver, scenario.link), trace))
    return trace


async def _main(scenario: Scenario, path: Path, trace: Trace) -> None:
    files = path.network.certificate()
    problems: list[Problem] = []

    async def handle(connection: Connection) -> None:
        try:
            await _receive(connection, trace.flows)
        except Problem as problem:
            problems.append(problem)

    with path.receiver:
        server = await aiopquic.serve(
            handle, "server", 443, alpn=[ALPN], certificate=files.certificate, private_key=files.private_key
        )
    async with server:
        start = asyncio.get_running_loop().time()
        flows = [
            asyncio.ensure_future(_send(flow, number, trace.duration, start, str(files.certificate)))
            for number, flow in enumerate(trace.flows)
        ]
        watching = asyncio.ensure_future(_watch(path, trace, start))
        try:
            await scenario.play(path, trace.duration)
            await asyncio.gather(watching, *flows)
        finally:
            for task in (watching, *flows):
                task.cancel()
    if problems:
        raise problems[0]


async def _watch(path: Path, trace: Trace, start: float) -> None:
    interval = trace.duration / SAMPLES
    loop = asyncio.get_running_loop()
    for _ in range(SAMPLES):
        trace.capacity.append((loop.time() - start, path.mbps))
        await asyncio.sleep(interval)


async def _receive(connection: Connection, flows: Sequence[Flow]) -> None:
    stream = await connection.accept_stream(bidirectional=True)
    try:
        first = await stream.read_chunk()
        if first is None:
            return
        flow, checker = flows[first[0]], Checker(0)
        data: bytes | memoryview | None = first[1:]
        while data is not None:
            checker.check(data)
            flow.received += len(data)
            data = await stream.read_chunk()
    except (QuicConnectionError, StreamError):
        pass  # the sender has sent long enough


async def _send(flow: Flow, number: int, duration: float, start: float, authority: str) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(flow.begins)
    opening = aiopquic.connect(
        "server", 443, alpn=[ALPN], cafile=authority, congestion_control_algorithm=flow.algorithm, shared=False
    )
    async with opening as connection:
        writer = asyncio.ensure_future(_write(connection, number))
        try:
            before, then = flow.received, loop.time()
            while (left := start + duration - loop.time()) > 0:
                await asyncio.sleep(min(duration / SAMPLES, left))
                stats = await connection.stats()
                now = loop.time()
                if now <= then:
                    continue
                rate = (flow.received - before) * 8 / (now - then) / 1e6
                before, then = flow.received, now
                flow.samples.append(Sample(now - start, rate, stats.latest_rtt * 1e3, stats.congestion_window / 1e3))
            flow.packets_sent, flow.packets_lost = stats.packets_sent, stats.packets_lost
        finally:
            writer.cancel()
            await asyncio.wait([writer])
            connection.close()
    if not flow.samples:
        raise Problem("a flow has not begun before the end of the scenario", ExitCode.STALLED)


async def _write(connection: Connection, number: int) -> None:
    stream = await connection.open_stream()
    await stream.write(bytes([number]))
    position = 0
    while True:
        await stream.write(pattern(position, WRITE_SIZE))
        position += WRITE_SIZE
