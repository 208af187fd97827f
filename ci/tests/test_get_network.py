from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "get_network.py"
PROGRAMS = ("ip", "tc", "nft", "nsenter", "tshark", "dumpcap", "gtlsclient", "gtlsserver")


def run(folder: Path, *programs: str) -> subprocess.CompletedProcess[str]:
    """With a PATH on which there is nothing but some programs that do nothing."""
    for program in programs:
        (folder / program).write_text("#!/bin/sh\n")
        (folder / program).chmod(0o755)
    script = f"import sys, get_network; get_network.FOLDERS = {str(folder)!r}; sys.exit(get_network.main())"
    return subprocess.run(
        [sys.executable, "-c", script], cwd=SCRIPT.parent, capture_output=True, text=True, env={"PATH": str(folder)}
    )


def test_all_are_here(tmp_path: Path):
    done = run(tmp_path, *PROGRAMS)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_missing_is_named(tmp_path: Path):
    done = run(tmp_path, *(name for name in PROGRAMS if name not in ("nft", "tshark")))
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "network: no right to install nftables tshark; apt-get install nftables tshark",
        "network: nft is not here: the tests that need it are skipped",
        "network: tshark is not here: the tests that need it are skipped",
    ]
