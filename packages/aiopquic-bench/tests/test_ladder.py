"""The ladder before and after: two environments in turn, what is common once, and a page that shows both."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiopquic_bench.below import against, commands
from aiopquic_bench.below.against import measure_both
from aiopquic_bench.below.ladder import RUNGS, Climb
from aiopquic_bench.cli import main
from aiopquic_bench.contenders import ProgramContender
from aiopquic_bench.environments import Environment
from aiopquic_bench.problems import ExitCode, Problem
from aiopquic_bench.results import Result, Run, write_json

CLIMB = Climb(congestion_control="bbr1", duration=0.1)
HERE = ProgramContender(
    name="before",
    label="aiopquic of old",
    python=Path(sys.executable),
    adapter="streams",
    settings={"congestion_control": "bbr1"},
)
APIS = [name for name, rung in RUNGS.items() if rung.adapter is not None]


@pytest.mark.parametrize("is_down", [False, True])
def test_every_api_gives_pairs(is_down: bool):
    climb = Climb(congestion_control="bbr1", duration=0.1, is_down=is_down)
    rungs = [RUNGS[name] for name in ("udp", *APIS)]
    document = measure_both(rungs, climb, HERE, against="old", pairs=1, missing={"iperf3": "is not there"})
    assert (document["before"], document["settings"]["is_down"]) == ("aiopquic of old", is_down)
    udp, *apis = document["comparisons"]
    assert [each["row"] for each in apis] == APIS
    assert [each["problem"] for each in apis] == [None] * len(APIS)
    for figure in ("mbit_per_s", "cpu_s_per_gb"):
        assert (len(udp["figures"][figure]["ours"]), udp["figures"][figure]["theirs"]) == (1, [])
        for each in apis:
            values = each["figures"][figure]
            assert min(values["ours"] + values["theirs"]) > 0
            assert values["ratio"] == values["ours"][0] / values["theirs"][0]


def test_the_order_is_turned_round(monkeypatch: pytest.MonkeyPatch):
    order: list[str] = []

    def measure(contender: ProgramContender, task: Any) -> dict[str, float]:
        order.append(contender.name)
        assert task.settings["adapter"] == "low"
        return {"mbit_per_s": 1.0, "cpu_s_per_gb": 1.0}

    monkeypatch.setattr(ProgramContender, "measure", measure)
    measure_both([RUNGS["low"]], CLIMB, HERE, against="old", pairs=3, missing={})
    assert order == ["after", "before", "before", "after", "after", "before"]


def test_the_release_has_sessions_of_its_own(monkeypatch: pytest.MonkeyPatch):
    """By another adapter than ours."""
    adapters: list[tuple[str, str]] = []

    def measure(contender: ProgramContender, task: Any) -> dict[str, float]:
        adapters.append((contender.name, task.settings["adapter"]))
        return {"mbit_per_s": 1.0, "cpu_s_per_gb": 1.0}

    monkeypatch.setattr(ProgramContender, "measure", measure)
    monkeypatch.setitem(against.PEERS, against.RELEASE, lambda algorithm: replace(HERE, name=against.RELEASE))
    release = against.before_named(against.RELEASE, "bbr1")
    rungs = [RUNGS["asyncio"], RUNGS["webtransport"]]
    measure_both(rungs, CLIMB, release, against=against.RELEASE, pairs=1, missing={})
    assert sorted(adapters) == [
        ("after", "events"),
        ("after", "webtransport"),
        ("aiopquic-0.6.1", "events"),
        ("aiopquic-0.6.1", "session_events"),
    ]


def test_an_environment_without_a_rung(monkeypatch: pytest.MonkeyPatch):
    """Such as a wheel of aiopquic-core alone, which has no sessions: the others go on."""
    measure = ProgramContender.measure

    def lacks(contender: ProgramContender, task: Any) -> dict[str, float]:
        if (contender.name, task.settings["adapter"]) == ("before", "webtransport"):
            raise Problem("there are no sessions", ExitCode.PEER)
        return measure(contender, task)

    monkeypatch.setattr(ProgramContender, "measure", lacks)
    rungs = [RUNGS["streams"], RUNGS["webtransport"]]
    streams, sessions = measure_both(rungs, CLIMB, HERE, against="old", pairs=1, missing={})["comparisons"]
    assert streams["problem"] is None
    assert sessions["problem"] == "there are no sessions"


def test_an_interpreter_without_aiopquic(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """An environment is a folder with an interpreter; what is not in it is told."""
    folder = tmp_path / "old"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    (folder / "bin" / "python").chmod(0o755)
    path = tmp_path / "ladder.json"
    words = ["ceiling", "udp", "streams", "--against", str(folder), "--quick", "--json", str(path)]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert "streams: aiopquic of old: " in err
    assert "No module named 'aiopquic'" in err
    assert "too few for a verdict" in err
    assert "no figure" in out
    assert json.loads(path.read_text())["kind"] == "ladder"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            "--against no-such-revision",
            "is no revision of a git repository here, no wheel, no environment, and no peer",
        ),
        ("--against no-such.whl", "no-such.whl: no such file"),
        ("--against HEAD --repeats 0", "once at least"),
        ("--against HEAD --json /no/such/folder/a.json", "no such folder"),
        ("upd --against HEAD", "did you mean 'udp'"),
    ],
)
def test_wrong_command_lines(words: str, says: str, capsys: pytest.CaptureFixture[str]):
    assert main(["ceiling", *words.split()]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_a_base_that_can_not_be_built_is_told_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail() -> Environment:
        raise Problem("it can't be installed", ExitCode.PEER)

    monkeypatch.setattr(against, "environment_finder", lambda name, has_sessions: fail)
    monkeypatch.setattr(commands, "measure_both", None)
    assert main(["ceiling", "streams", "--against", "HEAD"]) == ExitCode.PEER
    assert "it can't be installed" in capsys.readouterr().err


# ---- on the page ----


def pairs_of(row: str, peer: str, before: list[float], after: list[float]) -> dict[str, Any]:
    ratio = after[0] / before[0] if before else None
    values = {"ours": after, "theirs": before, "ratios": [ratio] if before else [], "ratio": ratio}
    figure = {**values, "interval": [ratio, ratio] if before else None, "verdict": "better" if before else ""}
    figures = {"mbit_per_s": figure, "cpu_s_per_gb": figure}
    return {"row": row, "peer": peer, "label": peer, "figures": figures, "goals": [], "problem": None}


def ladder_document(**settings: Any) -> dict[str, Any]:
    failed = {**pairs_of("webtransport", "before", [], []), "figures": {}, "problem": "there are <no> sessions"}
    return {
        "schema": 1,
        "kind": "ladder",
        "settings": {
            "against": "v1",
            "congestion_control": "bbr1",
            "duration": 3.0,
            "pairs": 10,
            "datagram_size": 1400,
            "is_down": False,
            **settings,
        },
        "host": {"cpu": "a CPU"},
        "ours": "aiopquic 2",
        "before": "aiopquic 1",
        "comparisons": [
            pairs_of("udp", "", [], [2000.0]),
            pairs_of("sim-link", "", [], [9000.0]),
            pairs_of("streams", "before", [400.0], [1000.0]),
            failed,
        ],
        "missing": {"iperf3": "is not on the path"},
        "notes": ["not on the same Python"],
    }


def page_of(tmp_path: Path, *words: str) -> str:
    assert main(["report", *words, "--output", str(tmp_path / "report")]) == 0
    return (tmp_path / "report" / "report.html").read_text()


def test_before_and_after_on_the_page(tmp_path: Path):
    pytest.importorskip("matplotlib")
    paths = [tmp_path / "up.json", tmp_path / "down.json"]
    for path, is_down in zip(paths, (False, True), strict=True):
        path.write_text(json.dumps(ladder_document(is_down=is_down)))
    text = page_of(tmp_path, *map(str, paths))
    for words in (
        "before and after, client to server",
        "before and after, server to client",
        "aiopquic-bench ceiling --against v1 --cc bbr1 --duration 3 --repeats 10 --json ladder.json",
        "aiopquic-bench ceiling --against v1 --down --cc bbr1",
        "before: aiopquic 1",
        "after: aiopquic 2",
        "<td>2.50</td><td>2.50 to 2.50</td><td>50 %</td>",
        "<td>beside</td>",
        "WebTransport API: no figure before: there are &lt;no&gt; sessions",
        "iperf3 -u: not measured: is not on the path",
        "not on the same Python",
    ):
        assert words in text, words
    assert {each.stem for each in (tmp_path / "report").glob("*.png")} == {"ladder", "ladder-down"}


def ceiling_file(path: Path, rungs: dict[str, float], **settings: Any) -> str:
    asked = {"api": "ceiling", "congestion_control": "bbr1", "duration": 3.0, "repeats": 2, "processes": 2}
    results = [
        Result(name, 0, {"mbit_per_s": [speed, speed], "cpu_s_per_gb": [8.0, 8.0]}) for name, speed in rungs.items()
    ]
    write_json(Run({**asked, **settings}, {"cpu": "a CPU"}, results), path)
    return str(path)


def test_files_of_two_moments_side_by_side(tmp_path: Path):
    """One lacks a rung, the other has one that this version does not know."""
    pytest.importorskip("matplotlib")
    first = ceiling_file(tmp_path / "a.json", {"udp": 1000.0, "streams": 250.0, "slide": 7.0})
    rungs = {"udp": 1000.0, "streams": 500.0, "low": 600.0}
    last = ceiling_file(tmp_path / "b.json", rungs, missing={"iperf3": "gone"})
    text = page_of(tmp_path, first, last, "--label", "the old one", "--label", "the new one")
    for words in (
        "Mbit/s, the old one",
        "Mbit/s, the new one",
        "<td>250</td><td>500</td><td>2.00</td><td>50 %</td>",
        "<td></td><td>600</td><td></td><td>60 %</td>",
        '<td class="text">slide</td><td>7.00</td><td></td>',
        "iperf3 -u: not measured in the new one: gone",
        "written at different times",
    ):
        assert words in text, words
    assert [each.stem for each in (tmp_path / "report").glob("*.png")] == ["ceiling"]


def test_a_file_alone(tmp_path: Path):
    pytest.importorskip("matplotlib")
    text = page_of(tmp_path, ceiling_file(tmp_path / "a.json", {"streams": 250.0}, is_down=True))
    assert "<td>250</td><td></td><td>8.00</td>" in text  # no raw UDP that it could be a share of
    assert "aiopquic-bench ceiling --down --cc bbr1" in text


@pytest.mark.parametrize("labels", [["one"], ["one", "two", "three"]])
def test_labels_for_all_files_or_none(labels: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = [ceiling_file(tmp_path / f"{name}.json", {"udp": 1.0}) for name in "ab"]
    assert main(["report", *files, *(word for label in labels for word in ("--label", label))]) == ExitCode.USAGE
    assert f"2 of them, not {len(labels)}" in capsys.readouterr().err


@pytest.mark.parametrize("gone", ["comparisons", "before", "settings", "missing"])
def test_a_damaged_file(gone: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("matplotlib")
    document = ladder_document()
    del document[gone]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    assert main(["report", str(path), "--output", str(tmp_path / "report")]) == ExitCode.USAGE
    assert "is damaged" in capsys.readouterr().err
