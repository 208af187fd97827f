"""Many connections at once: few of them here, but all phases, and a sentence for what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiopquic_bench import scale_command
from aiopquic_bench.cli import main
from aiopquic_bench.problems import ExitCode
from aiopquic_bench.scale import running
from aiopquic_bench.scale.running import jain

FEW = ["scale", "--quick", "--active", "6", "--duration", "0.2", "--idle", "20"]


@pytest.mark.parametrize("words", [[], ["--api", "webtransport", "--clients", "1"], ["--driver", "inline"]])
def test_all_phases(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "scale.json"
    assert main([*FEW, *words, "--json", str(path)]) == 0
    document = json.loads(path.read_text())
    assert (document["kind"], document["settings"]["idle"], document["settings"]["active"]) == ("scale", [20], [6])
    assert document["samples"][-1]["connections"] == 26
    assert {sample["phase"] for sample in document["samples"]} >= {"idle", "paced", "echo", "transfer"}
    (step,) = document["steps"]
    for phase in ("paced", "echo", "transfer"):
        assert 0 < step[phase]["fairness"] <= 1
        assert 0 <= step[phase]["least"] <= step[phase]["most"]
    assert step["echo"]["p99_us"] >= step["echo"]["p50_us"] > 0
    assert step["transfer"]["mbit_per_s"] > 0
    assert "fairness" in capsys.readouterr().out


STEPS = ["scale", "--idle", "0", "--idle", "30", "--active", "2", "--active", "3", "--active", "9", "--duration", "0.2"]


def test_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The first number of active connections with each of idle ones, the others with the last of these."""
    path = tmp_path / "scale.json"
    assert main([*STEPS, "--json", str(path)]) == 0
    document = json.loads(path.read_text())
    steps = [(step["idle"], step["active"]) for step in document["steps"]]
    assert steps == [(0, 2), (30, 2), (30, 3), (30, 9)]
    for number, (idle, active) in enumerate(steps, 1):
        resting = [each for each in document["samples"] if each["step"] == number and each["phase"] == "idle"]
        assert {each["connections"] for each in resting} == {idle + active}
    assert "handshakes per s" in capsys.readouterr().out


def test_connections_of_a_process_share_a_socket(tmp_path: Path):
    path = tmp_path / "scale.json"
    assert main([*FEW[:-1], "60", "--json", str(path)]) == 0
    assert json.loads(path.read_text())["steps"][-1]["memory"]["client_descriptors"] < 30


@pytest.mark.skipif("not __import__('importlib.util').util.find_spec('matplotlib')", reason="matplotlib is an extra")
def test_a_picture_and_a_section_of_the_report(tmp_path: Path):
    path, picture = tmp_path / "scale.json", tmp_path / "scale.png"
    assert main([*FEW, "--json", str(path), "--png", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["report", str(path), "--output", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "report.html").read_text()
    assert "Very many connections" in text
    assert "aiopquic-bench scale --idle 20 --active 6" in text


@pytest.mark.skipif("not __import__('importlib.util').util.find_spec('matplotlib')", reason="matplotlib is an extra")
def test_a_picture_of_steps(tmp_path: Path):
    path, picture = tmp_path / "scale.json", tmp_path / "scale.png"
    assert main([*STEPS, "--json", str(path), "--png", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["report", str(path), "--output", str(tmp_path / "out")]) == 0
    assert {each.stem for each in (tmp_path / "out").glob("*.png")} == {"scale", "scale-steps"}
    text = (tmp_path / "out" / "report.html").read_text()
    assert "aiopquic-bench scale --idle 0 --idle 30 --active 2 --active 3 --active 9" in text
    assert "The last step, 30 idle and 9 active connections" in text


@pytest.mark.parametrize(
    ("counts", "index"), [([5, 5, 5, 5], 1.0), ([8, 0, 0, 0], 0.25), ([0, 0], 0.0), ([1, 2], 9 / 10)]
)
def test_jain(counts: list[int], index: float):
    assert jain(counts) == pytest.approx(index)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--api low", "the API 'low' is not measured with so many connections: use streams or webtransport"),
        ("--driver x", "--driver x"),
        ("--cc bbr", "plain bbr is not measured"),
        ("--clients 0", "one client process at least, not 0"),
        ("--idle 5 --idle 5", "steps grow: --idle can't be 5, 5"),
        ("--active 9 --active 3", "steps grow: --active can't be 9, 3"),
        ("--idle -1", "0 idle connections or more, not -1"),
        ("--active 1 --clients 2", "--active is too small"),
        ("--at-once 0", "one handshake at once at least, not 0"),
        ("--idle 1000000", "100000 connections at most"),
        ("--duration 0", "too short"),
        ("--json /no/such/folder/a.json", "no such folder"),
        ("--png /no/such/folder/a.png", "no such folder"),
    ],
)
def test_wrong_command_lines(words: str, says: str, capsys: pytest.CaptureFixture[str]):
    assert main(["scale", *words.split()]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_a_host_with_too_little_memory(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(scale_command, "_available_bytes", lambda: 100 << 20)
    assert main(["scale"]) == ExitCode.USAGE
    assert "11000 connections may take 2098 MiB, and this host has 100 to spare" in capsys.readouterr().err


def test_a_host_with_too_few_files(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(scale_command.resource, "getrlimit", lambda which: (20, 20))
    assert main(FEW) == ExitCode.USAGE
    assert "a process may open 20 files here" in capsys.readouterr().err


def test_a_client_that_ends(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    monkeypatch.setattr(running, "MODULE", "aiopquic_bench.no_such_module")
    assert main(FEW) == ExitCode.PEER
    assert "ended with exit code 1" in capfd.readouterr().err


def test_a_phase_that_stalls(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(running, "PATIENCE", 0.0)
    monkeypatch.setattr(running, "HANDSHAKE_PATIENCE", 0.0)
    assert main(FEW) == ExitCode.STALLED
    assert "open stalled: a client process" in capsys.readouterr().err


def test_bytes_that_are_lost(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """A client that has sent more than it says."""
    ask = running._Child.ask

    async def less(child: running._Child, question: dict[str, object], patience: float) -> dict[str, object]:
        answer = await ask(child, question, patience)
        return {**answer, "sent": answer["sent"] - 1} if question["do"] == "send" else answer

    monkeypatch.setattr(running._Child, "ask", less)
    assert main(FEW) == ExitCode.WRONG_BYTES
    assert "bytes and" in capsys.readouterr().err
