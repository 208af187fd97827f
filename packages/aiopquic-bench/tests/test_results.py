"""Files of results, and what two of them say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiopquic_bench import host
from aiopquic_bench.comparing import Comparison, check_comparable, compare, differences
from aiopquic_bench.problems import Problem, UsageProblem
from aiopquic_bench.results import SCHEMA, Result, Run, spread, write_json

SETTINGS = {"api": "streams", "congestion_control": "bbr1", "duration": 3.0, "repeats": 5, "processes": 2}


def run_of(values: list[float], figure: str = "mbit_per_s", case: str = "up") -> Run:
    return Run(dict(SETTINGS), {"cpu": "a CPU"}, [Result(case, 1024, {figure: values})])


def only(comparisons: list[Comparison]) -> Comparison:
    (comparison,) = comparisons
    return comparison


def test_round_trip(tmp_path: Path):
    run = Run(dict(SETTINGS), host.host_report(), [Result("up", 1024, {"mbit_per_s": [1.5, 2.5]}), Result("x", 0, {})])
    write_json(run, tmp_path / "a.json")
    assert Run.read(tmp_path / "a.json") == run
    assert json.loads((tmp_path / "a.json").read_text())["schema"] == SCHEMA
    assert [result.key for result in run.results] == ["up@1024", "x"]
    assert [result.repeats for result in run.results] == [2, 0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "No such file"),
        ("{", "is no JSON"),
        ("[]", "has no results"),
        ("{}", "has no results"),
        ('{"schema": 99}', "has schema 99, and this version reads 1"),
        ('{"schema": 1}', "is damaged"),
        ('{"schema": 1, "settings": {}, "host": {}, "results": [{"cake": 1}]}', "is damaged"),
    ],
)
def test_files_that_are_none_of_ours(text: str | None, says: str, tmp_path: Path):
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageProblem, match=says):
        Run.read(path)


def test_a_file_that_cannot_be_written(tmp_path: Path):
    with pytest.raises(Problem, match="can't be written: Is a directory"):
        write_json(run_of([1.0]), tmp_path)


@pytest.mark.parametrize(
    ("figure", "a", "b", "verdict"),
    [
        ("mbit_per_s", [1, 2, 3, 2, 2], [4, 5, 6, 5, 5], "better"),
        ("mbit_per_s", [4, 5, 6, 5, 5], [1, 2, 3, 2, 2], "worse"),
        ("cpu_s_per_gb", [4, 5, 6, 5, 5], [1, 2, 3, 2, 2], "better"),
        ("cpu_s_per_gb", [1, 2, 3, 2, 2], [4, 5, 6, 5, 5], "worse"),
        ("mbit_per_s", [1, 2, 3, 2, 2], [3, 5, 6, 5, 5], "no difference shown"),
        ("mbit_per_s", [1, 2, 3, 2], [4, 5, 6, 5, 5], "no verdict: 4 and 5 repeats, it takes 5 of each"),
        ("a figure of tomorrow", [1, 2, 3, 2, 2], [4, 5, 6, 5, 5], "higher"),
        ("a figure of tomorrow", [4, 5, 6, 5, 5], [1, 2, 3, 2, 2], "lower"),
    ],
)
def test_verdicts(figure: str, a: list[float], b: list[float], verdict: str):
    assert only(compare(run_of(a, figure), run_of(b, figure))).verdict == verdict


def test_ratio_and_its_range():
    comparison = only(compare(run_of([1.0, 2.0, 4.0]), run_of([2.0, 4.0, 4.0])))
    assert (comparison.a, comparison.b) == (2, 4)
    assert (comparison.ratio, comparison.lowest, comparison.highest) == (2, 0.5, 4)


def test_nothing_is_divided_by_nothing():
    comparison = only(compare(run_of([0.0] * 5, "lost_percent"), run_of([1.0] * 5, "lost_percent")))
    assert (comparison.ratio, comparison.verdict) == (None, "worse")


def test_nothing_in_common():
    with pytest.raises(UsageProblem, match="no case in common"):
        compare(run_of([1.0]), run_of([1.0], case="down"))


def test_differences():
    a, b = run_of([1.0]), run_of([1.0])
    assert differences(a, b) == []
    b.settings.update(congestion_control="cubic", repeats=9)
    b.host["cpu"] = "another"
    assert differences(a, b) == [
        "congestion_control is bbr1 in A and cubic in B",
        "cpu is a CPU in A and another in B",
    ]


@pytest.mark.parametrize(
    ("where", "name", "value", "says"),
    [
        ("host", "cpu", "another", "cpu is a CPU in A and another in B; measure both on one host"),
        ("settings", "duration", 9.0, "duration is 3.0 in A and 9.0 in B"),
        ("settings", "processes", 1, "processes is 2 in A and 1 in B"),
    ],
)
def test_runs_that_can_not_be_compared(where: str, name: str, value: object, says: str):
    a, b = run_of([1.0]), run_of([1.0])
    check_comparable(a, b)
    getattr(b, where)[name] = value
    with pytest.raises(UsageProblem, match=f"can't be compared: {says}"):
        check_comparable(a, b)


def test_spread():
    assert spread([1.0, 2.0, 3.0]) == 1
    assert spread([0.0, 0.0]) == 0


def test_host(monkeypatch: pytest.MonkeyPatch):
    report = host.host_report()
    assert {"cpu", "cores", "kernel", "rmem_max", "wmem_max", "gso", "gro", "OpenSSL", "picoquic"} <= set(report)
    monkeypatch.setattr(host, "UDP_SEGMENT", 9999)
    assert str(host.host_report()["gso"]).startswith("no (")
