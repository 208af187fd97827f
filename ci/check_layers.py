"""Who may include and import whom, in the files that import-linter cannot see.

C of core:      base <- net <- engine <- driver; public headers include only each other; no Python.h.
Core's Python:  _binding <- quic <- asyncio, and quic <- streams, which do not know each other; in .pyx and .pxd too.
Packages:       core <- webtransport <- bench; webtransport sees core's public headers and names only.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from files import ROOT, report, repository_files

C_LAYERS = ("base", "net", "engine", "driver")
PYTHON_LAYERS = {"_binding": 0, "quic": 1, "asyncio": 2, "streams": 2}
PACKAGES = ("aiopquic", "aiopquic_webtransport", "aiopquic_bench")
# The module that forwards to the WebTransport wheel when that is installed.
FORWARDS = "packages/aiopquic-core/src/aiopquic/asyncio/webtransport.py"
# Names below _binding that are documented for programs (docs/low-level-api.md), and measured.
LOW_LEVEL = re.compile(r"aiopquic\._binding\._transport\.\w+$")
THEIRS = re.compile(r"(pico|h3zero|autoqlog|auto_memlog|tls_api|siphash|c4\.h)")

INCLUDE = re.compile(r"^\s*#\s*include\s*[<\"]([^>\"]+)[>\"]", re.M)
EXTERN = re.compile(r"^\s*cdef\s+extern\s+from\s+[<\"]+([^>\"]+)[>\"]+", re.M)
FROM_IMPORT = re.compile(r"^\s*from\s+([.\w]+)\s+c?import\s+\(?([\w ,.*]*)", re.M)
PLAIN_IMPORT = re.compile(r"^\s*c?import\s+([\w., ]+)", re.M)


def check_includes(name: str, text: str) -> Iterator[str]:
    path = PurePosixPath(name)
    for header in [*INCLUDE.findall(text), *EXTERN.findall(text)]:
        if path.match("packages/aiopquic-core/csrc/*/*") or "csrc/include/" in name:
            yield from (f"{name}: includes {header}: {why}" for why in core_c(name, header))
        elif name.startswith("packages/aiopquic-webtransport/"):
            yield from (f"{name}: includes {header}: {why}" for why in webtransport_c(header))


def core_c(name: str, header: str) -> Iterator[str]:
    if header == "Python.h":
        yield "the C engine has no Python in it"
    layer = name.split("/csrc/", 1)[1].split("/")[0]
    other = header.split("/")[0]
    if layer == "include" and (other in C_LAYERS or THEIRS.match(header)):
        yield "public headers include only each other"
    if layer not in C_LAYERS:
        return
    if other in C_LAYERS and C_LAYERS.index(other) > C_LAYERS.index(layer):
        yield f"{layer}/ is below {other}/"
    if layer == "base" and THEIRS.match(header):
        yield "base/ stands without picoquic"


def webtransport_c(header: str) -> Iterator[str]:
    if header.split("/")[0] in C_LAYERS and "/" in header:
        yield "core's private headers are not for other packages"


def imported(name: str, text: str) -> Iterator[str]:
    """Every module that the file names, absolute; `from a import b` gives a.b."""
    package = name.split("/src/", 1)[1].split("/")[:-1]

    def absolute(module: str) -> str:
        dots = len(module) - len(module.lstrip("."))
        if not dots:
            return module
        base = package[: len(package) - dots + 1]
        return ".".join([*base, module[dots:]]).rstrip(".")

    if name.endswith((".py", ".pyi")):
        for node in ast.walk(ast.parse(text, name)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = absolute("." * node.level + (node.module or ""))
                yield from (f"{module}.{alias.name}" for alias in node.names)
        return
    for module, names in FROM_IMPORT.findall(text):
        parts = [part.split()[0] for part in names.split(",") if part.split()]
        yield from (f"{absolute(module)}.{part}" for part in parts or ["*"])
    for modules in PLAIN_IMPORT.findall(text):
        yield from (part.split()[0] for part in modules.split(",") if part.split())


def check_imports(name: str, text: str) -> Iterator[str]:
    parts = name.split("/src/", 1)[1].split("/")
    package = parts[0]
    layer = parts[1] if parts[1] in PYTHON_LAYERS else None
    cython = name.endswith((".pyx", ".pxd"))
    for module in sorted(set(imported(name, text))):
        top, _, rest = module.partition(".")
        if top not in PACKAGES:
            continue
        says = f"{name}: imports {module}: "
        if PACKAGES.index(top) > PACKAGES.index(package) and name != FORWARDS:
            yield says + f"{package} does not know {top}"
        if top != "aiopquic":
            continue
        other = rest.split(".")[0]
        if package != "aiopquic":
            if other == "_binding" and not (package == "aiopquic_bench" and LOW_LEVEL.match(module)):
                yield says + "only core's public names are for other packages"
            elif cython and other != "capi" and is_cimport(text, module):
                yield says + "other wheels cimport nothing but aiopquic.capi"
        elif is_above(other, layer):
            beside = layer is not None and PYTHON_LAYERS[layer] == PYTHON_LAYERS[other]
            yield says + f"{layer} {'stands beside' if beside else 'is below'} {other}"


def is_above(other: str, layer: str | None) -> bool:
    """True as well for two layers of one height, which stand side by side."""
    if layer is None or other == layer or other not in PYTHON_LAYERS:
        return False
    return PYTHON_LAYERS[other] >= PYTHON_LAYERS[layer]


def is_cimport(text: str, module: str) -> bool:
    parent = module.rpartition(".")[0]
    pattern = rf"^\s*(from\s+{re.escape(parent)}\s+cimport|cimport\s+{re.escape(module)}\b)"
    return re.search(pattern, text, re.M) is not None


def check_file(name: str, text: str) -> list[str]:
    problems = []
    if name.endswith((".c", ".h", ".pyx", ".pxd")):
        problems += check_includes(name, text)
    in_package = re.match(r"packages/[^/]+/src/[^/]+/", name)
    if in_package and name.endswith((".py", ".pyi", ".pyx", ".pxd")):
        problems += check_imports(name, text)
    return problems


def main() -> int:
    problems = []
    for path in repository_files(ROOT, ".c", ".h", ".py", ".pyi", ".pyx", ".pxd"):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("packages/"):
            problems += check_file(name, Path(path).read_text())
    return report(problems, "layers")


if __name__ == "__main__":
    sys.exit(main())
