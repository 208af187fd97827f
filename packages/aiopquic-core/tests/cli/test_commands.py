"""The commands as a shell sees them: what they print, and what they exit with when something is wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from aiopquic.__main__ import main
from aiopquic.cli.paths import part_of
from aiopquic.testing.certificates import dev_certificate

from .support import MIB, content

pytestmark = pytest.mark.cli

#: Seconds until a process that should do something at once is given up.
DEADLINE = 30.0


@dataclass
class Result:
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process."""

    def run_(*arguments: str | Path) -> Result:
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Result(code, out, err)

    return run_


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "aiopquic", *map(str, arguments)]


def until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait for something that a process does and does not tell."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert process.poll() is None, "the process ended"
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


@dataclass
class Server:
    """The process of ``aiopquic serve``."""

    port: int
    cafile: Path
    root: Path
    process: subprocess.Popen[str]

    def url(self, name: str = "") -> str:
        return f"quic://localhost:{self.port}/{name}"

    @property
    def trust(self) -> tuple[str | Path, ...]:
        return ("--cafile", self.cafile)


@contextmanager
def server_process(folder: Path, *options: str) -> Iterator[Server]:
    root = folder / "served"
    root.mkdir()
    words = command(
        "serve", root, "--host", "localhost", "--port", "0", "--dev-cert", folder / "dev", "--json", *options
    )
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["port"]
            yield Server(port, folder / "dev" / "certificate.pem", root, process)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE) == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_process(tmp_path_factory.mktemp("writable"), "--writable") as process:
        yield process


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_process(tmp_path_factory.mktemp("read-only")) as process:
        (process.root / "file").write_bytes(b"x")
        yield process


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- what works ----


def test_a_folder_there_and_back(run: Run, server: Server, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    for name in ("a", "sub/b", "sub/deep/c", "with space", "é#?%"):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(5000, seed=len(name)))
    (source / "left-out").write_bytes(b"x")
    put = run("put", source, server.url("tree"), *server.trust, "--exclude", "left*")
    assert put.code == 0
    assert "put: 5 files, 25.0 kB" in put.out
    assert "Mbit/s" in put.out
    get = run("get", server.url("tree"), back, *server.trust, "--json")
    figures = json.loads(get.out)
    assert (figures["direction"], figures["files"], figures["bytes"]) == ("get", 5, 25000)
    assert figures["packets_sent"] > 0
    (source / "left-out").unlink()
    assert tree(back) == tree(source)


