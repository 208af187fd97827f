"""The table of features: every name in it exists, and its examples run."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aiopquic
from aiopquic import asyncio as aiopquic_asyncio
from aiopquic.quic import events
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.connection import QuicConnection

ROOT = Path(__file__).parents[3]
TABLES = (ROOT / "docs" / "features.md").read_text()
ROWS = [[cell.strip() for cell in row[1:-1].split(" | ")] for row in re.findall(r"^\|.*\|$", TABLES, re.M)]
ROWS = [row for row in ROWS if row[0] != "feature" and not row[0].startswith("---")]
TIME_LIMIT = 100

#: What an example says when everything went well, beside what is different in every run.
SAID = {
    "sessions": [
        "resumed: [False, True]",
        "early data accepted: True",
        "answered, known",
        "Retry packets for three visits: 1",
    ],
    "tls": ["the client is known: True", "name encrypted: True", "renewed: True", "key log: True"],
    "transport": ["its fate: acked", "reset in return with code 7", "localhost is in"],
    "paths": ["moved to 10.9.1.1 with 3000000 bytes arrived", "from 10.8.0.1 to 10.8.0.2", "paths: 1"],
    "packets": ["packets marked: True - told to us: True", "three times what came: True", "0.1 s", "moved: True"],
    "observing": [
        "the server's handshakes: 1",
        "qlog files: 2 - with packets: True",
        "other tools: True - True",
        "doctor says something: True",
    ],
}


def known() -> set[str]:
    """Settings, arguments, methods, properties and classes of both APIs."""
    names = {field.name for field in dataclasses.fields(QuicConfiguration)}
    for function in (aiopquic.connect, aiopquic.serve, aiopquic_asyncio.connect, aiopquic_asyncio.serve):
        names |= set(inspect.signature(function).parameters)
    for kind in (aiopquic.Connection, aiopquic.Server, aiopquic.Stream, QuicConnection, QuicConfiguration, events):
        names |= set(dir(kind))
    return names | set(aiopquic.__all__)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_row(row: list[str]):
    """Feature, names, tests (which test_docs.py looks up), peers, an example that is there."""
    _, names, tests, _, example = row
    assert "::" in tests
    for name in re.findall(r"`([^`]+)`", names):
        if name.startswith("python -m"):
            continue
        if name.startswith("aiopquic."):
            importlib.import_module(name)
        elif not name.isupper() and "=" not in name:
            assert name.removeprefix("server.") in known(), name
    (path,) = re.findall(r"\(\.\./(examples/\w+\.py)\)", example)
    assert (ROOT / path).exists()


def test_all_examples_are_in_the_table():
    shown = {name for row in ROWS for name in re.findall(r"examples/(\w+)\.py", row[-1])}
    assert set(SAID) <= shown


@pytest.mark.parametrize("name", SAID)
def test_example(name: str, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py")],
        cwd=tmp_path, capture_output=True, text=True, timeout=TIME_LIMIT, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    missing = [line for line in SAID[name] if line not in done.stdout]
    assert not missing, done.stdout
