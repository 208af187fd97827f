"""The gate: a regression is found, noise is not one, and what can't be compared is said."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from aiopquic_bench import environments, gate_command
from aiopquic_bench.budgets import COUNTS, INSTRUCTIONS, VIRTUAL
from aiopquic_bench.cli import main
from aiopquic_bench.counting import can_count
from aiopquic_bench.deterministic import COUNTED, EXACT, SEEDS, Counts, Outcome, parse_callgrind, simulate
from aiopquic_bench.environments import Environment
from aiopquic_bench.gating import (
    MEASURED_LIMIT,
    budget_checks,
    instruction_budget_checks,
    instruction_checks,
    measured_check,
    virtual_checks,
)
from aiopquic_bench.problems import ExitCode, Problem, UsageProblem

HERE = Environment(Path(sys.executable), "this environment")

#: A pair of each kind is enough to see that something is wrong with it.
FEW = [("bulk", 1), ("echo", 1)]


# ---- virtual time ----


@pytest.fixture(scope="module")
def outcomes() -> dict[tuple[str, int], Outcome]:
    return simulate(HERE, [(name, SEEDS[0]) for name in EXACT])


def test_the_budget_holds(outcomes: dict[tuple[str, int], Outcome]):
    checks = budget_checks(outcomes)
    assert {check.name for check in checks} == set(VIRTUAL)
    assert [check for check in checks if check.is_regression] == []


def test_the_same_seed_gives_the_same(outcomes: dict[tuple[str, int], Outcome]):
    again = simulate(HERE, FEW)
    assert again == {run: outcomes[run] for run in FEW}
    assert not any(check.is_regression or check.ratio != 1 for check in virtual_checks(again, again, EXACT))


def test_a_planted_delay_is_found_in_virtual_time(outcomes: dict[tuple[str, int], Outcome]):
    slow = simulate(HERE, FEW, plant=1)
    before = {run: outcomes[run] for run in FEW}
    found = [(check.name, check.figure) for check in virtual_checks(before, slow, EXACT) if check.is_regression]
    assert ("bulk", "virtual_s") in found


def outcomes_of(times: Sequence[float]) -> dict[tuple[str, int], Outcome]:
    return {("bulk-lossy", seed): Outcome(time, 10, 100) for seed, time in enumerate(times)}


@pytest.mark.parametrize(
    ("after", "is_regression"),
    [([1.0] * 10, False), ([1.2] * 10, True), ([1.5] * 5 + [0.9] * 5, False), ([1.04] * 10, False)],
)
def test_seeds_are_pairs(after: list[float], is_regression: bool):
    checks = virtual_checks(outcomes_of([1.0] * 10), outcomes_of(after), EXACT)
    assert [check.is_regression for check in checks] == [is_regression, False, False]


# ---- instructions ----

DUMP = """\
version: 1
events: Ir
ob=/usr/lib/libpython3.so
fn=run
12 100
calls=1 0
12 5000
+3 7
14 50
ob=/somewhere/aiopquic/lib/libaiopquic.so
fn=(4) send
0 800
calls=2 9
0 90
totals: 950
"""


def test_callgrind_files_are_read():
    assert parse_callgrind(DUMP.splitlines()) == (950, 800)


def counts(total: float, engine: float) -> dict[str, Counts]:
    return {name: Counts(total, engine) for name in COUNTED}


@pytest.mark.parametrize(
    ("again", "after", "found"),
    [
        (counts(100, 20), counts(100, 20), 0),
        (counts(100, 20), counts(102, 20), 0),
        (counts(100, 20), counts(104, 20), len(COUNTED)),
        (counts(100, 20), counts(104, 21), 2 * len(COUNTED)),
        (counts(98, 20), counts(104, 20), 0),  # the baseline differs from itself by 2 %
    ],
)
def test_instructions(again: dict[str, Counts], after: dict[str, Counts], found: int):
    checks = instruction_checks(counts(100, 20), again, after)
    assert sum(check.is_regression for check in checks) == found


def test_instruction_budgets():
    good = {budget.scenario: Counts(100, 20) for budget in INSTRUCTIONS} | {"count-bulk": Counts(100, 20)}
    assert not any(check.is_regression for check in instruction_budget_checks(good))
    costly = good | {"count-bulk-100": Counts(1000, 20)}
    assert sum(check.is_regression for check in instruction_budget_checks(costly)) == 1


# ---- measurements ----


class Measured:
    """Pairs that were measured, one list after the other."""

    def __init__(self, *ratios: Sequence[float]) -> None:
        self._ratios = iter(ratios)

    def __call__(self) -> tuple[list[float], list[float]]:
        ratios = list(next(self._ratios))
        return [2.0] * len(ratios), [2 * ratio for ratio in ratios]


def test_a_regression_is_seen_twice():
    slower = [1.3] * 10
    check = measured_check("up", "cpu_s_per_gb", Measured(slower, slower), limit=MEASURED_LIMIT)
    assert check.is_regression
    assert check.ratio == pytest.approx(1.3)


def test_what_is_not_seen_again_is_none():
    check = measured_check("up", "cpu_s_per_gb", Measured([1.3] * 10, [1.0] * 10), limit=MEASURED_LIMIT)
    assert not check.is_regression


@pytest.mark.parametrize("ratios", [[1.0] * 10, [1.5, 0.7] * 5, [1.08] * 10, [1.3] * 8 + [1.0] * 2])
def test_noise_is_no_regression(ratios: list[float]):
    assert not measured_check("up", "cpu_s_per_gb", Measured(ratios), limit=MEASURED_LIMIT).is_regression


# ---- the command ----


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("gate", "needs what to compare with"),
        ("gate HEAD --part cake", "the gate has no part 'cake': there are virtual, instructions, counts, measured"),
        ("gate HEAD --pairs 9", "9 pairs are too few for a verdict, which takes 10"),
        ("gate HEAD --plant -1", "1 pass or more"),
        ("gate HEAD --plant cake", "there is no 'cake' to lose on purpose: there are gso, gro, joining,"),
        ("gate HEAD --quick", "leave BASELINE and --candidate out"),
        ("gate HEAD --duration 0.01", "too short"),
        ("gate no-such-revision", "no revision of a git repository here, no wheel, no environment, and no peer"),
        ("gate nothing.whl", "nothing.whl: no such file"),
        ("gate --quick --json /no/such/folder/a.json", "no such folder"),
    ],
)
def test_wrong_command_lines(words: str, says: str, capsys: pytest.CaptureFixture[str]):
    assert main(words.split()) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_a_wheel_of_something_else(tmp_path: Path):
    path = tmp_path / "rich-1-py3-none-any.whl"
    path.touch()
    with pytest.raises(UsageProblem, match="is no wheel of aiopquic-core"):
        environments.of_wheel(path)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, which holds a package that can't be built."""
    folder = tmp_path / "repository"
    package = folder / "packages" / "aiopquic-core"
    package.mkdir(parents=True)
    (package / "pyproject.toml").write_text("[build-system]\nrequires = []\nbuild-backend = 'nothing.here'\n")
    settings = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    for words in (("init", "-q"), ("add", "-A"), (*settings, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv(environments.CACHE_VARIABLE, str(tmp_path / "cache"))
    for name in ("UV_OFFLINE", "PIP_NO_INDEX"):
        monkeypatch.setenv(name, "1")
    return folder


def test_a_revision_that_cannot_be_built(repository: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["gate", "HEAD", "--part", "virtual"]) == ExitCode.PEER
    assert "can't be installed: " in capsys.readouterr().err


def test_a_revision_without_the_library(repository: Path, capsys: pytest.CaptureFixture[str]):
    subprocess.run(["git", "mv", "packages", "other"], cwd=repository, check=True)
    settings = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    subprocess.run(["git", *settings, "commit", "-q", "-m", "second"], cwd=repository, check=True)
    assert main(["gate", "HEAD", "--part", "virtual"]) == ExitCode.USAGE
    assert "holds no packages/aiopquic-core" in capsys.readouterr().err


@pytest.fixture
def without_valgrind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_command, "has_callgrind", lambda: False)


@pytest.mark.parametrize(("plant", "exit_code"), [(0, 0), (1, ExitCode.REGRESSED)])
def test_the_short_form(
    plant: int, exit_code: int, tmp_path: Path, without_valgrind: None, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "gate.json"
    words = f"gate --quick --part virtual --part instructions --plant {plant} --json {path}".split()
    assert main(words) == exit_code
    out, err = capsys.readouterr()
    assert "valgrind is not installed: no instructions are counted" in err
    assert ("REGRESSION" in out) == bool(plant)
    assert ("regression: bulk, virtual_s" in err) == bool(plant)
    assert {check["kind"] for check in json.loads(path.read_text())["checks"]} == {"virtual"}


@pytest.mark.skipif(not can_count(), reason="counts the work of the packet loop of Linux")
@pytest.mark.parametrize(("plant", "exit_code"), [("0", 0), ("write", ExitCode.REGRESSED)])
def test_counts_in_the_short_form(
    plant: str, exit_code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    judged = [budget for budget in COUNTS if budget.scenario == "write"]
    monkeypatch.setattr(gate_command, "countable", lambda: (judged, ["why"]))
    path = tmp_path / "gate.json"
    assert main(["gate", "--quick", "--part", "counts", "--plant", plant, "--json", str(path)]) == exit_code
    out, err = capsys.readouterr()
    assert ("REGRESSION" in out) == (plant != "0")
    assert "not everything is counted: why" in err
    document = json.loads(path.read_text())
    assert [check["kind"] for check in document["checks"]] == ["counts"] * len(judged)
    assert document["settings"]["plant"] == (plant if plant != "0" else 0)


def test_counts_against_a_baseline(monkeypatch: pytest.MonkeyPatch):
    """The loss is planted in the candidate alone."""
    asked = []

    def count_work(environment: Environment, scenarios: Sequence[str], *, plant: str = "") -> object:
        asked.append((environment.label, plant))
        return {name: [{"made": 1.0 if plant else 0.0}] for name in scenarios}

    judged = [budget for budget in COUNTS if budget.counts == ("made",) and budget.scenario == "write"]
    monkeypatch.setattr(gate_command, "can_count", lambda: True)
    monkeypatch.setattr(gate_command, "countable", lambda: (judged, []))
    monkeypatch.setattr(gate_command, "count_work", count_work)
    base = Environment(HERE.python, "base")
    [check] = gate_command._compare(base, HERE, ("counts",), 10, 0.1, gate_command.Plant(loss="write"))
    assert check.is_regression
    assert asked == [("base", ""), (HERE.label, "write")] * 2


def test_a_valgrind_that_can_not_run_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def fails(*_: object, **__: object) -> None:
        raise Problem("this environment: the program ended without an answer: exit code -4", ExitCode.PEER)

    monkeypatch.setattr(gate_command, "has_callgrind", lambda: True)
    monkeypatch.setattr(gate_command, "count_instructions", fails)
    outcomes = {("bulk", 1): Outcome(*VIRTUAL["bulk"])}
    monkeypatch.setattr(gate_command, "simulate", lambda *_, **__: outcomes)
    assert main(["gate", "--quick", "--part", "virtual", "--part", "instructions"]) == 0
    assert "no instructions are counted: this environment: the program ended" in capsys.readouterr().err


def test_runs_that_differ_decide_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    times = iter((1.0, 2.0))
    monkeypatch.setattr(gate_command, "simulate", lambda *_, **__: {("bulk", 1): Outcome(next(times), 1, 1)})
    assert main(["gate", "--quick", "--part", "virtual"]) == ExitCode.FAILED
    assert "with the same seed differ" in capsys.readouterr().err


def test_nothing_to_compare(without_valgrind: None):
    with pytest.raises(Problem, match="nothing could be compared"):
        gate_command._compare(HERE, HERE, ("instructions",), 10, 0.1, gate_command.Plant())


def test_a_baseline_without_the_simulated_network(tmp_path: Path):
    """An interpreter that has nothing: what it says is the sentence."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -S -P "$@"\n')
    python.chmod(0o755)
    with pytest.raises(Problem, match="an old one: the program ended without an answer: ModuleNotFoundError"):
        simulate(Environment(python, "an old one"), FEW)


def test_a_floor_of_a_peer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    goal = {"figure": "mbit_per_s", "floor": 2.5, "target": 4, "verdict": "below the floor"}
    document = {
        "ours": "aiopquic",
        "settings": {"api": "streams"},
        "comparisons": [{"row": "up", "label": "x 1", "figures": {}, "goals": [goal], "problem": None}],
    }
    monkeypatch.setattr(gate_command, "measure_peers", lambda *_, **__: (document, 0))
    assert main(["gate", "aiopquic-0.6.1"]) == ExitCode.REGRESSED
    assert "below the floor against aiopquic-0.6.1: up: mbit_per_s" in capsys.readouterr().err
    goal["verdict"] = "floor reached"
    assert main(["gate", "aiopquic-0.6.1"]) == 0
