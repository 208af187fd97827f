"""Charts: figures over time, and ratios with their intervals. They need matplotlib, the extra ``charts``."""

from __future__ import annotations

import io
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiopquic_bench.problems import Problem, UsageProblem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "bars_chart",
    "ratio_chart",
    "require_charts",
    "save_png",
    "scale_chart",
    "sides_chart",
    "svg_of",
    "trace_chart",
]

COLOURS = ("#2563a8", "#c2571a", "#2f855a", "#8b3a8b", "#8a6d1d", "#4a4a4a")
INK = "#333333"
GRID = "#dddddd"
WIDTH = 8.0

#: Of the file's ids: the same chart gives the same bytes.
_SALT = "aiopquic-bench"


def require_charts() -> None:
    """Before anything is measured for them.

    Raises:
        UsageProblem: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401 - the extra need not be there
    except ImportError:
        raise UsageProblem("charts need matplotlib: pip install 'aiopquic-bench[charts]'") from None


def _figure(height: float) -> Figure:
    require_charts()
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), layout="constrained")


def _style(axes: Any) -> None:
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=INK, labelsize=8)


def trace_chart(runs: Sequence[dict[str, Any]], title: str) -> Figure:
    """Throughput, round-trip time and window over time, of all flows of some runs of a scenario."""
    figure = _figure(6.4)
    panels = figure.subplots(3, 1, sharex=True)
    names = (("mbit_per_s", "Mbit/s"), ("rtt_ms", "round trip, ms"), ("window_kb", "window, kB"))
    capacity = runs[0]["capacity"]
    panels[0].plot(*zip(*capacity, strict=True), color="#999999", linestyle="--", linewidth=1, label="link")
    flows = [(_label(run, flow), flow) for run in runs for flow in run["flows"]]
    for axes, (figure_name, label) in zip(panels, names, strict=True):
        for number, (name, flow) in enumerate(flows):
            times = [sample["time"] for sample in flow["samples"]]
            values = [sample[figure_name] for sample in flow["samples"]]
            axes.plot(times, values, color=COLOURS[number % len(COLOURS)], linewidth=1.1, label=name)
        axes.set_ylabel(label, fontsize=8, color=INK)
        axes.set_ylim(bottom=0)
        _style(axes)
    panels[-1].set_xlabel("seconds of the simulated network", fontsize=8, color=INK)
    panels[0].legend(fontsize=7, ncols=3, frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0))
    figure.suptitle(title, fontsize=10, color=INK, x=0.01, ha="left")
    return figure


def _label(run: dict[str, Any], flow: dict[str, Any]) -> str:
    names = [each["algorithm"] for each in run["flows"]]
    if len(names) == 1:
        return str(flow["algorithm"])
    place = run["flows"].index(flow)
    return f"{flow['algorithm']} ({'first' if place == 0 else 'second'} of {' and '.join(names)})"


def ratio_chart(rows: Sequence[tuple[str, float, float, float]], title: str, axis: str) -> Figure:
    """Ratios by name: the median, and the ends of the interval. 1, where both are alike, is marked."""
    figure = _figure(1.0 + 0.3 * len(rows))
    axes = figure.subplots()
    for place, (_, median, low, high) in enumerate(rows):
        axes.plot([low, high], [place, place], color=COLOURS[0], linewidth=3, alpha=0.35, solid_capstyle="butt")
        axes.plot([median], [place], marker="o", markersize=5, color=COLOURS[0])
    axes.axvline(1, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xscale("log")
    low, high = min(row[2] for row in rows), max(row[3] for row in rows)
    ticks = [
        tick for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low / 2 <= tick <= high * 2
    ]
    axes.set_xticks(ticks or [1], [f"{tick:g}" for tick in ticks or [1]])
    axes.minorticks_off()
    axes.set_xlabel(axis, fontsize=8, color=INK)
    _style(axes)
    figure.suptitle(title, fontsize=10, color=INK, x=0.01, ha="left")
    return figure


def bars_chart(rows: Sequence[tuple[str, Sequence[float]]], title: str, axis: str) -> Figure:
    """Medians as bars, with every value as a point."""
    figure = _figure(1.0 + 0.3 * len(rows))
    axes = figure.subplots()
    for place, (_, values) in enumerate(rows):
        ordered = sorted(values)
        axes.barh(place, statistics.median(ordered), height=0.6, color=COLOURS[0], alpha=0.5)
        axes.plot(ordered, [place] * len(ordered), linestyle="", marker="|", markersize=9, color=INK)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel(axis, fontsize=8, color=INK)
    _style(axes)
    figure.suptitle(title, fontsize=10, color=INK, x=0.01, ha="left")
    return figure


def sides_chart(
    sides: Sequence[str], rows: Sequence[tuple[str, Sequence[Sequence[float]]]], title: str, axis: str
) -> Figure:
    """Medians as bars, those of several files beside each other; a file that has no values leaves a gap."""
    figure = _figure(1.3 + 0.24 * len(rows) * len(sides) + 0.1 * len(rows))
    axes = figure.subplots()
    height = 0.8 / len(sides)
    for place, (_, values_of) in enumerate(rows):
        for number, values in enumerate(values_of):
            if not values:
                continue
            middle = place + (number - (len(sides) - 1) / 2) * height
            colour = COLOURS[number % len(COLOURS)]
            label = sides[number] if place == _first_row(rows, number) else None
            axes.barh(middle, statistics.median(values), height=height * 0.9, color=colour, alpha=0.55, label=label)
            axes.plot(values, [middle] * len(values), linestyle="", marker="|", markersize=6, color=INK)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel(axis, fontsize=8, color=INK)
    axes.legend(fontsize=7, frameon=False, ncols=len(sides), loc="lower left", bbox_to_anchor=(0, 1.0))
    _style(axes)
    figure.suptitle(title, fontsize=10, color=INK, x=0.01, ha="left")
    return figure


def _first_row(rows: Sequence[tuple[str, Sequence[Sequence[float]]]], side: int) -> int:
    """The first that has values of a side."""
    return next(place for place, (_, values_of) in enumerate(rows) if values_of[side])


def scale_chart(document: dict[str, Any]) -> Figure:
    """Connections, memory and throughput over time, with the phases."""
    samples = document["samples"]
    times = [sample["time"] for sample in samples]
    figure = _figure(6.0)
    panels = figure.subplots(3, 1, sharex=True)
    lines = (
        ("connections", (("connections", "taken by the server"),)),
        ("resident memory, MB", (("server_mb", "server"), ("client_mb", "all clients"))),
        ("Mbit/s", (("mbit_per_s", "received by the server"),)),
    )
    for axes, (label, shown) in zip(panels, lines, strict=True):
        for place, (name, what) in enumerate(shown):
            axes.plot(times, [sample[name] for sample in samples], color=COLOURS[place], linewidth=1.3, label=what)
        axes.set_ylabel(label, fontsize=8, color=INK)
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=7, frameon=False, loc="best")
        _style(axes)
    for name in dict.fromkeys(sample["phase"] for sample in samples):
        if name == "starting":
            continue  # a moment, whose name would hide the next
        begin = min(sample["time"] for sample in samples if sample["phase"] == name)
        for axes in panels:
            axes.axvline(begin, color=INK, linewidth=0.6, linestyle=":")
        panels[0].annotate(
            f" {name}",
            (begin, 1.0),
            xycoords=("data", "axes fraction"),
            fontsize=7,
            color=INK,
            va="bottom",
            rotation=30,
        )
    panels[-1].set_xlabel("seconds", fontsize=8, color=INK)
    settings = document["settings"]
    title = f"{settings['idle']} idle and {settings['active']} active connections of {settings['clients']} processes"
    figure.suptitle(title, fontsize=10, color=INK, x=0.01, ha="left")
    return figure


def svg_of(figure: Figure) -> str:
    """For a page: the element alone, without the lines before it."""
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": _SALT, "svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


def save_png(figure: Figure, path: Path) -> None:
    """Write a picture.

    Raises:
        Problem: it can't be written.
    """
    try:
        figure.savefig(path, format="png", dpi=150)
    except OSError as error:
        raise Problem(f"{path} can't be written: {error.strerror}") from None
