"""What is below Python: raw UDP, picoquic over its simulated link, programs of others, and the ladder of them all."""

from __future__ import annotations

import json
import math
import socket
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from aiopquic_bench import host
from aiopquic_bench.below import native, others, udp
from aiopquic_bench.below.chart import ladder_chart, ladder_table
from aiopquic_bench.below.ladder import RUNGS, Climb, rungs_named
from aiopquic_bench.below.native import answer_of, native_words, started
from aiopquic_bench.below.others import measure_iperf3, measure_picoquicdemo
from aiopquic_bench.below.sim_link import SimLink
from aiopquic_bench.below.udp import measure_udp
from aiopquic_bench.charts import save_png
from aiopquic_bench.cli import main
from aiopquic_bench.figures import KINDS
from aiopquic_bench.problems import ExitCode, Problem, UsageProblem
from aiopquic_bench.results import Result, Run

CLIMB = Climb(congestion_control="cubic", duration=0.1)
LINK = SimLink(congestion_control="cubic", duration=0.1)


def check_figures(figures: dict[str, float]) -> None:
    assert set(figures) <= set(KINDS)
    assert all(math.isfinite(value) for value in figures.values())
    assert figures["mbit_per_s"] > 0
    assert figures["cpu_s_per_gb"] > 0


# ---- the simulated link ----


def test_sim_link_gives_figures(certificates: str):
    figures = LINK.measure(certificates)
    check_figures(figures)
    assert figures["lost_percent"] == 0


@pytest.mark.parametrize("algorithm", ["bbr", "newreno"])
def test_sim_link_loses_what_it_is_told_to(algorithm: str, certificates: str):
    link = SimLink(congestion_control=algorithm, duration=0.1, rate_gbps=0.1, delay_ms=10, loss=5)
    figures = link.measure(certificates)
    check_figures(figures)
    assert 0 < figures["lost_percent"] < 25
    assert figures["virtual_mbit_per_s"] < 1000


def test_sim_link_finds_a_wrong_byte(certificates: str):
    with pytest.raises(Problem, match="byte 4999 is not the one that was sent") as caught:
        SimLink(congestion_control="cubic", duration=0.1, spoil=5000).measure(certificates)
    assert caught.value.exit_code == ExitCode.WRONG_BYTES


def test_sim_link_that_loses_too_much(certificates: str):
    with pytest.raises(Problem, match="ended in the handshake: the link loses too much") as caught:
        SimLink(congestion_control="cubic", duration=0.1, loss=99.999).measure(certificates)
    assert caught.value.exit_code == ExitCode.STALLED


def test_sim_link_without_a_certificate(tmp_path: Path):
    with pytest.raises(Problem, match="is the certificate there"):
        LINK.measure(str(tmp_path))


# ---- raw UDP ----


@pytest.mark.parametrize(("gso", "gro"), [(False, False), (True, False), (True, True)])
def test_udp_gives_figures(gso: bool, gro: bool):
    figures = measure_udp(1400, 0.1, gso=gso, gro=gro)
    check_figures(figures)
    assert 0 <= figures["lost_percent"] < 100


def test_udp_finds_a_wrong_bit():
    with pytest.raises(Problem, match=r"datagram \d+ is not the one that was sent") as caught:
        measure_udp(1400, 0.1, gso=False, gro=False, spoil=1)
    assert caught.value.exit_code == ExitCode.WRONG_BYTES


def ask(command: str, **options: object) -> dict[str, object]:
    with started(native_words(command, **options)) as process:
        return answer_of(process, "it", 20)


def test_a_port_that_is_in_use():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        with pytest.raises(Problem, match=f"port {port} of 127.0.0.1: Address already in use"):
            ask("udp-receive", port=port)


def test_a_sender_that_never_comes():
    with pytest.raises(Problem, match=r"no datagram arrived within 0.1 s") as caught:
        ask("udp-receive", patience_s=0.1)
    assert caught.value.exit_code == ExitCode.STALLED


def test_datagrams_that_do_not_fit():
    with pytest.raises(Problem, match="a datagram has 9 to 65507 bytes"):
        ask("udp-send", size=65508)


def test_a_sender_that_can_not_send(monkeypatch: pytest.MonkeyPatch):
    """What the sender has to say, and not that nothing arrived at the receiver."""
    monkeypatch.setattr(udp, "PATIENCE", 2.0)
    with pytest.raises(Problem, match="a datagram has 9 to 65507 bytes"):
        measure_udp(65508, 0.1, gso=False, gro=False)


def test_the_program_in_c_refuses_what_it_does_not_know():
    with pytest.raises(Problem, match="measures udp-send, udp-receive and sim-link"):
        ask("fly")
    with pytest.raises(Problem, match="does not know that option"):
        ask("udp-send", wings=2)


