"""One measurement, in the client's process: the server is started, the case measured, both under a deadline."""

from __future__ import annotations

import asyncio
import contextlib

from aiopquic_bench.apis import api_named
from aiopquic_bench.cases import CASES, Case
from aiopquic_bench.job import Job
from aiopquic_bench.measuring import Figures
from aiopquic_bench.peers import Peer, peer_of
from aiopquic_bench.problems import ExitCode, Problem, problem_of

__all__ = ["measure_once"]

#: Seconds that a measurement which was given up may take to clear away.
CLEAR_TIMEOUT = 2.0


def measure_once(job: Job) -> Figures:
    """Measure a case once.

    Raises:
        Problem: there is no figure, and why.
    """
    case = CASES[job.case]
    if case.measure_alone is not None:
        return case.measure_alone(job)
    try:
        return asyncio.run(_measure(job, case))
    except Exception as error:
        problem = problem_of(error)
        if problem is None:
            raise
        raise problem from error


async def _measure(job: Job, case: Case) -> Figures:
    assert case.measure is not None
    async with peer_of(job) as peer:
        work = asyncio.ensure_future(case.measure(job, peer))
        ended = asyncio.ensure_future(peer.wait_ended())
        try:
            await asyncio.wait({work, ended}, timeout=job.deadline, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and ended.done():
                raise Problem(ended.result(), ExitCode.PEER)
            if not work.done():
                raise Problem(
                    f"{job.case} stalled: it was not over {job.deadline:.1f} s after its start", ExitCode.STALLED
                )
            return await _result(work, peer)
        finally:
            for task in (work, ended):
                task.cancel()
            await asyncio.wait({work, ended}, timeout=CLEAR_TIMEOUT)
            api_named(job.api).finish()


async def _result(work: asyncio.Future[Figures], peer: Peer) -> Figures:
    """The figures; when the connection failed because the server found wrong bytes, that is what is told."""
    try:
        return await work
    except Exception as error:
        problem = problem_of(error)
        why = None
        if problem is not None and problem.exit_code == ExitCode.PEER:
            with contextlib.suppress(Problem):
                why = (await peer.report()).problem
        if why is not None:
            raise Problem(f"at the server, {why}", ExitCode.WRONG_BYTES) from error
        raise
