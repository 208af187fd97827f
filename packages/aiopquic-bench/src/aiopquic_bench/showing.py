"""Tables and progress."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, JustifyMethod
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from aiopquic_bench.cases import CASES
from aiopquic_bench.comparing import Comparison
from aiopquic_bench.figures import KINDS
from aiopquic_bench.results import VERDICT_REPEATS, Result, Run, spread

__all__ = ["Steps", "case_table", "comparison_table", "number", "progress", "show_run", "tell_few_repeats"]


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        is_text = column in ("case", "", "group", "what", "sizes", "verdict", "unit")
        justify: JustifyMethod = "left" if is_text else "right"
        table.add_column(column, justify=justify, no_wrap=column == "case", overflow="fold")
    return table


def number(value: float) -> str:
    """Three digits that count."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def case_table() -> Table:
    """What ``aiopquic-bench cases`` shows."""
    table = _table("case", "group", "sizes", "what")
    for case in CASES.values():
        sizes = ", ".join(map(str, case.sizes)) if case.takes_size else ""
        table.add_row(case.name, case.group, sizes, case.summary)
    return table


def show_run(console: Console, run: Run) -> None:
    """The host, how it was measured, and the figures."""
    host = _table("", "")
    host.show_header = False
    for name, value in (*run.host.items(), *run.settings.items()):
        host.add_row(name, str(value))
    console.print(host)
    console.print()
    console.print(_result_table(run.results))


def _result_table(results: Iterable[Result]) -> Table:
    table = _table("case", "size", "median", "unit", "lowest", "highest", "spread")
    for result in results:
        first = [result.case, str(result.size) if result.size else ""]
        for name, values in result.figures.items():
            share = f"{100 * spread(values):.0f} %" if len(values) > 1 else "one repeat"
            unit = KINDS[name].unit
            figures = (statistics.median(values), min(values), max(values))
            median, lowest, highest = map(number, figures)
            table.add_row(*first, median, unit, lowest, highest, share)
            first = ["", ""]
    return table


def tell_few_repeats(repeats: int) -> None:
    """Say on stderr that nothing can be concluded from so few."""
    if repeats < VERDICT_REPEATS:
        print(
            f"{repeats} of each case: too few repeats for a verdict by `aiopquic-bench compare`, "
            f"which takes {VERDICT_REPEATS}",
            file=sys.stderr,
        )


def comparison_table(comparisons: Iterable[Comparison]) -> Table:
    """What ``aiopquic-bench compare`` shows."""
    table = _table("case", "unit", "A", "spread", "B", "spread", "B / A", "range", "verdict")
    for each in comparisons:
        unit = KINDS[each.figure].unit if each.figure in KINDS else each.figure
        ratio = range_ = ""
        if each.ratio is not None and each.lowest is not None and each.highest is not None:
            ratio, range_ = f"{each.ratio:.2f}", f"{each.lowest:.2f} to {each.highest:.2f}"
        sides = [number(each.a), f"{100 * each.spread_a:.0f} %", number(each.b), f"{100 * each.spread_b:.0f} %"]
        table.add_row(each.key, unit, *sides, ratio, range_, each.verdict)
    return table


class Steps:
    """Counts measurements on a terminal, and is silent elsewhere. It draws between them, never during one."""

    def __init__(self, bar: Progress, total: int) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=total)

    def begin(self, label: str) -> None:
        """The next measurement starts."""
        self._bar.update(self._task, description=label)
        self._bar.refresh()

    def end(self) -> None:
        """It is over."""
        self._bar.advance(self._task)
        self._bar.refresh()


@contextmanager
def progress(total: int) -> Iterator[Steps]:
    """A bar on stderr."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, auto_refresh=False, disable=not console.is_terminal) as bar:
        yield Steps(bar, total)
