"""The command ``aiopquic-bench``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from aiopquic.testing.certificates import dev_certificate
from aiopquic_bench.below import commands as below
from aiopquic_bench.cc_command import cc
from aiopquic_bench.comparing import check_comparable, compare, differences
from aiopquic_bench.gate_command import gate
from aiopquic_bench.host import host_report
from aiopquic_bench.measuring import Figures
from aiopquic_bench.peers_command import peers
from aiopquic_bench.plan import DEFAULT_DURATION, DEFAULT_REPEATS, Plan
from aiopquic_bench.problems import ExitCode, UsageProblem, problem_of
from aiopquic_bench.processes import measure_in_process
from aiopquic_bench.report_command import report
from aiopquic_bench.results import Result, Run, write_json
from aiopquic_bench.scale_command import scale
from aiopquic_bench.showing import case_table, comparison_table, progress, show_run, tell_few_repeats

__all__ = ["app", "main"]

app = typer.Typer(
    name="aiopquic-bench",
    help="Measure aiopquic on this host.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

#: What a wrong command line raises: typer has a click of its own, or uses the one that is installed.
_ClickError = typer.BadParameter.__mro__[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(words, prog_name="aiopquic-bench", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = ExitCode.INTERRUPTED
    except Exception as error:
        if isinstance(error, _ClickError):
            text = error.format_message() if hasattr(error, "format_message") else str(error)
            return _tell(text.rstrip("."), ExitCode.USAGE) if text else ExitCode.USAGE
        problem = problem_of(error)
        if problem is None:
            raise
        return _tell(str(problem), problem.exit_code)
    if code == ExitCode.INTERRUPTED:
        return _tell("interrupted: nothing was written", ExitCode.INTERRUPTED)
    return code if isinstance(code, int) else 0


def _tell(text: str, exit_code: int) -> int:
    print(f"aiopquic-bench: {text}", file=sys.stderr)
    return exit_code


app.command("peers")(peers)
app.command("gate")(gate)
app.command("cc")(cc)
app.command("scale")(scale)
app.command("report")(report)


@app.command("run")
def run_(
    case: Annotated[
        list[str] | None, typer.Argument(metavar="[CASE]...", help="Cases or groups; all when left out.")
    ] = None,
    api: Annotated[
        str,
        typer.Option(
            help="streams (aiopquic.connect), webtransport, asyncio (aiopquic.asyncio) or low (TransportContext)."
        ),
    ] = "streams",
    driver: Annotated[
        str, typer.Option(help="thread: a network thread for each engine; inline: the loop does it.")
    ] = "thread",
    workers: Annotated[int, typer.Option(help="Engines of the server, each with a network thread, on one port.")] = 1,
    cc: Annotated[
        str | None, typer.Option("--cc", help="Congestion control: bbr1, cubic, newreno, ...; aiopquic's own default.")
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="Bytes of a write, message or payload: 512, 16KiB; may be repeated.")
    ] = None,
    duration: Annotated[
        float | None, typer.Option(help=f"Seconds of each measurement; {DEFAULT_DURATION:g} when left out.")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(help=f"How often each case is measured; {DEFAULT_REPEATS} when left out.")
    ] = None,
    processes: Annotated[int, typer.Option(help="2, or 1: client and server on one loop, for comparison.")] = 2,
    quick: Annotated[
        bool, typer.Option("--quick", help="Everything once, a moment each: does it work at all?")
    ] = False,
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the results to FILE.")] = None,
) -> None:
    """Measure, each time in fresh processes, and check every byte that travels."""
    plan = Plan.make(
        case or (),
        api=api,
        driver=driver,
        workers=workers,
        congestion_control=cc,
        sizes=size or (),
        duration=duration,
        repeats=repeats,
        processes=processes,
        is_quick=quick,
    )
    if json_ is not None and not json_.absolute().parent.is_dir():
        raise UsageProblem(f"{json_.absolute().parent}: no such folder")
    host = host_report()  # the load before, not the load that the measurements make
    results = Run(plan.settings(), host, _measure(plan))
    show_run(Console(), results)
    if plan.left_out:
        print(f"left out, as --api {plan.api} does not have them: {', '.join(plan.left_out)}", file=sys.stderr)
    tell_few_repeats(plan.repeats)
    if json_ is not None:
        write_json(results, json_)


def _measure(plan: Plan) -> list[Result]:
    """Round after round through all cases: what disturbs the host for a while meets every case."""
    found: dict[tuple[str, int], list[Figures]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="aiopquic-bench-") as folder,
        progress(plan.repeats * len(plan.measurements)) as steps,
    ):
        dev_certificate().write(folder)
        for number in range(1, plan.repeats + 1):
            for case, size in plan.measurements:
                steps.begin(f"{case.name} {size or ''} {number}/{plan.repeats}")
                figures = measure_in_process(plan.job(case, size, folder))
                found.setdefault((case.name, size), []).append(figures)
                steps.end()
    return [
        Result(name, size, {figure: [each[figure] for each in repeats] for figure in repeats[0]})
        for (name, size), repeats in found.items()
    ]


app.command("ceiling")(below.ceiling)
app.command("sim-link")(below.sim_link)


@app.command("cases")
def cases_() -> None:
    """List the cases and their groups."""
    Console().print(case_table())


@app.command("compare")
def compare_(
    a: Annotated[Path, typer.Argument(metavar="A.json", help="The results to compare with.")],
    b: Annotated[Path, typer.Argument(metavar="B.json", help="The results that are judged.")],
) -> None:
    """Compare two runs: the ratio of each figure, its spread, and a verdict where there is one."""
    first, second = Run.read(a), Run.read(b)
    check_comparable(first, second)
    compared = compare(first, second)
    for difference in differences(first, second):
        print(f"not measured alike: {difference}", file=sys.stderr)
    Console().print(comparison_table(compared))