def test_a_second_run_moves_what_is_new(run: Run, server: Server, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    source.mkdir()
    (source / "old").write_bytes(b"old")
    assert run("put", source, server.url("again"), *server.trust).code == 0
    assert run("get", server.url("again"), back, *server.trust).code == 0
    (source / "new").write_bytes(b"new")
    assert "1 file (1 more there already)" in run("put", source, server.url("again"), *server.trust).out
    assert "1 file (1 more there already)" in run("get", server.url("again"), back, *server.trust).out
    (source / "old").write_bytes(b"changed")
    refused = run("put", source, server.url("again"), *server.trust)
    assert refused.code == 4
    assert "again/old: exists already; --force overwrites" in refused.err
    assert run("put", source, server.url("again"), *server.trust, "--force").code == 0
    assert run("get", server.url("again"), back, *server.trust, "--force").code == 0
    assert tree(back) == {"old": b"changed", "new": b"new"}


def test_a_file_into_a_folder(run: Run, server: Server, tmp_path: Path) -> None:
    source, folder = tmp_path / "source", tmp_path / "folder"
    source.write_bytes(b"x")
    folder.mkdir()
    assert run("put", source, server.url("into/"), *server.trust).code == 0
    assert run("get", server.url("into/source"), folder, *server.trust, "--quiet").out == ""
    assert tree(folder) == {"source": b"x"}


def test_list(run: Run, read_only: Server) -> None:
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    result = run("list", read_only.url(), *read_only.trust, "--sha256")
    assert result.out.split()[0] == "1"
    assert result.out.split()[3:] == [digest, "file"]
    result = run("list", read_only.url("file"), *read_only.trust, "--json")
    assert json.loads(result.out)["size"] == 1


def test_names_that_would_reach_the_terminal(run: Run, server: Server) -> None:
    (server.root / "evil").mkdir()
    (server.root / "evil" / "\x1b[2J").write_bytes(b"")
    assert "\\x1b[2J" in run("list", server.url("evil"), *server.trust).out


def test_insecure_says_what_it_means(run: Run, read_only: Server, tmp_path: Path) -> None:
    result = run("get", read_only.url("file"), tmp_path / "file", "--insecure")
    assert result.code == 0
    assert "not verified" in result.err


def test_keylog(run: Run, read_only: Server, tmp_path: Path) -> None:
    keylog = tmp_path / "keys"
    assert run("list", read_only.url(), *read_only.trust, "--keylog", keylog).code == 0
    assert "CLIENT_TRAFFIC_SECRET_0" in keylog.read_text()


def test_certificate(run: Run, tmp_path: Path) -> None:
    result = run("certificate", tmp_path / "dev", "--host", "example.net")
    assert result.code == 0
    assert (tmp_path / "dev" / "certificate.pem").exists()
    told = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    digest = bytes.fromhex(told["sha256"])
    assert len(digest) == 32
    assert str(list(digest)) in told["for"]


def test_dev_cert_is_kept_while_it_is_good(server: Server) -> None:
    from aiopquic.cli.devcert import ensure_certificate

    folder = server.cafile.parent
    before = server.cafile.read_bytes()
    ensure_certificate(folder)
    assert server.cafile.read_bytes() == before


def test_dev_cert_is_replaced_when_it_has_expired(tmp_path: Path) -> None:
    from aiopquic.cli.devcert import ensure_certificate

    dev_certificate(expired=True).write(tmp_path)
    before = (tmp_path / "certificate.pem").read_bytes()
    ensure_certificate(tmp_path)
    assert (tmp_path / "certificate.pem").read_bytes() != before


# ---- what does not ----


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://localhost/a", "quic://host:4433/path"),
        ("localhost:4433/a", "quic://host:4433/path"),
        ("quic:///a", "quic://host:4433/path"),
        ("quic://localhost:99999/a", "range"),
        ("quic://localhost:x/a", "quic://host:4433/path"),
        ("quic://localhost/a?b", "%3F"),
        ("quic://user@localhost/a", "%23"),
        ("quic://localhost/../a", "can't be served"),
        ("quic://localhost/%2e%2e/a", "can't be served"),
        ("quic://[::1/a", "quic://host:4433/path"),
    ],
)
def test_bad_urls(run: Run, url: str, why: str) -> None:
    result = run("get", url, "target")
    assert result.code == 2
    assert why in result.err


def test_no_destination(run: Run) -> None:
    assert (run("get", "quic://localhost/").code, run("get", "quic://localhost").code) == (2, 2)


def test_unresolvable_host(run: Run) -> None:
    result = run("get", "quic://no-such-host.invalid/a")
    assert result.code == 3
    assert "no-such-host.invalid" in result.err
    assert "can't be resolved" in result.err


def test_dead_port(run: Run, unused_port: int) -> None:
    result = run("get", f"quic://127.0.0.1:{unused_port}/a", "--timeout", "0.3")
    assert result.code == 3
    assert "nobody answered" in result.err


def test_refused_certificate(run: Run, read_only: Server) -> None:
    result = run("get", read_only.url("file"))
    assert result.code == 3
    assert "--cafile" in result.err
    assert "refused" in result.err


def test_no_such_file(run: Run, read_only: Server, tmp_path: Path) -> None:
    result = run("get", read_only.url("missing"), tmp_path / "target", *read_only.trust)
    assert (result.code, result.err) == (4, "aiopquic: missing: no such file\n")
    assert list(tmp_path.iterdir()) == []


