"""The commands and their options."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import aclosing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from aiopquic import doctor, qlog
from aiopquic import versions as version_table
from aiopquic.cli import copying, demo, serving
from aiopquic.cli.devcert import ensure_certificate
from aiopquic.cli.errors import ExitCode, Problem, UsageProblem, problem_of
from aiopquic.cli.location import DEFAULT_PORT, Location
from aiopquic.cli.outcome import Outcome
from aiopquic.cli.paths import printable
from aiopquic.cli.progress import make_meter
from aiopquic.cli.protocol import Entry
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.testing.certificates import dev_certificate

__all__ = ["app", "run"]

app = typer.Typer(
    name="aiopquic",
    help="Files over QUIC.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_DEFAULT_CC = QuicConfiguration.congestion_control_algorithm or "newreno"

UrlArgument = Annotated[str, typer.Argument(metavar="URL", help="quic://host:port/path")]
CafileOption = Annotated[Path | None, typer.Option(help="PEM file with the certificates to trust.")]
InsecureOption = Annotated[
    bool,
    typer.Option("--insecure", help="Accept any certificate: whoever answers may read and change everything."),
]
CcOption = Annotated[str, typer.Option("--cc", help="Congestion control: newreno, cubic, bbr, bbr1, prague, ...")]
KeylogOption = Annotated[Path | None, typer.Option(help="Append TLS secrets to this file, for Wireshark.")]
TimeoutOption = Annotated[float, typer.Option(min=0.001, help="Seconds that the server has to answer.")]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume/--no-resume", help="Go on where an interrupted transfer stopped, or begin again."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")]
JsonOption = Annotated[bool, typer.Option("--json", help="The summary as JSON on stdout.")]


def run(arguments: Sequence[str]) -> int:
    """Run a command; returns its exit code."""
    try:
        app(list(arguments), prog_name="aiopquic")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


@contextmanager
def _problems_told(interrupted: str = "interrupted") -> Iterator[None]:
    """Turn what the user should know into a sentence on stderr and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        _fail(interrupted, ExitCode.INTERRUPTED)
    except Exception as error:
        problem = problem_of(error)
        if problem is None:
            raise
        _fail(str(problem), problem.exit_code)


def _fail(text: str, exit_code: int) -> None:
    print(f"aiopquic: {text}", file=sys.stderr)
    raise typer.Exit(exit_code)


def _run(work: Coroutine[Any, Any, Any], interrupted: str = "interrupted") -> Any:
    with _problems_told(interrupted):
        return asyncio.run(work)


def _client_options(
    cafile: Path | None, insecure: bool, cc: str, keylog: Path | None, timeout: float
) -> copying.ClientOptions:
    if insecure:
        print("aiopquic: the server's certificate is not verified: anybody may be answering", file=sys.stderr)
    return copying.ClientOptions(
        cafile=cafile, insecure=insecure, congestion_control=cc, keylog=keylog, timeout=timeout
    )


def _tell(outcome: Outcome, *, quiet: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps(outcome.as_json()))
    elif not quiet:
        print(outcome)


_RESUMABLE = "interrupted: what arrived is kept, and the same command goes on from there"


