"""Programs of others: iperf3 for UDP, and picoquic's own picoquicdemo. Neither checks bytes; both count them."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from aiopquic.testing.certificates import CERTIFICATE_FILE, KEY_FILE
from aiopquic_bench.below.native import PATIENCE, rates, started
from aiopquic_bench.measuring import Figures
from aiopquic_bench.plan import warm_up_of
from aiopquic_bench.problems import ExitCode, Problem

__all__ = ["HOST", "measure_iperf3", "measure_picoquicdemo"]

HOST = "127.0.0.1"

#: Bytes by which picoquicdemo's speed is found: it takes a number of bytes, and no duration.
PROBE_BYTES = 50_000_000

#: Seconds in which the slowest host has moved them.
PROBE_TIMEOUT = 60.0

#: Seconds between two looks whether a server has its port.
LOOK_INTERVAL = 0.02


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    """A port of this host that nobody has at the moment, for programs that don't take 0."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_bound(server: subprocess.Popen[str], name: str, port: int, kind: socket.SocketKind) -> None:
    """Wait until the server has its port.

    Raises:
        Problem: it ended, as it does when somebody else has the port, or takes too long.
    """
    end = time.monotonic() + PATIENCE
    while True:
        if server.poll() is not None:
            raise Problem(f"{name} could not serve on port {port}: {_last_line(server)}", ExitCode.PEER)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                return
        if time.monotonic() > end:
            raise Problem(f"{name} did not begin to serve within {PATIENCE:g} s", ExitCode.STALLED)
        time.sleep(LOOK_INTERVAL)


def _last_line(process: subprocess.Popen[str]) -> str:
    text = process.communicate()[0].strip()
    return text.splitlines()[-1] if text else f"exit code {process.returncode}"


def _output(process: subprocess.Popen[str], name: str, seconds: float) -> str:
    try:
        text, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Problem(f"{name} stalled: it was not over after {seconds:.1f} s", ExitCode.STALLED) from None
    if process.returncode:
        line = text.strip().splitlines()[-1:] or ["it says nothing"]
        raise Problem(f"{name} ended with exit code {process.returncode}: {line[0]}", ExitCode.PEER)
    return text


def measure_iperf3(program: str, size: int, duration: float) -> Figures:
    """``iperf3 -u``, unlimited: datagrams of ``size`` bytes; the whole seconds of the duration, one at least.

    Raises:
        Problem: it failed, or told nothing that can be read.
    """
    seconds = max(1, round(duration))
    port = free_port(socket.SOCK_STREAM)
    words = [program, "-s", "-1", "-B", HOST, "-p", str(port)]
    with started(words, stderr=subprocess.STDOUT) as server:
        wait_bound(server, "iperf3", port, socket.SOCK_STREAM)
        words = [program, "-c", HOST, "-p", str(port), "-u", "-b", "0", "-l", str(size), "-t", str(seconds), "--json"]
        with started(words) as client:
            text = _output(client, "iperf3", seconds + PATIENCE)
    try:
        end: dict[str, Any] = json.loads(text)["end"]
        total, cpu = end["sum"], end["cpu_utilization_percent"]
        arrived = 1 - total["lost_percent"] / 100
        mbit_per_s = total["bytes"] * 8e-6 / total["seconds"] * arrived
        client_cores, server_cores = cpu["host_total"] / 100, cpu["remote_total"] / 100
    except (ValueError, KeyError, TypeError, ZeroDivisionError):
        raise Problem("iperf3 told nothing that can be read: is it iperf 3?", ExitCode.PEER) from None
    if not mbit_per_s > 0:
        raise Problem("iperf3 delivered nothing", ExitCode.STALLED)
    return {**rates(mbit_per_s, client_cores, server_cores), "lost_percent": 100 * (1 - arrived)}


def measure_picoquicdemo(
    program: str, congestion_control: str, duration: float, certificates: str, *, is_up: bool = True
) -> Figures:
    """``picoquicdemo -a perf``, one stream up, or down, for about the duration.

    Raises:
        Problem: it failed, or moved another number of bytes than it was asked to.
    """
    with tempfile.TemporaryDirectory(prefix="aiopquic-bench-") as folder:
        run = _Demo(str(Path(program).absolute()), congestion_control, certificates, folder)
        probed = run.transfer(PROBE_BYTES, PROBE_TIMEOUT, is_up=is_up)
        wanted = probed["mbit_per_s"] * 1e6 / 8 * (duration + warm_up_of(duration))
        return run.transfer(max(PROBE_BYTES, round(wanted)), duration * 4 + PROBE_TIMEOUT, is_up=is_up)


class _Demo:
    """picoquicdemo, which leaves files where it runs."""

    def __init__(self, program: str, congestion_control: str, certificates: str, folder: str) -> None:
        self._program = program
        self._algorithm = congestion_control
        self._certificates = Path(certificates).absolute()
        self._folder = folder

    def transfer(self, size: int, seconds: float, *, is_up: bool) -> Figures:
        port = free_port()
        pair = ["-c", str(self._certificates / CERTIFICATE_FILE), "-k", str(self._certificates / KEY_FILE)]
        common = [self._program, "-G", self._algorithm]
        with started([*common, "-p", str(port), *pair], cwd=self._folder, stderr=subprocess.STDOUT) as server:
            wait_bound(server, "picoquicdemo", port, socket.SOCK_DGRAM)
            words = [
                *common,
                "-n",
                "localhost",
                "-a",
                "perf",
                HOST,
                str(port),
                f"{size}:1000" if is_up else f"1000:{size}",
            ]
            before = _children_cpu()
            with started(words, cwd=self._folder, stderr=subprocess.STDOUT) as client:
                text = _output(client, "picoquicdemo", seconds)
            client_cpu = _children_cpu() - before
            server.terminate()
            server.communicate(timeout=PATIENCE)
            server_cpu = _children_cpu() - before - client_cpu
        found = dict(line.partition(": ")[::2] for line in text.splitlines())
        try:
            moved, took = (
                int(found["Upload_bytes" if is_up else "Download_bytes"]),
                float(found["Connection_duration_sec"]),
            )
        except (KeyError, ValueError):
            raise Problem("picoquicdemo told nothing that can be read", ExitCode.PEER) from None
        if moved != size:
            text = f"picoquicdemo moved {moved} of {size} bytes: the run is a failure and gives no figure"
            raise Problem(text, ExitCode.WRONG_BYTES)
        return rates(size * 8e-6 / took, client_cpu / took, server_cpu / took)


def _children_cpu() -> float:
    """CPU seconds of all processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
