"""The program in C that comes with this package, and how it and others are run."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from aiopquic_bench.measuring import Figures
from aiopquic_bench.problems import ExitCode, Problem

__all__ = ["PATIENCE", "answer_of", "native_words", "rates", "started"]

#: Seconds beyond its measurement that a program may take, before it is ended.
PATIENCE = 15.0


def native_words(command: str, *flags: str, **options: object) -> list[str]:
    """The command line of the program: ``size=1400`` is ``--size 1400``.

    Raises:
        Problem: the program is not there.
    """
    try:
        path = distribution("aiopquic-bench").locate_file("aiopquic_bench/bin/native")
    except PackageNotFoundError:
        path = None
    if path is None or not os.access(str(path), os.X_OK):
        raise Problem("the program in C is not there: install the wheel of aiopquic-bench, which has it")
    words = [str(path), command, *flags]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return words


@contextmanager
def started(words: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A program that runs, ended in any case."""
    try:
        process = subprocess.Popen(words, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **options)
    except OSError as error:
        raise Problem(f"{words[0]} can't be run: {error.strerror}") from None
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def answer_of(process: subprocess.Popen[str], what: str, seconds: float) -> dict[str, Any]:
    """The last line of a program of ours, once it has ended.

    Raises:
        Problem: it has none, or took longer.
    """
    try:
        text, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Problem(f"{what} stalled: it was not over after {seconds:.1f} s", ExitCode.STALLED) from None
    if not text.strip():
        code = process.returncode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise Problem(f"{what} ended with {how} before it told anything", ExitCode.PEER)
    return checked(json.loads(text.splitlines()[-1]), process.returncode)


def checked(answer: dict[str, Any], exit_code: int | None) -> dict[str, Any]:
    """The answer, unless it is a problem."""
    if "problem" in answer:
        raise Problem(answer["problem"], exit_code or ExitCode.FAILED)
    return answer


def rates(mbit_per_s: float, client_cores: float, server_cores: float) -> Figures:
    """The figures of a throughput, from CPU seconds per second of each side."""
    gigabytes_per_s = mbit_per_s / 8e3
    return {
        "mbit_per_s": mbit_per_s,
        "cpu_s_per_gb": (client_cores + server_cores) / gigabytes_per_s,
        "client_cpu_s_per_gb": client_cores / gigabytes_per_s,
        "server_cpu_s_per_gb": server_cores / gigabytes_per_s,
    }
