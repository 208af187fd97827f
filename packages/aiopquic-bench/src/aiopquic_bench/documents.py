"""The files of `peers`, `gate` and `cc`: JSON with a kind, for scripts and for `aiopquic-bench report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiopquic_bench.problems import Problem, UsageProblem

__all__ = ["SCHEMA", "check_target", "read_document", "write_document"]

#: The version of the files' shapes: docs/benchmarks.md describes them.
SCHEMA = 1


def check_target(path: Path | None) -> None:
    """Before anything is measured.

    Raises:
        UsageProblem: its folder is not there.
    """
    if path is not None and not path.absolute().parent.is_dir():
        raise UsageProblem(f"{path.absolute().parent}: no such folder")


def write_document(path: Path, kind: str, content: dict[str, Any]) -> None:
    """Write a file.

    Raises:
        Problem: it can't be written.
    """
    try:
        path.write_text(json.dumps({"schema": SCHEMA, "kind": kind, **content}, indent=2) + "\n")
    except OSError as error:
        raise Problem(f"{path} can't be written: {error.strerror}") from None


def read_document(path: Path) -> tuple[str, dict[str, Any]]:
    """The kind and the content; the kind of what `aiopquic-bench run --json` wrote is ``run``.

    Raises:
        UsageProblem: it is not there, or none of ours.
    """
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise UsageProblem(f"{path}: {error.strerror}") from None
    except ValueError:
        raise UsageProblem(f"{path} is no JSON: give it what a command of aiopquic-bench wrote by --json") from None
    if not isinstance(content, dict) or "schema" not in content:
        raise UsageProblem(f"{path} has no results: give it what a command of aiopquic-bench wrote by --json")
    if content["schema"] != SCHEMA:
        raise UsageProblem(f"{path} has schema {content['schema']}, and this version reads {SCHEMA}: measure again")
    return content.get("kind", "run"), content
