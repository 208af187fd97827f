"""The ladder as bars: in the terminal, and as a picture."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.bar import Bar
from rich.table import Table

from aiopquic_bench.below.ladder import RUNGS
from aiopquic_bench.charts import Steps, steps_chart
from aiopquic_bench.results import Run
from aiopquic_bench.showing import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["BASE", "both_chart", "both_table", "ladder_chart", "ladder_table", "rung_label", "share_of_base"]

#: What the others are a share of.
BASE = "udp"

BAR_WIDTH = 40

_AXES = ("Mbit/s", "CPU s/GB, both ends")
_FIGURES = ("mbit_per_s", "cpu_s_per_gb")


def rung_label(name: str) -> str:
    """What a rung is called for readers; its name where this version does not know it."""
    return RUNGS[name].label if name in RUNGS else name


def share_of_base(name: str, speed: float, base: float | None) -> str:
    """The speed as a share of raw UDP's; ``beside`` for what has another limit."""
    if name in RUNGS and RUNGS[name].is_beside:
        return "beside"
    return f"{100 * speed / base:.0f} %" if base else ""


def _medians(run: Run, figure: str) -> dict[str, float]:
    found = {result.case: result.figures.get(figure) for result in run.results}
    return {case: statistics.median(values) for case, values in found.items() if values}


def _table(*columns: str, words: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(
            column, justify="left" if column in words else "right", no_wrap=column == "rung", overflow="fold"
        )
    return table


def ladder_table(run: Run, missing: Mapping[str, str]) -> Table:
    """A row for each rung, those that could not be measured too; shares are those of raw UDP without GSO and GRO."""
    speeds, costs = _medians(run, "mbit_per_s"), _medians(run, "cpu_s_per_gb")
    table = _table("rung", "", "Mbit/s", "of UDP", "CPU s/GB", words=("rung", ""))
    largest = max(speeds.values(), default=0.0)
    for name, rung in RUNGS.items():
        if name in missing:
            table.add_row(rung.label, "not measured", "", "", "")
        elif name in speeds:
            bar = Bar(largest, 0, speeds[name], width=BAR_WIDTH)
            share = share_of_base(name, speeds[name], speeds.get(BASE))
            table.add_row(rung.label, bar, number(speeds[name]), share, number(costs[name]))
    return table


def both_table(document: dict[str, Any]) -> Table:
    """The same before and after, with the ratios of pairs and the interval of their median."""
    columns = ("rung", "unit", "before", "after", "after / before", "95 % of medians", "verdict")
    table = _table(*columns, words=("rung", "unit", "verdict"))
    for each in document["comparisons"]:
        label = rung_label(each["row"])
        if each["problem"] is not None:
            table.add_row(label, "no figure", "", "", "", "", "")
            continue
        for unit, name in zip(_AXES, _FIGURES, strict=True):
            values = each["figures"][name]
            after, before = number(statistics.median(values["ours"])), values["theirs"]
            if not before:
                table.add_row(label, unit, "", after, "", "", "the same for both")
            else:
                ratio, held = f"{values['ratio']:.2f}", values["interval"]
                between = f"{held[0]:.2f} to {held[1]:.2f}" if held else "too few"
                table.add_row(label, unit, number(statistics.median(before)), after, ratio, between, values["verdict"])
            label = ""
    return table


def ladder_chart(sides: Sequence[str], runs: Sequence[Mapping[str, Mapping[str, Sequence[float]]]]) -> Figure:
    """Rungs of one file, or of several side by side.

    Args:
        sides: what each file is called.
        runs: for each, the figures of each rung.
    """
    names = [name for name in RUNGS if any(name in run for run in runs)]
    names += list(dict.fromkeys(name for run in runs for name in run if name not in RUNGS))
    steps = [
        Steps(rung_label(name), [[run.get(name, {}).get(figure, ()) for run in runs] for figure in _FIGURES])
        for name in names
    ]
    return steps_chart(sides, steps, "From raw UDP to the APIs", _AXES)


def both_chart(document: dict[str, Any]) -> Figure:
    """Before and after; what is below the APIs has one bar."""
    steps = []
    for each in document["comparisons"]:
        found = [each["figures"].get(figure) for figure in _FIGURES]
        is_common = each["peer"] == ""
        values = [[] if one is None else [one["ours"]] if is_common else [one["theirs"], one["ours"]] for one in found]
        steps.append(Steps(rung_label(each["row"]), values))
    sides = (f"before: {document['before']}", f"after: {document['ours']}")
    return steps_chart(sides, steps, "From raw UDP to the APIs, before and after", _AXES)
