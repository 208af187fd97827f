"""The page: whole, loading nothing, with what the files hold, and a sentence for files that it can't show."""

from __future__ import annotations

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from aiopquic_bench import report_command
from aiopquic_bench.cc_command import run_scenarios
from aiopquic_bench.cli import main
from aiopquic_bench.documents import write_document
from aiopquic_bench.problems import ExitCode, Problem
from aiopquic_bench.results import Result, Run, write_json

pytest.importorskip("matplotlib")

HOST = {"cpu": "a <fast> CPU", "cores": 2}


def files_of(folder: Path) -> list[Path]:
    """One of each kind."""
    run, peers, gate, cc = (folder / f"{name}.json" for name in ("run", "peers", "gate", "cc"))
    settings = {"api": "streams", "congestion_control": "bbr1", "duration": 3.0, "repeats": 2, "processes": 2}
    results = [Result("up", 1024, {"mbit_per_s": [1.0, 2.0]}), Result("echo", 0, {"p50_us": [90.0, 99.0]})]
    write_json(Run(settings, dict(HOST), results), run)
    write_document(peers, "peers", peers_document())
    check = {"kind": "virtual", "name": "bulk", "figure": "virtual_s", "baseline": 1.0, "candidate": 1.2}
    check |= {"ratio": 1.2, "noise": 0.0, "limit": 0.05, "is_regression": True}
    asked = {"baseline": "main", "candidate": None, "pairs": 10, "duration": 1.0, "plant": 1}
    write_document(gate, "gate", {"settings": asked, "host": HOST, "checks": [check]})
    write_document(cc, "cc", run_scenarios(["leo"], ["cubic"], duration=2.0))
    return [run, peers, gate, cc]


def peers_document() -> dict[str, Any]:
    values = {"ours": [4.0] * 2, "theirs": [2.0] * 2, "ratios": [2.0] * 2, "ratio": 2.0, "interval": None}
    goal = {"peer": "aioquic", "figure": "mbit_per_s", "floor": 1.5, "target": 3, "verdict": "no verdict"}
    one = {"row": "up", "title": "up", "peer": "aioquic", "label": "aioquic 1.7.2", "goals": [goal], "problem": None}
    failed = {**one, "figures": {}, "goals": [], "problem": "it stalled & fell"}
    settings = {"api": "streams", "congestion_control": "bbr1", "duration": 3.0, "pairs": 2}
    figures = {"mbit_per_s": {**values, "verdict": "too few pairs"}}
    return {
        "settings": settings,
        "host": HOST,
        "ours": "aiopquic 0",
        "comparisons": [{**one, "figures": figures}, failed],
    }


class Page(HTMLParser):
    """What a page loads, and whether its tags end."""

    VOID = ("meta", "br", "link", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.loads += [value or "" for name, value in attributes if name in ("src", "href") and tag != "use"]

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_one_page_with_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = files_of(tmp_path)
    output = tmp_path / "report"
    assert main(["report", *map(str, files), "--output", str(output)]) == 0
    text = (output / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.loads == []
    assert not re.search(r"url\((?!#)", text)
    for words in (
        "a <fast> CPU",
        "aiopquic-bench run --api streams --cc bbr1 --duration 3.0 --repeats 2 --json run.json",
        "aiopquic-bench peers --api streams",
        "aiopquic-bench cc --cc cubic --seed 1 --duration 2 --json cc.json",
        "it stalled & fell",
        "too few pairs",
        "regression",
        "aiopquic-bench gate main --pairs 10 --duration 1 --plant 1 --json gate.json",
        "Congestion control",
    ):
        assert words in page.text, words
    assert text.count("<svg") == len(list(output.glob("*.png"))) == 4
    assert "wrote" in capsys.readouterr().err


def test_before_and_after(tmp_path: Path):
    """Two files of one command: one section, a bar for each, and what became of it."""
    settings = {"api": "ceiling", "congestion_control": "bbr1", "duration": 3.0, "repeats": 2, "processes": 2}
    files = []
    for name, value in (("before", 1000.0), ("after", 3000.0)):
        results = [Result("udp", 0, {"mbit_per_s": [value]}), Result("streams", 0, {"mbit_per_s": [value, value]})]
        if name == "after":
            results.append(Result("webtransport", 0, {"mbit_per_s": [value]}))
        files.append(tmp_path / f"{name}.json")
        write_json(Run(settings, {**HOST, "aiopquic": name}, results), files[-1])
    output = tmp_path / "report"
    assert main(["report", *map(str, files), "--output", str(output)]) == 0
    page = Page()
    page.feed((output / "report.html").read_text())
    assert page.text.count("The ladder from what the host can do") == 1
    for words in (
        "before: aiopquic before",
        "after / before",
        "aiopquic.connect",
        "3.00",
        "raw UDP (C), a datagram a call",
    ):
        assert words in page.text, words
    assert len(list(output.glob("*.png"))) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "No such file"),
        ("{", "is no JSON"),
        ("[]", "has no results"),
        ('{"schema": 99}', "has schema 99, and this version reads 1"),
        ('{"schema": 1, "kind": "cake"}', "is of the kind 'cake', which the report does not show"),
        ('{"schema": 1, "kind": "peers"}', "is damaged"),
        ('{"schema": 1}', "is damaged"),
    ],
)
def test_files_that_can_not_be_shown(text: str | None, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)
    assert main(["report", str(path), "--output", str(tmp_path / "report")]) == ExitCode.USAGE
    assert says in capsys.readouterr().err


def test_nothing_to_show(capsys: pytest.CaptureFixture[str]):
    assert main(["report"]) == ExitCode.USAGE
    assert "report needs what to show" in capsys.readouterr().err


def test_a_folder_that_can_not_be_written(tmp_path: Path):
    file = tmp_path / "file"
    file.touch()
    run = files_of(tmp_path)[0]
    with pytest.raises(Problem, match="can't be made"):
        report_command.report([run], output=file / "report", measure=False)


def test_it_measures_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What fails is told on the page, and the rest is shown."""
    text = files_of(tmp_path)[0].read_text()

    def run(words: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        name, target = words[3], Path(words[-1])
        if name == "peers":
            return subprocess.CompletedProcess(words, 3)
        target.write_text(text)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(report_command.subprocess, "run", run)
    monkeypatch.setattr(report_command, "save_png", lambda chart, path: path.touch())
    output = tmp_path / "report"
    assert report_command.report([], output=output, measure=True) == 1
    page = (output / "report.html").read_text()
    assert "aiopquic-bench peers ended with exit code 3" in page
    assert page.count("<h2>Figures of this host") == 1
    for name in ("ceiling", "run", "scale", "cc"):  # those that wrote a file, side by side
        assert f">{name}<" in page
