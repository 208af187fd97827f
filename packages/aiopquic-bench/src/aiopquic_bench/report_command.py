"""``aiopquic-bench report``: what other commands have written, as one page of HTML and as pictures."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from aiopquic_bench.charts import require_charts, save_png
from aiopquic_bench.documents import read_document
from aiopquic_bench.problems import Problem, UsageProblem
from aiopquic_bench.reporting.page import Chart, Made, code, note, page, section
from aiopquic_bench.reporting.runs import run_command_of, run_section
from aiopquic_bench.reporting.sections import SECTIONS, host_section

__all__ = ["report"]

PAGE = "report.html"

#: What --measure runs, in this order; each writes a file of its name.
MEASURED = ("ceiling", "run", "peers", "scale", "cc")

KINDS_SHOWN = ("run", *SECTIONS)

Document = tuple[Path, str, dict[str, Any]]


def report(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE.json]...",
            help="What --json of other commands wrote; several of one command (before.json, after.json) side by side.",
        ),
    ] = None,
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the page and its pictures go.")] = Path(
        "report"
    ),
    label: Annotated[
        list[str] | None,
        typer.Option(help="What a file is called where several are side by side; as many as files, in their order."),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure first: ceiling, run, peers, scale and cc, which takes hours.")
    ] = False,
) -> int:
    """Write one page of HTML, which loads nothing from elsewhere, and each of its charts as PNG."""
    if not files and not measure:
        raise UsageProblem("report needs what to show: files that --json of other commands wrote, or --measure")
    if label and len(label) != len(files or ()):
        raise UsageProblem(f"--label names each file, in their order: {len(files or ())} of them, not {len(label)}")
    require_charts()
    documents = [(path, *read_document(path)) for path in files or ()]
    names = dict(zip(files or (), label or (), strict=False))
    for path, kind, _ in documents:
        if kind not in KINDS_SHOWN:
            raise UsageProblem(
                f"{path} is of the kind {kind!r}, which the report does not show: {', '.join(KINDS_SHOWN)}"
            )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"{output} can't be made: {error.strerror}") from None
    problems: list[str] = []
    if measure:
        made, problems = _measure(output)
        documents += [(path, *read_document(path)) for path in made]
    text, charts = _page(documents, problems, names)
    target = output / PAGE
    try:
        target.write_text(text)
    except OSError as error:
        raise Problem(f"{target} can't be written: {error.strerror}") from None
    for name, chart in charts:
        save_png(chart, output / f"{name}.png")
    print(f"wrote {target} and {len(charts)} charts beside it", file=sys.stderr)
    return 1 if problems else 0


def _measure(folder: Path) -> tuple[list[Path], list[str]]:
    """Run the commands; those that fail are told, and have no file."""
    found, problems = [], []
    for command in MEASURED:
        path = folder / f"{command}.json"
        path.unlink(missing_ok=True)
        done = subprocess.run([sys.executable, "-m", "aiopquic_bench", command, "--json", str(path)], check=False)
        if done.returncode:
            problems.append(f"aiopquic-bench {command} ended with exit code {done.returncode}")
        if path.exists():
            found.append(path)
    return found, problems


def _page(documents: Sequence[Document], problems: Sequence[str], names: Mapping[Path, str]) -> tuple[str, list[Chart]]:
    sections, charts, hosts = [], [], []
    taken: set[str] = set()
    for group in _grouped(documents):
        made, found = _section(group, names)
        sections.append(made)
        for name, chart in found:
            unique = name if name not in taken else f"{group[0][0].stem}-{name}"
            taken.add(unique)
            charts.append((unique, chart))
        for _, _, content in group:
            if "host" in content and content["host"] not in hosts:
                hosts.append(content["host"])
    parts = [note(text, "problem") for text in problems]
    parts += [
        note("Each part names the command that made it. This page was made from its files:"),
        code([f"aiopquic-bench report {' '.join(path.name for path, _, _ in documents)}"]),
    ]
    made_on = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    body = [*sections, *(host_section(host) for host in hosts), section("This page", parts)]
    return page("aiopquic: measurements", f"made {made_on} by aiopquic-bench", body), charts


def _grouped(documents: Sequence[Document]) -> list[list[Document]]:
    """Each by itself, but for files of the kind ``run`` that the same command wrote."""
    groups: dict[object, list[Document]] = {}
    for place, (path, kind, content) in enumerate(documents):
        with _damage_is_told(path):
            key = run_command_of(content) if kind == "run" else place
        groups.setdefault(key, []).append((path, kind, content))
    return list(groups.values())


def _section(group: Sequence[Document], names: Mapping[Path, str]) -> Made:
    _, kind, content = group[0]
    with _damage_is_told(*(path for path, _, _ in group)):
        if kind != "run":
            return SECTIONS[kind](content)
        return run_section(
            run_command_of(content), [(names.get(path, path.stem), path.name, each) for path, _, each in group]
        )


@contextmanager
def _damage_is_told(*paths: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        names = " or ".join(map(str, paths))
        raise UsageProblem(f"{names} is damaged: fields are missing or unknown") from None
