"""How long the import of what a program uses takes in a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys

from aiopquic_bench.cases.case import Case
from aiopquic_bench.job import Job
from aiopquic_bench.measuring import Figures
from aiopquic_bench.problems import Problem

__all__ = ["CASES"]

#: The names, for they are what brings the modules.
PROGRAM = (
    "import time; begin = time.perf_counter(); from aiopquic import connect, serve; print(time.perf_counter() - begin)"
)


def measure_alone(job: Job) -> Figures:
    """The second of two: the first fills the system's cache of files, and compiles what was not yet."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    text = ""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            capture_output=True,
            text=True,
            timeout=job.deadline,
            check=False,
            env=environment,
        )
        if done.returncode:
            raise Problem(f"the import of aiopquic failed with exit code {done.returncode}")
        text = done.stdout
    return {"import_ms": float(text) * 1e3}


CASES = [
    Case(
        name="import",
        group="import",
        summary="import what connects and serves, in a fresh process",
        measure_alone=measure_alone,
    )
]
