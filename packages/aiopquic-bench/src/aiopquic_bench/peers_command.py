"""``aiopquic-bench peers``: paired, interleaved comparisons with other implementations."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from aiopquic_bench.contenders import Contender, ProgramContender
from aiopquic_bench.documents import check_target, write_document
from aiopquic_bench.environments import python_version
from aiopquic_bench.figures import KINDS
from aiopquic_bench.host import host_report
from aiopquic_bench.judging import goal_verdict, verdict
from aiopquic_bench.paired import Match, certificates, play
from aiopquic_bench.peer_list import PEERS, checked_peers, ourselves
from aiopquic_bench.plan import DEFAULT_DURATION, checked_algorithm, checked_driver, checked_duration
from aiopquic_bench.problems import ExitCode, Problem, UsageProblem
from aiopquic_bench.ratios import VERDICT_PAIRS
from aiopquic_bench.rows import OURSELVES, Row, rows_named
from aiopquic_bench.showing import number, progress
from aiopquic_bench.terminal import table_console

__all__ = ["measure_peers", "peers", "peers_document", "show_peers", "version_notes"]


def peers(
    row: Annotated[list[str] | None, typer.Argument(metavar="[ROW]...", help="Comparisons; all when left out.")] = None,
    peer: Annotated[list[str] | None, typer.Option(help=f"{', '.join(PEERS)}; may be repeated.")] = None,
    api: Annotated[
        str, typer.Option(help="Ours: streams (aiopquic.connect) or asyncio (aiopquic.asyncio).")
    ] = "streams",
    cc: Annotated[str | None, typer.Option("--cc", help="Congestion control of aiopquic and picoquicdemo.")] = None,
    driver: Annotated[str, typer.Option(help="Ours: thread, or inline, which has no network thread.")] = "thread",
    pairs: Annotated[int, typer.Option(help="Pairs of each; fewer than 10 give no verdict.")] = VERDICT_PAIRS,
    duration: Annotated[float, typer.Option(help="Seconds of each measurement.")] = DEFAULT_DURATION,
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the results to FILE.")] = None,
) -> int:
    """Compare with other implementations, in turn: A B B A A B ... Every byte is checked at the receiver."""
    check_target(json_)
    found = measure_peers(row or (), peer or (), api=api, driver=driver, cc=cc, pairs=pairs, duration=duration)
    document, problems = found
    show_peers(table_console(), document)
    if json_ is not None:
        write_document(json_, "peers", document)
    return problems


def measure_peers(
    rows: Sequence[str],
    names: Sequence[str],
    *,
    api: str = "streams",
    driver: str = "thread",
    cc: str | None = None,
    pairs: int = VERDICT_PAIRS,
    duration: float = DEFAULT_DURATION,
) -> tuple[dict[str, Any], int]:
    """Measure; the document and an exit code.

    Raises:
        Problem: nothing can be compared, or ours gave no figure.
    """
    if pairs < 1:
        raise UsageProblem(f"there is one pair at least, not {pairs}")
    chosen, algorithm, seconds = rows_named(rows), checked_algorithm(cc), checked_duration(duration)
    ours = ourselves(api, algorithm, driver=checked_driver(driver))
    contenders = _available(checked_peers(names), ours, algorithm, is_asked=bool(names))
    matches = _matches(chosen, contenders)
    if not matches and OURSELVES in contenders:
        raise Problem("no peer of these comparisons can be had: there is nothing to compare with", ExitCode.PEER)
    if not matches:
        raise UsageProblem("none of these peers has any of these comparisons: `aiopquic-bench peers --help` names them")
    notes = version_notes(contenders)
    for note in notes:
        print(note, file=sys.stderr)
    if pairs < VERDICT_PAIRS:
        print(f"pairs of each: {pairs}, too few for a verdict, which takes {VERDICT_PAIRS}", file=sys.stderr)
    host = host_report()
    with certificates() as files, progress(sum(match.wanted(pairs) for match in matches)) as steps:
        play(ours, matches, pairs=pairs, duration=seconds, files=files, begin=steps.begin, end=steps.end)
    settings = {"api": api, "driver": driver, "congestion_control": algorithm, "duration": seconds, "pairs": pairs}
    for match in matches:
        if match.problem is not None:
            print(f"{match.row.name}: no figure: {match.problem}", file=sys.stderr)
    failed = [match.problem for match in matches if match.problem is not None]
    document = peers_document(settings, host, ours, matches)
    return {**document, "notes": notes}, failed[0].exit_code if failed else 0


def _available(names: Sequence[str], ours: Contender, algorithm: str, *, is_asked: bool) -> dict[str, Contender]:
    """Those that can be had; the others are told, and end the command when they were asked for by name."""
    found: dict[str, Contender] = {}
    for name in names:
        try:
            found[name] = ours if name == OURSELVES else PEERS[name](algorithm)
        except Problem as problem:
            if is_asked:
                raise
            print(f"left out: {problem}", file=sys.stderr)
    return found


def _matches(rows: Sequence[Row], contenders: Mapping[str, Contender]) -> list[Match]:
    found = []
    for row in rows:
        if not row.peers and OURSELVES in contenders:
            found.append(Match(row, None))
        found += [
            Match(row, contenders[name]) for name in row.peers if name in contenders and contenders[name].can(row.case)
        ]
    return found


def version_notes(contenders: Mapping[str, Contender]) -> list[str]:
    """What a reader has to know: a peer on another Python than ours."""
    own = python_version(Path(sys.executable))
    versions = {
        each.label: python_version(each.python) for each in contenders.values() if isinstance(each, ProgramContender)
    }
    return [
        f"not on the same Python: {label} runs on {version}, ours on {own}; run aiopquic-bench on {version} for both"
        for label, version in versions.items()
        if version != own
    ]


def peers_document(
    settings: dict[str, Any], host: dict[str, str | int], ours: Contender, matches: Sequence[Match]
) -> dict[str, Any]:
    """What the file holds: docs/benchmarks.md."""
    return {"settings": settings, "host": host, "ours": ours.label, "comparisons": [_comparison(m) for m in matches]}


def _comparison(match: Match) -> dict[str, Any]:
    figures = {}
    for figure in match.row.figures:
        our_values, their_values = match.values(figure)
        if not our_values:
            continue
        ratios = match.ratios(figure)
        figures[figure] = {
            "ours": our_values,
            "theirs": their_values,
            "ratios": list(ratios.values) if ratios else [],
            "ratio": ratios.median if ratios else None,
            "interval": ratios.interval if ratios else None,
            "verdict": verdict(figure, match),
        }
    return {
        "row": match.row.name,
        "title": match.row.title,
        "peer": match.peer_name,
        "label": match.label,
        "figures": figures,
        "goals": [
            {**asdict(goal), "verdict": goal_verdict(match, goal)}
            for goal in match.row.goals
            if goal.peer == match.peer_name
        ],
        "problem": None if match.problem is None else str(match.problem),
    }


def show_peers(console: Console, document: dict[str, Any]) -> None:
    """The table on the terminal."""
    console.print(f"{document['ours']}, {document['settings']['api']} API; a ratio is ours / theirs, pair by pair")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("comparison", "peer", "unit", "ours", "theirs", "ratio", "95 % of medians", "range", "verdict"):
        is_text = column in ("comparison", "peer", "unit", "verdict")
        table.add_column(column, justify="left" if is_text else "right", overflow="fold")
    for comparison in document["comparisons"]:
        first = [comparison["row"], comparison["label"]]
        if comparison["problem"] is not None:
            table.add_row(*first, "", "", "", "", "", "", "no figure")
            continue
        for figure, values in comparison["figures"].items():
            table.add_row(*first, KINDS[figure].unit, *_numbers(values), values["verdict"])
            first = ["", ""]
        for goal in comparison["goals"]:
            what = f"{KINDS[goal['figure']].unit}: {goal_text(goal)}"
            table.add_row("", "", what, "", "", "", "", "", goal["verdict"])
    console.print(table)


def goal_text(goal: dict[str, Any]) -> str:
    """A goal in words."""
    of = " (of ours alone)" if goal.get("is_absolute") else ""
    return f"floor {goal['floor']:g}, target {goal['target']:g}{of}"


def _numbers(values: dict[str, Any]) -> list[str]:
    medians = [number(_middle(values[side])) if values[side] else "" for side in ("ours", "theirs")]
    if values["ratio"] is None:
        return [*medians, "", "", ""]
    ratios, between = values["ratios"], values["interval"]
    held = f"{between[0]:.2f} to {between[1]:.2f}" if between else "too few"
    return [*medians, f"{values['ratio']:.2f}", held, f"{min(ratios):.2f} to {max(ratios):.2f}"]


def _middle(values: Sequence[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
