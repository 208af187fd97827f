"""``aiopquic-bench ceiling`` and ``aiopquic-bench sim-link``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiopquic.testing.certificates import dev_certificate
from aiopquic_bench.below.against import before_named, measure_both, problems_of
from aiopquic_bench.below.chart import both_chart, both_table, ladder_chart, ladder_table
from aiopquic_bench.below.ladder import DATAGRAM_SIZE, RUNGS, Climb, Rung, executable, rungs_named
from aiopquic_bench.below.sim_link import DEFAULT_DELAY_MS, DEFAULT_RATE, SimLink
from aiopquic_bench.charts import require_charts, save_png
from aiopquic_bench.documents import check_target, write_document
from aiopquic_bench.host import host_report
from aiopquic_bench.measuring import Figures
from aiopquic_bench.plan import (
    DEFAULT_DURATION,
    DEFAULT_REPEATS,
    QUICK_DURATION,
    checked_algorithm,
    checked_duration,
    checked_repeats,
    parse_size,
)
from aiopquic_bench.ratios import VERDICT_PAIRS
from aiopquic_bench.results import Result, Run, write_json
from aiopquic_bench.showing import progress, show_run, tell_few_repeats
from aiopquic_bench.terminal import table_console

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ceiling", "sim_link"]

_Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the results to FILE.")]


def ceiling(
    rung: Annotated[
        list[str] | None, typer.Argument(metavar="[RUNG]...", help=f"Of {', '.join(RUNGS)}; all when left out.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="BEFORE", help="Before and after in turn: a revision, a wheel, an environment, or aiopquic-0.6.1."
        ),
    ] = None,
    down: Annotated[bool, typer.Option("--down", help="From server to client, where there is QUIC.")] = False,
    size: Annotated[str, typer.Option(help="Bytes of a datagram, where there is no QUIC.")] = str(DATAGRAM_SIZE),
    cc: Annotated[str | None, typer.Option("--cc", help="Congestion control, where there is QUIC.")] = None,
    duration: Annotated[
        float | None, typer.Option(help=f"Seconds of each measurement; {DEFAULT_DURATION:g} when left out.")
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            help=f"How often each rung is measured; {DEFAULT_REPEATS} when left out, {VERDICT_PAIRS} with --against."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Every rung once, a moment each: does it work?")] = False,
    iperf3: Annotated[Path | None, typer.Option(metavar="FILE", help="The program, if it is not on the path.")] = None,
    picoquicdemo: Annotated[Path | None, typer.Option(metavar="FILE", help="As --iperf3.")] = None,
    png: Annotated[
        Path | None, typer.Option("--png", metavar="FILE", help="Draw the ladder; needs matplotlib.")
    ] = None,
    json_: _Json = None,
) -> None:
    """Measure what this host can do at all, and each step from there to asyncio."""
    if duration is None:
        duration = QUICK_DURATION if quick else DEFAULT_DURATION
    climb = Climb(
        congestion_control=checked_algorithm(cc),
        duration=checked_duration(duration),
        size=parse_size(size),
        iperf3=executable(iperf3),
        picoquicdemo=executable(picoquicdemo),
        is_down=down,
    )
    climb.check()
    usual = 1 if quick else DEFAULT_REPEATS if against is None else VERDICT_PAIRS
    times = checked_repeats(usual if repeats is None else repeats)
    check_target(json_)
    check_target(png)
    if png is not None:
        require_charts()
    rungs, missing = rungs_named(rung or (), climb)
    console = table_console()
    if against is None:
        run = _measured(rungs, climb, times, missing)
        show_run(console, run)
        console.print()
        console.print(ladder_table(run, missing))
        tell_few_repeats(times)
        if json_ is not None:
            write_json(run, json_)
    else:
        before = before_named(against, climb.congestion_control)
        document = measure_both(rungs, climb, before, against=against, pairs=times, missing=missing)
        console.print(both_table(document))
        for text in problems_of(document):
            print(text, file=sys.stderr)
        if json_ is not None:
            write_document(json_, "ladder", document)
    for name, why in missing.items():
        print(f"not measured: {name}: {why}", file=sys.stderr)
    if png is not None:
        save_png(_drawn(run) if against is None else both_chart(document), png)


def _measured(rungs: Sequence[Rung], climb: Climb, times: int, missing: Mapping[str, str]) -> Run:
    host = host_report()
    with tempfile.TemporaryDirectory(prefix="aiopquic-bench-") as folder:
        dev_certificate().write(folder)
        ready = replace(climb, certificates=folder)
        results = _in_turn([(each.name, partial(each.measure, ready)) for each in rungs], times)
    settings = {
        "api": "ceiling",
        "congestion_control": climb.congestion_control,
        "duration": climb.duration,
        "repeats": times,
        "processes": 2,
        "datagram_size": climb.size,
        "is_down": climb.is_down,
        "missing": dict(missing),
    }
    return Run(settings, host, results)


def _drawn(run: Run) -> Figure:
    return ladder_chart([""], [{result.case: result.figures for result in run.results}])


def sim_link(
    duration_s: Annotated[float, typer.Option("--duration-s", help="Seconds of real time.")] = DEFAULT_DURATION,
    rate_gbps: Annotated[float, typer.Option("--rate-gbps", help="Of the link, each way.")] = DEFAULT_RATE,
    delay_ms: Annotated[float, typer.Option("--delay-ms", help="Of the link, one way.")] = DEFAULT_DELAY_MS,
    loss: Annotated[float, typer.Option(help="Per cent of the packets that the link loses.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the dice that lose them.")] = 1,
    cc: Annotated[str | None, typer.Option("--cc", help="Congestion control; aiopquic's own default.")] = None,
    repeats: Annotated[int, typer.Option(help="How often it is measured.")] = 1,
    json_: _Json = None,
) -> None:
    """Measure picoquic alone, over its simulated link: both ends in one thread, no sockets, no Python."""
    link = SimLink(
        congestion_control=checked_algorithm(cc, is_simulated=True),
        duration=checked_duration(duration_s),
        rate_gbps=rate_gbps,
        delay_ms=delay_ms,
        loss=loss,
        seed=seed,
    )
    link.check()
    check_target(json_)
    times = checked_repeats(repeats)
    host = host_report()
    with tempfile.TemporaryDirectory(prefix="aiopquic-bench-") as folder:
        dev_certificate().write(folder)
        results = _in_turn([("sim-link", lambda: link.measure(folder))], times)
    settings = {
        "api": "sim-link",
        "congestion_control": link.congestion_control,
        "duration": link.duration,
        "repeats": times,
        "processes": 1,
        "rate_gbps": link.rate_gbps,
        "delay_ms": link.delay_ms,
        "loss": link.loss,
        "seed": link.seed,
    }
    run = Run(settings, host, results)
    show_run(table_console(), run)
    tell_few_repeats(times)
    if json_ is not None:
        write_json(run, json_)


def _in_turn(measurements: Sequence[tuple[str, Callable[[], Figures]]], repeats: int) -> list[Result]:
    """Each once, then all again: what disturbs the host for a while meets every one."""
    found: dict[str, list[Figures]] = {}
    with progress(repeats * len(measurements)) as steps:
        for again in range(1, repeats + 1):
            for name, measure in measurements:
                steps.begin(f"{name} {again}/{repeats}")
                found.setdefault(name, []).append(measure())
                steps.end()
    return [
        Result(name, 0, {figure: [each[figure] for each in rounds] for figure in rounds[0]})
        for name, rounds in found.items()
    ]
