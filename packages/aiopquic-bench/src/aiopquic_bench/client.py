"""``python -m aiopquic_bench.client``: one measurement in a process of its own.

A job comes as a line of JSON on the standard input; the figures, or the problem, go to the standard output.
"""

from __future__ import annotations

import json
import os
import sys

from aiopquic_bench.job import Job
from aiopquic_bench.problems import Problem
from aiopquic_bench.running import measure_once

__all__ = ["main"]


def main() -> None:
    """Measure, tell, and end."""
    try:
        answer: dict[str, object] = {"figures": measure_once(Job.from_json(json.loads(sys.stdin.readline())))}
    except Problem as problem:
        answer = {"problem": str(problem), "exit_code": problem.exit_code}
    print(json.dumps(answer), flush=True)
    if "problem" in answer:
        os._exit(0)  # what has stalled may not end by itself


if __name__ == "__main__":
    main()
