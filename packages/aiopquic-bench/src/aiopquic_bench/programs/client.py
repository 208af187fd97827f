"""The client process: it starts the server, measures one case, and tells the figures or why there are none."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from .adapters import library_of
from .cases import CASES
from .measuring import Peer
from .pattern import Failure
from .shape import Job

__all__ = ["main"]

#: Seconds that a server has to begin, to answer, and to end, on a host that has much else to do.
ANSWER_TIMEOUT = 60.0


@asynccontextmanager
async def server_of(values: dict[str, Any]) -> AsyncIterator[Peer]:
    """Start the server in an interpreter of its own, the same as this one, by the same words."""
    words = [sys.executable, *sys.orig_argv[1:-1], "server"]
    process = await asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    try:
        answer = await ask(process, values)
        yield Peer(int(answer["port"]), lambda with_memory: ask(process, with_memory))
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def ask(process: Process, question: object) -> dict[str, Any]:
    """A line to the server, and its answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            process.stdin.write(json.dumps(question).encode() + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
    except TimeoutError:
        raise Failure(f"the server is busy: no answer within {ANSWER_TIMEOUT:g} s", "peer") from None
    except ConnectionError:
        line = b""
    if not line:
        raise Failure(f"the server ended with exit code {await process.wait()}", "peer")
    answer: dict[str, Any] = json.loads(line)
    return answer


async def measure(values: dict[str, Any]) -> dict[str, float]:
    """Run the case under its deadline."""
    job = Job.of(values)
    library_of(job)  # what can't be imported is told here; a server would only end
    async with server_of(values) as peer:
        try:
            async with asyncio.timeout(job.deadline):
                return await CASES[job.case](job, peer)
        except TimeoutError:
            raise Failure(f"it stalled: not over after {job.deadline:g} s", "stalled") from None
        except Exception:
            peer.check(await peer.ask(False))  # wrong bytes at the server are why everything else fails
            raise


def failure_of(error: BaseException) -> Failure:
    """What the user is told; bytes that are wrong come before what follows from them."""
    if isinstance(error, BaseExceptionGroup):
        found = [failure_of(each) for each in error.exceptions]
        return max(found, key=lambda failure: failure.kind == "wrong")
    if isinstance(error, Failure):
        return error
    return Failure(f"{type(error).__name__}: {error}", "peer")


def main() -> None:
    """Take a job as a line of JSON, and answer with a line."""
    values = json.loads(sys.stdin.readline())
    begin = time.monotonic()
    try:
        answer: dict[str, Any] = {"figures": asyncio.run(measure(values))}
    except Exception as error:
        failure = failure_of(error)
        answer = {"failure": str(failure), "kind": failure.kind}
    print(json.dumps({**answer, "seconds": time.monotonic() - begin}), flush=True)
