"""``aiopquic-bench cc``: congestion control over simulated links, the same in every run with the same seed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from aiopquic_bench.charts import require_charts, save_png, trace_chart
from aiopquic_bench.congestion.running import Trace, run
from aiopquic_bench.congestion.scenarios import SCENARIOS, scenarios_named
from aiopquic_bench.documents import check_target, write_document
from aiopquic_bench.plan import checked_algorithm
from aiopquic_bench.problems import Problem, UsageProblem
from aiopquic_bench.showing import progress
from aiopquic_bench.terminal import table_console

__all__ = ["cc", "run_scenarios", "trace_charts"]

DEFAULT_ALGORITHMS = ("bbr1", "cubic", "newreno")
DEFAULT_SECONDS = 20.0

#: Virtual seconds; in fewer, nothing of what happens in a scenario can be seen.
MIN_SECONDS = 2.0
MAX_SECONDS = 600.0


def cc(
    scenario: Annotated[
        list[str] | None, typer.Argument(metavar="[SCENARIO]...", help=f"{', '.join(SCENARIOS)}; all when left out.")
    ] = None,
    cc_: Annotated[
        list[str] | None, typer.Option("--cc", help=f"May be repeated; {', '.join(DEFAULT_ALGORITHMS)} when left out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides every chance.")] = 1,
    duration: Annotated[float, typer.Option(help="Virtual seconds of each run.")] = DEFAULT_SECONDS,
    plots: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write a PNG of each scenario there.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the samples to FILE.")] = None,
) -> None:
    """Run flows over simulated links: throughput, round-trip time and window over time."""
    check_target(json_)
    if plots is not None:
        require_charts()
    document = run_scenarios(scenario or (), cc_ or (), seed=seed, duration=duration)
    _show(table_console(), document)
    if plots is not None:
        _write_plots(document, plots)
    if json_ is not None:
        write_document(json_, "cc", document)


def run_scenarios(
    names: Sequence[str], algorithms: Sequence[str], *, seed: int = 1, duration: float = DEFAULT_SECONDS
) -> dict[str, Any]:
    """Run scenarios with algorithms, and return what the file holds.

    Raises:
        UsageProblem: something in it can't be.
    """
    scenarios = scenarios_named(names)
    chosen = [checked_algorithm(name, is_simulated=True) for name in algorithms or DEFAULT_ALGORITHMS]
    if not MIN_SECONDS <= duration <= MAX_SECONDS:
        raise UsageProblem(f"a scenario takes {MIN_SECONDS:g} to {MAX_SECONDS:g} virtual seconds, not {duration:g}")
    if not 0 <= seed < 1 << 64:
        raise UsageProblem(f"a seed is a number from 0 to 2**64 - 1, not {seed}")
    found = []
    with progress(sum(len(_casts(chosen, each.has_rival)) for each in scenarios)) as steps:
        for each in scenarios:
            for cast in _casts(chosen, each.has_rival):
                steps.begin(f"{each.name} {' and '.join(cast)}")
                found.append(_as_json(run(each, cast, seed=seed, duration=duration)))
                steps.end()
    settings = {"seed": seed, "duration": duration, "congestion_control": chosen}
    return {"settings": settings, "runs": found}


def _casts(algorithms: Sequence[str], has_rival: bool) -> list[tuple[str, ...]]:
    """One flow of each; or two of each, and each with the next."""
    if not has_rival:
        return [(name,) for name in algorithms]
    return [*((name, name) for name in algorithms), *pairwise(algorithms)]


def _as_json(trace: Trace) -> dict[str, Any]:
    flows = []
    for flow in trace.flows:
        flows.append(
            {
                **asdict(flow),
                "mbit_per_s": flow.goodput(trace.duration),
                "rtt_p50_ms": flow.rtt(50),
                "rtt_p95_ms": flow.rtt(95),
                "lost_percent": flow.lost_percent,
            }
        )
    return {
        "scenario": trace.scenario,
        "summary": SCENARIOS[trace.scenario].summary,
        "flows": flows,
        "capacity": [list(point) for point in trace.capacity],
        "mean_capacity": trace.mean_capacity,
        "fairness": trace.fairness,
    }


def _show(console: Console, document: dict[str, Any]) -> None:
    columns = ("scenario", "flow", "Mbit/s", "of the link", "ms p50", "ms p95", "% lost", "fairness")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in ("scenario", "flow") else "right")
    for each in document["runs"]:
        fairness = "" if each["fairness"] is None else f"{each['fairness']:.2f}"
        first = each["scenario"]
        for flow in each["flows"]:
            share = 100 * flow["mbit_per_s"] / each["mean_capacity"]
            table.add_row(
                first,
                flow["algorithm"],
                f"{flow['mbit_per_s']:.2f}",
                f"{share:.0f} %",
                f"{flow['rtt_p50_ms']:.1f}",
                f"{flow['rtt_p95_ms']:.1f}",
                f"{flow['lost_percent']:.2f}",
                fairness,
            )
            first = fairness = ""
    console.print(table)


def trace_charts(document: dict[str, Any]) -> list[tuple[str, Any]]:
    """A name and a chart for each scenario; flows that compete have one for each cast."""
    found = []
    for name in dict.fromkeys(each["scenario"] for each in document["runs"]):
        runs = [each for each in document["runs"] if each["scenario"] == name]
        title = f"{name}: {runs[0]['summary']}"
        if len(runs[0]["flows"]) == 1:
            found.append((name, trace_chart(runs, title)))
            continue
        for each in runs:
            cast = "-".join(flow["algorithm"] for flow in each["flows"])
            found.append((f"{name}-{cast}", trace_chart([each], title)))
    return found


def _write_plots(document: dict[str, Any], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"{folder} can't be made: {error.strerror}") from None
    for name, chart in trace_charts(document):
        path = folder / f"{name}.png"
        save_png(chart, path)
        print(f"wrote {path}", file=sys.stderr)
