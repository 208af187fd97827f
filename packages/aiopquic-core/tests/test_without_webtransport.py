"""Core alone: what is WebTransport's says which extra to install, and nothing else misses it."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Ahead of what finds modules: the package can't be found, for the reason that is filled in.
FINDER = """
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "aiopquic_webtransport":
            raise ModuleNotFoundError("no module named REASON", name="REASON")
sys.meta_path.insert(0, Missing())
"""
WITHOUT = FINDER.replace("REASON", "aiopquic_webtransport")
INSTALL = "pip install 'aiopquic-core[webtransport]'"


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.parametrize(
    "statement",
    [
        "import aiopquic.asyncio.webtransport",
        "from aiopquic.asyncio.webtransport import serve_webtransport, WebTransportSession",
        "from aiopquic.asyncio import webtransport",
        "from aiopquic.asyncio import serve_dispatch",
        "import aiopquic.asyncio.dispatch",
    ],
)
def test_the_import_names_the_extra(statement: str):
    done = run(WITHOUT + statement)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last == f"ImportError: WebTransport is a package of its own: {INSTALL}"


def test_a_package_that_is_there_and_fails_tells_why():
    """What it can't find itself is not taken for its absence."""
    done = run(FINDER.replace("REASON", "other") + "import aiopquic.asyncio.webtransport")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == "ModuleNotFoundError: no module named other"


def test_core_does_not_load_it():
    done = run(
        "import sys, aiopquic, aiopquic.asyncio, aiopquic.testing\n"
        "print([name for name in sys.modules if name.startswith('aiopquic_webtransport')])\n"
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
