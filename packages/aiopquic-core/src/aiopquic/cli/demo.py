"""``demo``: a server process and client processes move real files both ways, and every byte is checked.

The processes are the commands that anybody can type; they are printed as they run.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from aiopquic.cli.errors import Problem, UsageProblem
from aiopquic.cli.paths import walk
from aiopquic.testing.certificates import CERTIFICATE_FILE, dev_certificate

__all__ = ["Plan", "run"]

#: Left out of the folder: what other programs wrote into it, and packages that are no part of it.
EXCLUDE = ("__pycache__", "site-packages", "dist-packages")

#: Disk space beyond the files themselves.
SPARE = 64 << 20

#: Seconds that an idle server may take to end.
END_TIMEOUT = 10.0

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is moved."""

    size: int
    "Bytes of the large file."
    directory: Path
    congestion_control: str

    @classmethod
    def make(cls, *, size: str, directory: Path | None, quick: bool, congestion_control: str) -> Self:
        """From the command line."""
        match = re.fullmatch(r"(\d+)\s*([KMG]?)(?:i?B)?", size, re.IGNORECASE)
        if match is None:
            raise UsageProblem(f"a size looks like 1GiB or 500MiB, not {size!r}")
        count = int(match[1]) * _UNITS[match[2].upper()]
        library = Path(sysconfig.get_path("stdlib"))
        if quick:
            count, library = 32 << 20, library / "json"
        folder = directory if directory is not None else library
        if not folder.is_dir():
            raise UsageProblem(f"{folder}: no such folder")
        return cls(size=count, directory=folder.resolve(), congestion_control=congestion_control)


@dataclass(frozen=True, slots=True)
class Row:
    """One transfer, from both sides."""

    what: str
    client: dict[str, Any]
    "What the client's command printed."
    server_cpu_seconds: float

    def cells(self) -> list[str]:
        """For the table."""
        figures, gigabytes = self.client, self.client["bytes"] / 1e9
        lost = 100 * figures["packets_lost"] / max(1, figures["packets_sent"])
        return [
            f"{figures['direction']} {self.what}",
            str(figures["files"]),
            decimal(figures["bytes"]),
            f"{figures['seconds']:.2f}",
            f"{figures['mbit_per_second']:.0f}",
            f"{figures['rtt_us'] / 1000:.2f}",
            f"{lost:.3f}",
            f"{figures['cpu_seconds'] / gigabytes:.1f}",
            f"{self.server_cpu_seconds / gigabytes:.1f}",
        ]


COLUMNS = (
    *("\ndirection", "\nfiles", "\nbytes", "\nseconds", "\nMbit/s", "RTT\n(ms)", "lost\n(%)"),
    *("client\nCPU s/GB", "server\nCPU s/GB"),
)