@app.command("get")
def get_(
    url: UrlArgument,
    dest: Annotated[Path | None, typer.Argument(help="File or folder; the URL's last part when left out.")] = None,
    cafile: CafileOption = None,
    insecure: InsecureOption = False,
    cc: CcOption = _DEFAULT_CC,
    keylog: KeylogOption = None,
    timeout: TimeoutOption = 10.0,
    resume: ResumeOption = True,
    force: ForceOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch a file, or a folder with everything below it."""
    with _problems_told():
        where = Location.parse(url)
        options = _client_options(cafile, insecure, cc, keylog, timeout)
    with make_meter(show=not quiet) as meter:
        how = copying.Copying(meter=meter, resume=resume, overwrite=force)
        outcome = _run(copying.get(where, dest, options, how), _RESUMABLE)
    _tell(outcome, quiet=quiet, as_json=as_json)


@app.command("put")
def put_(
    src: Annotated[Path, typer.Argument(help="File, or folder whose files are sent.")],
    url: UrlArgument,
    cafile: CafileOption = None,
    insecure: InsecureOption = False,
    cc: CcOption = _DEFAULT_CC,
    keylog: KeylogOption = None,
    timeout: TimeoutOption = 10.0,
    resume: ResumeOption = True,
    force: ForceOption = False,
    exclude: Annotated[list[str] | None, typer.Option(help="Names of files and folders to leave out.")] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send a file, or a folder with everything below it. A URL that ends in / is a folder."""
    with _problems_told():
        where = Location.parse(url)
        options = _client_options(cafile, insecure, cc, keylog, timeout)
    with make_meter(show=not quiet) as meter:
        how = copying.Copying(meter=meter, resume=resume, overwrite=force, exclude=tuple(exclude or ()))
        outcome = _run(copying.put(src, where, options, how), _RESUMABLE)
    _tell(outcome, quiet=quiet, as_json=as_json)


@app.command("list")
def list_(
    url: UrlArgument,
    cafile: CafileOption = None,
    insecure: InsecureOption = False,
    cc: CcOption = _DEFAULT_CC,
    keylog: KeylogOption = None,
    timeout: TimeoutOption = 10.0,
    sha256: Annotated[bool, typer.Option("--sha256", help="Add each file's SHA-256.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object for each file.")] = False,
) -> None:
    """List the files below a URL: size, time of the last change, name."""
    with _problems_told():
        where = Location.parse(url)
        options = _client_options(cafile, insecure, cc, keylog, timeout)

    async def show() -> None:
        async with aclosing(copying.listing(where, options, with_digest=sha256)) as entries:
            async for entry in entries:
                print(_entry_line(entry, where, as_json))

    _run(show())


def _entry_line(entry: Entry, where: Location, as_json: bool) -> str:
    if as_json:
        return json.dumps(
            {
                "name": entry.name,
                "size": entry.size,
                "mtime_ns": entry.mtime_ns,
                "sha256": entry.sha256 or None,
            }
        )
    time = datetime.fromtimestamp(entry.mtime_ns // 1_000_000_000).isoformat(" ")
    words = [f"{entry.size:>14}", time, entry.sha256, printable(entry.name or where.basename)]
    return "  ".join(filter(None, words))


@app.command("serve")
def serve_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to serve.")],
    host: Annotated[str, typer.Option(help="Address to bind; :: is every address of both families.")] = "::",
    port: Annotated[int, typer.Option(min=0, max=65535, help="UDP port; 0 lets the system choose.")] = DEFAULT_PORT,
    cert: Annotated[Path | None, typer.Option(help="PEM file with the certificate chain.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file with the private key.")] = None,
    dev_cert: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Use the development certificate in DIR; made when there is none."),
    ] = None,
    writable: Annotated[bool, typer.Option("--writable", help="Let anybody who connects put files.")] = False,
    cc: CcOption = _DEFAULT_CC,
    keylog: KeylogOption = None,
    max_connections: Annotated[int, typer.Option(min=1, help="Connections that may be open at once.")] = 64,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Network threads that share the port.")] = 1,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="A line for each request.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON lines on stdout: the port, and each connection.")
    ] = False,
) -> None:
    """Serve a folder, read-only unless --writable."""
    with _problems_told():
        if (dev_cert is None) == (cert is None):
            raise UsageProblem("give --cert and --key, or --dev-cert DIR for a development certificate")
        if dev_cert is not None:
            cert, key = ensure_certificate(dev_cert)
            if not as_json:
                print(f"clients trust this server with --cafile {cert}")
        assert cert is not None
        options = serving.ServerOptions(
            folder=folder,
            host=host,
            port=port,
            certificate=cert,
            key=key if key is not None else cert,
            is_writable=writable,
            congestion_control=cc,
            keylog=keylog,
            max_connections=max_connections,
            workers=workers,
            verbose=verbose,
            as_json=as_json,
        )
    _run(serving.serve(options))


@app.command("certificate")
def certificate_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where certificate.pem and key.pem go.")],
    host: Annotated[list[str] | None, typer.Option(help="A name or address that it is for; may be repeated.")] = None,
    days: Annotated[float, typer.Option(help="How long it is valid, 14 at most.")] = 10,
) -> None:
    """Make a development certificate and print its SHA-256 (for serverCertificateHashes in browsers)."""
    with _problems_told():
        try:
            made = dev_certificate(hosts=host, days=days) if host else dev_certificate(days=days)
        except ValueError as error:
            raise UsageProblem(str(error)) from None
        certificate, key = made.write(folder)
        print(f"certificate  {certificate}\nkey          {key}\nsha256       {made.sha256.hex()}")
        print(f"for a page   {made.for_pages}")


@app.command("qlog")
def qlog_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A qlog file that aiopquic wrote.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="FILE with .sqlog at its end when left out.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Convert a qlog file to the present drafts' form (JSON-SEQ), which tools of others read."""
    target = source.with_suffix(".sqlog") if output is None else output
    with _problems_told():
        if target.exists() and not force:
            raise UsageProblem(f"{target} exists: choose another with --output, or overwrite it with --force")
        try:
            done = qlog.convert(source, target)
        except ValueError as error:
            raise Problem(str(error)) from None
    cut_off = "" if done.complete else ", of a file that was cut off"
    print(f"{target}: {done.events} events{cut_off}")


@app.command("demo")
def demo_(
    size: Annotated[str, typer.Option(help="Size of the large file: 1GiB, 500MiB, ...")] = "1GiB",
    directory: Annotated[
        Path | None, typer.Option(help="Folder that is moved; Python's standard library when left out.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A file of 32 MiB and a small folder.")] = False,
    cc: CcOption = _DEFAULT_CC,
) -> None:
    """Move a folder and a large file over QUIC both ways, check every byte, and print what it took."""
    with _problems_told("interrupted; the server is ended and the files are removed"):
        demo.run(demo.Plan.make(size=size, directory=directory, quick=quick, congestion_control=cc))


@app.command("versions")
def versions_() -> None:
    """Print the versions of aiopquic, picoquic, picotls, OpenSSL and Python."""
    version_table.print_versions()


@app.command("doctor")
def doctor_(as_json: JsonOption = False) -> None:
    """Say what of this host or build slows QUIC down, and what mends it."""
    raise typer.Exit(doctor.main(["--json"] if as_json else []))
