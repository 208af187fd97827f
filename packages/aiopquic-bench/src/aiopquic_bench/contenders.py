"""Who is compared: this aiopquic, another one, or another library, each with an interpreter of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from aiopquic_bench.measuring import Figures
from aiopquic_bench.problems import ExitCode, Problem

__all__ = ["LAUNCH", "Certificates", "Contender", "ProgramContender", "Task", "run_program"]

#: Runs a program of aiopquic_bench/programs in an interpreter that has no aiopquic-bench.
LAUNCH = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from importlib import import_module; import_module('programs.' + sys.argv[2]).main()"
)

#: The folder that holds programs/.
FOLDER = Path(__file__).parent

#: Seconds beyond the deadline of a measurement: for the starts and the ends of both processes.
SLACK = 30.0

#: Seconds beyond warm-up and duration after which a measurement has stalled.
PATIENCE = 60.0

#: Variables that would have one interpreter import what belongs to another, or compile its modules each time.
_FOREIGN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")

_KINDS = {"wrong": ExitCode.WRONG_BYTES, "stalled": ExitCode.STALLED, "peer": ExitCode.PEER}

#: The second of two imports: the first fills the system's cache of files, and compiles what was not yet.
_IMPORT = (
    "import time, sys; from importlib import import_module; begin = time.perf_counter(); "
    "import_module(sys.argv[1]); print(time.perf_counter() - begin)"
)


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files of a server, and the root that its clients trust."""

    authority: Path
    certificate: Path
    private_key: Path


@dataclass(frozen=True, slots=True)
class Task:
    """What is measured once."""

    case: str
    "A name of programs.cases.CASES, or ``import``."
    settings: Mapping[str, Any]
    "Fields of programs.shape.Job, and ``writes_qlog``: whether aiopquic writes qlogs, which go afterwards."
    duration: float
    warm_up: float
    certificates: Certificates


class Contender(Protocol):
    """Can be measured."""

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str:
        """With its version."""

    def measure(self, task: Task) -> Figures:
        """Once, in fresh processes.

        Raises:
            Problem: there is no figure, and why.
        """

    def can(self, case: str) -> bool:
        """Whether it has the case at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramContender:
    """A Python library, by a program of aiopquic_bench/programs."""

    name: str
    label: str
    python: Path
    adapter: str
    package: str = "aiopquic"
    settings: Mapping[str, Any] = field(default_factory=dict)
    "Fields of programs.shape.Job that hold wherever the task does not say otherwise."
    cases_left_out: Sequence[str] = ()

    def can(self, case: str) -> bool:
        """Whether it has the case at all."""
        return case not in self.cases_left_out

    def measure(self, task: Task) -> Figures:
        """Once, in fresh processes."""
        if task.case == "import":
            return self._measure_import()
        job = {
            "adapter": self.adapter,
            "package": self.package,
            "case": task.case,
            "duration": task.duration,
            "warm_up": task.warm_up,
            "deadline": task.duration + task.warm_up + PATIENCE,
            "authority": str(task.certificates.authority),
            "certificate": str(task.certificates.certificate),
            "private_key": str(task.certificates.private_key),
            **self.settings,
            **task.settings,
        }
        with ExitStack() as stack:
            if job.pop("writes_qlog", False):
                job["qlog_dir"] = stack.enter_context(TemporaryDirectory(prefix="aiopquic-bench-"))
            answer = run_program(self.python, "client", job, job["deadline"] + SLACK, who=self.label)
        if "failure" in answer:
            raise Problem(f"{self.label}: {answer['failure']}", _KINDS[answer["kind"]])
        figures: Figures = answer["figures"]
        return figures

    def _measure_import(self) -> Figures:
        text = ""
        for _ in range(2):
            words = [str(self.python), "-P", "-c", _IMPORT, f"{self.package}.asyncio"]
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=SLACK, check=False, env=_own_environment()
            )
            if done.returncode:
                raise Problem(f"{self.label}: import {self.package} failed: {_last_line(done.stderr)}", ExitCode.PEER)
            text = done.stdout
        return {"import_ms": float(text) * 1e3}


def run_program(
    python: Path, program: str, question: Any, timeout: float, *, who: str, before: Sequence[str] = ()
) -> dict[str, Any]:
    """Run ``programs/PROGRAM.py`` with a line of JSON, and return its answer.

    Args:
        python: the interpreter.
        program: a module of ``programs`` with a ``main``.
        question: what it reads.
        timeout: seconds after which it is ended, with the processes that it started.
        who: for the sentence.
        before: words in front of the command, such as those that call valgrind.

    Raises:
        Problem: it was silent, or ended without an answer.
    """
    process = subprocess.Popen(
        [*before, str(python), "-P", "-c", LAUNCH, str(FOLDER), program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        env=_own_environment(),
    )
    try:
        out, err = process.communicate(json.dumps(question) + "\n", timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Problem(f"{who} stalled: its process was silent for {timeout:g} s", ExitCode.STALLED) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode or not out.strip():
        why = _last_line(err) or f"exit code {process.returncode}"
        raise Problem(f"{who}: the program ended without an answer: {why}", ExitCode.PEER)
    answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    return answer


def _own_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return {**kept, "PYTHONHASHSEED": "0"}


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
