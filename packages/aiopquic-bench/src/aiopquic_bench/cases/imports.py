"""How long ``import aiopquic`` takes in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

from aiopquic_bench.cases.case import Case
from aiopquic_bench.job import Job
from aiopquic_bench.measuring import Figures
from aiopquic_bench.problems import Problem

__all__ = ["CASES"]

PROGRAM = "import time; begin = time.perf_counter(); import aiopquic; print(time.perf_counter() - begin)"


def measure_alone(job: Job) -> Figures:
    """The second of two: the first fills the system's cache of files."""
    text = ""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=job.deadline, check=False
        )
        if done.returncode:
            raise Problem(f"import aiopquic failed with exit code {done.returncode}")
        text = done.stdout
    return {"import_ms": float(text) * 1e3}


CASES = [
    Case(name="import", group="import", summary="import aiopquic, in a fresh process", measure_alone=measure_alone)
]
