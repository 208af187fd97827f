"""The command line: what it prints, and what it exits with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from aiopquic_bench.cases import CASES
from aiopquic_bench.cli import main
from aiopquic_bench.figures import KINDS
from aiopquic_bench.plan import Plan, parse_size
from aiopquic_bench.problems import ExitCode
from aiopquic_bench.results import Run

DOCUMENT = Path(__file__).parents[3] / "docs" / "benchmarks.md"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("rum", "'run'"),
        ("run upp", "there is no case 'upp': did you mean 'up'?"),
        ("run --sise 3", "--size"),
        ("run --duration x", "--duration"),
        ("run --duration 0.01", "0.01 s are too short to measure anything: 0.1 s at least"),
        ("run --duration nan", "too short"),
        ("run --duration 1e9", "too long"),
        ("run --repeats 0", "once at least"),
        ("run --cc bbr", "plain bbr is not measured on loopback"),
        ("run --cc cubik", "did you mean 'cubic'?"),
        ("run --cc %", "use newreno"),
        ("run --api loud", "the API 'loud' can't be measured here: use streams, webtransport, low, asyncio"),
        ("run datagrams --api asyncio", "the case 'datagrams' needs --api streams"),
        ("run up --size 3MiB", "the case 'up' takes sizes of 1 to 1048576 bytes, not 3145728"),
        ("run up --size x", "a size looks like"),
        ("run --driver outline", '--driver outline: driver is "thread" or "inline", not \'outline\''),
        ("run --workers 0", "--workers 0: workers is how many engines share the port"),
        ("run --workers 2 --driver inline", "--workers 2: workers are network threads"),
        ("run --workers 2 --api low", "--workers 2: a server of --api low has one engine"),
        ("run --processes 3", "client and server are two processes, or one, not 3"),
        ("run handshakes-0rtt --api low", "the case 'handshakes-0rtt' needs --api streams or asyncio, not low"),
        ("run --json /no/such/folder/a.json", "no such folder"),
        ("compare a.json b.json", "a.json: No such file"),
    ],
)
def test_wrong_command_lines(words: str, says: str, capsys: pytest.CaptureFixture[str]):
    assert main(words.split()) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("aiopquic-bench: ")
    assert says in err
    assert err.count("\n") == 1


def test_cases_are_listed(capsys: pytest.CaptureFixture[str]):
    assert main(["cases"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in CASES)


def test_run_and_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "a.json"
    words = ["--duration", "0.1", "--repeats", "2", "--json", str(path)]
    assert main(["run", "echo", "import", "micro", *words]) == 0
    out, err = capsys.readouterr()
    assert "us p99" in out
    assert "OpenSSL" in out
    assert "too few repeats for a verdict" in err
    run = Run.read(path)
    assert [result.key for result in run.results] == ["echo@100", "import", "micro"]
    assert {result.repeats for result in run.results} == {2}
    assert main(["compare", str(path), str(path)]) == 0
    out = capsys.readouterr().out
    assert "no verdict" in out
    assert "1.00" in out


def test_what_the_runs_were_made_with_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    values = {
        "schema": 1,
        "settings": {"congestion_control": "bbr1"},
        "host": {},
        "results": [{"case": "up", "size": 1, "figures": {"mbit_per_s": [1, 1, 1, 1, 1]}}],
    }
    for name, algorithm, rate in (("a", "bbr1", 1), ("b", "cubic", 3)):
        values["settings"] = {"congestion_control": algorithm}
        values["results"] = [{"case": "up", "size": 1, "figures": {"mbit_per_s": [rate] * 5}}]
        (tmp_path / f"{name}.json").write_text(json.dumps(values))
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    out, err = capsys.readouterr()
    assert "not measured alike: congestion_control is bbr1 in A and cubic in B" in err
    assert "3.00" in out
    assert "better" in out


def test_ctrl_c_ends_every_process():
    process = subprocess.Popen(
        [sys.executable, "-m", "aiopquic_bench", "run", "up", "--duration", "60"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        family: list[psutil.Process] = []
        end = time.monotonic() + 30
        while len(family) < 2:  # the client, and its server
            assert time.monotonic() < end
            family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == ExitCode.INTERRUPTED
    assert err == "aiopquic-bench: interrupted: nothing was written\n"
    assert psutil.wait_procs(family, timeout=20)[1] == []


def test_quick_takes_every_case_once():
    plan = Plan.make(is_quick=True)
    assert [case.name for case, _ in plan.measurements] == list(CASES)
    assert plan.repeats == 1
    assert plan.duration < 1


def test_without_names_the_api_decides():
    plan = Plan.make(api="asyncio")
    assert plan.left_out == ("datagrams", "datagram-echo", "datagram-echo-loaded")


def test_sizes_are_for_the_cases_that_have_one():
    plan = Plan.make(["up", "import"], sizes=["512", "16KiB"])
    assert [(case.name, size) for case, size in plan.measurements] == [("up", 512), ("up", 16384), ("import", 0)]


@pytest.mark.parametrize(("text", "size"), [("7", 7), ("1k", 1024), ("16KiB", 16384), ("1MB", 1 << 20), ("9B", 9)])
def test_sizes(text: str, size: int):
    assert parse_size(text) == size


def test_the_document_names_every_case_and_figure():
    text = DOCUMENT.read_text()
    for name in (*CASES, *KINDS):
        assert f"`{name}`" in text, name
