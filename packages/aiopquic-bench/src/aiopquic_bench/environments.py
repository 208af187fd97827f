"""Environments of their own for what is compared: a peer from the package index, a wheel, a revision of this project.

Each is made once and kept, in ``$AIOPQUIC_BENCH_CACHE``, or else in a folder of the user's cache.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiopquic_bench.problems import ExitCode, Problem, UsageProblem

__all__ = [
    "Environment",
    "cache_folder",
    "environment_finder",
    "find_python",
    "of_requirement",
    "of_revision",
    "of_wheel",
    "python_version",
    "revision_of",
]

#: Where the folder of the environments is told.
CACHE_VARIABLE = "AIOPQUIC_BENCH_CACHE"

#: Seconds that an installation, and a build from sources, may take.
INSTALL_TIMEOUT = 600.0
BUILD_TIMEOUT = 1800.0

#: The packages of a revision; the second is built with the first.
CORE = "aiopquic-core"
SESSIONS = "aiopquic-webtransport"

_MARKER = "installed.json"


@dataclass(frozen=True, slots=True)
class Environment:
    """An interpreter with something installed."""

    python: Path
    label: str
    "What is installed, with its version."


def cache_folder() -> Path:
    """Where environments are kept."""
    told = os.environ.get(CACHE_VARIABLE)
    if told:
        return Path(told).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "aiopquic-bench"


def find_python(minimum: tuple[int, int], *, what: str) -> Path:
    """This Python when it is new enough, or another one of this host.

    Raises:
        Problem: there is none.
    """
    if sys.version_info >= minimum:
        return Path(sys.executable)
    for minor in range(minimum[1], minimum[1] + 6):
        found = shutil.which(f"python{minimum[0]}.{minor}")
        if found is not None and _runs(found):
            return Path(found)
    wanted = ".".join(map(str, minimum))
    raise Problem(
        f"{what} needs Python {wanted} or newer, and this host has none: install one, or leave {what} out",
        ExitCode.PEER,
    )


def _runs(python: str) -> bool:
    done = subprocess.run([python, "-c", "import venv"], capture_output=True, check=False)
    return done.returncode == 0


def of_requirement(requirement: str, python: Path) -> Environment:
    """A distribution from the package index, as in ``aioquic==1.2.3``.

    Raises:
        Problem: it can't be installed, and why.
    """
    return _made(requirement.replace("==", "-"), [requirement], python, label=requirement.partition("==")[0])


def of_wheel(path: Path) -> Environment:
    """A wheel of aiopquic-core.

    Raises:
        UsageProblem: there is no such file, or it is no wheel of it.
    """
    if not path.is_file():
        raise UsageProblem(f"{path}: no such file")
    if not path.name.startswith("aiopquic_core-"):
        raise UsageProblem(f"{path.name} is no wheel of aiopquic-core: that is where the library is")
    stamp = path.stat().st_mtime_ns
    python = find_python((3, 11), what="the wheel")
    return _made(f"{path.stem}-{stamp:x}", [str(path.absolute())], python, label="aiopquic-core")


def revision_of(name: str) -> tuple[Path, str] | None:
    """The repository around the current folder, and the commit that ``name`` is; None when it is none."""
    top = _git(Path.cwd(), "rev-parse", "--show-toplevel")
    if top is None:
        return None
    commit = _git(Path(top), "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    return None if commit is None else (Path(top), commit)


def of_revision(repository: Path, commit: str, *, has_sessions: bool = False) -> Environment:
    """A revision of this project, built in the same way as any other: from the files of the commit, not editable.

    Args:
        repository: where it is.
        commit: its full name.
        has_sessions: aiopquic-webtransport, too, where the commit holds it.

    Raises:
        UsageProblem: the commit holds no aiopquic-core.
        Problem: it can't be built.
    """
    if not _holds(repository, commit, CORE):
        raise UsageProblem(f"the commit {commit[:12]} holds no packages/{CORE}: there is nothing to measure")
    has_sessions = has_sessions and _holds(repository, commit, SESSIONS)
    python = find_python((3, 11), what="the revision")
    name = f"revision-{commit[:16]}{'-sessions' if has_sessions else ''}"
    found = _found(name, python)
    if found is not None:
        return found
    with tempfile.TemporaryDirectory(prefix="aiopquic-bench-") as folder:
        sources = Path(folder) / "sources"
        sources.mkdir()
        archive = subprocess.run(["git", "archive", commit], cwd=repository, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-x", "-C", str(sources)], input=archive.stdout, check=True)
        _share_third_party(repository, sources)
        packages = [str(sources / "packages" / each) for each in (CORE, SESSIONS)[: 1 + has_sessions]]
        label = f"{CORE} {commit[:12]}"
        return _made(name, packages, python, label=label, timeout=BUILD_TIMEOUT, wheels=Path(folder) / "wheels")


def _holds(repository: Path, commit: str, package: str) -> bool:
    return _git(repository, "cat-file", "-e", f"{commit}:packages/{package}/pyproject.toml") is not None


def environment_finder(name: str, *, has_sessions: bool = False) -> Callable[[], Environment]:
    """What makes an environment of a revision, a wheel, or a folder that is one; the name is looked up at once.

    Raises:
        UsageProblem: it is none of these.
    """
    if name.endswith(".whl"):
        return lambda: of_wheel(Path(name))
    inside = Path(name).absolute() / "bin" / "python"
    if inside.is_file():
        return lambda: Environment(inside, f"aiopquic of {Path(name).name}")
    found = revision_of(name)
    if found is None:
        raise UsageProblem(f"{name!r} is no revision of a git repository here, no wheel, no environment, and no peer")
    return lambda: of_revision(*found, has_sessions=has_sessions)


def _share_third_party(repository: Path, sources: Path) -> None:
    """What the repository has fetched for the same pins need not be fetched again."""
    there, here = repository / "third_party", sources / "third_party"
    pins = "pins.json"
    if (there / ".sources").is_dir() and (here / pins).is_file():
        same = (there / pins).read_bytes() == (here / pins).read_bytes()
        if same:
            shutil.copytree(there / ".sources", here / ".sources", symlinks=True)


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def python_version(python: Path) -> str:
    """Such as ``3.12``."""
    words = [str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def _folder(name: str, python: Path) -> Path:
    return cache_folder() / f"{name}-py{python_version(python)}"


def _found(name: str, python: Path) -> Environment | None:
    folder = _folder(name, python)
    inside = folder / "bin" / "python"
    try:
        label = json.loads((folder / _MARKER).read_text())["label"]
    except (OSError, ValueError, KeyError):
        return None
    return Environment(inside, label) if _runs(str(inside)) else None


def _made(
    name: str,
    requirements: Sequence[str],
    python: Path,
    *,
    label: str,
    timeout: float = INSTALL_TIMEOUT,
    wheels: Path | None = None,
) -> Environment:
    """One requirement after the other; with a folder for wheels each is built first, and found there by the next."""
    found = _found(name, python)
    if found is not None:
        return found
    folder = _folder(name, python)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    inside = folder / "bin" / "python"
    uv = shutil.which("uv")
    if uv is not None:
        make = [uv, "venv", "--quiet", "--python", str(python), str(folder)]
        build = [uv, "build", "--quiet", "--wheel", "--no-sources", "--python", str(inside), "--out-dir", str(wheels)]
        install = [uv, "pip", "install", "--quiet", "--python", str(inside)]
    else:
        pip = [str(inside), "-m", "pip"]
        quiet = ("--quiet", "--disable-pip-version-check")
        make = [str(python), "-m", "venv", str(folder)]
        build = [*pip, "wheel", *quiet, "--no-deps", "--wheel-dir", str(wheels)]
        install = [*pip, "install", *quiet]
    _run(make, label, timeout, wheels)
    for requirement in requirements:
        if wheels is not None:
            _run([*build, requirement], label, timeout, wheels)
            requirement = str(next(wheels.glob(f"{Path(requirement).name.replace('-', '_')}-*.whl")))
        _run([*install, requirement], label, timeout, wheels)
    version = _version_of(inside, label)
    text = f"{label} {version}" if version else label
    (folder / _MARKER).write_text(json.dumps({"label": text}) + "\n")
    return Environment(inside, text)


def _run(step: Sequence[str], label: str, timeout: float, wheels: Path | None) -> None:
    # One compilation of picoquic serves all revisions that have it.
    settings = {"AIOPQUIC_BUILD_CACHE": str(cache_folder() / "builds"), **os.environ}
    if wheels is not None:
        wheels.mkdir(exist_ok=True)
        for name, separator in (("PIP_FIND_LINKS", " "), ("UV_FIND_LINKS", ",")):
            settings[name] = separator.join(filter(None, (str(wheels), settings.get(name))))
    try:
        done = subprocess.run(step, capture_output=True, text=True, timeout=timeout, check=False, env=settings)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Problem(f"{label} can't be installed: {error}", ExitCode.PEER) from None
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        why = lines[-1] if lines else f"exit code {done.returncode}"
        raise Problem(f"{label} can't be installed: {why}", ExitCode.PEER)


def _version_of(python: Path, label: str) -> str:
    name = label.partition(" ")[0]
    if name != label:
        return ""  # a revision tells itself by its commit
    words = [str(python), "-c", "import sys; from importlib.metadata import version; print(version(sys.argv[1]))", name]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip()
