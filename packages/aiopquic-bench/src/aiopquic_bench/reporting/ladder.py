"""The ladder from raw UDP to the APIs: of one file, of several side by side, and before and after in pairs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from aiopquic_bench.below.chart import BASE, both_chart, ladder_chart, rung_label, share_of_base
from aiopquic_bench.charts import svg_of
from aiopquic_bench.reporting.page import Made, code, note, section, table
from aiopquic_bench.showing import number

__all__ = ["ceiling_parts", "ladder_section"]

Runs = Sequence[Mapping[str, Mapping[str, Sequence[float]]]]
"Of each file the figures of each rung."

_SPEED, _COST = "mbit_per_s", "cpu_s_per_gb"


def ceiling_parts(documents: Sequence[tuple[str, dict[str, Any]]]) -> Made:
    """Files that `ceiling` wrote; the last is compared with the first."""
    sides = [name for name, _ in documents]
    runs = [{each["case"]: each["figures"] for each in document["results"]} for _, document in documents]
    chart = ladder_chart(sides, runs)
    parts = [svg_of(chart), _table(sides, runs)]
    for name, document in documents:
        parts += _missing(document["settings"].get("missing", {}), name if len(documents) > 1 else "")
    if len(documents) > 1:
        parts.append(
            note("They were written at different times: what the host did meanwhile is in these ratios, too.", "quiet")
        )
    return "\n".join(parts), [("ceiling", chart)]


def _table(sides: Sequence[str], runs: Runs) -> str:
    rungs = dict.fromkeys(name for run in runs for name in run)
    base = _median(runs[-1].get(BASE, {}).get(_SPEED, ()))
    columns, lines = ["rung"], []
    for unit in ("Mbit/s", "CPU s/GB"):
        columns += [unit if len(sides) == 1 else f"{unit}, {side}" for side in sides]
        if len(sides) > 1:
            columns.append(f"{sides[-1]} / {sides[0]}")
        if unit == "Mbit/s":
            columns.append("of UDP")
    for name in rungs:
        line = [rung_label(name)]
        for figure in (_SPEED, _COST):
            medians = [_median(run.get(name, {}).get(figure, ())) for run in runs]
            first, last = medians[0], medians[-1]
            line += ["" if each is None else number(each) for each in medians]
            if len(sides) > 1:
                line.append(f"{last / first:.2f}" if first and last is not None else "")
            if figure == _SPEED:
                line.append("" if last is None else share_of_base(name, last, base))
        lines.append(line)
    return table(columns, lines)


def ladder_section(document: dict[str, Any]) -> Made:
    """What `ceiling --against` wrote."""
    settings = document["settings"]
    chart = both_chart(document)
    direction = "server to client" if settings["is_down"] else "client to server"
    words = f"--against {settings['against']}{' --down' if settings['is_down'] else ''}"
    parts = [
        note(
            f"Before is {document['before']}, after is {document['ours']}. One stream from {direction}, 16 KiB a "
            f"write, {settings['duration']:g} s; each API before and after in turn, {settings['pairs']} pairs, with "
            "the order turned round in every other pair, by the same programs. What is below the APIs was measured "
            "once in each round. A ratio is after over before of one pair."
        ),
        code(
            [
                f"aiopquic-bench ceiling {words} --cc {settings['congestion_control']} "
                f"--duration {settings['duration']:g} --repeats {settings['pairs']} --json ladder.json"
            ]
        ),
        svg_of(chart),
        _both_table(document),
        *(
            note(f"{rung_label(each['row'])}: no figure before: {each['problem']}", "problem")
            for each in document["comparisons"]
            if each["problem"] is not None
        ),
        *(note(text, "problem") for text in document["notes"]),
        *_missing(document["missing"], ""),
    ]
    name = "ladder-down" if settings["is_down"] else "ladder"
    title = f"The ladder from what the host can do to the APIs, before and after, {direction}"
    return section(title, parts), [(name, chart)]


def _both_table(document: dict[str, Any]) -> str:
    speeds = [each["figures"][_SPEED]["ours"] for each in document["comparisons"] if each["row"] == BASE]
    base = _median(speeds[0]) if speeds else None
    columns = ("rung", "unit", "before", "after", "after / before", "95 % of medians", "after, of UDP", "")
    lines = []
    for each in document["comparisons"]:
        for unit, figure in (("Mbit/s", _SPEED), ("CPU s/GB", _COST)):
            values = each["figures"].get(figure)
            if values is None:
                continue
            before, after = _median(values["theirs"]), statistics.median(values["ours"])
            share = share_of_base(each["row"], after, base) if figure == _SPEED else ""
            held = values["interval"]
            lines.append(
                (
                    rung_label(each["row"]) if figure == _SPEED else "",
                    unit,
                    "" if before is None else number(before),
                    number(after),
                    "" if values["ratio"] is None else f"{values['ratio']:.2f}",
                    "" if held is None else f"{held[0]:.2f} to {held[1]:.2f}",
                    share,
                    values["verdict"],
                )
            )
    return table(columns, lines, text=(0, 1, 7))


def _missing(reasons: Mapping[str, str], name: str) -> list[str]:
    of = f" in {name}" if name else ""
    return [note(f"{rung_label(rung)}: not measured{of}: {why}", "quiet") for rung, why in reasons.items()]


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None
