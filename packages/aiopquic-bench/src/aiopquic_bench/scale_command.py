"""``aiopquic-bench scale``: very many connections to one server at once."""

from __future__ import annotations

import asyncio
import resource
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from aiopquic.testing.certificates import dev_certificate
from aiopquic_bench.charts import growth_chart, require_charts, save_png, scale_chart
from aiopquic_bench.documents import check_target, write_document
from aiopquic_bench.host import host_report
from aiopquic_bench.plan import checked_algorithm, checked_driver, checked_duration
from aiopquic_bench.problems import UsageProblem
from aiopquic_bench.scale.running import Course, run
from aiopquic_bench.showing import number, progress
from aiopquic_bench.terminal import table_console

__all__ = ["STEP_COLUMNS", "scale", "scale_lines", "step_lines"]

APIS = ("streams", "webtransport")

#: Of a table of steps.
STEP_COLUMNS = (
    "idle",
    "active",
    "handshakes per s",
    "server KB each",
    "client KB each",
    "% of a core, idle server",
    "ms paced, p50 / p99",
    "ms echo, p50 / p99",
    "echoes per s",
    "Mbit/s",
    "fairness",
)

#: Steps of idle and of active connections, and seconds of each phase of each step.
DEFAULTS = ((100, 1_000, 5_000, 10_000), (10, 100, 1_000), 2.0)
QUICK = ((100,), (20,), 0.3)

MAX_CONNECTIONS = 100_000

#: Memory of a connection, both sides, that a host must have for it; and files that a process has beside sockets.
BYTES_EACH = 200_000
DESCRIPTORS = 64

#: opening, idle, paced, echo, transfer; and once, starting and closing.
PHASES_OF_STEP = 5
PHASES_BESIDE = 2


def _words(counts: Sequence[int]) -> str:
    return ", ".join(map(str, counts))


def scale(
    idle: Annotated[
        list[int] | None,
        typer.Option(help=f"Connections that do nothing; repeated for steps that grow: {_words(DEFAULTS[0])}."),
    ] = None,
    active: Annotated[
        list[int] | None,
        typer.Option(
            help="Connections that are busy; the first number with each step of --idle, the others with the last: "
            f"{_words(DEFAULTS[1])}."
        ),
    ] = None,
    clients: Annotated[int, typer.Option(help="Client processes; the connections of each share a socket.")] = 2,
    at_once: Annotated[int, typer.Option(help="Handshakes at once.")] = 64,
    api: Annotated[str, typer.Option(help="streams (aiopquic.connect) or webtransport.")] = "streams",
    driver: Annotated[str, typer.Option(help="thread, or inline: no network thread.")] = "thread",
    cc: Annotated[str | None, typer.Option("--cc", help="Congestion control.")] = None,
    duration: Annotated[
        float | None, typer.Option(help=f"Seconds of each of the three busy phases of a step; {DEFAULTS[2]:g}.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few connections, a moment: does it work at all?")] = False,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it; needs matplotlib.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the results to FILE.")] = None,
) -> None:
    """Open very many connections to one server, let some of them be busy, and look at memory, latency and fairness."""
    default_idle, default_active, default_seconds = QUICK if quick else DEFAULTS
    course = Course(
        idle=tuple(idle or default_idle),
        active=tuple(active or default_active),
        clients=clients,
        at_once=at_once,
        duration=checked_duration(default_seconds if duration is None else duration),
        api=api,
        driver=checked_driver(driver),
        congestion_control=checked_algorithm(cc),
    )
    check_course(course)
    check_target(json_)
    check_target(png)
    if png is not None:
        require_charts()
    host = host_report()
    phases = PHASES_OF_STEP * len(course.steps) + PHASES_BESIDE
    with tempfile.TemporaryDirectory(prefix="aiopquic-bench-") as folder, progress(phases) as steps:
        dev_certificate().write(folder)

        def begin(phase: str) -> None:
            if phase != "starting":
                steps.end()
            steps.begin(phase)

        found = asyncio.run(run(course, folder, begin))
        steps.end()
    settings = {
        name: getattr(course, name)
        for name in ("idle", "active", "clients", "at_once", "duration", "api", "driver", "congestion_control")
    }
    document = {"settings": settings, "host": host, **found}
    _show(table_console(), document)
    if json_ is not None:
        write_document(json_, "scale", document)
    if png is not None:
        save_png(scale_chart(document) if len(course.steps) == 1 else growth_chart(document), png)