def test_exists_already(run: Run, read_only: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    result = run("get", read_only.url("file"), tmp_path / "file", *read_only.trust)
    assert result.code == 4
    assert "exists already; --force overwrites" in result.err


def test_read_only_server(run: Run, read_only: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    result = run("put", tmp_path / "file", read_only.url("new"), *read_only.trust)
    assert result.code == 4
    assert "--writable" in result.err


def test_damaged_part(run: Run, read_only: Server, tmp_path: Path) -> None:
    part_of(tmp_path / "target").write_bytes(b"y")
    result = run("get", read_only.url("file"), tmp_path / "target", *read_only.trust)
    assert result.code == 5
    assert "SHA-256" in result.err


def test_nothing_to_put(run: Run, server: Server, tmp_path: Path) -> None:
    result = run("put", tmp_path / "missing", server.url("new"), *server.trust)
    assert result.code == 2
    assert "missing" in result.err


def test_disk_that_can_not_be_written(run: Run, read_only: Server) -> None:
    result = run("get", read_only.url("file"), "/proc/file", *read_only.trust)
    assert result.code in (1, 4)
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--cafile", "missing.pem"), "missing.pem"),
        (("--cc", "hare"), "unknown congestion control"),
        (("--timeout", "0"), "--timeout"),
        (("--keylog", "/proc/keys"), "key log"),
        (("--no-such-option",), "--no-such-option"),
    ],
)
def test_bad_options(run: Run, options: tuple[str, ...], why: str) -> None:
    result = run("list", "quic://127.0.0.1:9/", *options)
    assert result.code == 2
    assert why in result.err


def test_busy_port(run: Run, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        result = run("serve", tmp_path, "--host", "127.0.0.1", "--port", str(port), "--dev-cert", tmp_path / "dev")
    assert result.code == 3
    assert f"UDP port {port}" in result.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((".",), "--dev-cert"),
        ((".", "--cert", "missing.pem"), "missing.pem"),
        ((".", "--cert", "a", "--dev-cert", "b"), "--dev-cert"),
        (("missing", "--cert", "a"), "missing"),
    ],
)
def test_serve_without(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("serve", *arguments, "--port", "0")
    assert result.code == 2
    assert why in result.err


def test_no_command(run: Run) -> None:
    assert run().code == 2
    assert run("fetch").code == 2
    assert run("--help").code == 0


def test_ctrl_c_tells_how_to_go_on(server: Server, tmp_path: Path) -> None:
    size = 1024 * MIB
    with (server.root / "large").open("wb") as file:
        file.truncate(size)
    target = tmp_path / "target"
    words = command("get", server.url("large"), target, *server.trust)
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: part_of(target).exists() and part_of(target).stat().st_size > 0, process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert "same command goes on" in err
    assert "Traceback" not in err
    there = part_of(target).stat().st_size
    assert 0 < there < size
    os.truncate(server.root / "large", there + 1000)  # the rest need not be that much
    done = subprocess.run([*words, "--json"], capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert json.loads(done.stdout)["bytes"] == 1000
    assert target.stat().st_size == there + 1000


def test_the_server_goes_away(tmp_path: Path) -> None:
    with server_process(tmp_path) as server:
        with (server.root / "large").open("wb") as file:
            file.truncate(1024 * MIB)
        target = tmp_path / "target"
        words = command("get", server.url("large"), target, *server.trust)
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
            until(lambda: part_of(target).exists() and part_of(target).stat().st_size > 0, process)
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(DEADLINE)
            _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 3
    assert "was lost" in err
    assert part_of(target).stat().st_size > 0


def test_qlog_is_converted(run: Run, tmp_path: Path) -> None:
    """Beside the file, once; what is no such file is told, and nothing is written."""
    source = tmp_path / "a.qlog"
    source.write_text(
        '{ "qlog_version": "draft-00", "title": "picoquic", "traces": [\n'
        '{ "event_fields": ["relative_time", "category", "event", "data"],\n"events": [\n'
        '[1, "info", "message", { "message": "a"}],\n[2, "in'
    )
    done = run("qlog", str(source))
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{tmp_path / 'a.sqlog'}: 1 events, of a file that was cut off\n"
    again = run("qlog", str(source))
    assert again.code == 2
    assert "overwrite it with --force" in again.err
    assert run("qlog", str(source), "--force").code == 0
    wrong = run("qlog", str(tmp_path / "a.sqlog"), "--output", str(tmp_path / "b.sqlog"))
    assert wrong.code == 1
    assert "not a file of qlog_dir" in wrong.err
    assert not (tmp_path / "b.sqlog").exists()
