"""The client process of a measurement, as the command line starts and ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from aiopquic_bench.job import Job
from aiopquic_bench.measuring import Figures
from aiopquic_bench.problems import ExitCode, Problem

__all__ = ["measure_in_process"]

#: Seconds beyond the client's own deadline: for its start, its server's, and the ends of both.
SLACK = 20.0

#: Seconds that a process may take to end.
END_TIMEOUT = 5.0


def measure_in_process(job: Job) -> Figures:
    """Measure once in a fresh client process.

    Raises:
        Problem: there is no figure, and why.
    """
    with _client() as process:
        try:
            text, _ = process.communicate(json.dumps(job.as_json()) + "\n", timeout=job.deadline + SLACK)
        except subprocess.TimeoutExpired:
            seconds = job.deadline + SLACK
            raise Problem(f"{job.case} stalled: its process was silent for {seconds:.1f} s", ExitCode.STALLED) from None
    if not text.strip():
        raise Problem(
            f"the client process (pid {process.pid}) ended with exit code {process.returncode}", ExitCode.PEER
        )
    answer = json.loads(text.splitlines()[-1])
    if "problem" in answer:
        raise Problem(answer["problem"], answer["exit_code"])
    figures: Figures = answer["figures"]
    return figures


@contextmanager
def _client() -> Iterator[subprocess.Popen[str]]:
    """Ended in any case. It leads a group of its own, with its server: Ctrl-C is the command line's alone."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aiopquic_bench.client"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(END_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
