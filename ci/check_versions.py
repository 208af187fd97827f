"""The three packages have one version, pin each other to it, and carry the same licence texts."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from files import ROOT, report

PACKAGES = {
    "aiopquic-core": "aiopquic",
    "aiopquic-webtransport": "aiopquic_webtransport",
    "aiopquic-bench": "aiopquic_bench",
}
# One text in several places, because a source distribution holds only what is in its package.
COPIES = {
    "LICENSE": [f"packages/{name}/LICENSE" for name in PACKAGES],
    "THIRD_PARTY_NOTICES": [f"packages/{name}/THIRD_PARTY_NOTICES" for name in list(PACKAGES)[:2]],
    "packages/aiopquic-core/cmake/hatch_build.py": ["packages/aiopquic-webtransport/cmake/hatch_build.py"],
}


def requirements(project: dict[str, object], build: dict[str, object]) -> list[str]:
    found = [*project.get("dependencies", []), *build.get("requires", [])]
    for extra in project.get("optional-dependencies", {}).values():
        found += extra
    return found


def says_version(source: Path) -> str | None:
    for file in (source / "_version.py", source / "__init__.py"):
        text = file.read_text() if file.exists() else ""
        found = re.search(r'^__version__(?:: \w+)? = "([^"]+)"', text, re.M)
        if found:
            return found[1]
    return None


def check(root: Path) -> list[str]:
    problems = []
    versions = {}
    for name, module in PACKAGES.items():
        with (root / "packages" / name / "pyproject.toml").open("rb") as handle:
            data = tomllib.load(handle)
        version = versions[name] = data["project"]["version"]
        for requirement in requirements(data["project"], data["build-system"]):
            required = re.match(r"[\w-]+", requirement)
            if required and required[0] in PACKAGES and not requirement.endswith(f"=={version}"):
                problems.append(f"{name} {version} requires {requirement}, not =={version}")
        source = root / "packages" / name / "src" / module
        if says_version(source) != version:
            problems.append(f"{module}.__version__ is {says_version(source)}, not {version}")
    if len(set(versions.values())) != 1:
        problems.append(f"the packages have different versions: {versions}")
    for original, copies in COPIES.items():
        text = (root / original).read_bytes()
        problems += [f"{c} differs from {original}" for c in copies if (root / c).read_bytes() != text]
    return problems


if __name__ == "__main__":
    sys.exit(report(check(ROOT), "versions and copies"))
