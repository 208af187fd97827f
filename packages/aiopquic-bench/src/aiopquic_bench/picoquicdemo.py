"""picoquic's own program in C, ``picoquicdemo -a perf``, as something to compare with.

It moves a number of bytes, not seconds of them, and counts them without looking at them.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from aiopquic_bench.below.others import measure_picoquicdemo
from aiopquic_bench.contenders import Task
from aiopquic_bench.measuring import Figures
from aiopquic_bench.problems import ExitCode, Problem

__all__ = ["PATH_VARIABLE", "DemoContender", "find_demo"]

#: Where the program is told, when it is not on the path.
PATH_VARIABLE = "AIOPQUIC_BENCH_PICOQUICDEMO"


def find_demo() -> Path:
    """The program.

    Raises:
        Problem: it is not there.
    """
    found = os.environ.get(PATH_VARIABLE) or shutil.which("picoquicdemo")
    if not found:
        raise Problem(
            f"picoquicdemo is not built here: `./dev nox -s picoquicdemo` builds it; put it on the PATH, "
            f"or its path into {PATH_VARIABLE}",
            ExitCode.PEER,
        )
    if not os.access(found, os.X_OK):
        raise Problem(f"{found}, which {PATH_VARIABLE} names, can't be run", ExitCode.PEER)
    return Path(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoContender:
    """``picoquicdemo -a perf`` on both sides."""

    program: Path
    congestion_control: str
    name: str = "picoquicdemo"
    label: str = "picoquicdemo (C)"

    def can(self, case: str) -> bool:
        """It moves bytes on a stream."""
        return case in ("up", "down")

    def measure(self, task: Task) -> Figures:
        """Once, in fresh processes."""
        folder = str(task.certificates.certificate.parent)
        return measure_picoquicdemo(
            str(self.program), self.congestion_control, task.duration, folder, is_up=task.case == "up"
        )
