"""``aiopquic-bench gate``: is this revision slower than another one, measured in the same job?"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from aiopquic_bench.budgets import CountBudget
from aiopquic_bench.contenders import Contender, ProgramContender
from aiopquic_bench.counting import budget_count_checks, can_count, compare_counts, count_work, countable
from aiopquic_bench.deterministic import (
    COUNTED,
    EXACT,
    SEEDS,
    VARIED,
    count_instructions,
    has_callgrind,
    simulate,
)
from aiopquic_bench.documents import check_target, write_document
from aiopquic_bench.environments import Environment, environment_finder
from aiopquic_bench.gating import (
    MEASURED_LIMIT,
    Check,
    budget_checks,
    instruction_budget_checks,
    instruction_checks,
    measured_check,
    virtual_checks,
)
from aiopquic_bench.host import host_report
from aiopquic_bench.paired import Match, certificates, play
from aiopquic_bench.peer_list import PEERS, ourselves
from aiopquic_bench.peers_command import measure_peers, show_peers
from aiopquic_bench.plan import DEFAULT_DURATION, checked_algorithm, checked_duration
from aiopquic_bench.problems import ExitCode, Problem, UsageProblem
from aiopquic_bench.programs.losses import LOSSES
from aiopquic_bench.ratios import VERDICT_PAIRS
from aiopquic_bench.rows import rows_named
from aiopquic_bench.showing import number
from aiopquic_bench.terminal import table_console

__all__ = ["gate"]

PARTS = ("virtual", "instructions", "counts", "measured")

#: What is measured, and the CPU time that decides: it moves far less than the rate on a host that others use too.
MEASURED = {"up": "cpu_s_per_gb", "down": "cpu_s_per_gb", "up-100": "cpu_s_per_gb", "churn": "cpu_us_each"}

#: Scenarios of the short form whose instructions are counted.
QUICK_COUNTED = ("count-bulk", "count-bulk-100")


def gate(
    baseline: Annotated[
        str | None,
        typer.Argument(metavar="BASELINE", help="A git revision, a wheel of aiopquic-core, an environment, or a peer."),
    ] = None,
    candidate: Annotated[
        str | None, typer.Option(help="The same for what is judged; what is installed when left out.")
    ] = None,
    part: Annotated[list[str] | None, typer.Option(help=f"{', '.join(PARTS)}; all when left out.")] = None,
    pairs: Annotated[int, typer.Option(help="Pairs of each measurement.")] = VERDICT_PAIRS,
    duration: Annotated[float, typer.Option(help="Seconds of each measurement.")] = DEFAULT_DURATION,
    quick: Annotated[bool, typer.Option("--quick", help="Without a baseline: what holds on any host.")] = False,
    plant: Annotated[
        str, typer.Option(metavar="N|NAME", help="Make the candidate worse on purpose: N passes more, or without NAME.")
    ] = "0",
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the results to FILE.")] = None,
) -> int:
    """Compare with what runs in the same job, and fail on a real regression only."""
    check_target(json_)
    parts = _checked_parts(part or ())
    checked_duration(duration)
    if pairs < VERDICT_PAIRS:
        raise UsageProblem(f"{pairs} pairs are too few for a verdict, which takes {VERDICT_PAIRS}")
    planted = _checked_plant(plant)
    if quick:
        if baseline is not None or candidate is not None:
            raise UsageProblem("--quick compares with nothing but its budget: leave BASELINE and --candidate out")
        checks = _quick(_installed(), parts, planted)
    elif baseline is None:
        raise UsageProblem("gate needs what to compare with: a revision, a wheel, an environment or a peer; or --quick")
    elif baseline in PEERS:
        return _against_peer(baseline, pairs, duration, json_)
    else:
        # Both are looked up first: a mistake in a name is found before anything is built.
        make_baseline = environment_finder(baseline)
        make_candidate = _installed if candidate is None else environment_finder(candidate)
        checks = _compare(make_baseline(), make_candidate(), parts, pairs, duration, planted)
    _show(table_console(), checks)
    if json_ is not None:
        asked = {
            "baseline": baseline,
            "candidate": candidate,
            "pairs": pairs,
            "duration": duration,
            "plant": planted.loss or planted.passes,
        }
        content = {"settings": asked, "host": host_report(), "checks": [asdict(check) for check in checks]}
        write_document(json_, "gate", content)
    return _verdict(checks)


def _checked_parts(names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if name not in PARTS:
            raise UsageProblem(f"the gate has no part {name!r}: there are {', '.join(PARTS)}")
    return tuple(name for name in PARTS if not names or name in names)


@dataclass(frozen=True, slots=True)
class Plant:
    """What makes the candidate worse on purpose."""

    passes: int = 0
    "Over each piece that arrives, and as many times 10 ms of virtual time."
    loss: str = ""
    "A name of programs/losses.py."


def _checked_plant(text: str) -> Plant:
    if text in LOSSES:
        return Plant(loss=text)
    try:
        passes = int(text)
    except ValueError:
        raise UsageProblem(f"there is no {text!r} to lose on purpose: there are {', '.join(LOSSES)}") from None
    if passes < 0:
        raise UsageProblem(f"a slowdown on purpose has 1 pass or more, not {passes}")
    return Plant(passes)


def _installed() -> Environment:
    return Environment(Path(sys.executable), "this environment")


# ---- the parts ----


def _compare(
    baseline: Environment, candidate: Environment, parts: Sequence[str], pairs: int, duration: float, plant: Plant
) -> list[Check]:
    checks: list[Check] = []
    if "virtual" in parts:
        runs = [*((name, SEEDS[0]) for name in EXACT), *((name, seed) for name in VARIED for seed in SEEDS)]
        checks += virtual_checks(simulate(baseline, runs), simulate(candidate, runs, plant=plant.passes), EXACT)
    if "instructions" in parts and _tells_callgrind():
        first, again = (count_instructions(baseline, COUNTED) for _ in range(2))
        checks += instruction_checks(first, again, count_instructions(candidate, COUNTED, plant=plant.passes))
    if "counts" in parts and can_count():
        checks += compare_counts(
            _countable(), partial(count_work, baseline), partial(count_work, candidate, plant=plant.loss)
        )
    if "measured" in parts:
        checks += _measured(baseline, candidate, pairs, duration, plant.passes)
    if not checks:
        raise Problem("nothing could be compared: this host has nothing for the parts that were asked for")
    return checks


def _quick(environment: Environment, parts: Sequence[str], plant: Plant) -> list[Check]:
    checks: list[Check] = []
    if "virtual" in parts:
        runs = [(name, SEEDS[0]) for name in EXACT]
        first = simulate(environment, runs, plant=plant.passes)
        if simulate(environment, runs, plant=plant.passes) != first:
            raise Problem(
                "two runs of the simulated network with the same seed differ: nothing can be concluded from it"
            )
        checks += budget_checks(first)
    if "instructions" in parts and _tells_callgrind():
        try:
            checks += instruction_budget_checks(count_instructions(environment, QUICK_COUNTED, plant=plant.passes))
        except Problem as problem:
            # What has just run without valgrind does not run under it: that says nothing about what is judged.
            print(f"no instructions are counted: {problem}", file=sys.stderr)
    if "counts" in parts and can_count():
        checks += budget_count_checks(_countable(), partial(count_work, environment, plant=plant.loss))
    if not checks:
        raise Problem("nothing could be judged: this host has nothing for the parts that were asked for")
    return checks


def _countable() -> list[CountBudget]:
    judged, reasons = countable()
    for reason in reasons:
        print(f"not everything is counted: {reason}", file=sys.stderr)
    return judged


def _tells_callgrind() -> bool:
    if not has_callgrind():
        print("valgrind is not installed: no instructions are counted", file=sys.stderr)
    return has_callgrind()


def _measured(baseline: Environment, candidate: Environment, pairs: int, duration: float, plant: int) -> list[Check]:
    algorithm = checked_algorithm(None)
    before, after = _contender(baseline, algorithm, 0), _contender(candidate, algorithm, plant)
    checks = []
    with certificates() as files:
        for row in rows_named(tuple(MEASURED)):

            def measure(row: Any = row) -> tuple[Sequence[float], Sequence[float]]:
                match = Match(row, before)
                play(after, [match], pairs=pairs, duration=duration, files=files)
                if match.problem is not None:
                    raise match.problem
                ours, theirs = match.values(MEASURED[row.name])
                return theirs, ours

            checks.append(measured_check(row.name, MEASURED[row.name], measure, limit=MEASURED_LIMIT))
    return checks


def _contender(environment: Environment, algorithm: str, plant: int) -> Contender:
    return ProgramContender(
        name=environment.label,
        label=environment.label,
        python=environment.python,
        adapter=ourselves("streams", algorithm).adapter,
        settings={"congestion_control": algorithm, "plant": plant},
    )


def _against_peer(name: str, pairs: int, duration: float, json_: Path | None) -> int:
    """Fails where the whole interval lies beyond a floor of docs/benchmarks.md."""
    document, code = measure_peers((), (name,), pairs=pairs, duration=duration)
    show_peers(table_console(), document)
    if json_ is not None:
        write_document(json_, "peers", document)
    missed = [
        f"{comparison['row']}: {goal['figure']}"
        for comparison in document["comparisons"]
        for goal in comparison["goals"]
        if goal["verdict"] == "below the floor"
    ]
    if missed:
        print(f"below the floor against {name}: {'; '.join(missed)}", file=sys.stderr)
        return ExitCode.REGRESSED
    return code


# ---- what is shown ----


def _show(console: Console, checks: Sequence[Check]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("part", "what", "figure", "baseline", "candidate", "ratio", "noise", "limit", ""):
        is_text = column in ("part", "what", "figure", "")
        table.add_column(column, justify="left" if is_text else "right", overflow="fold")
    for check in checks:
        noise = "unknown" if math.isinf(check.noise) else f"{100 * check.noise:.2f} %"
        table.add_row(
            check.kind,
            check.name,
            check.figure,
            number(check.baseline),
            number(check.candidate),
            f"{check.ratio:.4f}",
            noise,
            f"{1 + check.limit:.2f}",
            "REGRESSION" if check.is_regression else "",
        )
    console.print(table)


def _verdict(checks: Sequence[Check]) -> int:
    found = [check for check in checks if check.is_regression]
    for check in found:
        print(
            f"regression: {check.name}, {check.figure}: {number(check.candidate)}, "
            f"{100 * (check.ratio - 1):.1f} % above {number(check.baseline)}",
            file=sys.stderr,
        )
    return ExitCode.REGRESSED if found else 0
