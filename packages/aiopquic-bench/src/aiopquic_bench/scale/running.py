"""The course of a measurement of many connections, step by step: what is done, and what is looked at meanwhile."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

from aiopquic_bench.figures import percentile
from aiopquic_bench.job import Job
from aiopquic_bench.peers import Peer, peer_of
from aiopquic_bench.problems import ExitCode, Problem
from aiopquic_bench.scale.client import LINE_MAX
from aiopquic_bench.usage import cpu_seconds_of, descriptors_of, resident_bytes_of

__all__ = ["Course", "jain", "run"]

#: Seconds between two looks.
INTERVAL = 0.2

#: Seconds that a phase may take beyond its own: all that is queued has to arrive; and a handshake, on average.
PATIENCE = 90.0
HANDSHAKE_PATIENCE = 0.02

#: The client process.
MODULE = "aiopquic_bench.scale.client"

#: Seconds in which nothing is done with the connections.
IDLE_SECONDS = 1.0

#: Seconds between two messages of a connection that is not in a hurry.
PACE = 0.2

#: Seconds without a packet that a connection outlives: more than everything takes.
IDLE_TIMEOUT = 600.0

#: Connections of each client that bring code and tables with them: they don't count.
FIRST = 20

#: Connections that the server has room for beyond those that are asked for.
SPARE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is measured."""

    idle: tuple[int, ...]
    "Connections that do nothing, in steps that grow."
    active: tuple[int, ...]
    "Connections that are busy: the first with every step of the idle ones, the others with the last step."
    clients: int
    at_once: int
    duration: float
    "Seconds of each phase in which the active ones are busy."
    api: str
    driver: str
    congestion_control: str

    @property
    def steps(self) -> list[tuple[int, int]]:
        """Idle and active connections of each step."""
        return [
            *((idle, self.active[0]) for idle in self.idle),
            *((self.idle[-1], active) for active in self.active[1:]),
        ]

    @property
    def total(self) -> int:
        """Connections at once, in the last step."""
        return self.idle[-1] + self.active[-1]

    def job(self, certificates: str) -> Job:
        """For the server, and for connecting."""
        return Job(
            case="scale",
            api=self.api,
            driver=self.driver,
            congestion_control=self.congestion_control,
            certificates=certificates,
            max_connections=self.total + SPARE,
            idle_timeout=IDLE_TIMEOUT,
        )


def jain(counts: Sequence[float]) -> float:
    """Jain's index of fairness: 1 where all have the same, 1/n where one has everything."""
    squares = sum(count * count for count in counts)
    return sum(counts) ** 2 / (len(counts) * squares) if squares else 0.0


async def run(course: Course, certificates: str, begin: Callable[[str], None]) -> dict[str, Any]:
    """Measure; what the file holds, without settings and host.

    Raises:
        Problem: a process ended, a connection was lost, bytes were, or a phase did not end in time.
    """
    job = course.job(certificates)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(peer_of(job))
        clients = [await stack.enter_async_context(_client(job, server.port)) for _ in range(course.clients)]
        watch = Watch(server, [client.pid for client in clients])
        watching = asyncio.ensure_future(watch.run())
        stack.callback(watching.cancel)
        course_of = _Phases(course, server, clients, watch, begin)
        try:
            return await course_of.all()
        except Exception:
            if (problem := (await server.report()).problem) is not None:
                raise Problem(f"at the server, {problem}", ExitCode.WRONG_BYTES) from None
            raise


