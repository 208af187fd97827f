"""``aiopquic-bench scale``: very many connections to one server at once."""

from __future__ import annotations

import asyncio
import resource
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from aiopquic.testing.certificates import dev_certificate
from aiopquic_bench.charts import require_charts, save_png, scale_chart
from aiopquic_bench.documents import check_target, write_document
from aiopquic_bench.host import host_report
from aiopquic_bench.plan import checked_algorithm, checked_driver, checked_duration
from aiopquic_bench.problems import UsageProblem
from aiopquic_bench.scale.running import Course, run
from aiopquic_bench.showing import number, progress
from aiopquic_bench.terminal import table_console

__all__ = ["scale", "scale_lines"]

APIS = ("streams", "webtransport")

#: Idle connections, active ones, and seconds of each phase.
DEFAULTS = (10_000, 1_000, 5.0)
QUICK = (100, 20, 0.3)

MAX_CONNECTIONS = 100_000

#: Memory of a connection, both sides, that a host must have for it; and files that a process has beside sockets.
BYTES_EACH = 200_000
DESCRIPTORS = 64

#: starting, opening, idle, paced, echo, transfer, closing.
PHASES = 7


def scale(
    idle: Annotated[int | None, typer.Option(help=f"Connections that do nothing; {DEFAULTS[0]}.")] = None,
    active: Annotated[int | None, typer.Option(help=f"Connections that are busy; {DEFAULTS[1]}.")] = None,
    clients: Annotated[int, typer.Option(help="Client processes; the connections of each share a socket.")] = 2,
    at_once: Annotated[int, typer.Option(help="Handshakes at once.")] = 64,
    api: Annotated[str, typer.Option(help="streams (aiopquic.connect) or webtransport.")] = "streams",
    driver: Annotated[str, typer.Option(help="thread, or inline: no network thread.")] = "thread",
    cc: Annotated[str | None, typer.Option("--cc", help="Congestion control.")] = None,
    duration: Annotated[
        float | None, typer.Option(help=f"Seconds of each of the three busy phases; {DEFAULTS[2]:g}.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few connections, a moment: does it work at all?")] = False,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it; needs matplotlib.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the results to FILE.")] = None,
) -> None:
    """Open very many connections to one server, let some of them be busy, and look at memory, latency and fairness."""
    default_idle, default_active, default_seconds = QUICK if quick else DEFAULTS
    course = Course(
        idle=default_idle if idle is None else idle,
        active=default_active if active is None else active,
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
    with tempfile.TemporaryDirectory(prefix="aiopquic-bench-") as folder, progress(PHASES) as steps:
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
        save_png(scale_chart(document), png)


def check_course(course: Course) -> None:
    """Before anything is started.

    Raises:
        UsageProblem: it can't be, or this host has not enough of something.
    """
    if course.api not in APIS:
        raise UsageProblem(f"the API {course.api!r} is not measured with so many connections: use {' or '.join(APIS)}")
    if course.clients < 1:
        raise UsageProblem(f"there is one client process at least, not {course.clients}")
    if course.idle < 0:
        raise UsageProblem(f"there are 0 idle connections or more, not {course.idle}")
    if course.active < course.clients:
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


def _available_bytes() -> int | None:
    """Memory that can be had without swapping; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else None


def scale_lines(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What was found: phase, what, and value."""
    opening, memory, idle = document["opening"], document["memory"], document["idle"]
    settings = document["settings"]
    lines = [
        ("opening", f"up to {settings['idle'] + settings['active']} connections", f"{opening['seconds']:.1f} s"),
        ("opening", "handshakes per s", number(opening["per_s"])),
        ("opening", "connect, p50 / p99", _milliseconds(opening, "50", "99")),
        ("idle", "memory of a connection, server / client", _pair(memory, "server_kb_each", "client_kb_each", "KB")),
        ("idle", "open files, server / client", _pair(memory, "server_descriptors", "client_descriptors", "")),
        ("idle", "share of a core, server / clients", _pair(idle, "server_cpu_percent", "client_cpu_percent", "%")),
    ]
    for phase in ("paced", "echo"):
        found = document[phase]
        lines += [
            (phase, "echoes per s", number(found["per_s"])),
            (phase, "latency, p50 / p99 / p99.9", _milliseconds(found, "50", "99", "99.9")),
            (phase, "CPU of an echo, all processes", f"{number(found['cpu_us_each'])} us"),
            (phase, "fairness; least and most of a connection", _fairness(found)),
        ]
    found = document["transfer"]
    lines += [
        ("transfer", "throughput", f"{number(found['mbit_per_s'])} Mbit/s"),
        ("transfer", "CPU of a gigabyte, all processes", f"{number(found['cpu_s_per_gb'])} s"),
        ("transfer", "fairness; least and most bytes of a connection", _fairness(found)),
    ]
    peak = max(document["samples"], key=lambda sample: sample["server_mb"] + sample["client_mb"], default=None)
    if peak is not None:
        lines.append(("all", "largest memory, server / clients", _pair(peak, "server_mb", "client_mb", "MB")))
    return lines


def _milliseconds(found: dict[str, Any], *names: str) -> str:
    return " / ".join(number(found[f"p{name}_us"] / 1e3) for name in names) + " ms"


def _pair(found: dict[str, Any], first: str, second: str, unit: str) -> str:
    shown = [str(value) if isinstance(value, int) else number(value) for value in (found[first], found[second])]
    return f"{' / '.join(shown)} {unit}".rstrip()


def _fairness(found: dict[str, Any]) -> str:
    return f"{found['fairness']:.3f}; {found['least']} and {found['most']}"


def _show(console: Console, document: dict[str, Any]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("phase", "what", "value"):
        table.add_column(column, justify="right" if column == "value" else "left")
    last = ""
    for phase, what, value in scale_lines(document):
        table.add_row("" if phase == last else phase, what, value)
        last = phase
    console.print(table)
