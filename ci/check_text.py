"""What no file may hold: a registry's host, a path of one machine, a note to oneself; and its length."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from files import ROOT, report, repository_files

# A file holds one idea; one that needs more lines than this holds two. Tests are lists of small things.
LINES_MAX = 500
TEST_LINES_MAX = 700
FORBIDDEN = {
    "names a package registry's host; ask pip or uv for it": re.compile(
        r"\b(?:[\w-]+\.)*(?:pypi|pythonhosted|npmjs|crates|debian|ubuntu)\.(?:org|io|com)\b"
    ),
    "holds a path of one machine": re.compile(r"(?<![\w./$}-])/(?:root|home/\w+|work|Users/\w+)/[\w.]"),
    "leaves something undone in words": re.compile(r"\b(?:TODO|FIXME|XXX)\b"),
}
LENGTH_MATTERS = {".py", ".pyx", ".pxd", ".pyi", ".c", ".h", ".cmake"}
# Texts by others, and versions with their digests.
SKIPPED = re.compile(r"(^|/)(LICENSE|THIRD_PARTY_NOTICES|constraints[\w-]*\.txt)$")
# The words themselves stand here.
SELF = re.compile(r"^ci/(tests/test_)?check_text\.py$")


def check_file(name: str, text: str) -> list[str]:
    problems = []
    lines = text.splitlines()
    most = TEST_LINES_MAX if "/tests/" in name else LINES_MAX
    if Path(name).suffix in LENGTH_MATTERS and len(lines) > most:
        problems.append(f"{name}: {len(lines)} lines; {most} are enough for one file")
    if SKIPPED.search(name) or SELF.match(name):
        return problems
    for number, line in enumerate(lines, 1):
        problems += [f"{name}:{number}: {why}" for why, pattern in FORBIDDEN.items() if pattern.search(line)]
    return problems


def main() -> int:
    problems = []
    for path in repository_files(ROOT):
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        problems += check_file(path.relative_to(ROOT).as_posix(), text)
    return report(problems, "texts")


if __name__ == "__main__":
    sys.exit(main())
