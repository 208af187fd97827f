"""Two runs side by side: ratios with their spread, and what can be said about them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from aiopquic_bench.figures import KINDS
from aiopquic_bench.problems import UsageProblem
from aiopquic_bench.results import VERDICT_REPEATS, Run

__all__ = ["Comparison", "compare", "differences"]


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
    return Comparison(key, figure, statistics.median(a), statistics.median(b), ratio, lowest, highest, verdict)


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
