"""The versions of everything that is linked: what a report of a problem needs. ``python -m aiopquic.versions``."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import TextIO

from aiopquic import __version__, _build_info
from aiopquic._binding._engine import native_versions

__all__ = ["main", "print_versions", "versions"]


def versions() -> dict[str, str]:
    """Names and versions, ours first."""
    native = native_versions()
    return {
        "aiopquic": __version__,
        "in": str(Path(__file__).parent),
        "picoquic": f"{native['picoquic']} ({_build_info.PICOQUIC_DESCRIBE or 'unknown'})",
        "picotls": _build_info.PICOTLS_DESCRIBE or "unknown",
        "OpenSSL": native["openssl"],
        "ABI": str(native["abi"]),
        "build id": native["build_id"],
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
    }


def print_versions(file: TextIO | None = None) -> None:
    """One line for each of :func:`versions`; without ``file``, on the standard output."""
    for name, version in versions().items():
        print(f"{name:9} {version}", file=file if file is not None else sys.stdout)


def main() -> int:
    """The commands ``aiopquic versions`` and ``aiopquic-versions``."""
    print_versions()
    return 0


if __name__ == "__main__":
    sys.exit(main())
