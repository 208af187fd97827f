"""The versions of everything that is linked: what a report of a problem needs."""

from __future__ import annotations

import platform
import sys
from typing import TextIO

from aiopquic import __version__
from aiopquic._binding._engine import native_versions

__all__ = ["main", "print_versions", "versions"]


def versions() -> dict[str, str]:
    """Names and versions, ours first."""
    native = native_versions()
    # The build id is: picoquic COMMIT picotls COMMIT OPTION,OPTION...
    words = native["build_id"].split()
    commits = dict(zip(words[:4:2], words[1:4:2], strict=True))
    return {
        "aiopquic": __version__,
        "picoquic": f"{native['picoquic']} ({commits.get('picoquic', 'unknown')})",
        "picotls": commits.get("picotls", "unknown"),
        "OpenSSL": native["openssl"],
        "ABI": str(native["abi"]),
        "build id": native["build_id"],
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
    }


def print_versions(file: TextIO | None = None) -> None:
    """One line for each of :func:`versions`."""
    for name, version in versions().items():
        print(f"{name:9} {version}", file=file if file is not None else sys.stdout)


def main() -> int:
    """The command ``aiopquic versions``."""
    print_versions()
    return 0
