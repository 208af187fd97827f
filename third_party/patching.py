"""Apply a unified diff exactly: no `patch` program, no fuzz, since the trees are pinned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@")


class PatchError(Exception):
    """The patch does not fit the file; the text says where."""


def files_of(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each file that the patch changes, with the lines of its hunks."""
    parts = re.split(r"^--- .*\n\+\+\+ [^/\n]+/([^\t\n]+).*\n", text, flags=re.M)
    for name, hunks in zip(parts[1::2], parts[2::2], strict=True):
        yield name, hunks.split("\n")


def patched(lines: list[str], hunks: list[str], where: str) -> list[str]:
    result: list[str] = []
    position = 0
    left = 0  # old lines that the hunk at hand still has to account for
    for line in hunks:
        header = HUNK.match(line)
        if header:
            start = int(header[1]) - (header[2] != "0")
            result += lines[position:start]
            position, left = start, int(header[2] or 1)
        elif line[:1] == "+":
            result.append(line[1:])
        elif left and line[:1] in ("", " ", "-"):
            if position >= len(lines) or lines[position] != line[1:]:
                raise PatchError(f"{where}: line {position + 1} is not what the patch expects")
            if line[:1] != "-":
                result.append(lines[position])
            position, left = position + 1, left - 1
    if left:
        raise PatchError(f"{where}: the last part of the patch is cut off")
    return result + lines[position:]


def apply_patch(root: Path, patch: Path) -> None:
    changes = list(files_of(patch.read_text()))
    if not changes:
        raise PatchError(f"{patch.name} changes nothing")
    for name, hunks in changes:
        file = root / name
        is_new = hunks[0].startswith("@@ -0,0 ")
        if ".." in Path(name).parts or file.is_file() == is_new:
            raise PatchError(f"{patch.name}: there is {'already a' if is_new else 'no'} {name}")
        lines = [""] if is_new else file.read_bytes().decode().split("\n")
        file.write_bytes("\n".join(patched(lines, hunks, f"{patch.name}, {name}")).encode())
