"""picoquic's own program in C, ``picoquicdemo -a perf``, as something to compare with.

It moves a number of bytes, not seconds of them; its account is that of whole processes, and it counts bytes without
looking at them.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from aiopquic_bench.contenders import SLACK, Task
from aiopquic_bench.measuring import Figures
from aiopquic_bench.problems import ExitCode, Problem

__all__ = ["PATH_VARIABLE", "DemoContender", "find_demo"]

#: Where the program is told, when it is not on the path.
PATH_VARIABLE = "AIOPQUIC_BENCH_PICOQUICDEMO"

#: Bytes of a measurement for each second that it is to take: about what it moves.
BYTES_PER_SECOND = 300_000_000

#: The bytes of the direction that is not measured.
OTHER = 1000

#: Seconds until a server that has started can be spoken to; a client that comes too early tries again by itself.
START = 0.2


def find_demo() -> Path:
    """The program.

    Raises:
        Problem: it is not there.
    """
    found = os.environ.get(PATH_VARIABLE) or shutil.which("picoquicdemo")
    if not found:
        raise Problem(
            f"picoquicdemo is not built here: build it from picoquic's sources, and put it on the PATH or its path "
            f"into {PATH_VARIABLE}",
            ExitCode.PEER,
        )
    if not os.access(found, os.X_OK):
        raise Problem(f"{found}, which {PATH_VARIABLE} names, can't be run", ExitCode.PEER)
    return Path(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoContender:
    """``picoquicdemo -a perf`` on both sides."""

    program: Path
    congestion_control: str
    name: str = "picoquicdemo"
    label: str = "picoquicdemo (C)"

    def can(self, case: str) -> bool:
        """It moves bytes on a stream."""
        return case in ("up", "down")

    def measure(self, task: Task) -> Figures:
        """Once, in fresh processes."""
        count = int(task.duration * BYTES_PER_SECOND)
        up, down = (count, OTHER) if task.case == "up" else (OTHER, count)
        port = _free_port()
        files = ("-c", str(task.certificates.certificate), "-k", str(task.certificates.private_key))
        common = ("-G", self.congestion_control, "-a", "perf")
        before = _children_cpu()
        with tempfile.TemporaryDirectory(prefix="aiopquic-bench-") as folder:
            server = self._start(folder, ["-1", "-p", str(port), *files, *common])
            try:
                time.sleep(START)
                root = str(task.certificates.authority)
                words = ["-n", "localhost", "-t", root, "-D", *common, "127.0.0.1", str(port), f"*1:{up}:{down};"]
                client = self._start(folder, words)
                try:
                    text, _ = client.communicate(timeout=task.duration * 10 + SLACK)
                except subprocess.TimeoutExpired:
                    raise Problem(f"{self.label} stalled", ExitCode.STALLED) from None
                finally:
                    client.kill()
                    client.wait()
                server.send_signal(signal.SIGINT)
                _wait(server)
            finally:
                server.kill()
                server.communicate()
        told = dict(re.findall(r"^(\w+): ([\d.]+)$", text, re.MULTILINE))
        moved = int(told.get("Upload_bytes" if task.case == "up" else "Download_bytes", 0))
        if client.returncode or moved < count:
            text = f"{self.label} ended with exit code {client.returncode} after {moved} of {count} bytes"
            raise Problem(text, ExitCode.WRONG_BYTES if moved else ExitCode.PEER)
        return {
            "mbit_per_s": moved * 8 / float(told["Connection_duration_sec"]) / 1e6,
            "cpu_s_per_gb": (_children_cpu() - before) / (moved / 1e9),
        }

    def _start(self, folder: str, words: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.program), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,
            process_group=0,
        )


def _wait(process: subprocess.Popen[str]) -> None:
    try:
        process.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.communicate(timeout=5)


def _children_cpu() -> float:
    """CPU seconds of all children that have ended and been waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
