"""A section of the report for each kind of file but ``run``."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from aiopquic_bench.cc_command import trace_charts
from aiopquic_bench.charts import growth_chart, ratio_chart, scale_chart, svg_of
from aiopquic_bench.ratios import VERDICT_PAIRS
from aiopquic_bench.reporting.ladder import ladder_section
from aiopquic_bench.reporting.page import Chart, Made, code, note, section, table
from aiopquic_bench.reporting.runs import command_line, unit_of
from aiopquic_bench.scale_command import STEP_COLUMNS, scale_lines, step_lines
from aiopquic_bench.showing import number

__all__ = ["SECTIONS", "host_section"]


def host_section(host: dict[str, Any]) -> str:
    """What the figures were made on."""
    rows = [(name, str(value)) for name, value in host.items()]
    return section("Host", [table(("", ""), rows, text=(0, 1))])


#: Figures whose ratios are drawn, and which way is better.
_RATIOS_DRAWN = (
    ("mbit_per_s", "more"),
    ("per_s", "more"),
    ("cpu_s_per_gb", "less"),
    ("p50_us", "less"),
    ("p99_us", "less"),
)


def _peers(document: dict[str, Any]) -> Made:
    settings = document["settings"]
    options = {"api": "api", "driver": "driver", "congestion_control": "cc", "duration": "duration", "pairs": "pairs"}
    band = "the band holds the median of all such ratios with 95 % at least."
    if settings["pairs"] < VERDICT_PAIRS:
        band = f"{VERDICT_PAIRS} make a verdict, these are fewer; the band goes from the lowest to the highest."
    parts = [
        note(
            f"{document['ours']} and each peer were measured in turn, {settings['pairs']} pairs of "
            f"{settings['duration']:g} s, with the order turned round in every other pair. A ratio is ours over theirs "
            f"of one pair; {band}"
        ),
        command_line("peers", settings, options, "peers.json"),
    ]
    charts: list[Chart] = []
    for figure, better in _RATIOS_DRAWN:
        rows = [
            (f"{each['row']}, {each['label']}", values["ratio"], *_band(values))
            for each in document["comparisons"]
            for values in [each["figures"].get(figure)]
            if values is not None and values["ratio"]
        ]
        if rows:
            title = f"{unit_of(figure)}, ours over theirs: {better} is better"
            charts.append((f"peers-{figure}", ratio_chart(rows, title, "ratio, logarithmic")))
            parts.append(svg_of(charts[-1][1]))
    parts.append(table(("comparison", "peer", "unit", "ours", "theirs", "ratio", "95 % of medians", "verdict"),
                       _peer_lines(document), text=(0, 1, 2, 7)))  # fmt: skip
    goals = [
        (
            each["row"],
            each["label"],
            unit_of(goal["figure"]),
            *(f"{goal[name]:g}{' (ours)' if goal.get('is_absolute') else ''}" for name in ("floor", "target")),
            _reached(each["figures"].get(goal["figure"]), is_absolute=goal.get("is_absolute", False)),
            goal["verdict"],
        )
        for each in document["comparisons"]
        for goal in each["goals"]
    ]
    if goals:
        parts.append(table(("comparison", "peer", "unit", "floor", "target", "it is", ""), goals, text=(0, 1, 2, 6)))
    parts += [
        note(f"{each['row']}, {each['label']}: no figure: {each['problem']}", "problem")
        for each in document["comparisons"]
        if each["problem"] is not None
    ]
    parts += [note(text, "problem") for text in document.get("notes", ())]
    return section("Compared with others", parts), charts


def _reached(values: dict[str, Any] | None, *, is_absolute: bool) -> str:
    """What is compared with a goal: the median of ours, or the ratio."""
    if values is None:
        return ""
    if is_absolute:
        return number(statistics.median(values["ours"]))
    return "" if values["ratio"] is None else f"{values['ratio']:.2f}"


def _band(values: dict[str, Any]) -> tuple[float, float]:
    if len(values["ratios"]) < VERDICT_PAIRS:
        return min(values["ratios"]), max(values["ratios"])
    low, high = values["interval"]
    return low, high


def _peer_lines(document: dict[str, Any]) -> list[tuple[str, ...]]:
    lines = []
    for each in document["comparisons"]:
        for figure, values in each["figures"].items():
            medians = [number(statistics.median(values[side])) if values[side] else "" for side in ("ours", "theirs")]
            ratio = "" if values["ratio"] is None else f"{values['ratio']:.2f}"
            low_high = values["interval"]
            held = "" if low_high is None else f"{low_high[0]:.2f} to {low_high[1]:.2f}"
            lines.append((each["row"], each["label"], unit_of(figure), *medians, ratio, held, values["verdict"]))
    return lines


def _gate(document: dict[str, Any]) -> Made:
    lines = [
        (
            check["kind"],
            check["name"],
            check["figure"],
            number(check["baseline"]),
            number(check["candidate"]),
            f"{check['ratio']:.4f}",
            f"{100 * check['noise']:.2f} %",
            f"{1 + check['limit']:.2f}",
            "regression" if check["is_regression"] else "",
        )
        for check in document["checks"]
    ]
    columns = ("part", "what", "figure", "baseline", "candidate", "ratio", "noise", "limit", "")
    asked = document.get("settings", {})
    against = asked.get("baseline")
    if against is None:
        words = "--quick"
        parts = [note("What holds on any host, against numbers that were written down; nothing here is measured.")]
    else:
        words = f"{against} --pairs {asked['pairs']} --duration {asked['duration']:g}"
        if asked["candidate"] is not None:
            words += f" --candidate {asked['candidate']}"
        parts = [
            note(
                f"{asked['candidate'] or 'What is installed'} against {against}, in the same job. A measurement is a "
                "regression when the whole interval of the median ratio lies beyond the limit, twice."
            )
        ]
    if asked.get("plant"):
        words += f" --plant {asked['plant']}"
        parts.append(note("The candidate was slowed down on purpose."))
    parts.append(code([f"aiopquic-bench gate {words} --json gate.json"]))
    return section("Gate", [*parts, table(columns, lines, text=(0, 1, 2, 8))]), []


def _cc(document: dict[str, Any]) -> Made:
    settings = document["settings"]
    words = " ".join(f"--cc {name}" for name in settings["congestion_control"])
    charts = [(f"cc-{name}", chart) for name, chart in trace_charts(document)]
    parts = [
        note(
            "Flows over simulated links, in virtual time: the same seed gives the same lines on every host. What "
            "arrives is what the application got, so that bytes behind a loss come all at once with the one that was "
            "lost."
        ),
        code(
            [f"aiopquic-bench cc {words} --seed {settings['seed']} --duration {settings['duration']:g} --json cc.json"]
        ),
        *(svg_of(chart) for _, chart in charts),
    ]
    lines = [
        (
            each["scenario"],
            flow["algorithm"],
            f"{flow['mbit_per_s']:.2f}",
            f"{100 * flow['mbit_per_s'] / each['mean_capacity']:.0f} %",
            f"{flow['rtt_p50_ms']:.1f}",
            f"{flow['rtt_p95_ms']:.1f}",
            f"{flow['lost_percent']:.2f}",
            "" if each["fairness"] is None else f"{each['fairness']:.2f}",
        )
        for each in document["runs"]
        for flow in each["flows"]
    ]
    columns = ("scenario", "flow", "Mbit/s", "of the link", "ms p50", "ms p95", "% lost", "fairness")
    parts.append(table(columns, lines, text=(0, 1)))
    return section("Congestion control", parts), charts


def _scale(document: dict[str, Any]) -> Made:
    settings, steps = document["settings"], document["steps"]
    options = {
        "clients": "clients",
        "at_once": "at-once",
        "api": "api",
        "driver": "driver",
        "congestion_control": "cc",
        "duration": "duration",
    }
    words = " ".join(f"--{name} {count}" for name in ("idle", "active") for count in settings[name])
    charts = [("scale", scale_chart(document))]
    if len(steps) > 1:
        charts.insert(0, ("scale-steps", growth_chart(document)))
    parts = [
        note(
            f"One server, and {settings['clients']} client processes whose connections share a socket each. Active "
            "connections first send a message every 0.2 s and wait for its echo (paced), then one message after the "
            "other (echo), then a stream each (transfer), all at once; the others are idle. Every byte is checked. "
            "Fairness is Jain's index: 1 where all connections got the same. Clients and server share the cores."
        ),
        command_line(f"scale {words}", settings, options, "scale.json"),
        *(svg_of(chart) for _, chart in charts),
    ]
    if len(steps) > 1:
        parts.append(table(STEP_COLUMNS, step_lines(document), text=()))
        parts.append(note(f"The last step, {steps[-1]['idle']} idle and {steps[-1]['active']} active connections:"))
    parts.append(table(("phase", "what", "value"), scale_lines(document, steps[-1]), text=(0, 1)))
    return section("Very many connections", parts), charts


SECTIONS: dict[str, Callable[[dict[str, Any]], Made]] = {
    "peers": _peers,
    "gate": _gate,
    "cc": _cc,
    "ladder": ladder_section,
    "scale": _scale,
}
