"""Run tests; one that fails is run five times more, alone, and is called unsteady when it passes each time.

    python ci/run_tests.py --seconds 900 pytest -n 2 packages
    python ci/run_tests.py --seconds 900 ctest --test-dir build/ctests/release -j 2

The exit code is 0 when what failed was unsteady and there are at most three such tests: in this run, or in all runs
that share the file that UNSTEADY_FILE names, to which each is added with the output of its failure. What chance does
not explain (NEVER) is a failure whatever happens afterwards. docs/testing.md says why.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import run_with_stacks

REPETITIONS = 5
UNSTEADY_MOST = 3
#: The environment variable that names the file of a whole run.
FILE_VARIABLE = "AIOPQUIC_UNSTEADY_FILE"
#: How an unsteady test begins in that file; its output behind it is indented.
MARK = "UNSTEADY "

NEVER = {
    "a crash": re.compile(
        r"crashed while running|Fatal Python error|died with <Signals|returncode=-(?:4|6|7|8|11)\b|Segmentation fault"
    ),
    "a sanitizer's report": re.compile(r"\w+Sanitizer\b|: runtime error: "),
    "a leak": re.compile(r"left behind: |nothing alive: "),
    "a hang": re.compile(r"Timeout \(>|took too long|still running after"),
    # What ctest says of a program that ended by itself is "Failed"; else it names the signal, or the time limit.
    "a crash or a hang": re.compile(r"^ctest says: (?!Failed$)", re.MULTILINE),
}


@dataclass(frozen=True)
class Failure:
    """One test that failed once."""

    name: str
    output: str

    def never(self) -> str | None:
        """What it is that chance does not explain, if it is such."""
        return next((what for what, pattern in NEVER.items() if pattern.search(self.output)), None)


class Tool(Protocol):
    """Runs tests and knows what failed."""

    #: The exit code that means: tests failed, and nothing else went wrong.
    failed: int

    def run(self, seconds: float, words: list[str]) -> tuple[int, list[Failure]]: ...

    def one(self, words: list[str], name: str) -> list[str]:
        """The words that run one test alone, of those that ran all."""


class Pytest:
    failed = 1

    def run(self, seconds: float, words: list[str]) -> tuple[int, list[Failure]]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "failures"
            script = Path(__file__).with_name("pytest_failures.py")
            code = limited(seconds, [sys.executable, str(script), str(file), *words])
            lines = file.read_text().splitlines() if file.exists() else []
        return code, [Failure(**json.loads(line)) for line in lines]

    def one(self, words: list[str], name: str) -> list[str]:
        return ["-m", "", name]  # whatever its marks are


class CTest:
    failed = 8

    def run(self, seconds: float, words: list[str]) -> tuple[int, list[Failure]]:
        with tempfile.TemporaryDirectory() as folder:
            log, results = Path(folder) / "log", Path(folder) / "results.xml"
            files = ["--output-log", str(log), "--output-junit", str(results)]
            code = limited(seconds, ["ctest", "--output-on-failure", *files, *words])
            _, _, summary = log.read_text().partition("The following tests FAILED:") if log.exists() else ("", "", "")
            cases = ET.parse(results).getroot().iter("testcase") if results.exists() else ()
            outputs = {case.get("name"): case.findtext("system-out", "") for case in cases}
        ends = re.findall(r"^\s*\d+ - (\S+) \((.+)\)$", summary, re.MULTILINE)
        return code, [Failure(name, f"ctest says: {end}\n{outputs.get(name, '')}") for name, end in ends]

    def one(self, words: list[str], name: str) -> list[str]:
        return [*words[: words.index("--test-dir") + 2], "-R", f"^{re.escape(name)}$", "--no-tests=error"]


def limited(seconds: float, command: list[str]) -> int:
    return run_with_stacks.main(["--seconds", str(seconds), "--", *command])


def say(text: str) -> None:
    print(f"\n*** {text}", flush=True)


def by_name(failures: list[Failure]) -> Iterator[Failure]:
    """A test may fail twice, in its body and in what comes behind it."""
    outputs: dict[str, list[str]] = {}
    for failure in failures:
        outputs.setdefault(failure.name, []).append(failure.output)
    for name, parts in outputs.items():
        yield Failure(name, "\n".join(parts))


def is_unsteady(tool: Tool, seconds: float, words: list[str], failure: Failure) -> bool:
    what = failure.never()
    if what is not None:
        say(f"{failure.name} failed by {what}: that is not put down to chance")
        return False
    for repetition in range(1, REPETITIONS + 1):
        say(f"{failure.name}, again and alone, {repetition} of {REPETITIONS}")
        code, _ = tool.run(seconds, tool.one(words, failure.name))
        if code != 0:
            say(f"{failure.name} fails again")
            return False
    return True


def judge(tool: Tool, seconds: float, words: list[str], file: Path) -> int:
    """Run all, then each that failed; the exit code."""
    code, failures = tool.run(seconds, words)
    distinct = list(by_name(failures))
    if code != tool.failed or not distinct:
        return code
    already = sum(line.startswith(MARK) for line in file.read_text().splitlines()) if file.exists() else 0
    if already + len(distinct) > UNSTEADY_MOST:
        say(f"{len(distinct)} failed, and {already} before were unsteady: more than {UNSTEADY_MOST} are not chance")
        return code
    steady = [failure.name for failure in distinct if not is_unsteady(tool, seconds, words, failure)]
    if steady:
        return code
    for failure in distinct:
        entry = f"{MARK}{failure.name}: failed once, then passed {REPETITIONS} times alone"
        say(entry)
        with file.open("a") as unsteady:
            unsteady.write(f"{entry}\n{textwrap.indent(failure.output.rstrip(), '    ', lambda _: True)}\n")
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=900, help="the limit of each run")
    parser.add_argument("tool", choices=["pytest", "ctest"])
    parser.add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    tool: Tool = Pytest() if options.tool == "pytest" else CTest()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(os.environ.get(FILE_VARIABLE) or Path(folder) / "unsteady")
        return judge(tool, options.seconds, options.words, file)


if __name__ == "__main__":
    sys.exit(main())
