"""The demonstration, as ``./dev demo`` runs it, and its large file."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.cli

DEADLINE = 60.0


def start(temporary: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "aiopquic", "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary), "COLUMNS": "100"},
    )


def test_quick(tmp_path: Path) -> None:
    with start(tmp_path, "--quick") as process:
        out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, "Traceback" in err) == (0, False), err
    for text in ("put large file", "get large file", "put folder", "get folder", "Mbit/s", "CPU s/GB"):
        assert text in out
    assert "SHA-256 of all" in out
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_the_server_and_removes_the_files(tmp_path: Path) -> None:
    children: Sequence[psutil.Process] = ()
    with start(tmp_path, "--size", "512MiB", "--directory", str(Path(__file__).parent)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("$ aiopquic put large.bin"):
                children = psutil.Process(process.pid).children()
                process.send_signal(signal.SIGINT)
                break
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert len(children) >= 1
    assert psutil.wait_procs(children, timeout=DEADLINE)[1] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--size", "1TB5"), "a size looks like"),
        (("--size", "900000GiB"), "set TMPDIR"),
        (("--directory", "/nonexistent"), "no such folder"),
    ],
)
def test_what_can_not_be(tmp_path: Path, options: tuple[str, ...], why: str) -> None:
    with start(tmp_path, *options) as process:
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode in (1, 2)
    assert why in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


def test_the_large_file_is_the_same_everywhere(tmp_path: Path) -> None:
    demo = pytest.importorskip("aiopquic.cli.demo")
    path = tmp_path / "large"
    size = 3 * (1 << 20) + 5
    digest = demo.write_large_file(path, size)
    data = path.read_bytes()
    assert len(data) == size
    assert hashlib.sha256(data).hexdigest() == digest
    assert digest == "44a193c746ef82bea269085c2c0cd5393d398f33ba9d6dbc3d4c5864c8992eea"
