"""Charts: figures over time, and ratios with their intervals. They need matplotlib, the extra ``charts``."""

from __future__ import annotations

import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiopquic_bench.problems import Problem, UsageProblem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Steps",
    "bars_chart",
    "growth_chart",
    "ratio_chart",
    "require_charts",
    "save_png",
    "scale_chart",
    "sides_chart",
    "steps_chart",
    "svg_of",
    "trace_chart",
]

COLOURS = ("#2563a8", "#c2571a", "#2f855a", "#8b3a8b", "#8a6d1d", "#4a4a4a")
COMMON = "#9a9a9a"
INK = "#333333"
GRID = "#dddddd"
WIDTH = 8.0

#: A bar of a ladder is cut where it is more than so many times as long as the next.
CUT = 2.0

#: As many letters fit beside each other in a legend.
LEGEND_LETTERS = 110

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


@dataclass(frozen=True, slots=True)
class Steps:
    """A row of :func:`steps_chart`."""

    label: str
    values: Sequence[Sequence[Sequence[float]]]
    "For each panel those of each side; a single list for what all sides share; empty: not measured."


def steps_chart(sides: Sequence[str], rows: Sequence[Steps], title: str, axes_of: Sequence[str]) -> Figure:
    """Medians as bars with their numbers, and a line from the lowest to the highest; a panel for each figure.

    A bar more than twice as long as all others would make them all short: it is cut, which its arrow says.
    """
    figure = _figure(1.3 + sum(0.16 + 0.22 * max([1, *map(len, row.values)]) for row in rows))
    panels = figure.subplots(1, len(axes_of), sharey=True, squeeze=False)[0]
    for which, (axes, axis) in enumerate(zip(panels, axes_of, strict=True)):
        edge = _edge([row.values[which] for row in rows if which < len(row.values)])
        labelled: set[int] = set()
        for place, row in enumerate(rows):
            _step(axes, place, row.values[which], sides, labelled, edge)
        axes.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=8)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(0, edge * 1.25)
        axes.set_xlabel(axis, fontsize=8, color=INK)
        _style(axes)
    handles, labels = panels[0].get_legend_handles_labels()
    if len(labels) > 1:
        is_short = sum(map(len, labels)) < LEGEND_LETTERS
        legend = figure.legend(
            handles,
            labels,
            title=title,
            title_fontsize=10,
            alignment="left",
            fontsize=7,
            frameon=False,
            loc="outside upper left",
            ncols=len(labels) if is_short else 1,
        )
        legend.get_title().set_color(INK)
    else:
        figure.suptitle(title, fontsize=10, color=INK, x=0.01, ha="left")
    return figure


def _edge(values: Sequence[Sequence[Sequence[float]]]) -> float:
    """Where the longest bar ends, or is cut."""
    longest = sorted(max(map(max, filter(None, sides)), default=0.0) for sides in values)
    if len(longest) > 1 and longest[-1] > CUT * longest[-2] > 0:
        return longest[-2] * CUT
    return longest[-1] if longest and longest[-1] else 1.0


def _step(
    axes: Any,
    place: int,
    values_of: Sequence[Sequence[float]],
    sides: Sequence[str],
    labelled: set[int],
    edge: float,
) -> None:
    is_common = len(values_of) < len(sides)
    height = 0.8 / len(sides)
    for number, values in enumerate(values_of):
        if not values:
            continue
        middle = place if is_common else place + (number - (len(sides) - 1) / 2) * height
        key = -1 if is_common else number
        name = "below the APIs, the same for all" if is_common else sides[number]
        median = statistics.median(values)
        axes.barh(
            middle,
            min(median, edge),
            height=height * 0.9,
            color=COMMON if is_common else COLOURS[number % len(COLOURS)],
            label=None if key in labelled else name,
            alpha=0.75,
        )
        labelled.add(key)
        axes.plot([min(*values, edge), min(max(values), edge)], [middle, middle], color=INK, linewidth=1.0)
        arrow = "\N{RIGHTWARDS ARROW} " if median > edge else ""
        axes.annotate(
            f"{arrow}{_rounded(median)}",
            (min(max(values), edge), middle),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=7,
            color=INK,
            va="center_baseline",
        )


def _rounded(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.2f}"


