"""What is said about pairs: how they compare, and whether a goal is reached."""

from __future__ import annotations

from aiopquic_bench.figures import KINDS
from aiopquic_bench.paired import Match
from aiopquic_bench.ratios import VERDICT_PAIRS, Ratios
from aiopquic_bench.rows import Goal

__all__ = ["goal_verdict", "verdict"]


def verdict(figure: str, match: Match) -> str:
    """Whether the interval leaves 1 out, in words; none for fewer pairs than it takes."""
    if match.peer is None:
        return ""
    ratios = match.ratios(figure)
    if ratios is None:
        return "theirs is 0"
    if len(ratios.values) < VERDICT_PAIRS:
        return "too few pairs"
    if not ratios.is_above(1) and not ratios.is_below(1):
        return "no difference shown"
    return "better" if ratios.is_above(1) == KINDS[figure].is_higher_better else "worse"


def goal_verdict(match: Match, goal: Goal) -> str:
    """``target``, ``floor``, ``below the floor``, or why that can't be said.

    The median decides. One that has not reached the floor is below it when the whole interval is; a row that asks for
    few pairs has no interval, and its median is all there is.
    """
    found = Ratios(tuple(match.values(goal.figure)[0])) if goal.is_absolute else match.ratios(goal.figure)
    if found is None or len(found.values) < match.wanted(VERDICT_PAIRS):
        return "no verdict"
    if KINDS[goal.figure].is_higher_better:
        reaches_target, reaches_floor = found.median >= goal.target, found.median >= goal.floor
        is_below = found.is_below(goal.floor)
    else:
        reaches_target, reaches_floor = found.median <= goal.target, found.median <= goal.floor
        is_below = found.is_above(goal.floor)
    if reaches_target:
        return "target reached"
    if reaches_floor:
        return "floor reached"
    return "below the floor" if is_below or found.interval is None else "floor within the noise"
