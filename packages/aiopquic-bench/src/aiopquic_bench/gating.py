"""The checks of the gate: what is compared, the noise, the limit, and whether it is a regression."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiopquic_bench.budgets import INSTRUCTIONS, SLACK, VIRTUAL
from aiopquic_bench.deterministic import COUNTED, Counts, Outcome
from aiopquic_bench.ratios import Ratios

__all__ = [
    "INSTRUCTION_LIMIT",
    "MEASURED_LIMIT",
    "VIRTUAL_LIMIT",
    "Check",
    "budget_checks",
    "instruction_budget_checks",
    "instruction_checks",
    "measured_check",
    "virtual_checks",
]

#: Shares by which a figure may be worse than the baseline's. What virtual time and instructions give is the same in
#: every run; what is measured is not, and only the whole interval of the median of the ratios beyond the limit counts.
VIRTUAL_LIMIT = 0.05
INSTRUCTION_LIMIT = 0.03
MEASURED_LIMIT = 0.1

_VIRTUAL_FIGURES = ("virtual_s", "datagrams", "wire_bytes")


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison; less is better in all of them."""

    kind: str
    "``virtual``, ``instructions``, ``counts`` or ``measured``."
    name: str
    figure: str
    baseline: float
    candidate: float
    ratio: float
    "Candidate over baseline."
    noise: float
    "By how much the ratio can be off, as a share: 0 where every run is the same."
    limit: float
    "The largest share by which the candidate may be worse."
    is_regression: bool


def virtual_checks(
    baseline: Mapping[tuple[str, int], Outcome], candidate: Mapping[tuple[str, int], Outcome], exact: Sequence[str]
) -> list[Check]:
    """Scenarios in virtual time; those that are not exact have several seeds, which are pairs."""
    checks = []
    for name in dict.fromkeys(name for name, _ in baseline):
        seeds = [seed for other, seed in baseline if other == name]
        for figure in _VIRTUAL_FIGURES:
            before = [getattr(baseline[name, seed], figure) for seed in seeds]
            after = [getattr(candidate[name, seed], figure) for seed in seeds]
            if name in exact:
                checks.append(_exact("virtual", name, figure, before[0], after[0], VIRTUAL_LIMIT))
            else:
                checks.append(_paired("virtual", name, figure, before, after, VIRTUAL_LIMIT))
    return checks


def instruction_checks(
    baseline: Mapping[str, Counts], again: Mapping[str, Counts], candidate: Mapping[str, Counts]
) -> list[Check]:
    """Counts; the baseline is counted twice, and what the two differ by is the noise."""
    checks = []
    for name, before in baseline.items():
        for figure in ("total", "engine"):
            first, second, after = (getattr(counts, figure) for counts in (before, again[name], candidate[name]))
            noise = abs(first - second) / first
            limit = max(INSTRUCTION_LIMIT, 3 * noise)
            label = f"{'instructions' if figure == 'total' else 'of them in the engine'} a {COUNTED[name]}"
            checks.append(_exact("instructions", name, label, first, after, limit, noise))
    return checks


def measured_check(
    name: str, figure: str, measure: Callable[[], tuple[Sequence[float], Sequence[float]]], *, limit: float
) -> Check:
    """Pairs of baseline and candidate; what looks like a regression is measured again, and both must say so."""
    check = _paired("measured", name, figure, *measure(), limit)
    if check.is_regression:
        return _paired("measured", name, figure, *measure(), limit)
    return check


def budget_checks(outcomes: Mapping[tuple[str, int], Outcome]) -> list[Check]:
    """Virtual figures against what the budget allows."""
    checks = []
    for (name, _), outcome in outcomes.items():
        for figure, allowed in zip(_VIRTUAL_FIGURES, VIRTUAL[name], strict=True):
            checks.append(_exact("virtual", name, figure, allowed, getattr(outcome, figure), SLACK))
    return checks


def instruction_budget_checks(counts: Mapping[str, Counts]) -> list[Check]:
    """Ratios of counts of the same job against what the budget allows."""
    checks = []
    for budget in INSTRUCTIONS:
        own = counts[budget.scenario]
        other = own.engine if budget.of == "engine" else counts[budget.of].total
        ratio = own.total / other
        is_regression = ratio > budget.most
        checks.append(
            Check(
                "instructions", budget.what, "ratio", budget.most, ratio, ratio / budget.most, 0.0, 0.0, is_regression
            )
        )
    return checks


def _exact(kind: str, name: str, figure: str, before: float, after: float, limit: float, noise: float = 0.0) -> Check:
    ratio = after / before
    return Check(kind, name, figure, before, after, ratio, noise, limit, ratio > 1 + limit)


def _paired(kind: str, name: str, figure: str, before: Sequence[float], after: Sequence[float], limit: float) -> Check:
    ratios = Ratios.of(after, before)
    if ratios is None:
        raise ValueError(f"{figure} of {name} is 0")
    middle = sorted(range(len(before)), key=lambda number: ratios.values[number])[len(before) // 2]
    noise = ratios.noise
    return Check(
        kind,
        name,
        figure,
        before[middle],
        after[middle],
        ratios.median,
        float("inf") if noise is None else noise,
        limit,
        ratios.is_above(1 + limit),
    )
