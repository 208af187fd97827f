"""What is in the wheels and source distributions of a folder: `python ci/check_wheel.py dist`."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from files import report

CORE = "aiopquic_core-"
WEBTRANSPORT = "aiopquic_webtransport-"
BENCH = "aiopquic_bench-"
BENCH_PROGRAM = "aiopquic_bench/bin/native"
RPATHS = {
    "aiopquic/_binding/": "$ORIGIN/../lib",
    "aiopquic_webtransport/": "$ORIGIN/../aiopquic/lib",
    BENCH_PROGRAM: "$ORIGIN/../../aiopquic/lib",
}
EXPORTED = ("aiopq_", "picoquic_", "picosplay_", "picoquictest_sim_link_")
# What other wheels may cimport, and the marker that lets Cython find it.
PUBLIC_PXD = ("aiopquic/__init__.pxd", "aiopquic/capi.pxd")
CORE_MEMBERS = (
    "aiopquic/lib/libaiopquic.so",
    "aiopquic/lib/cmake/aiopquic/aiopquicConfig.cmake",
    "aiopquic/include/aiopquic/abi.h",
    "aiopquic/include/picoquic/picoquic.h",
    "aiopquic/capi.pxd",
    "aiopquic/py.typed",
)
CORE_SOURCES = (
    "third_party/fetch.py",
    "third_party/pins.json",
    "third_party/.sources/state.json",
    "third_party/.sources/picoquic/picoquic/quicctx.c",
    "third_party/.sources/picoquic/LICENSE",
    "third_party/.sources/picotls/lib/picotls.c",
    "third_party/.sources/picotls/deps/cifra/COPYING",
    "third_party/.sources/picotls/deps/micro-ecc/LICENSE.txt",
)


def check_names(wheel: str, names: list[str]) -> list[str]:
    """By the members' names alone; problems without the wheel's own name."""
    problems = []
    licences = {"LICENSE", "THIRD_PARTY_NOTICES"} if "bench" not in wheel else {"LICENSE"}
    for licence in sorted(licences):
        if not any(n.endswith(f".dist-info/licenses/{licence}") for n in names):
            problems.append(f"has no {licence}")
    libraries = [n for n in names if re.search(r"libaiopquic[^/]*\.so", n)]
    if len(libraries) != (1 if wheel.startswith(CORE) else 0):
        problems.append(f"has these libaiopquic: {libraries}")
    problems += [f"ships {n}" for n in names if n.endswith((".pyx", ".c"))]
    problems += [f"ships {n}" for n in names if n.endswith(".pxd") and n not in PUBLIC_PXD]
    if wheel.startswith(CORE):
        problems += [f"lacks {n}" for n in CORE_MEMBERS if n not in names]
    if wheel.startswith(BENCH) and BENCH_PROGRAM not in names:
        problems.append(f"lacks {BENCH_PROGRAM}")
    return problems


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def check_binaries(folder: Path) -> list[str]:
    problems = []
    for library in sorted([*folder.rglob("*.so"), *folder.glob(BENCH_PROGRAM)]):
        name = library.relative_to(folder).as_posix()
        dynamic = run("readelf", "-dW", str(library))
        if library.name == "libaiopquic.so":
            if "[libaiopquic.so]" not in "".join(re.findall(r".*SONAME.*", dynamic)):
                problems.append(f"{name}: its SONAME is not libaiopquic.so")
            problems += [f"{name}: {p}" for p in check_exports(run("nm", "-D", "--defined-only", str(library)))]
            continue
        wanted = next(rpath for prefix, rpath in RPATHS.items() if name.startswith(prefix))
        found = re.findall(r"R(?:UN)?PATH.*\[(.*)\]", dynamic)
        if found != [wanted]:
            problems.append(f"{name}: its rpath is {found}, not {wanted}")
        if "picoquic_create" in run("nm", "-D", "--defined-only", str(library)):
            problems.append(f"{name}: has a picoquic of its own")
    return problems


def check_exports(symbols: str) -> list[str]:
    names = [line.split()[-1] for line in symbols.splitlines()]
    problems = [f"exports {n}" for n in names if not n.startswith(EXPORTED)]
    wanted = ("aiopq_abi_version", "aiopq_build_id", "picoquic_create", "picosplay_insert")
    return problems + [f"does not export {n}" for n in wanted if n not in names]


def check_wheel(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as wheel, tempfile.TemporaryDirectory() as folder:
        problems = check_names(path.name, wheel.namelist())
        wheel.extractall(folder)
        problems += check_binaries(Path(folder))
    return [f"{path.name}: {problem}" for problem in problems]


def check_sdist(path: Path) -> list[str]:
    with tarfile.open(path) as sdist:
        names = [name.partition("/")[2] for name in sdist.getnames()]
    problems = [f"ships {n}" for n in names if n.endswith((".so", ".o", ".a")) or n.startswith("build/")]
    problems += [] if "LICENSE" in names else ["has no LICENSE"]
    if path.name.startswith((CORE, WEBTRANSPORT)) and "THIRD_PARTY_NOTICES" not in names:
        problems.append("has no THIRD_PARTY_NOTICES")
    if path.name.startswith(CORE):
        problems += [f"lacks {n}" for n in CORE_SOURCES if n not in names]
    return [f"{path.name}: {problem}" for problem in problems]


def main() -> int:
    folder = Path(sys.argv[1])
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    problems = [p for wheel in wheels for p in check_wheel(wheel)]
    problems += [p for sdist in sdists for p in check_sdist(sdist)]
    if not wheels and not sdists:
        problems.append(f"{folder} holds neither wheels nor source distributions")
    return report(problems, f"{len(wheels)} wheels, {len(sdists)} source distributions")


if __name__ == "__main__":
    sys.exit(main())
