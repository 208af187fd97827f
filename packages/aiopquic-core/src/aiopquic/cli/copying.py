"""``get``, ``put`` and ``list``: whole files and folders over one connection."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import cast

from aiopquic.asyncio import connect
from aiopquic.cli.client import FileClient
from aiopquic.cli.errors import ExitCode, Problem, UsageProblem, problem_of
from aiopquic.cli.location import Location
from aiopquic.cli.outcome import Outcome, Stopwatch
from aiopquic.cli.paths import locate, printable, walk
from aiopquic.cli.progress import Meter
from aiopquic.cli.protocol import ALPN, Code, Entry, RequestError
from aiopquic.quic.configuration import QuicConfiguration

__all__ = ["ClientOptions", "Copying", "connected", "get", "listing", "put"]

#: Files that are on their way at the same time: enough that small ones don't wait for round trips.
CONCURRENCY = 32

#: Failures of single files that are told one by one.
FAILURES_SHOWN = 5


@dataclass(slots=True, kw_only=True)
class ClientOptions:
    """How to connect."""

    cafile: Path | None = None
    insecure: bool = False
    congestion_control: str = "bbr1"
    keylog: Path | None = None
    timeout: float = 10.0
    "Seconds for the handshake."

    def configuration(self) -> QuicConfiguration:
        """The same for the library."""
        return QuicConfiguration(
            alpn_protocols=[ALPN],
            cafile=self.cafile,
            verify_mode=ssl.CERT_NONE if self.insecure else None,
            congestion_control_algorithm=self.congestion_control,
            secrets_log_file=self.keylog,
            handshake_timeout=self.timeout,
            keep_alive_interval=10.0,
        )


@dataclass(slots=True, kw_only=True)
class Copying:
    """How to copy."""

    meter: Meter
    resume: bool = True
    overwrite: bool = False
    exclude: Sequence[str] = ()
    "Patterns of names that put leaves out."


@asynccontextmanager
async def connected(where: Location, options: ClientOptions) -> AsyncIterator[FileClient]:
    """A connection to a server.

    Raises:
        Problem: no connection, or anything that goes wrong inside and that the user should know.
    """
    try:
        async with connect(
            where.host, where.port, configuration=options.configuration(), create_protocol=FileClient
        ) as client:
            yield cast(FileClient, client)
    except Exception as error:
        problem = problem_of(error, f"{where.host} port {where.port}", options.timeout)
        if problem is None:
            raise
        raise problem from error


async def listing(where: Location, options: ClientOptions, *, with_digest: bool) -> AsyncGenerator[Entry]:
    """The files below a URL."""
    async with connected(where, options) as client:
        try:
            async for entry in client.list(where.name, with_digest=with_digest):
                yield entry
        except RequestError as error:
            raise _about(where.name, error) from error


async def get(where: Location, destination: Path | None, options: ClientOptions, copying: Copying) -> Outcome:
    """Fetch a file, or the files of a folder into ``destination``.

    Raises:
        Problem: with the sentence for the user.
    """
    if destination is None and not where.basename:
        raise UsageProblem("say where the files shall go: aiopquic get URL DEST")
    target = destination if destination is not None else Path(where.basename)
    outcome = Outcome(direction="get")
    async with connected(where, options) as client:
        try:
            entries = [entry async for entry in client.list(where.name)]
        except RequestError as error:
            raise _about(where.name, error) from error
        transfer = partial(client.get, resume=copying.resume, overwrite=copying.overwrite, report=copying.meter.advance)
        jobs = list(await asyncio.to_thread(_plan_get, transfer, where, target, entries, outcome))
        copying.meter.start(f"get {printable(where.basename) or where.host}", sum(job.size for job in jobs))
        watch = Stopwatch()
        failures = await _run(jobs, outcome)
        watch.stop(outcome)
        stats = await client.server_stats()
    outcome.rtt_us, outcome.packets_sent, outcome.packets_lost = (
        stats.rtt_us,
        stats.packets_sent,
        stats.packets_lost,
    )
    _check(failures)
    return outcome


async def put(source: Path, where: Location, options: ClientOptions, copying: Copying) -> Outcome:
    """Send a file, or the files of a folder to what the URL names.

    Raises:
        Problem: with the sentence for the user.
    """
    outcome = Outcome(direction="put")
    found = await asyncio.to_thread(_find, source, copying.exclude)
    async with connected(where, options) as client:
        there = await _files_there(client, where.name) if found and found[0].name else {}
        transfer = partial(client.put, resume=copying.resume, overwrite=copying.overwrite, report=copying.meter.advance)
        jobs = list(_plan_put(transfer, where, source, found, there, outcome))
        copying.meter.start(f"put {printable(source.name)}", sum(job.size for job in jobs))
        watch = Stopwatch()
        failures = await _run(jobs, outcome)
        watch.stop(outcome)
        stats = await client._quic.stats()
    outcome.rtt_us, outcome.packets_sent, outcome.packets_lost = stats["rtt"], stats["sent"], stats["lost"]
    _check(failures)
    return outcome


@dataclass(frozen=True, slots=True)
class _Job:
    """One file that is to be copied."""

    name: str
    size: int
    run: Callable[[], Awaitable[int]]
    "Returns the bytes that travelled."


async def _run(jobs: Sequence[_Job], outcome: Outcome) -> list[Problem]:
    """Copy ``CONCURRENCY`` files at a time. One that fails costs no other; a lost connection ends all."""
    failures: list[Problem] = []
    waiting = iter(jobs)

    async def worker() -> None:
        for job in waiting:
            try:
                count = await job.run()
                outcome.bytes += count
                outcome.files += 1
            except RequestError as error:
                failures.append(_about(job.name, error))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(CONCURRENCY, len(jobs))):
            group.create_task(worker())
    return failures


def _about(name: str, error: RequestError) -> Problem:
    problem = problem_of(error)
    assert problem is not None
    hint = "; --force overwrites" if error.code == Code.EXISTS else ""
    return Problem(f"{printable(name) or '/'}: {problem}{hint}", problem.exit_code)


def _check(failures: Sequence[Problem]) -> None:
    """Raise one problem for all of them."""
    if not failures:
        return
    sentences = [str(problem) for problem in islice(failures, FAILURES_SHOWN)]
    if len(failures) > FAILURES_SHOWN:
        sentences.append(f"and {len(failures) - FAILURES_SHOWN} more files failed")
    raise Problem("\n".join(sentences), max(problem.exit_code for problem in failures))


def _same(size: int, mtime_ns: int, status: os.stat_result) -> bool:
    """True for what an earlier run has copied: size and time of the last change are equal."""
    return size == status.st_size and mtime_ns == max(0, status.st_mtime_ns)


def _plan_get(
    transfer: Callable[[str, Path], Awaitable[int]],
    where: Location,
    target: Path,
    entries: Sequence[Entry],
    outcome: Outcome,
) -> Iterator[_Job]:
    """What to fetch: of a folder, the files that are not there yet."""
    if [entry.name for entry in entries] == [""]:
        path = target / where.basename if target.is_dir() else target
        yield _Job(where.name, entries[0].size, partial(transfer, where.name, path))
        return
    if target.exists() and not target.is_dir():
        raise Problem(f"{printable(str(target))} is a file, and {where} a folder", ExitCode.REFUSED)
    target.mkdir(parents=True, exist_ok=True)
    root = target.resolve()
    for entry in entries:
        path = _inside(root, entry.name)
        if path.is_file() and _same(entry.size, entry.mtime_ns, path.stat()):
            outcome.skipped += 1
        else:
            name = where.child(entry.name)
            yield _Job(name, entry.size, partial(transfer, name, path))


def _inside(root: Path, name: str) -> Path:
    """Our place for a file that the server names."""
    try:
        return locate(root, name)
    except RequestError as error:
        raise _about(name, error) from error


def _find(source: Path, exclude: Sequence[str]) -> list[Entry]:
    """The files below ``source``; one without a name when it is a file."""
    try:
        status = source.stat()
    except OSError as error:
        raise UsageProblem(f"{printable(str(source))}: {error.strerror}") from None
    found = walk(source, exclude=exclude) if source.is_dir() else iter([("", status)])
    return [Entry(name, status.st_size, max(0, status.st_mtime_ns), "") for name, status in found]


async def _files_there(client: FileClient, name: str) -> dict[str, Entry]:
    """What the server has at the place of a folder."""
    try:
        return {entry.name: entry async for entry in client.list(name)}
    except RequestError as error:
        if error.code == Code.NOT_FOUND:
            return {}
        raise _about(name, error) from error


def _plan_put(
    transfer: Callable[[Path, str], Awaitable[int]],
    where: Location,
    source: Path,
    found: Sequence[Entry],
    there: dict[str, Entry],
    outcome: Outcome,
) -> Iterator[_Job]:
    """What to send: of a folder, the files that are not there yet."""
    for entry in found:
        if entry.name == "":
            name = where.child(source.name) if where.is_folder else where.name
            yield _Job(name, entry.size, partial(transfer, source, name))
        elif there.get(entry.name) == entry:
            outcome.skipped += 1
        else:
            name = where.child(entry.name)
            yield _Job(name, entry.size, partial(transfer, source / entry.name, name))
