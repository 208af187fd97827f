"""Where other packages find the C interface of libaiopquic: headers, the library, the build it came from."""

from __future__ import annotations

from pathlib import Path

from aiopquic._binding import _engine

__all__ = ["build_id", "get_include", "get_library_dir"]


def _root() -> Path:
    # Beside the compiled modules, in editable installs too.
    return Path(_engine.__file__).parent.parent


def get_include() -> str:
    """The folder for ``#include "aiopquic/engine.h"``."""
    return str(_root() / "include")


def get_library_dir() -> str:
    """The folder of ``libaiopquic.so``."""
    return str(_root() / "lib")


def build_id() -> str:
    """Which picoquic and picotls are inside, and the definitions they were compiled with."""
    return str(_engine.native_versions()["build_id"])