def test_the_program_in_c_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(
        native, "distribution", lambda name: types.SimpleNamespace(locate_file=lambda path: tmp_path / path)
    )
    with pytest.raises(Problem, match="install the wheel of aiopquic-bench"):
        native_words("udp-send")


def test_a_program_that_is_silent_or_slow():
    with started([sys.executable, "-c", "raise SystemExit(7)"]) as process, pytest.raises(Problem, match="exit code 7"):
        answer_of(process, "it", 20)
    with (
        started([sys.executable, "-c", "import signal; signal.pause()"]) as process,
        pytest.raises(Problem, match=r"it stalled: it was not over after 0.1 s"),
    ):
        answer_of(process, "it", 0.1)


# ---- programs of others, played by small ones ----

Script = Callable[[str], str]

SERVE = """
import signal, socket, sys
words = sys.argv[1:]
port = int(words[words.index("-p") + 1])
kind = socket.SOCK_STREAM if "-s" in words else socket.SOCK_DGRAM
server = socket.socket(socket.AF_INET, kind)
server.bind(("127.0.0.1", port))
signal.pause()
"""


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """A program that serves when it is asked to, and otherwise runs the given lines."""

    def make(client: str, server: str = SERVE) -> str:
        path = tmp_path / "program"
        lines = f"#!{sys.executable}\nimport sys\nif '-s' in sys.argv or '-k' in sys.argv:\n"
        lines += "".join(f"    {line}\n" for line in server.splitlines()) + "    sys.exit()\n" + client
        path.write_text(lines)
        path.chmod(0o755)
        return str(path)

    return make


def iperf3_says(**total: float) -> str:
    end = {"sum": total, "cpu_utilization_percent": {"host_total": 90.0, "remote_total": 60.0}}
    return f"print({json.dumps({'end': end})!r})"


def test_iperf3(script: Script):
    figures = measure_iperf3(script(iperf3_says(bytes=1e9, seconds=4.0, lost_percent=20.0)), 1400, 0.1)
    assert figures == pytest.approx(
        {
            "mbit_per_s": 1600,
            "cpu_s_per_gb": 7.5,
            "client_cpu_s_per_gb": 4.5,
            "server_cpu_s_per_gb": 3,
            "lost_percent": 20,
        }
    )


@pytest.mark.parametrize(
    ("client", "says"),
    [
        ("print('hello')", "told nothing that can be read"),
        ("print('no route'); sys.exit(1)", "ended with exit code 1: no route"),
        (iperf3_says(bytes=0.0, seconds=1.0, lost_percent=0.0), "delivered nothing"),
    ],
)
def test_iperf3_that_fails(client: str, says: str, script: Script):
    with pytest.raises(Problem, match=says):
        measure_iperf3(script(client), 1400, 0.1)


def test_a_server_of_others_that_can_not_serve(script: Script):
    with pytest.raises(Problem, match=r"iperf3 could not serve on port \d+: the port is taken"):
        measure_iperf3(script("", "print('the port is taken')"), 1400, 0.1)


