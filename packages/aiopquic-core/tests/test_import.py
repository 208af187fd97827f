"""What an import brings: a program that only connects pays for nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Modules that are imported when they are used: each takes a millisecond and more, or brings others that do.
LATE = (
    "aiopquic._paths",
    "aiopquic.quic.accepting",
    "aiopquic.quic.engine_stats",
    "aiopquic.quic.incoming",
    "aiopquic.quic.webtransport_events",
    "certifi",
    "difflib",
    "hashlib",
    "importlib.metadata",
    "importlib.resources",
    "ipaddress",
    "pathlib",
    "random",
    "shutil",
    "tempfile",
    "urllib.parse",
    "zipfile",
)

#: Prints what a statement has imported beyond asyncio. What the interpreter starts with is none of it.
PROGRAM = """
import asyncio, sys
before = set(sys.modules)
{statement}
print(*sorted(set(sys.modules) - before))
"""


#: Prints how many texts an import compiles that are in no file: the methods of dataclasses, above all.
COMPILED = """
import asyncio, sys
made = []
def hook(event, arguments):
    if event == "compile" and arguments[0] is not None and arguments[1] == "<string>":
        made.append(arguments[0])
sys.addaudithook(hook)
import aiopquic.asyncio
print(len(made))
"""


def imported_by(statement: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(statement=statement)], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    ["from aiopquic import connect, serve", "from aiopquic.asyncio import connect, serve, QuicConnectionProtocol"],
)
def test_the_import_of_both_ends_brings_nothing_else(statement: str):
    assert imported_by(statement).isdisjoint(LATE)


def test_an_import_compiles_few_methods():
    """The methods of dataclasses take 0.1 to 5 ms for each class: Record has them, or the source.

    It takes 7 texts with Python 3.12 and 15 with 3.13; with the decorator everywhere it would be 67.
    """
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 20


def test_the_bare_package_brings_no_engine():
    assert {name for name in imported_by("import aiopquic") if name.startswith("aiopquic")} == {
        "aiopquic",
        "aiopquic._version",
    }


@pytest.mark.parametrize(
    "statement",
    [
        "from aiopquic.quic.events import WebTransportSessionReady, StreamReset",
        "from aiopquic.quic.events import *; WebTransportNewStream(4)",
        "from aiopquic.quic.paths import PathEvent, PathInfo",
        "import aiopquic; aiopquic.PathInfo; aiopquic.Decision.ACCEPT",
    ],
)
def test_names_are_found_where_they_always_were(statement: str):
    imported_by(statement)


@pytest.mark.parametrize("module", ["aiopquic.quic.events", "aiopquic.quic.paths"])
def test_there_are_no_others(module: str):
    namespace: dict[str, object] = {}
    with pytest.raises(ImportError, match="Nothing"):
        exec(f"from {module} import Nothing", namespace)
