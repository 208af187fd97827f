"""The section of what `aiopquic-bench run`, `ceiling` and `sim-link` wrote: one file, or several side by side."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from aiopquic_bench.charts import bars_chart, sides_chart, svg_of
from aiopquic_bench.figures import KINDS
from aiopquic_bench.reporting.ladder import ceiling_parts
from aiopquic_bench.reporting.page import Chart, Made, code, note, section, table
from aiopquic_bench.showing import number

__all__ = ["command_line", "run_command_of", "run_section", "unit_of"]

#: What wrote a file of the kind ``run``, by its API, and the title of its section; other APIs are those of `run`.
_OTHERS = {
    "ceiling": ("ceiling", "The ladder from what the host can do to the APIs"),
    "sim-link": ("sim-link", "picoquic over its simulated link"),
}
_RUN = ("run", "Figures of this host")

#: Settings that stand in the command that made a file, and the options that they are.
_OPTIONS = {
    "ceiling": {"congestion_control": "cc", "duration": "duration", "repeats": "repeats"},
    "sim-link": {"congestion_control": "cc", "duration": "duration-s", "repeats": "repeats"},
    "run": {
        "api": "api",
        "driver": "driver",
        "workers": "workers",
        "congestion_control": "cc",
        "duration": "duration",
        "repeats": "repeats",
    },
}

#: The figures that are drawn.
_DRAWN = ("mbit_per_s", "cpu_s_per_gb", "per_s", "p50_us", "p99_us")

Results = Mapping[tuple[str, str], Sequence[float]]
"The values of each case and figure."


def unit_of(figure: str) -> str:
    """The unit of a figure, or its name when that is not known."""
    return KINDS[figure].unit if figure in KINDS else figure


def command_line(command: str, settings: dict[str, Any], options: Mapping[str, str], file: str) -> str:
    """The command that writes such a file again."""
    words = [f"--{option} {settings[name]}" for name, option in options.items() if settings.get(name) is not None]
    return code([" ".join(["aiopquic-bench", command, *words, "--json", file])])


def run_command_of(document: dict[str, Any]) -> str:
    """What wrote a file of the kind ``run``: files of the same command stand side by side."""
    return _OTHERS.get(document["settings"]["api"], _RUN)[0]


def run_section(command: str, files: Sequence[tuple[str, str, dict[str, Any]]]) -> Made:
    """Files of one command: what each is called here, the name of the file, and what it holds."""
    documents = [(label, document) for label, _, document in files]
    title = next((title for name, title in _OTHERS.values() if name == command), _RUN[1])
    parts = [
        note(
            "Client and server are processes of their own, fresh for every repeat, and every byte is compared at the "
            "receiver. A figure of one host at one time means little by itself: comparisons of pairs mean more."
        )
    ]
    for label, file, document in files:
        if len(files) > 1:
            parts.append(note(f"{label}: aiopquic {document['host'].get('aiopquic', 'of unknown version')}"))
        words = f"{command} --down" if document["settings"].get("is_down") else command
        parts.append(command_line(words, document["settings"], _OPTIONS[command], file))
    if command == "ceiling":
        text, charts = ceiling_parts(documents)
        return section(title, [*parts, text]), charts
    sides = [(name, _values(document)) for name, document in documents]
    made = _one(command, sides[0][1]) if len(sides) == 1 else _beside(command, sides)
    return section(title, [*parts, *made[0]]), made[1]


def _values(document: dict[str, Any]) -> Results:
    return {(_key(each), figure): values for each in document["results"] for figure, values in each["figures"].items()}


def _key(result: dict[str, Any]) -> str:
    return f"{result['case']}@{result['size']}" if result["size"] else str(result["case"])


def _one(command: str, results: Results) -> tuple[list[str], list[Chart]]:
    parts, charts = [], []
    for figure in _DRAWN:
        rows = [(case, values) for (case, name), values in results.items() if name == figure]
        if rows:
            title = f"{unit_of(figure)}: the median as a bar, each repeat as a mark"
            charts.append((f"{command}-{figure}", bars_chart(rows, title, unit_of(figure))))
            parts.append(svg_of(charts[-1][1]))
    lines = [
        (case, unit_of(figure), *map(number, (statistics.median(values), min(values), max(values))))
        for (case, figure), values in results.items()
    ]
    parts.append(table(("case", "unit", "median", "lowest", "highest"), lines, text=(0, 1)))
    return parts, charts


def _beside(command: str, sides: Sequence[tuple[str, Results]]) -> tuple[list[str], list[Chart]]:
    """Only what all of them have is compared; what one lacks has a gap."""
    parts, charts = [], []
    keys = list(dict.fromkeys(key for _, results in sides for key in results))
    names = [name for name, _ in sides]
    for figure in _DRAWN:
        rows = [(case, [results.get((case, figure), ()) for _, results in sides]) for case, it in keys if it == figure]
        if rows:
            title = f"{unit_of(figure)}: the median as a bar, each repeat as a mark"
            charts.append((f"{command}-{figure}", sides_chart(names, rows, title, unit_of(figure))))
            parts.append(svg_of(charts[-1][1]))
    lines = []
    for case, figure in keys:
        medians = [_median(results.get((case, figure), ())) for _, results in sides]
        first, last = medians[0], medians[-1]
        ratio = f"{last / first:.2f}" if first and last is not None else ""
        lines.append((case, unit_of(figure), *("" if each is None else number(each) for each in medians), ratio))
    columns = ("case", "unit", *names, f"{names[-1]} / {names[0]}")
    parts.append(table(columns, lines, text=(0, 1)))
    parts.append(
        note("They were written at different times: what the host did meanwhile is in these ratios, too.", "quiet")
    )
    return parts, charts


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None
