"""``versions`` works on a bare installation; everything else says what is missing there."""

from __future__ import annotations

import io
import platform
import subprocess
import sys

import pytest

import aiopquic
from aiopquic._binding._engine import native_versions
from aiopquic.versions import print_versions


def run_without(missing: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"from aiopquic.__main__ import main\n"
        f"sys.exit(main({list(arguments)!r}))\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_every_version_is_there() -> None:
    text = io.StringIO()
    print_versions(text)
    native = native_versions()
    for version in (aiopquic.__version__, native["picoquic"], native["openssl"], native["build_id"]):
        assert version in text.getvalue()
    assert platform.python_version() in text.getvalue()


@pytest.mark.parametrize("missing", ["typer", "rich", "cryptography"])
def test_versions_needs_nothing(missing: str) -> None:
    done = run_without(missing, "versions")
    assert (done.returncode, done.stderr) == (0, "")
    assert "picoquic" in done.stdout


@pytest.mark.parametrize("missing", ["typer", "rich", "cryptography"])
@pytest.mark.parametrize("arguments", [(), ("get", "quic://localhost/a"), ("demo",)])
def test_other_commands_name_the_extra(missing: str, arguments: tuple[str, ...]) -> None:
    done = run_without(missing, *arguments)
    assert done.returncode == 2
    assert "aiopquic-core[cli]" in done.stderr
    assert "Traceback" not in done.stderr
