"""A development certificate for the servers here."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiopquic.testing.certificates import dev_certificate


@pytest.fixture(scope="session")
def dev_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Its certificate and key."""
    return dev_certificate().write(tmp_path_factory.mktemp("dev"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that is served, resolved."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder.resolve()