def run(plan: Plan) -> None:
    """The whole demonstration.

    Raises:
        Problem: not enough disk, a command failed, or a byte differs.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="aiopquic-demo-") as temporary:
        folder = Path(temporary)
        count, folder_bytes = _check_space(plan, folder)
        console.print(
            f"[bold]aiopquic demo[/]: {count} files of {plan.directory} ({decimal(folder_bytes)}) and one "
            f"file of {decimal(plan.size)}, to a server and back over QUIC on this host"
        )
        dev_certificate().write(folder / "certificate")
        for name in ("served", "back"):
            (folder / name).mkdir()
        large = folder / "large.bin"
        digests = {"folder": _tree_digests(plan.directory), "large": write_large_file(large, plan.size)}
        with _server(plan, folder) as server:
            client = _Client(plan, folder, server)
            rows = [
                client.row("folder", "put", str(plan.directory), server.url("folder"), *_excludes()),
                client.row("large file", "put", "large.bin", server.url("large.bin")),
            ]
            _check(digests, folder / "served", "on the server")
            large.unlink()  # its digest is known: room for the copy that comes back
            rows += [
                client.row("folder", "get", server.url("folder"), "back/folder"),
                client.row("large file", "get", server.url("large.bin"), "back/large.bin"),
            ]
        _check(digests, folder / "back", "after the way back")
    console.print(_table(rows))
    moved = sum(row.client["bytes"] for row in rows)
    console.print(f"every one of {moved:,} bytes arrived: SHA-256 of all {2 * (count + 1)} copies is equal")


def _excludes() -> list[str]:
    return [word for name in EXCLUDE for word in ("--exclude", name)]


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == COLUMNS[0] else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row.cells())
    return table


def _check_space(plan: Plan, folder: Path) -> tuple[int, int]:
    """Files and bytes of the folder; the disk has room for two copies of everything."""
    sizes = [status.st_size for _, status in walk(plan.directory, exclude=EXCLUDE)]
    needed = 2 * (plan.size + sum(sizes) + 4096 * len(sizes)) + SPARE
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Problem(
            f"the demo needs {decimal(needed)} of disk in {folder.parent}, and {decimal(free)} are free: "
            "set TMPDIR to a folder with more, or make the file smaller with --size"
        )
    return len(sizes), sum(sizes)


def write_large_file(path: Path, size: int) -> str:
    """Write ``size`` bytes, always the same, no two MiB alike; returns their SHA-256."""
    block = bytearray(hashlib.shake_256(b"aiopquic").digest(1 << 20))
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for number, start in enumerate(range(0, size, len(block))):
            block[:8] = number.to_bytes(8, "big")
            piece = memoryview(block)[: size - start]
            file.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tree_digests(folder: Path) -> dict[str, str]:
    return {name: _file_digest(folder / name) for name, _ in walk(folder, exclude=EXCLUDE)}


def _check(digests: dict[str, Any], folder: Path, place: str) -> None:
    """Compare every file below ``folder`` with what was sent."""
    if _tree_digests(folder / "folder") != digests["folder"]:
        raise Problem(f"the files of the folder differ {place}")
    if _file_digest(folder / "large.bin") != digests["large"]:
        raise Problem(f"the large file differs {place}")


def _start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Run a command of ours in ``folder``, and say so; its progress goes to the terminal."""
    print(f"$ aiopquic {shlex.join(words)}", flush=True)
    command = [sys.executable, "-m", "aiopquic", *words, "--json"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)


class _Server:
    """The process of ``aiopquic serve``; it tells its port and its connections as JSON lines."""

    def __init__(self, process: subprocess.Popen[str], stdout: IO[str]) -> None:
        self._process = process
        self._stdout = stdout
        self.port = int(self.event("listening")["port"])

    def url(self, name: str) -> str:
        """Where a file is, or will be."""
        return f"quic://localhost:{self.port}/{name}"

    def event(self, name: str) -> dict[str, Any]:
        """The next line of that kind."""
        for line in self._stdout:
            fields: dict[str, Any] = json.loads(line)
            if fields["event"] == name:
                return fields
        raise Problem(f"the server ended with exit code {self._process.wait()}")


@contextmanager
def _server(plan: Plan, folder: Path) -> Iterator[_Server]:
    options = ["--host", "localhost", "--port", "0", "--writable", "--cc", plan.congestion_control]
    with _ended(_start(folder, "serve", "served", "--dev-cert", "certificate", *options)) as process:
        assert process.stdout is not None
        yield _Server(process, process.stdout)


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """SIGTERM, and a wait, at the end, however it comes."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(END_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


class _Client:
    """Runs ``aiopquic get`` and ``aiopquic put``."""

    def __init__(self, plan: Plan, folder: Path, server: _Server) -> None:
        self._folder = folder
        self._server = server
        self._options = ["--cafile", f"certificate/{CERTIFICATE_FILE}", "--cc", plan.congestion_control]

    def row(self, what: str, *words: str) -> Row:
        """Run a command to its end."""
        with _ended(_start(self._folder, *words, *self._options)) as process:
            text, _ = process.communicate()
        if process.returncode != 0:
            raise Problem(f"the command failed with exit code {process.returncode}")
        figures = json.loads(text.splitlines()[-1])
        return Row(what, figures, self._server.event("closed")["cpu_seconds"])
