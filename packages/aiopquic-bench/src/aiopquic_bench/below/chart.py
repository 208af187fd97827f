"""The ladder as bars: in the terminal, and as a picture."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from rich.bar import Bar
from rich.table import Table

from aiopquic_bench.below.ladder import RUNGS
from aiopquic_bench.problems import Problem, UsageProblem
from aiopquic_bench.results import Run
from aiopquic_bench.showing import number

__all__ = ["check_can_draw", "draw_ladder", "ladder_table"]

#: What the others are a share of.
BASE = "udp"

BAR_WIDTH = 40


def _medians(run: Run, figure: str) -> dict[str, float]:
    found = {result.case: result.figures.get(figure) for result in run.results}
    return {case: statistics.median(values) for case, values in found.items() if values}


def ladder_table(run: Run, missing: Mapping[str, str]) -> Table:
    """A row for each rung, those that could not be measured too; shares are those of raw UDP without GSO and GRO."""
    speeds, costs = _medians(run, "mbit_per_s"), _medians(run, "cpu_s_per_gb")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("rung", "", "Mbit/s", "of UDP", "CPU s/GB"):
        is_text = column in ("rung", "")
        table.add_column(column, justify="left" if is_text else "right", no_wrap=column == "rung", overflow="fold")
    largest = max(speeds.values(), default=0.0)
    for name, rung in RUNGS.items():
        if name in missing:
            table.add_row(rung.label, "not measured", "", "", "")
        elif name in speeds:
            bar = Bar(largest, 0, speeds[name], width=BAR_WIDTH)
            share = f"{100 * speeds[name] / speeds[BASE]:.0f} %" if BASE in speeds else ""
            share = "beside" if rung.is_beside else share
            table.add_row(rung.label, bar, number(speeds[name]), share, number(costs[name]))
    return table


def check_can_draw(path: Path) -> None:
    """Before anything is measured.

    Raises:
        UsageProblem: pictures need matplotlib, or the folder is not there.
    """
    if find_spec("matplotlib") is None:
        raise UsageProblem("--png needs matplotlib: pip install 'aiopquic-bench[charts]'")
    if not path.absolute().parent.is_dir():
        raise UsageProblem(f"{path.absolute().parent}: no such folder")


def draw_ladder(run: Run, path: Path) -> None:
    """The same bars as a PNG, with the spread of the repeats.

    Raises:
        Problem: the file can't be written.
    """
    from matplotlib.figure import Figure

    results = [result for result in run.results if "mbit_per_s" in result.figures]
    figure = Figure(figsize=(9, 0.5 * len(results) + 1.5), layout="constrained")
    axes = figure.add_subplot()
    for place, result in enumerate(results):
        values = result.figures["mbit_per_s"]
        middle = statistics.median(values)
        reach = [[middle - min(values)], [max(values) - middle]]
        colour = "tab:gray" if RUNGS[result.case].is_beside else "tab:blue"
        axes.barh(place, middle, xerr=reach, color=colour, capsize=3)
        cost = statistics.median(result.figures["cpu_s_per_gb"])
        axes.annotate(f"  {number(middle)} Mbit/s, {number(cost)} CPU s/GB", (max(values), place), va="center")
    axes.set_yticks(range(len(results)), [RUNGS[result.case].label for result in results])
    axes.invert_yaxis()
    axes.set_xlabel("Mbit/s; the bar is the median, the line goes from the lowest to the highest")
    axes.set_title(f"{run.host['cpu']}, {run.host['kernel']}")
    axes.margins(x=0.5)
    try:
        figure.savefig(path, format="png", dpi=150)
    except OSError as error:
        raise Problem(f"{path} can't be written: {error.strerror}") from None
