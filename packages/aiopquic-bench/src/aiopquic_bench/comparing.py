"""Two runs side by side: ratios with their spread, and what can be said about them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from aiopquic_bench.figures import KINDS
from aiopquic_bench.problems import UsageProblem
from aiopquic_bench.results import VERDICT_REPEATS, Run, spread

__all__ = ["Comparison", "check_comparable", "compare", "differences"]

#: What decides what a figure can be at all: where it differs, no ratio says anything about aiopquic.
_HOST = ("cpu", "cores_usable", "kernel", "gso", "gro")
_SETTINGS = ("processes", "duration")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of one case in both runs."""

    key: str
    figure: str
    a: float
    "The median."
    b: float
    ratio: float | None
    "b / a; None when a is 0."
    lowest: float | None
    "The smallest ratio that a repeat of b and one of a give."
    highest: float | None
    verdict: str
    spread_a: float = 0.0
    "The distance from the lowest value to the highest, as a share of the median."
    spread_b: float = 0.0


def check_comparable(a: Run, b: Run) -> None:
    """Refuse two runs whose ratio would be that of two hosts, or of two ways to measure.

    Raises:
        UsageProblem: they are, and in what they differ.
    """
    for where, names in (("host", _HOST), ("settings", _SETTINGS)):
        ours, theirs = getattr(a, where), getattr(b, where)
        for name in names:
            if name in ours and name in theirs and ours[name] != theirs[name]:
                raise UsageProblem(
                    f"the two runs can't be compared: {name} is {ours[name]} in A and {theirs[name]} in B; "
                    f"measure both on one host and in one way"
                )


def compare(a: Run, b: Run) -> list[Comparison]:
    """Every figure that both have.

    Raises:
        UsageProblem: they have none in common.
    """
    theirs = {result.key: result.figures for result in b.results}
    found = [
        _compare(result.key, name, values, theirs[result.key][name])
        for result in a.results
        for name, values in result.figures.items()
        if values and theirs.get(result.key, {}).get(name)
    ]
    if not found:
        raise UsageProblem("the two files have no case in common: measure the same cases, at the same sizes")
    return found


def differences(a: Run, b: Run) -> list[str]:
    """Where the two were not measured alike."""
    found = [
        f"{name} is {a.settings.get(name)} in A and {b.settings.get(name)} in B"
        for name in a.settings
        if name != "repeats" and a.settings.get(name) != b.settings.get(name)
    ]
    for name in ("cpu", "cores_usable", "kernel", "OpenSSL", "Python"):
        if a.host.get(name) != b.host.get(name):
            found.append(f"{name} is {a.host.get(name)} in A and {b.host.get(name)} in B")
    return found


def _compare(key: str, figure: str, a: list[float], b: list[float]) -> Comparison:
    ratio = lowest = highest = None
    if min(a) > 0:
        ratio = statistics.median(b) / statistics.median(a)
        lowest, highest = min(b) / max(a), max(b) / min(a)
    verdict = _verdict(figure, a, b)
    medians = statistics.median(a), statistics.median(b)
    return Comparison(key, figure, *medians, ratio, lowest, highest, verdict, spread(a), spread(b))


def _verdict(figure: str, a: list[float], b: list[float]) -> str:
    if min(len(a), len(b)) < VERDICT_REPEATS:
        return f"no verdict: {len(a)} and {len(b)} repeats, it takes {VERDICT_REPEATS} of each"
    is_higher, is_lower = min(b) > max(a), max(b) < min(a)
    if not is_higher and not is_lower:
        return "no difference shown"
    kind = KINDS.get(figure)
    if kind is None:
        return "higher" if is_higher else "lower"
    return "better" if is_higher == kind.is_higher_better else "worse"
