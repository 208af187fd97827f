"""What work over real sockets costs in system calls, wake-ups, events and turns of the loop, against its budget."""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from aiopquic.testing.certificates import dev_certificate
from aiopquic_bench.budgets import COUNTS, CountBudget
from aiopquic_bench.contenders import run_program
from aiopquic_bench.environments import Environment
from aiopquic_bench.gating import Check
from aiopquic_bench.host import host_report
from aiopquic_bench.problems import ExitCode, Problem

__all__ = ["Rounds", "budget_count_checks", "can_count", "compare_counts", "count_work", "countable"]

#: The share by which a count may be above the baseline's: one of the program alone, and one that varies.
COUNT_LIMIT = 0.1
VARYING_LIMIT = 3.0

#: Seconds that a scenario may take, on a host that has much else to do.
TIMEOUT = 120.0

#: By scenario: the counts of each round.
Rounds = Mapping[str, Sequence[Mapping[str, float]]]

Count = Callable[[Sequence[str]], Rounds]


def can_count() -> bool:
    """Whether this system has the packet loop whose work is counted."""
    return sys.platform.startswith("linux")


def countable() -> tuple[list[CountBudget], list[str]]:
    """What can be judged on this host, and why the rest can't."""
    host = host_report()
    missing = {
        "gso": "" if host["gso"] == "yes" else "the kernel has no UDP_SEGMENT",
        "gro": "" if host["gro"] == "yes" else "the kernel has no UDP_GRO",
        "cores": "" if len(os.sched_getaffinity(0)) > 1 else "with one core nothing spins",
    }
    judged = [budget for budget in COUNTS if not any(missing[need] for need in budget.needs)]
    left_out = [budget for budget in COUNTS if budget not in judged]
    reasons = {need: why for need, why in missing.items() if why and any(need in budget.needs for budget in left_out)}
    return judged, list(reasons.values())


def count_work(environment: Environment, scenarios: Sequence[str], *, plant: str = "") -> Rounds:
    """Run scenarios of programs/counts.py, each in a fresh process, with the loss of what is called ``plant``.

    Raises:
        Problem: a run failed.
    """
    found = {}
    with tempfile.TemporaryDirectory(prefix="aiopquic-bench-") as folder:
        certificate, private_key = dev_certificate(["127.0.0.1"]).write(folder)
        for name in scenarios:
            question = {
                "certificate": str(certificate),
                "private_key": str(private_key),
                "plant": plant,
                "scenario": name,
            }
            answer = run_program(environment.python, "counts", question, TIMEOUT, who=environment.label)
            if "failure" in answer:
                raise Problem(f"{environment.label}: {answer['failure']}", ExitCode.WRONG_BYTES)
            found[name] = answer["rounds"]
    return found


def budget_count_checks(budgets: Sequence[CountBudget], count: Count) -> list[Check]:
    """Each count against its budget; what is above it is counted again, and must be so twice.

    Raises:
        Problem: a run failed, or what is judged does not tell one of the counts.
    """
    first = count(_scenarios(budgets))
    checks = {budget: _of_budget(budget, first) for budget in budgets}
    above = [budget for budget in budgets if checks[budget].is_regression]
    if above:
        second = count(_scenarios(above))
        checks |= {budget: _of_budget(budget, second) for budget in above}
    return list(checks.values())


def compare_counts(budgets: Sequence[CountBudget], before: Count, after: Count) -> list[Check]:
    """Each count against the baseline's; those that the baseline does not tell are against their budgets."""
    names = _scenarios(budgets)
    first, second = before(names), after(names)
    checks = {budget: _compared(budget, first, second) for budget in budgets}
    worse = [budget for budget in budgets if checks[budget].is_regression]
    if worse:
        names = _scenarios(worse)
        first, second = before(names), after(names)
        checks |= {budget: _compared(budget, first, second) for budget in worse}
    return list(checks.values())


def _scenarios(budgets: Sequence[CountBudget]) -> list[str]:
    return list(dict.fromkeys(budget.scenario for budget in budgets))


def _values(budget: CountBudget, rounds: Rounds) -> list[float]:
    """Empty when the revision does not tell it."""
    found = rounds[budget.scenario]
    if any(name not in each for each in found for name in budget.counts):
        return []
    return sorted(budget.value(each) for each in found)


def _of_judged(budget: CountBudget, rounds: Rounds) -> list[float]:
    values = _values(budget, rounds)
    if not values:
        raise Problem(f"what is judged does not tell {' and '.join(budget.counts)}")
    return values


def _of_budget(budget: CountBudget, rounds: Rounds) -> Check:
    return _check(budget, budget.most, _of_judged(budget, rounds), limit=0.0)


def _compared(budget: CountBudget, before: Rounds, after: Rounds) -> Check:
    baseline = _values(budget, before)
    if not baseline:
        return _of_budget(budget, after)
    # A count that is next to nothing may double.
    allowed = max(baseline[0], budget.most / 10)
    return _check(budget, allowed, _of_judged(budget, after), limit=VARYING_LIMIT if budget.varies else COUNT_LIMIT)


def _check(budget: CountBudget, allowed: float, values: Sequence[float], *, limit: float) -> Check:
    """The least of the rounds decides: what disturbs a round makes it cost more, and what is lost is lost in each."""
    least = values[0]
    noise = (median(values) - least) / allowed if math.isfinite(least) else 0.0
    what = f"{budget.lever}: {budget.what}"
    is_above = least > allowed * (1 + limit)
    return Check("counts", budget.scenario, what, allowed, least, least / allowed, noise, limit, is_above)
