"""The server as a client sees it: in a process of its own, or in the client's."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from aiopquic_bench.apis import api_named
from aiopquic_bench.job import Job
from aiopquic_bench.problems import ExitCode, Problem
from aiopquic_bench.serving import Report, Service

__all__ = ["Peer", "peer_of", "serve_over_pipes", "tell"]

#: Seconds that a server has to begin, to answer, and to end.
ANSWER_TIMEOUT = 10.0


class Peer(Protocol):
    """A server that runs."""

    port: int

    @property
    def pid(self) -> int:
        """Of its process."""

    async def report(self, *, with_memory: bool = False) -> Report:
        """What the server has counted."""

    async def wait_ended(self) -> str:
        """Wait for an end that nobody asked for; returns what happened."""


@asynccontextmanager
async def peer_of(job: Job) -> AsyncIterator[Peer]:
    """Start the server of a measurement, and end it."""
    if job.is_one_process:
        service = _service(job, is_own_process=False)
        async with job.serve(service.handle) as server:
            yield _Inside(server.port, service)
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "aiopquic_bench.server", stdin=PIPE, stdout=PIPE
    )
    try:
        peer = _Outside(process)
        peer.port = int((await peer.ask(job.as_json()))["port"])
        yield peer
    finally:
        await _end(process)


class _Inside:
    """A server in this process, on this loop."""

    def __init__(self, port: int, service: Service) -> None:
        self.port = port
        self.pid = os.getpid()
        self._service = service

    async def report(self, *, with_memory: bool = False) -> Report:
        """What the server has counted."""
        return self._service.report(with_memory=with_memory)

    async def wait_ended(self) -> str:
        """Never returns."""
        await asyncio.get_running_loop().create_future()
        raise AssertionError


class _Outside:
    """A server process: a line of JSON asks, a line of JSON answers."""

    def __init__(self, process: Process) -> None:
        self.port = 0
        self.pid = process.pid
        self._process = process
        self._turn = asyncio.Lock()

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Send a line and return the answer.

        Raises:
            Problem: the process has ended, or does not answer.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            async with self._turn, asyncio.timeout(ANSWER_TIMEOUT):
                self._process.stdin.write(json.dumps(question).encode() + b"\n")
                await self._process.stdin.drain()
                line = await self._process.stdout.readline()
        except TimeoutError:
            text = f"the server process (pid {self._process.pid}) is busy: no answer within {ANSWER_TIMEOUT:g} s"
            raise Problem(text, ExitCode.PEER) from None
        except ConnectionError:
            line = b""
        if not line:
            raise Problem(await self.wait_ended(), ExitCode.PEER)
        answer: dict[str, Any] = json.loads(line)
        if "problem" in answer and "port" not in answer and "time" not in answer:
            raise Problem(f"the server could not start: {answer['problem']}", ExitCode.PEER)
        return answer

    async def report(self, *, with_memory: bool = False) -> Report:
        """What the server has counted."""
        return Report.from_json(await self.ask({"with_memory": with_memory}))

    async def wait_ended(self) -> str:
        """Wait for the end of the process; returns what happened."""
        code = await self._process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"the server process (pid {self._process.pid}) vanished with {how} before the measurement was over"


async def _end(process: Process) -> None:
    """The server ends when its standard input does."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def serve_over_pipes() -> None:
    """The server process: takes a job, tells its port, then answers each line with a report, to the end of input."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    job = Job.from_json(json.loads(await reader.readline()))
    service = _service(job, is_own_process=True)
    async with job.serve(service.handle) as server:
        tell({"port": server.port})
        while line := await reader.readline():
            tell(service.report(with_memory=json.loads(line)["with_memory"]).as_json())


def _service(job: Job, *, is_own_process: bool) -> Service:
    return Service(is_own_process=is_own_process, has_datagrams=api_named(job.api).has_datagrams)


def tell(answer: dict[str, Any]) -> None:
    """A line for the client; nothing when it is gone, for then the standard input has ended, too."""
    with suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), json.dumps(answer).encode() + b"\n")
