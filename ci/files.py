"""The files of the repository: what git tracks, and what it would track."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def repository_files(root: Path = ROOT, *suffixes: str) -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    names = sorted(name for name in done.stdout.decode().split("\0") if name)
    found = (root / name for name in names)
    return [p for p in found if p.is_file() and (not suffixes or p.suffix in suffixes)]


def report(problems: list[str], what: str) -> int:
    for problem in problems:
        print(problem)
    print(f"{what}: {f'{len(problems)} problem(s)' if problems else 'ok'}")
    return 1 if problems else 0
