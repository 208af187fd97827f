"""The results of a run, in memory and in a file."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from aiopquic_bench.problems import Problem, UsageProblem

__all__ = ["SCHEMA", "VERDICT_REPEATS", "Result", "Run", "spread", "write_json"]

#: The version of the file's shape: docs/benchmarks.md describes it.
SCHEMA = 1

#: Repeats on each side that a verdict takes: five and five that do not overlap come by chance once in 126 times.
VERDICT_REPEATS = 5


def spread(values: Sequence[float]) -> float:
    """The distance between the largest and the smallest, as a share of the median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / abs(middle) if middle else 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """A case at one size, measured several times."""

    case: str
    size: int
    "0 where there is none."
    figures: dict[str, list[float]]
    "By the names of aiopquic_bench.figures.KINDS, a value for each repeat."

    @property
    def key(self) -> str:
        """What the same measurement is called in every file."""
        return f"{self.case}@{self.size}" if self.size else self.case

    @property
    def repeats(self) -> int:
        """How often it was measured."""
        return min(map(len, self.figures.values()), default=0)


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that one command measured."""

    settings: dict[str, Any]
    "The command line: api, congestion_control, duration, repeats, processes."
    host: dict[str, str | int]
    results: list[Result]

    def as_json(self) -> dict[str, Any]:
        """The whole file."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a file.

        Raises:
            UsageProblem: the file is not there, or is none of ours.
        """
        try:
            values = json.loads(path.read_text())
        except OSError as error:
            raise UsageProblem(f"{path}: {error.strerror}") from None
        except ValueError:
            raise UsageProblem(f"{path} is no JSON: give it a file that `aiopquic-bench run --json` wrote") from None
        if not isinstance(values, dict) or "schema" not in values:
            raise UsageProblem(f"{path} has no results: give it a file that `aiopquic-bench run --json` wrote")
        if values["schema"] != SCHEMA:
            raise UsageProblem(f"{path} has schema {values['schema']}, and this version reads {SCHEMA}: measure again")
        try:
            return cls(values["settings"], values["host"], [Result(**result) for result in values["results"]])
        except (KeyError, TypeError):
            raise UsageProblem(f"{path} is damaged: fields are missing or unknown") from None


def write_json(run: Run, path: Path) -> None:
    """Write the file.

    Raises:
        Problem: it can't be written.
    """
    try:
        path.write_text(json.dumps(run.as_json(), indent=2) + "\n")
    except OSError as error:
        raise Problem(f"{path} can't be written: {error.strerror}") from None