def check_course(course: Course) -> None:
    """Before anything is started.

    Raises:
        UsageProblem: it can't be, or this host has not enough of something.
    """
    if course.api not in APIS:
        raise UsageProblem(f"the API {course.api!r} is not measured with so many connections: use {' or '.join(APIS)}")
    if course.clients < 1:
        raise UsageProblem(f"there is one client process at least, not {course.clients}")
    _check_steps(course)
    if course.active[0] < course.clients:
        raise UsageProblem(f"each of {course.clients} clients has an active connection at least: --active is too small")
    if course.at_once < 1:
        raise UsageProblem(f"there is one handshake at once at least, not {course.at_once}")
    if course.total > MAX_CONNECTIONS:
        raise UsageProblem(f"there are {MAX_CONNECTIONS} connections at most, not {course.total}")
    needed, available = course.total * BYTES_EACH, _available_bytes()
    if available is not None and needed > available:
        text = f"{course.total} connections may take {needed >> 20} MiB, and this host has {available >> 20} to spare"
        raise UsageProblem(f"{text}: ask for fewer")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS:
        raise UsageProblem(f"a process may open {soft} files here, and needs {DESCRIPTORS}: raise `ulimit -n`")


def _check_steps(course: Course) -> None:
    for name, counts in (("idle", course.idle), ("active", course.active)):
        if list(counts) != sorted(set(counts)):
            raise UsageProblem(f"steps grow: --{name} can't be {_words(counts)}")
    if course.idle[0] < 0:
        raise UsageProblem(f"there are 0 idle connections or more, not {course.idle[0]}")


def _available_bytes() -> int | None:
    """Memory that can be had without swapping; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else None


def scale_lines(document: dict[str, Any], step: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What was found in a step: phase, what, and value."""
    opening, memory, rest = step["opening"], step["memory"], step["rest"]
    lines = [
        ("opening", f"up to {step['idle'] + step['active']} connections", f"{opening['seconds']:.1f} s"),
        ("opening", "handshakes per s", number(opening["per_s"])),
        ("opening", "connect, p50 / p99", _milliseconds(opening, "50", "99")),
        ("idle", "memory of a connection, server / client", _pair(memory, "server_kb_each", "client_kb_each", "KB")),
        ("idle", "open files, server / client", _pair(memory, "server_descriptors", "client_descriptors", "")),
        ("idle", "share of a core, server / clients", _pair(rest, "server_cpu_percent", "client_cpu_percent", "%")),
    ]
    for phase in ("paced", "echo"):
        found = step[phase]
        lines += [
            (phase, "echoes per s", number(found["per_s"])),
            (phase, "latency, p50 / p99 / p99.9", _milliseconds(found, "50", "99", "99.9")),
            (phase, "CPU of an echo, all processes", f"{number(found['cpu_us_each'])} us"),
            (phase, "fairness; least and most of a connection", _fairness(found)),
        ]
    found = step["transfer"]
    lines += [
        ("transfer", "throughput", f"{number(found['mbit_per_s'])} Mbit/s"),
        ("transfer", "CPU of a gigabyte, all processes", f"{number(found['cpu_s_per_gb'])} s"),
        ("transfer", "fairness; least and most bytes of a connection", _fairness(found)),
    ]
    place = document["steps"].index(step) + 1
    samples = [sample for sample in document["samples"] if sample["step"] == place]
    peak = max(samples, key=lambda sample: sample["server_mb"] + sample["client_mb"], default=None)
    if peak is not None:
        lines.append(("all", "largest memory, server / clients", _pair(peak, "server_mb", "client_mb", "MB")))
    return lines


def step_lines(document: dict[str, Any]) -> list[tuple[str, ...]]:
    """A line for each step: the columns of ``STEP_COLUMNS``."""
    return [
        (
            str(step["idle"]),
            str(step["active"]),
            number(step["opening"]["per_s"]),
            *(number(step["memory"][f"{side}_kb_each"]) for side in ("server", "client")),
            number(step["rest"]["server_cpu_percent"]),
            *(_milliseconds(step[phase], "50", "99").removesuffix(" ms") for phase in ("paced", "echo")),
            number(step["echo"]["per_s"]),
            number(step["transfer"]["mbit_per_s"]),
            f"{step['transfer']['fairness']:.3f}",
        )
        for step in document["steps"]
    ]


def _milliseconds(found: dict[str, Any], *names: str) -> str:
    return " / ".join(number(found[f"p{name}_us"] / 1e3) for name in names) + " ms"


def _pair(found: dict[str, Any], first: str, second: str, unit: str) -> str:
    shown = [str(value) if isinstance(value, int) else number(value) for value in (found[first], found[second])]
    return f"{' / '.join(shown)} {unit}".rstrip()


def _fairness(found: dict[str, Any]) -> str:
    return f"{found['fairness']:.3f}; {found['least']} and {found['most']}"


def _show(console: Console, document: dict[str, Any]) -> None:
    *_, last_step = document["steps"]
    if len(document["steps"]) > 1:
        steps = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for column in STEP_COLUMNS:
            steps.add_column(column, justify="right")
        for line in step_lines(document):
            steps.add_row(*line)
        console.print(steps)
        console.print()
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("phase", "what", "value"):
        table.add_column(column, justify="right" if column == "value" else "left")
    last = ""
    for phase, what, value in scale_lines(document, last_step):
        table.add_row("" if phase == last else phase, what, value)
        last = phase
    console.print(table)
