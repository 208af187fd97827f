"""aiopquic.versions and aiopquic._build_info: what is linked, by the names that programs know."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import aiopquic
from aiopquic import _build_info, versions
from aiopquic._binding._engine import native_versions

PINS = Path(__file__).resolve().parents[3] / "third_party" / "pins.json"


def test_the_build_says_what_is_linked() -> None:
    """Twelve constants, all texts; revisions are commits, with the digest of the patches in DESCRIBE."""
    for tree in ("PICOQUIC", "PICOTLS"):
        for name in ("VERSION", "SHA", "DESCRIBE", "DATE", "SUBJECT", "BRANCH"):
            assert isinstance(getattr(_build_info, f"{tree}_{name}"), str)
        assert re.fullmatch(r"[0-9a-f]{40}", getattr(_build_info, f"{tree}_SHA"))
        assert getattr(_build_info, f"{tree}_DESCRIBE").startswith(getattr(_build_info, f"{tree}_SHA"))
    assert native_versions()["picoquic"] == _build_info.PICOQUIC_VERSION


@pytest.mark.skipif(not PINS.exists(), reason="the pins are in the repository only")
def test_what_is_linked_is_what_is_pinned() -> None:
    pins = json.loads(PINS.read_text())
    assert pins["picoquic"]["commit"] == _build_info.PICOQUIC_SHA
    assert pins["picotls"]["commit"] == _build_info.PICOTLS_SHA


def test_print_versions_goes_where_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    text = io.StringIO()
    versions.print_versions(text)
    versions.print_versions(file=sys.stdout)
    assert versions.main() == 0
    assert capsys.readouterr().out == 2 * text.getvalue()
    for word in (aiopquic.__version__, str(Path(aiopquic.__file__).parent), _build_info.PICOQUIC_SHA, "OpenSSL"):
        assert word in text.getvalue()


def test_it_is_a_module_and_a_command() -> None:
    """``python -m aiopquic.versions`` and ``aiopquic-versions``."""
    done = subprocess.run([sys.executable, "-m", "aiopquic.versions"], capture_output=True, text=True, check=True)
    assert f"aiopquic  {aiopquic.__version__}\n" in done.stdout
    (command,) = entry_points(group="console_scripts", name="aiopquic-versions")
    assert command.load() is versions.main