class _Phases:
    """One after the other."""

    def __init__(
        self, course: Course, server: Peer, clients: Sequence[_Child], watch: Watch, begin: Callable[[str], None]
    ) -> None:
        self._course = course
        self._server = server
        self._clients = clients
        self._watch = watch
        self._begin = begin
        self._held = 0
        self._first = 0
        "Connections that are there before memory is looked at."
        self._bare = (0, 0)
        "Memory of server and clients with those."

    async def all(self) -> dict[str, Any]:
        """Everything."""
        course = self._course
        idle, active = course.steps[0]
        self._first = min(FIRST * course.clients, (idle + active) // 2)
        await self._open("starting", self._first)
        self._bare = self._watch.memory()
        steps = [await self._step(*step) for step in course.steps]
        self._enter("closing")
        await self._ask([{"do": "close"}] * course.clients, PATIENCE)
        return {"steps": steps, "samples": [asdict(sample) for sample in self._watch.samples]}

    async def _step(self, idle: int, active: int) -> dict[str, Any]:
        """Open those that are missing, and look at them idle and busy."""
        course = self._course
        self._watch.step += 1
        opening = await self._open("opening", idle + active - self._held)
        await asyncio.sleep(INTERVAL)
        grown = [after - before for before, after in zip(self._bare, self._watch.memory(), strict=True)]
        opened = self._held - self._first
        memory = {
            "server_kb_each": grown[0] / opened / 1e3,
            "client_kb_each": grown[1] / opened / 1e3,
            "server_descriptors": descriptors_of(self._server.pid),
            "client_descriptors": max(descriptors_of(client.pid) for client in self._clients),
        }
        rest = await self._rest()
        shares = _shares(active, course.clients)
        wait = {"seconds": course.duration}
        phases = {
            "paced": await self._busy("paced", "echo", shares, **wait, interval=PACE),
            "echo": await self._busy("echo", "echo", shares, **wait, interval=0.0),
            "transfer": await self._busy("transfer", "send", shares, **wait),
        }
        return {"idle": idle, "active": active, "opening": opening, "memory": memory, "rest": rest, **phases}

    def _enter(self, name: str) -> None:
        self._begin(name)
        self._watch.phase = name

    async def _ask(self, questions: Sequence[dict[str, Any]], patience: float) -> list[dict[str, Any]]:
        asking = (client.ask(question, patience) for client, question in zip(self._clients, questions, strict=True))
        return list(await asyncio.gather(*asking))

    async def _open(self, phase: str, count: int) -> dict[str, Any]:
        course = self._course
        self._enter(phase)
        start = time.monotonic()
        before, after = (_shares(held, course.clients) for held in (self._held, self._held + count))
        questions = [
            {"do": "open", "count": more - fewer, "at_once": max(1, at_once)}
            for fewer, more, at_once in zip(before, after, _shares(course.at_once, course.clients), strict=True)
        ]
        answers = await self._ask(questions, PATIENCE + count * HANDSHAKE_PATIENCE)
        self._held += count
        seconds = time.monotonic() - start
        return {"seconds": seconds, "per_s": count / seconds, **_percentiles(answers)}

    async def _rest(self) -> dict[str, Any]:
        """What connections cost that do nothing."""
        self._enter("idle")
        pids = [self._server.pid, *(client.pid for client in self._clients)]
        before, start = [cpu_seconds_of(pid) for pid in pids], time.monotonic()
        await asyncio.sleep(IDLE_SECONDS)
        used = [cpu_seconds_of(pid) - cpu for pid, cpu in zip(pids, before, strict=True)]
        seconds = time.monotonic() - start
        return {"server_cpu_percent": 100 * used[0] / seconds, "client_cpu_percent": 100 * sum(used[1:]) / seconds}

    async def _busy(self, phase: str, do: str, shares: Sequence[int], **words: Any) -> dict[str, Any]:
        """The active connections at once; every byte that was sent has arrived afterwards."""
        self._enter(phase)
        before, cpu = await self._server.report(), self._watch.cpu()
        questions = [{"do": do, "active": share, **words} for share in shares]
        answers = await self._ask(questions, words["seconds"] + PATIENCE)
        after, used = await self._server.report(), self._watch.cpu() - cpu
        if after.problem is not None:
            raise Problem(f"at the server, {after.problem}", ExitCode.WRONG_BYTES)
        sent, arrived = sum(answer["sent"] for answer in answers), after.received - before.received
        if sent != arrived:
            raise Problem(f"the clients sent {sent} bytes and {arrived} arrived", ExitCode.WRONG_BYTES)
        counts = [count for answer in answers for count in answer["counts"]]
        seconds = after.time - before.time
        found: dict[str, Any] = {"fairness": jain(counts), "least": min(counts), "most": max(counts)}
        if "times_us" not in answers[0]:
            return {**found, "mbit_per_s": sent * 8 / 1e6 / seconds, "cpu_s_per_gb": used / max(sent, 1) * 1e9}
        echoes = sum(counts)
        if not echoes:
            raise Problem(f"nothing came back in {words['seconds']:g} s", ExitCode.STALLED)
        per_s = {"per_s": echoes / seconds, "cpu_us_each": used / echoes * 1e6}
        return {**found, **per_s, **_percentiles(answers)}


@dataclass(frozen=True, slots=True)
class Sample:
    """One look."""

    time: float
    step: int
    "From 1 on; 0 before the first."
    phase: str
    connections: int
    "That the server has taken."
    server_mb: float
    client_mb: float
    "Of all client processes together."
    mbit_per_s: float
    "That the server has received since the look before."


class Watch:
    """Looks at all processes from outside, every now and then."""

    def __init__(self, server: Peer, clients: Sequence[int]) -> None:
        self.phase = "starting"
        self.step = 0
        self.samples: list[Sample] = []
        self._server = server
        self._clients = clients

    def memory(self) -> tuple[int, int]:
        """Resident bytes of the server, and of all clients."""
        return resident_bytes_of(self._server.pid), sum(map(resident_bytes_of, self._clients))

    def cpu(self) -> float:
        """CPU seconds of all."""
        return sum(map(cpu_seconds_of, (self._server.pid, *self._clients)))

    async def run(self) -> None:
        """Until it is cancelled."""
        start, before = time.monotonic(), await self._server.report()
        while True:
            await asyncio.sleep(INTERVAL)
            step, phase, now = self.step, self.phase, await self._server.report()
            server, clients = self.memory()
            rate = (now.received - before.received) * 8 / 1e6 / max(now.time - before.time, 1e-9)
            moment = time.monotonic() - start
            self.samples.append(Sample(moment, step, phase, now.connections, server / 1e6, clients / 1e6, rate))
            before = now


class _Child:
    """A client process: a line of JSON asks, a line of JSON answers."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.pid

    async def ask(self, question: dict[str, Any], patience: float) -> dict[str, Any]:
        """Send a line and return the answer.

        Raises:
            Problem: the process has ended, tells a problem, or does not answer in time.
        """
        self.say(question)
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(patience):
                line = await self._process.stdout.readline()
        except TimeoutError:
            text = f"{question['do']} stalled: a client process (pid {self.pid}) was silent for {patience:.0f} s"
            raise Problem(text, ExitCode.STALLED) from None
        if not line:
            code = await self._process.wait()
            raise Problem(f"a client process (pid {self.pid}) ended with exit code {code}", ExitCode.PEER)
        answer: dict[str, Any] = json.loads(line)
        if "problem" in answer:
            raise Problem(answer["problem"], answer["exit_code"])
        return answer

    def say(self, line: dict[str, Any]) -> None:
        """Without an answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")


@asynccontextmanager
async def _client(job: Job, port: int) -> AsyncIterator[_Child]:
    """Ended by its process id in any case: what it holds need not be closed one by one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", MODULE, stdin=PIPE, stdout=PIPE, limit=LINE_MAX
    )
    child = _Child(process)
    child.say({"job": job.as_json(), "port": port})
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _shares(count: int, parts: int) -> list[int]:
    """As even as it goes."""
    return [count // parts + (place < count % parts) for place in range(parts)]


def _percentiles(answers: Sequence[dict[str, Any]]) -> dict[str, float]:
    times = sorted(value for answer in answers for value in answer["times_us"])
    return {f"p{name}_us": percentile(times, float(name)) for name in ("50", "90", "99", "99.9")}
