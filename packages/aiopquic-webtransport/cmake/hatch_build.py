"""Put the verified third-party sources, and what builds them, into the source distribution."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARRIED = (
    "AiopqThirdParty.cmake",
    "CMakeLists.txt",
    "fetch.py",
    "package_index.py",
    "patching.py",
    "pins.json",
    "patches",
)


class SourceDistributionHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatch calls it for source distributions alone (pyproject.toml says so)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        # In the repository the folder is at the top; in an unpacked source distribution inside.
        inside = root / "third_party"
        third_party = inside if inside.is_dir() else root.parent.parent / "third_party"
        self.exported = tempfile.mkdtemp(prefix="aiopquic-sdist-")
        sources = Path(self.exported) / "sources"
        subprocess.run(
            [
                sys.executable,
                str(third_party / "fetch.py"),
                "--export",
                str(sources),
                "--profile",
                self.config["profile"],
                "--need",
                *self.config["need"],
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        carried = {str(third_party / name): f"third_party/{name}" for name in CARRIED}
        carried[str(sources)] = "third_party/.sources"
        if third_party != inside:
            build_data["force_include"].update(carried)
        else:
            build_data["artifacts"].append("third_party/**")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        shutil.rmtree(self.exported, ignore_errors=True)
