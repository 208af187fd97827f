"""Paired comparisons: the order of the two, what is concluded, and what is said when there is nothing to conclude."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aiopquic_bench import contenders, environments, paired, picoquicdemo
from aiopquic_bench.cli import main
from aiopquic_bench.contenders import Certificates, ProgramContender, Task
from aiopquic_bench.figures import KINDS
from aiopquic_bench.judging import goal_verdict, verdict
from aiopquic_bench.measuring import Figures
from aiopquic_bench.paired import Match, play
from aiopquic_bench.peer_list import ourselves
from aiopquic_bench.picoquicdemo import PATH_VARIABLE, DemoContender
from aiopquic_bench.problems import ExitCode, Problem
from aiopquic_bench.ratios import Ratios, interval
from aiopquic_bench.rows import ROWS, Goal

SHORT = 0.1


@pytest.fixture(scope="module")
def files() -> Iterator[Certificates]:
    with paired.certificates() as made:
        yield made


def task_of(row: str, files: Certificates, **settings: object) -> Task:
    """Ours of a row; a million streams are a thousand here."""
    asked = {**ROWS[row].settings, **ROWS[row].our_settings, **settings}
    if "count" in asked:
        asked["count"] = 1000
    return Task(ROWS[row].case, asked, SHORT, 0.02, files)


# ---- the programs ----


@pytest.mark.parametrize(
    ("api", "row"),
    [*(("streams", row) for row in ROWS), *(("asyncio", row) for row in ("down", "churn", "datagrams", "handshakes"))],
)
def test_every_row_gives_its_figures(api: str, row: str, files: Certificates):
    figures = ourselves(api, "bbr1").measure(task_of(row, files))
    assert set(ROWS[row].figures) <= set(figures) <= set(KINDS)


@pytest.mark.peer
@pytest.mark.parametrize("package", ["aioquic", "qh3"])
def test_peers_give_figures(package: str, files: Certificates):
    pytest.importorskip(package)
    peer = ProgramContender(
        name=package, label=package, python=Path(sys.executable), adapter="aioquic_like", package=package
    )
    for row, figure in (("down", "mbit_per_s"), ("echo", "p99_us")):
        assert peer.measure(task_of(row, files))[figure] > 0


def test_a_plain_call_is_repeated_until_there_is_room(files: Certificates):
    assert ourselves("asyncio", "bbr1").measure(task_of("up-raw", files, raw=True))["mbit_per_s"] > 0


def changed_programs(tmp_path: Path, module: str, old: str, new: str) -> Path:
    """A copy of the programs with a fault in it."""
    shutil.copytree(contenders.FOLDER / "programs", tmp_path / "programs")
    file = tmp_path / "programs" / module
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    return tmp_path


@pytest.mark.parametrize(
    ("row", "module", "old", "new", "exit_code", "says"),
    [
        (
            "up",
            "cases.py",
            "data = pieces(position,",
            "data = pieces(position + 1,",
            5,
            "at the server, bytes",
        ),
        ("down", "server.py", "data = pieces(position,", "data = pieces(position + 1,", 5, "bytes behind"),
        ("up", "server.py", "self.received += len(chunk)", "self.received += 1", 5, "bytes and \\d+ arrived"),
        ("echo", "server.py", "await stream.write(bytes(chunk))", "pass", 4, "it stalled: not over after 0.6 s"),
        ("up", "server.py", "service = Service(job)", "raise SystemExit(3)", 3, "the server ended with exit code 3"),
        (
            "up",
            "client.py",
            "values = json.loads(sys.stdin.readline())",
            "raise SystemExit('lost')",
            3,
            "without an answer: lost",
        ),
    ],
)
def test_what_goes_wrong_is_no_figure(
    row: str,
    module: str,
    old: str,
    new: str,
    exit_code: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: Certificates,
):
    monkeypatch.setattr(contenders, "FOLDER", changed_programs(tmp_path, module, old, new))
    deadline = {"deadline": 0.6} if exit_code == ExitCode.STALLED else {}
    us = ourselves("streams", "bbr1")
    us = ProgramContender(
        name="us", label="us", python=us.python, adapter=us.adapter, settings={**us.settings, **deadline}
    )
    with pytest.raises(Problem, match=says) as caught:
        us.measure(task_of(row, files))
    assert caught.value.exit_code == exit_code
    assert "\n" not in str(caught.value)


# ---- in turn ----


class Counted:
    """Gives the next figure of a list and writes down that it was asked."""

    def __init__(self, name: str, values: list[float], log: list[str]) -> None:
        self.name = self.label = name
        self._values = iter(values)
        self._log = log

    def can(self, case: str) -> bool:
        return True

    def measure(self, task: Task) -> Figures:
        self._log.append(self.name)
        value = next(self._values)
        if value < 0:
            raise Problem("it fell over", ExitCode.PEER)
        return {"mbit_per_s": value, "cpu_s_per_gb": 1 / value}


def played(ours: list[float], theirs: list[float], files: Certificates) -> tuple[Match, list[str]]:
    log: list[str] = []
    match = Match(ROWS["up"], Counted("b", theirs, log))
    play(Counted("a", ours, log), [match], pairs=len(ours), duration=SHORT, files=files)
    return match, log


def test_the_order_is_turned_round_every_other_time(files: Certificates):
    match, log = played([2.0, 4.0, 6.0], [1.0, 1.0, 2.0], files)
    assert "".join(log) == "abbaab"
    ratios = match.ratios("mbit_per_s")
    assert ratios is not None
    assert ratios.values == (2, 4, 3)
    assert (ratios.median, ratios.lowest, ratios.highest) == (3, 2, 4)


def test_a_peer_that_fails_is_no_figure_and_the_others_go_on(files: Certificates):
    log: list[str] = []
    matches = [Match(ROWS["up"], Counted(name, values, log)) for name, values in (("b", [1.0, -1.0]), ("c", [1.0] * 3))]
    play(Counted("a", [1.0] * 6, log), matches, pairs=3, duration=SHORT, files=files)
    assert str(matches[0].problem) == "it fell over"
    assert matches[1].pairs == 3
    assert "".join(log) == "abacbcaac"


def test_ours_that_fails_ends_it(files: Certificates):
    with pytest.raises(Problem, match="fell over"):
        played([-1.0], [1.0], files)


# ---- what is concluded ----


@pytest.mark.parametrize(("count", "place"), [(6, 0), (8, 0), (9, 1), (10, 1), (20, 5), (40, 13)])
def test_interval_of_the_median(count: int, place: int):
    assert interval([float(number) for number in reversed(range(count))]) == (place, count - 1 - place)


def test_no_interval_of_few():
    assert interval([1.0, 2.0, 3.0, 4.0, 5.0]) is None
    assert Ratios.of([1.0] * 5, [1.0] * 5).noise is None  # type: ignore[union-attr]


def test_noise_is_half_the_interval():
    ratios = Ratios.of([9.0, 10.0, 11.0] * 4, [10.0] * 12)
    assert ratios is not None
    assert ratios.noise == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("figure", "ours", "theirs", "says"),
    [
        ("mbit_per_s", [2.0] * 10, [1.0] * 10, "better"),
        ("mbit_per_s", [1.0] * 10, [2.0] * 10, "worse"),
        ("cpu_s_per_gb", [2.0] * 10, [1.0] * 10, "worse"),
        ("mbit_per_s", [2.0, 0.5] * 5, [1.0] * 10, "no difference shown"),
        ("mbit_per_s", [2.0] * 9, [1.0] * 9, "too few pairs"),
        ("lost_percent", [2.0] * 10, [0.0] * 10, "theirs is 0"),
    ],
)
def test_verdicts(figure: str, ours: list[float], theirs: list[float], says: str):
    match = Match(ROWS["up"], Counted("b", [], []))
    match.ours = [{figure: value} for value in ours]
    match.theirs = [{figure: value} for value in theirs]
    assert verdict(figure, match) == says


@pytest.mark.parametrize(
    ("ours", "says"),
    [
        ([5.0] * 10, "target reached"),
        ([3.0] * 10, "floor reached"),
        ([2.0] * 10, "below the floor"),
        ([2.0] * 6 + [3.0] * 4, "floor within the noise"),
        ([2.0] * 9, "no verdict"),
    ],
)
def test_goals(ours: list[float], says: str):
    match = Match(ROWS["up"], Counted("b", [], []))
    match.ours = [{"mbit_per_s": value, "cpu_s_per_gb": 1 / value} for value in ours]
    match.theirs = [{"mbit_per_s": 1.0, "cpu_s_per_gb": 1.0} for _ in ours]
    assert goal_verdict(match, Goal("b", "mbit_per_s", 2.5, 4)) == says
    assert goal_verdict(match, Goal("b", "cpu_s_per_gb", 1 / 2.5, 1 / 4)) == says


@pytest.mark.parametrize(
    ("ours", "says"),
    [([1.0] * 10, "target reached"), ([3.0] * 10, "floor reached"), ([5.0] * 10, "below the floor")],
)
def test_goals_that_no_peer_decides(ours: list[float], says: str):
    """Theirs is 0 and worse than nothing: only ours counts."""
    match = Match(ROWS["memory-stream"], Counted("b", [], []))
    match.ours = [{"client_kb_each": value} for value in ours]
    match.theirs = [{"client_kb_each": 0.0} for _ in ours]
    assert goal_verdict(match, Goal("b", "client_kb_each", 4, 2, is_absolute=True)) == says


def test_a_row_without_a_peer_is_measured_as_often_as_it_asks(files: Certificates):
    log: list[str] = []
    row = replace(ROWS["churn-million"], figures=("mbit_per_s",))
    match = Match(row, None)
    play(Counted("a", [5.0, 6.0], log), [match], pairs=10, duration=SHORT, files=files)
    assert (log, match.pairs, match.label, verdict("mbit_per_s", match)) == (["a"], 1, "alone", "")
    goals = [Goal("", "mbit_per_s", floor, 7, is_absolute=True) for floor in (5, 6)]
    assert [goal_verdict(match, goal) for goal in goals] == ["floor reached", "below the floor"]


def test_each_side_has_its_settings(files: Certificates):
    asked: dict[str, list[Task]] = {"aiopquic": [], "aiopquic-0.6.1": []}

    class Asked(Counted):
        def measure(self, task: Task) -> Figures:
            asked[self.name].append(task)
            return super().measure(task)

    us = Asked("aiopquic", [1.0] * 3, [])
    matches = [Match(ROWS["wt-up"], us), Match(ROWS["wt-up"], Asked("aiopquic-0.6.1", [1.0], []))]
    play(us, matches, pairs=1, duration=SHORT, files=files)
    assert [task.settings.get("adapter") for task in asked["aiopquic"]] == ["webtransport", None, "webtransport"]
    assert [task.settings.get("adapter") for task in asked["aiopquic-0.6.1"]] == ["session_events"]
    assert matches[0].label == "aiopquic, raw QUIC"


# ---- the command ----


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("peers upp", "there is no comparison 'upp': did you mean 'up'?"),
        ("peers --peer x", "there is no peer 'x': there are"),
        ("peers --peer aioquik", "did you mean 'aioquic'?"),
        ("peers --pairs 0", "there is one pair at least, not 0"),
        ("peers --duration 0.01", "too short"),
        ("peers --cc bbr", "plain bbr is not measured"),
        ("peers --api low", "can't be compared with peers: use streams or asyncio"),
        ("peers --driver x", "--driver x"),
        ("peers --json /no/such/folder/a.json", "no such folder"),
    ],
)
def test_wrong_command_lines(words: str, says: str, capsys: pytest.CaptureFixture[str]):
    assert main(words.split()) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No environments, and no network to make any."""
    monkeypatch.setenv(environments.CACHE_VARIABLE, str(tmp_path))
    for name in ("UV_OFFLINE", "PIP_NO_INDEX"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return tmp_path


def test_a_peer_that_cannot_be_installed(cache: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["peers", "import", "--peer", "aioquic"]) == ExitCode.PEER
    assert "aioquic can't be installed: " in capsys.readouterr().err


def test_no_peer_at_all(cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv(PATH_VARIABLE, str(cache / "nothing"))
    assert main(["peers", "import"]) == ExitCode.PEER
    err = capsys.readouterr().err
    assert err.count("left out: ") == 4
    assert "can't be run" in err
    assert "no peer of these comparisons can be had" in err


def test_a_release_needs_a_newer_python(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(environments.sys, "version_info", (3, 11))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Problem, match=r"aiopquic 0.6.1 needs Python 3.12 or newer, and this host has none"):
        environments.find_python((3, 12), what="aiopquic 0.6.1")


def test_an_environment_is_kept(cache: Path):
    """What is there already needs no network."""
    python = Path(sys.executable)
    kept = environments._folder("aioquic-1.7.2", python)
    (kept / "bin").mkdir(parents=True)
    (kept / "bin" / "python").symlink_to(python)
    (kept / "installed.json").write_text(json.dumps({"label": "aioquic 1.7.2"}))
    found = environments.of_requirement("aioquic==1.7.2", python)
    assert found == environments.Environment(kept / "bin" / "python", "aioquic 1.7.2")


def test_peers_writes_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """With ourselves in the place of a peer, which needs no network."""
    monkeypatch.setattr(
        "aiopquic_bench.peer_list.PEERS", {"aioquic": lambda algorithm: ourselves("asyncio", algorithm)}
    )
    monkeypatch.setattr("aiopquic_bench.peers_command.PEERS", {"aioquic": lambda cc: ourselves("asyncio", cc)})
    path = tmp_path / "peers.json"
    assert main(["peers", "import", "echo", "--pairs", "1", "--duration", "0.1", "--json", str(path)]) == 0
    out, err = capsys.readouterr()
    assert "pairs of each: 1, too few for a verdict, which takes 10" in err
    assert "too few" in out
    document = json.loads(path.read_text())
    assert (document["kind"], document["settings"]["pairs"]) == ("peers", 1)
    assert [each["row"] for each in document["comparisons"]] == ["echo", "import"]
    assert len(document["comparisons"][0]["figures"]["p99_us"]["ratios"]) == 1


# ---- picoquicdemo ----


def test_picoquicdemo_is_measured_both_ways(monkeypatch: pytest.MonkeyPatch, files: Certificates):
    """test_below.py has the program itself."""
    asked = []
    monkeypatch.setattr(picoquicdemo, "measure_picoquicdemo", lambda *words, is_up: asked.append((words, is_up)) or {})
    demo = DemoContender(program=Path("demo"), congestion_control="cubic")
    for row in ("up", "down"):
        demo.measure(task_of(row, files))
    folder = str(files.certificate.parent)
    assert asked == [(("demo", "cubic", SHORT, folder), is_up) for is_up in (True, False)]
    assert [demo.can(case) for case in ("up", "down", "echo")] == [True, True, False]


def test_picoquicdemo_that_is_not_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.delenv(PATH_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", "")
    assert main(["peers", "up", "--peer", "picoquicdemo"]) == ExitCode.PEER
    assert "picoquicdemo is not built here" in capsys.readouterr().err
