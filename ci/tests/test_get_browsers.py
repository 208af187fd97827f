from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "get_browsers.py"


def run(folder: Path, *programs: str) -> subprocess.CompletedProcess[str]:
    """With a PATH on which there is nothing but some programs that do nothing."""
    for program in programs:
        (folder / program).write_text("#!/bin/sh\n")
        (folder / program).chmod(0o755)
    return subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, env={"PATH": str(folder)})


def test_both_are_here(tmp_path: Path):
    done = run(tmp_path, "chromium", "firefox")
    assert (done.returncode, done.stdout) == (0, "")


def test_one_is_enough_and_the_other_is_named(tmp_path: Path):
    done = run(tmp_path, "google-chrome")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "browsers: no right to install firefox-esr; apt-get install firefox-esr",
        "browsers: firefox is not here: its tests are skipped",
    ]


def test_none_is_a_failure(tmp_path: Path):
    done = run(tmp_path)
    assert done.returncode == 1
    assert "apt-get install chromium firefox-esr" in done.stdout
    assert "chromium is not here" in done.stdout
