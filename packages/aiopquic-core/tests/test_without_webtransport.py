"""Core alone: what is WebTransport's says which extra to install, and nothing else misses it."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Where the package is installed, too, the import system is told that it is not.
WITHOUT = "import sys; sys.modules['aiopquic_webtransport'] = None\n"
INSTALL = "pip install 'aiopquic-core[webtransport]'"


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.parametrize(
    "statement",
    [
        "import aiopquic.asyncio.webtransport",
        "from aiopquic.asyncio.webtransport import serve_webtransport, WebTransportSession",
        "from aiopquic.asyncio import webtransport",
    ],
)
def test_the_import_names_the_extra(statement: str):
    done = run(WITHOUT + statement)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last == f"ImportError: WebTransport is a package of its own: {INSTALL}"


def test_a_package_that_is_there_and_fails_tells_why():
    """What it can't find itself is not taken for its absence."""
    code = (
        "import sys, importlib.abc\n"
        "class Broken(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'aiopquic_webtransport':\n"
        "            raise ModuleNotFoundError('no module named other', name='other')\n"
        "sys.meta_path.insert(0, Broken())\n"
        "import aiopquic.asyncio.webtransport\n"
    )
    done = run(code)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == "ModuleNotFoundError: no module named other"


def test_core_does_not_load_it():
    done = run(
        "import sys, aiopquic, aiopquic.asyncio, aiopquic.testing\n"
        "print([name for name in sys.modules if name.startswith('aiopquic_webtransport')])\n"
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
