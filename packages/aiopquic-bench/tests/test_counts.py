"""The counts of the gate: they hold, and the loss of each lever is found."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from aiopquic_bench import counting
from aiopquic_bench.budgets import COUNTS, CountBudget
from aiopquic_bench.counting import Rounds, budget_count_checks, can_count, compare_counts, count_work, countable
from aiopquic_bench.environments import Environment
from aiopquic_bench.gating import Check
from aiopquic_bench.problems import Problem
from aiopquic_bench.programs.losses import LOSSES

HERE = Environment(Path(sys.executable), "this environment")

#: A scenario that shows the loss, and the levers that are missed there.
SHOWN_BY = {
    "gso": ("up", "UDP_SEGMENT"),
    "gro": ("up", "UDP_GRO"),
    "joining": ("datagrams", "joining"),
    "spin": ("echo", "spin"),
    "loop": ("up", "UDP_SEGMENT"),
    "drain": ("churn", "one drain per batch"),
    "chunks": ("up", "large chunks"),
    "write": ("write", "a write with room"),
    "stream": ("churn", "short streams"),
    "memory": ("stream", "memory"),
}

needs_linux = pytest.mark.skipif(not can_count(), reason="counts the work of the packet loop of Linux")


@needs_linux
@pytest.mark.timeout(300)
def test_the_budgets_hold():
    judged, _ = countable()
    checks = budget_count_checks(judged, lambda scenarios: count_work(HERE, scenarios))
    assert len(checks) == len(judged)
    assert [check for check in checks if check.is_regression] == []


@needs_linux
@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_is_found(loss: str):
    scenario, lever = SHOWN_BY[loss]
    budgets = [budget for budget in countable()[0] if (budget.scenario, budget.lever) == (scenario, lever)]
    if not budgets:
        pytest.skip("this host can't show it")
    checks = budget_count_checks(budgets, lambda scenarios: count_work(HERE, scenarios, plant=loss))
    assert any(check.is_regression for check in checks), checks


# ---- what is made of counts ----

ONE = CountBudget("a lever", "up", "calls for each MB", ("calls",), most=10)
EACH = CountBudget("another", "up", "sleeps for each that was saved", ("sleeps", "saved"), most=5, needs=("cores",))


class Counted:
    """Rounds that were counted, one list after the other."""

    def __init__(self, *values: Sequence[Mapping[str, float]]) -> None:
        self._values = iter(values)

    def __call__(self, scenarios: Sequence[str]) -> Rounds:
        assert list(scenarios) == ["up"]
        return {"up": next(self._values)}


def calls(*values: float) -> list[dict[str, float]]:
    return [{"calls": value} for value in values]


def only(checks: Sequence[Check]) -> Check:
    [check] = checks
    return check


def test_the_least_round_decides():
    check = only(budget_count_checks([ONE], Counted(calls(30, 9, 12))))
    assert (check.kind, check.candidate, check.ratio, check.is_regression) == ("counts", 9, 0.9, False)
    assert check.noise == pytest.approx(0.3)


@pytest.mark.parametrize(("again", "is_regression"), [(calls(9, 20), False), (calls(11, 20), True)])
def test_what_is_above_its_budget_is_counted_again(again: list[dict[str, float]], is_regression: bool):
    check = only(budget_count_checks([ONE], Counted(calls(12, 13), again)))
    assert check.is_regression is is_regression


def test_one_count_for_each_of_another():
    rounds = [{"sleeps": 30.0, "saved": 10.0}, {"sleeps": 10.0, "saved": 0.0}]
    assert [EACH.value(each) for each in rounds] == [3, math.inf]


def test_what_does_not_tell_its_counts_is_not_judged():
    with pytest.raises(Problem, match="does not tell calls"):
        budget_count_checks([ONE], Counted([{"other": 1}]))


@pytest.mark.parametrize(
    ("before", "after", "is_regression"),
    [
        (calls(5), calls(5), False),
        (calls(5), calls(5.4), False),
        (calls(5), calls(5.6), True),  # within the budget, and more than it was
        (calls(0), calls(1), False),  # a tenth of the budget
        (calls(0), calls(1.2), True),
        ([{"other": 1}], calls(9), False),
        ([{"other": 1}], calls(11), True),
    ],
)
def test_against_a_baseline(before: list[dict[str, float]], after: list[dict[str, float]], is_regression: bool):
    check = only(compare_counts([ONE], Counted(before, before), Counted(after, after)))
    assert check.is_regression is is_regression


@pytest.mark.parametrize(("after", "is_regression"), [(3.9, False), (4.1, True)])
def test_one_that_varies(after: float, is_regression: bool):
    varying = replace(ONE, varies=True)
    check = only(compare_counts([varying], Counted(calls(1), calls(1)), Counted(calls(after), calls(after))))
    assert check.is_regression is is_regression


def test_what_this_host_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(counting, "host_report", lambda: {"gso": "no (why)", "gro": "yes"})
    judged, reasons = countable()
    assert [budget for budget in judged if "gso" in budget.needs] == []
    assert {budget.lever for budget in COUNTS if "gso" in budget.needs} & {"UDP_SEGMENT"}
    assert "the kernel has no UDP_SEGMENT" in reasons