def scale_chart(document: dict[str, Any]) -> Figure:
    """Connections, memory and throughput over time, with the phases, or the steps where there are several."""
    samples, steps = document["samples"], document["steps"]
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
        axes.legend(fontsize=7, frameon=False, loc="upper left")
        _style(axes)
    for name, begin in _marks(samples, steps):
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
    clients = document["settings"]["clients"]
    title = f"{_connections(steps[-1])} of {clients} processes, over time"
    figure.suptitle(title, fontsize=10, color=INK, x=0.01, ha="left")
    return figure


def _connections(step: dict[str, Any]) -> str:
    return f"{step['idle']} idle and {step['active']} active connections"


def _marks(samples: Sequence[dict[str, Any]], steps: Sequence[dict[str, Any]]) -> list[tuple[str, float]]:
    """Names and moments of what begins; not of the start, a moment, whose name would hide the next."""
    found: dict[str, float] = {}
    for sample in samples:
        name = sample["phase"]
        if len(steps) > 1 and name != "closing":
            step = steps[sample["step"] - 1]
            name = f"{step['idle']} + {step['active']}"
        if sample["step"]:
            found.setdefault(name, sample["time"])
    return list(found.items())


def growth_chart(document: dict[str, Any]) -> Figure:
    """Latency, throughput and memory: on the left as idle connections grow, on the right as active ones do."""
    steps = document["steps"]
    idle = [step for step in steps if step["active"] == steps[0]["active"]]
    active = [step for step in steps if step["idle"] == steps[-1]["idle"]]
    figure = _figure(9.0)
    grid = figure.subplots(4, 2, sharex="col")
    left = (
        ("ms of an echo, one each 0.2 s", (("paced", "p50_us", 1e-3, "p50"), ("paced", "p99_us", 1e-3, "p99"))),
        ("Mbit/s, all active ones", (("transfer", "mbit_per_s", 1, "received by the server"),)),
        (
            "KB of memory each",
            (("memory", "server_kb_each", 1, "server"), ("memory", "client_kb_each", 1, "client")),
        ),
        ("handshakes per s", (("opening", "per_s", 1, "up to that number"),)),
    )
    right = (
        ("ms of an echo, no pause", (("echo", "p50_us", 1e-3, "p50"), ("echo", "p99_us", 1e-3, "p99"))),
        left[1],
        ("echoes per s", (("echo", "per_s", 1, "no pause"),)),
        (
            "fairness (Jain)",
            (("echo", "fairness", 1, "of echoes"), ("transfer", "fairness", 1, "of bytes")),
        ),
    )
    for column, (axis, chosen, panels) in enumerate((("idle", idle, left), ("active", active, right))):
        for row, (label, lines) in enumerate(panels):
            counts = [step[axis] for step in chosen]
            _growth(grid[row][column], counts, chosen, lines, is_wide=label.startswith("ms"))
            grid[row][column].set_ylabel(label, fontsize=8, color=INK)
        other = f"{chosen[0]['active']} active" if axis == "idle" else f"{chosen[0]['idle']} idle"
        grid[0][column].set_title(f"beside {other} connections", fontsize=8, color=INK, loc="left")
        grid[-1][column].set_xlabel(f"{axis} connections", fontsize=8, color=INK)
    title = f"One server, {document['settings']['clients']} client processes: what more connections cost"
    figure.suptitle(title, fontsize=10, color=INK, x=0.01, ha="left")
    return figure


def _growth(
    axes: Any,
    counts: Sequence[int],
    steps: Sequence[dict[str, Any]],
    lines: Sequence[tuple[str, str, float, str]],
    *,
    is_wide: bool,
) -> None:
    for place, (phase, name, factor, what) in enumerate(lines):
        values = [step[phase][name] * factor for step in steps]
        axes.plot(counts, values, color=COLOURS[place], linewidth=1.3, marker="o", markersize=4, label=what)
        is_below = place < len(lines) - 1  # the next line is above this one, where its numbers are
        for count, value in zip(counts, values, strict=True):
            axes.annotate(
                f"{value:.2f}" if value < 10 else f"{value:.0f}",
                (count, value),
                xytext=(0, -5 if is_below else 5),
                textcoords="offset points",
                fontsize=6.5,
                color=COLOURS[place],
                ha="center",
                va="top" if is_below else "bottom",
            )
    axes.set_xscale("symlog" if counts[0] == 0 else "log")
    axes.set_xticks(counts, list(map(str, counts)))
    axes.margins(x=0.12, y=0.25)
    if is_wide:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, axes.get_ylim()[1] * 1.1)
    axes.minorticks_off()
    axes.legend(fontsize=7, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 0.97), ncols=len(lines))
    _style(axes)


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