def test_a_server_of_others_that_never_serves(script: Script, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(others, "PATIENCE", 0.1)
    with pytest.raises(Problem, match=r"iperf3 did not begin to serve within 0.1 s"):
        measure_iperf3(script("", "import signal; signal.pause()"), 1400, 0.1)


def test_a_program_that_can_not_be_run(tmp_path: Path):
    with pytest.raises(Problem, match="can't be run: No such file"):
        measure_iperf3(str(tmp_path / "nothing"), 1400, 0.1)


def demo_says(moved: str) -> str:
    size = "size = int(sys.argv[-1].split(':')[0])"
    return f"{size}\nprint('Upload_bytes:', {moved})\nprint('Connection_duration_sec: 0.5')"


def test_picoquicdemo(script: Script, certificates: str):
    check_figures(measure_picoquicdemo(script(demo_says("size")), "cubic", 0.1, certificates))


@pytest.mark.parametrize(
    ("client", "says"),
    [
        (demo_says("size - 1"), "moved \\d+ of \\d+ bytes: the run is a failure"),
        ("print('Client exit with code = 0')", "told nothing that can be read"),
        ("import signal; signal.pause()", "picoquicdemo stalled"),
    ],
)
def test_picoquicdemo_that_fails(
    client: str, says: str, script: Script, certificates: str, monkeypatch: pytest.MonkeyPatch
):
    program = script(client)
    if "stalled" in says:
        monkeypatch.setattr(others, "PROBE_TIMEOUT", 0.2)
    with pytest.raises(Problem, match=says):
        measure_picoquicdemo(program, "cubic", 0.1, certificates)


# ---- the ladder ----


def test_rungs_that_are_not_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(host, "UDP_SEGMENT", 9999)
    monkeypatch.setenv("PATH", "/nowhere")
    rungs, missing = rungs_named((), CLIMB)
    assert set(missing) == {"udp-gso", "udp-gso-gro", "iperf3", "picoquicdemo"}
    assert missing["udp-gso"].startswith("this host has no GSO (")
    assert "./dev nox -s picoquicdemo" in missing["picoquicdemo"]
    assert {rung.name for rung in rungs} | set(missing) == set(RUNGS)
    with pytest.raises(UsageProblem, match="the rung 'udp-gso' can't be measured: this host has no GSO"):
        rungs_named(["udp-gso"], CLIMB)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("ceiling upd", "there is no rung 'upd': did you mean 'udp'?"),
        ("ceiling %", "there are udp, "),
        ("ceiling --size 8", "a datagram has 9 to 65507 bytes, not 8"),
        ("ceiling --duration 0.01", "too short"),
        ("ceiling --duration 0", "too short"),
        ("ceiling --repeats 0", "once at least"),
        ("ceiling --cc bbr", "plain bbr is not measured on loopback"),
        ("ceiling --iperf3 /no/such/program", "no such program"),
        ("ceiling --json /no/such/folder/a.json", "no such folder"),
        ("sim-link --duration-s 0.01", "too short"),
        ("sim-link --rate-gbps 0", "a rate above 0"),
        ("sim-link --delay-ms -1", "delays by 0 to 10000 ms"),
        ("sim-link --loss 100", "loses 0 to less than 100 per cent"),
        ("sim-link --seed -1", "a seed is a number of 64 bits"),
        ("sim-link --cc cubik", "did you mean 'cubic'?"),
        ("sim-link --repeats 0", "once at least"),
        ("sim-link --json /no/such/folder/a.json", "no such folder"),
    ],
)
def test_wrong_command_lines(words: str, says: str, capsys: pytest.CaptureFixture[str]):
    assert main(words.split()) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("aiopquic-bench: ")
    assert says in err
    assert err.count("\n") == 1


def test_ceiling(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "a.json"
    assert main(["ceiling", "udp", "sim-link", "low", "streams", "--quick", "--json", str(path)]) == 0
    out, err = capsys.readouterr()
    assert "100 %" in out
    assert "beside" in out
    assert "too few repeats" in err
    run = Run.read(path)
    assert [result.case for result in run.results] == ["udp", "sim-link", "low", "streams"]
    assert all(result.figures["mbit_per_s"][0] > 0 for result in run.results)


def test_sim_link_as_the_document_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "a.json"
    assert main(["sim-link", "--duration-s", "0.2", "--rate-gbps", "100", "--json", str(path)]) == 0
    assert "Mbit/s virtual" in capsys.readouterr().out
    assert Run.read(path).settings["rate_gbps"] == 100


LADDER = Run(
    {},
    {"cpu": "a CPU", "kernel": "Linux"},
    [
        Result(name, 0, {"mbit_per_s": [speed, speed * 2], "cpu_s_per_gb": [1.0, 2.0]})
        for name, speed in (("udp", 1000.0), ("sim-link", 5000.0), ("streams", 500.0))
    ],
)


def test_bars_in_the_terminal():
    console = Console(width=120)
    with console.capture() as captured:
        console.print(ladder_table(LADDER, {"iperf3": "is not there"}))
    lines = captured.get().splitlines()
    assert ["not measured" in line for line in lines] == [False, False, True, False, False]
    udp, sim_link, streams = lines[1], lines[3], lines[4]
    assert "100 %" in udp
    assert "beside" in sim_link
    assert "50 %" in streams
    assert sim_link.count("█") > udp.count("█") > streams.count("█")


def test_a_picture_needs_matplotlib(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["ceiling", "--png", "a.png"]) == ExitCode.USAGE
    assert "pip install 'aiopquic-bench[charts]'" in capsys.readouterr().err


def test_a_picture(tmp_path: Path):
    pytest.importorskip("matplotlib")
    figure = ladder_chart(["here"], [{result.case: result.figures for result in LADDER.results}])
    save_png(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(Problem, match="can't be written: Is a directory"):
        save_png(figure, tmp_path)


def test_ceiling_down_and_drawn(tmp_path: Path):
    pytest.importorskip("matplotlib")
    path, picture = tmp_path / "a.json", tmp_path / "a.png"
    words = ["ceiling", "udp", "webtransport", "--down", "--quick", "--json", str(path), "--png", str(picture)]
    assert main(words) == 0
    assert Run.read(path).settings["is_down"]
    assert picture.read_bytes().startswith(b"\x89PNG")
