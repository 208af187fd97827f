"""Names on the wire and files on disk: what is served, what is refused, and what a folder holds.

A name is refused when it is absolute, when one of its parts is empty, ``.`` or ``..``, contains NUL or a
backslash, is longer than file systems take, or is that of a part file; and when it leads out of the folder
through a symbolic link. Whoever can write to the served folder on the host itself is trusted not to swap
links while they are followed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from aiopquic.cli.protocol import Code, RequestError

__all__ = ["PART_SUFFIX", "check_name", "locate", "part_of", "printable", "walk"]

#: Ends the names of files that are still on their way.
PART_SUFFIX = ".aiopquic-part"

NAME_BYTES_MAX = 4096
PART_BYTES_MAX = 255


def check_name(name: str) -> tuple[str, ...]:
    """The parts of a name; the empty name is the folder itself.

    Raises:
        RequestError: the name is refused.
    """
    if name == "":
        return ()
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:
        raise RequestError(Code.BAD_NAME, "a name contains characters that no file name has") from None
    if "\0" in name or "\\" in name:
        raise RequestError(Code.BAD_NAME, "a name contains NUL or a backslash")
    if name.startswith("/"):
        raise RequestError(Code.BAD_NAME, "a name is absolute: names are relative to the folder that is served")
    if len(encoded) > NAME_BYTES_MAX:
        raise RequestError(Code.BAD_NAME, f"a name is longer than {NAME_BYTES_MAX} bytes")
    parts = tuple(name.split("/"))
    for part in parts:
        if part in ("", ".", ".."):
            raise RequestError(Code.BAD_NAME, "a part of a name is empty, '.' or '..'")
        if len(os.fsencode(part)) > PART_BYTES_MAX:
            raise RequestError(Code.BAD_NAME, f"a part of a name is longer than {PART_BYTES_MAX} bytes")
        if part.endswith(PART_SUFFIX):
            raise RequestError(Code.BAD_NAME, f"names that end in {PART_SUFFIX} are those of unfinished files")
    return parts


def locate(root: Path, name: str) -> Path:
    """Where the file of a name is, or would be: links resolved, inside of ``root`` (itself resolved).

    Raises:
        RequestError: the name is refused, or leads out of the root.
    """
    candidate = root.joinpath(*check_name(name))
    loop = RequestError(Code.BAD_NAME, "the name leads through a loop of links")
    try:
        path = candidate.resolve()
    except (OSError, RuntimeError):
        raise loop from None
    if not path.is_relative_to(root):
        raise RequestError(Code.BAD_NAME, "the name leads out of the folder through a link")
    # Python 3.13 and later leave a loop as it is, the only links that a resolved path can contain.
    if any(step.is_symlink() for step in (path, *path.parents) if step.is_relative_to(root) and step != root):
        raise loop
    return path


def part_of(path: Path) -> Path:
    """Where the unfinished copy of a file is kept: beside it, so that it can be moved into place at once."""
    name = path.name + PART_SUFFIX
    if len(os.fsencode(name)) > PART_BYTES_MAX:
        name = hashlib.sha256(os.fsencode(path.name)).hexdigest() + PART_SUFFIX
    return path.with_name(name)


def printable(name: str) -> str:
    """A name for the terminal: what a terminal would obey, or could not show, is escaped."""
    if name.isprintable():
        return name
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)


def walk(
    folder: Path,
    *,
    inside: Path | None = None,
    exclude: Sequence[str] = (),
    on_error: Callable[[OSError], None] | None = None,
) -> Iterator[tuple[str, os.stat_result]]:
    """Every regular file below ``folder`` as name and status, in the order of the names within each folder.

    Links to files count as the files. Links to folders, part files, and names that the protocol refuses are
    left out.

    Args:
        folder: where to begin.
        inside: links that lead out of this folder are left out.
        exclude: patterns of names of files and folders that are left out too.
        on_error: called with what can't be read, which is left out then; raised when not given.
    """
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        folders = []
        try:
            with os.scandir(folder / prefix) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if on_error is None:
                raise
            on_error(error)
            continue
        for entry in entries:
            name = prefix + entry.name
            if not _is_servable(name) or any(fnmatch(entry.name, pattern) for pattern in exclude):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(name + "/")
            elif (status := _regular(entry, inside)) is not None:
                yield name, status
        waiting.extend(reversed(folders))


def _is_servable(name: str) -> bool:
    try:
        check_name(name)
    except RequestError:
        return False
    return True


def _regular(entry: os.DirEntry[str], inside: Path | None) -> os.stat_result | None:
    """The status of a regular file; None for anything else, and for what has vanished meanwhile."""
    try:
        if inside is not None and entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(inside):
            return None
        status = entry.stat()
    except (OSError, RuntimeError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None
