"""``aiopquic-bench ceiling`` and ``aiopquic-bench sim-link``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from aiopquic.testing.certificates import dev_certificate
from aiopquic_bench.below.chart import check_can_draw, draw_ladder, ladder_table
from aiopquic_bench.below.ladder import DATAGRAM_SIZE, RUNGS, Climb, executable, rungs_named
from aiopquic_bench.below.sim_link import DEFAULT_DELAY_MS, DEFAULT_RATE, SimLink
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
from aiopquic_bench.problems import UsageProblem
from aiopquic_bench.results import Result, Run, write_json
from aiopquic_bench.showing import progress, show_run, tell_few_repeats

__all__ = ["ceiling", "sim_link"]

_Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the results to FILE.")]


def check_folder(path: Path | None) -> None:
    """Raises UsageProblem when the file could not be written in the end."""
    if path is not None and not path.absolute().parent.is_dir():
        raise UsageProblem(f"{path.absolute().parent}: no such folder")


def ceiling(
    rung: Annotated[
        list[str] | None, typer.Argument(metavar="[RUNG]...", help=f"Of {', '.join(RUNGS)}; all when left out.")
    ] = None,
    size: Annotated[str, typer.Option(help="Bytes of a datagram, where there is no QUIC.")] = str(DATAGRAM_SIZE),
    cc: Annotated[str | None, typer.Option("--cc", help="Congestion control, where there is QUIC.")] = None,
    duration: Annotated[
        float | None, typer.Option(help=f"Seconds of each measurement; {DEFAULT_DURATION:g} when left out.")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(help=f"How often each rung is measured; {DEFAULT_REPEATS} when left out.")
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
    )
    climb.check()
    times = checked_repeats((1 if quick else DEFAULT_REPEATS) if repeats is None else repeats)
    check_folder(json_)
    if png is not None:
        check_can_draw(png)
    rungs, missing = rungs_named(rung or (), climb)
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
    }
    run = Run(settings, host, results)
    console = Console()
    show_run(console, run)
    console.print()
    console.print(ladder_table(run, missing))
    for name, why in missing.items():
        print(f"not measured: {name}: {why}", file=sys.stderr)
    tell_few_repeats(times)
    if json_ is not None:
        write_json(run, json_)
    if png is not None:
        draw_ladder(run, png)


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
    check_folder(json_)
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
    show_run(Console(), run)
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
