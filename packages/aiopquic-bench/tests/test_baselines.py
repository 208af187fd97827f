"""The baselines of tests/bench run under pytest, with a duration of one's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BASELINES = ROOT / "tests" / "bench"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "which", "says"),
    [("highlevel", "up-1024", ["asyncio up 1024 B:", "streams up 1024 B:"]), ("lowlevel", "down-4096", ["low down"])],
)
def test_baselines(name: str, which: str, says: list[str]):
    done = run(str(BASELINES / f"bench_baselines_{name}.py"), "--duration=0.1", "-k", which)
    assert done.returncode == 0, done.stdout
    assert all(text in done.stdout for text in says), done.stdout
    assert done.stdout.count("Mbit/s") == len(says)


def test_a_duration_that_is_too_short():
    done = run(str(BASELINES / "bench_baselines_lowlevel.py"), "--duration=0.01")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "0.01 s are too short to measure anything" in done.stderr


def test_the_name_of_sim_link():
    program = str(BASELINES / "sim_link" / "sim_link_bench")
    words = [program, "--duration-s", "0.1", "--rate-gbps", "100"]
    done = subprocess.run(words, capture_output=True, text=True, env={"PYTHON": sys.executable}, check=False)
    assert done.returncode == 0, done.stderr
    assert "Mbit/s virtual" in done.stdout
