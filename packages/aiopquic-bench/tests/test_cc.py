"""Congestion-control scenarios: the same with the same seed, and what each is there to show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiopquic_bench import charts
from aiopquic_bench.cc_command import run_scenarios
from aiopquic_bench.cli import main
from aiopquic_bench.congestion import running
from aiopquic_bench.congestion.running import Flow, Sample, Trace, run
from aiopquic_bench.congestion.scenarios import SCENARIOS
from aiopquic_bench.problems import ExitCode, Problem, UsageProblem

#: Virtual seconds: the fewest that a scenario takes.
SHORT = 2.0


@pytest.mark.parametrize("name", list(SCENARIOS))
@pytest.mark.parametrize("algorithm", ["bbr1", "cubic"])
def test_every_scenario(name: str, algorithm: str):
    scenario = SCENARIOS[name]
    algorithms = (algorithm,) * (2 if scenario.has_rival else 1)
    trace = run(scenario, algorithms, seed=3, duration=SHORT)
    assert run(scenario, algorithms, seed=3, duration=SHORT) == trace
    link = scenario.link
    for flow in trace.flows:
        assert 0 < flow.goodput(SHORT) <= (link.mbps or 0)
        assert flow.rtt(0) >= 2e3 * link.delay * 0.99
        assert all(sample.window_kb > 0 for sample in flow.samples)


def test_another_seed_is_another_run():
    first, other = (run(SCENARIOS["satellite"], ("cubic",), seed=seed, duration=4.0) for seed in (1, 2))
    assert first.flows[0].samples != other.flows[0].samples


def test_a_fade_is_seen():
    trace = run(SCENARIOS["wifi-fade"], ("cubic",), seed=1, duration=4.0)
    capacity = [mbps for _, mbps in trace.capacity]
    assert min(capacity) == 0
    assert max(capacity) == 60
    (flow,) = trace.flows
    faded = [sample.mbit_per_s for sample in flow.samples if 0.45 < sample.time / 4 < 0.7]
    good = [sample.mbit_per_s for sample in flow.samples if 0.2 < sample.time / 4 < 0.4]
    assert sum(faded) / len(faded) < sum(good) / len(good) / 3


def test_a_rival_takes_its_part():
    trace = run(SCENARIOS["competing"], ("cubic", "cubic"), seed=1, duration=8.0)
    assert trace.fairness is not None
    assert 0.5 < trace.fairness <= 1
    assert trace.flows[1].samples[0].time > 2


def test_fairness():
    def flow(rate: float) -> Flow:
        return Flow("cubic", samples=[Sample(1, rate, 1, 1)])

    assert Trace("x", 1, 1, [flow(1)]).fairness is None
    assert Trace("x", 1, 1, [flow(2), flow(2)]).fairness == 1
    assert Trace("x", 1, 1, [flow(2), flow(0)]).fairness == 0.5
    assert Trace("x", 1, 1, [flow(0), flow(0)]).fairness is None


def test_a_byte_that_is_wrong(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(running, "pattern", lambda position, size: bytes(size))
    with pytest.raises(Problem, match="byte 0 is not the one that was sent") as caught:
        run(SCENARIOS["competing"], ("cubic",), seed=1, duration=SHORT)
    assert caught.value.exit_code == ExitCode.WRONG_BYTES


def test_casts():
    document = run_scenarios(["competing"], ["cubic", "newreno"], duration=SHORT)
    casts = [[flow["algorithm"] for flow in each["flows"]] for each in document["runs"]]
    assert casts == [["cubic", "cubic"], ["newreno", "newreno"], ["cubic", "newreno"]]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("cc satelite", "there is no scenario 'satelite': did you mean 'satellite'?"),
        ("cc x", "there are satellite, wifi-fade"),
        ("cc --cc cubik", "did you mean 'cubic'?"),
        ("cc --duration 1", "2 to 600 virtual seconds, not 1"),
        ("cc --seed -1", "a seed is a number from 0"),
        ("cc --json /no/such/folder/a.json", "no such folder"),
    ],
)
def test_wrong_command_lines(words: str, says: str, capsys: pytest.CaptureFixture[str]):
    assert main(words.split()) == ExitCode.USAGE
    assert says in capsys.readouterr().err


def test_table_plots_and_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("matplotlib")
    path, plots = tmp_path / "cc.json", tmp_path / "plots"
    words = ["cc", "leo", "--cc", "bbr1", "--duration", "2", "--plots", str(plots), "--json", str(path)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "fairness" in out
    assert sorted(file.name for file in plots.iterdir()) == ["leo.png"]
    assert (plots / "leo.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads(path.read_text())
    assert document["kind"] == "cc"
    assert len(document["runs"]) == 1


def test_charts_without_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(UsageProblem, match=r"pip install 'aiopquic-bench\[charts\]'"):
        charts.require_charts()


def test_a_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("matplotlib")
    file = tmp_path / "file"
    file.touch()
    words = ["cc", "competing", "--cc", "cubic", "--duration", "2", "--plots", str(file / "plots")]
    assert main(words) == ExitCode.FAILED
    assert "can't be made: Not a directory" in capsys.readouterr().err
