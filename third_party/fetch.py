#!/usr/bin/env python3
"""Find, fetch and verify the picoquic and picotls sources that the build needs.

The build calls this by itself; by hand it is `python3 third_party/fetch.py`. It prints
one JSON object that tells where each tree is, and explains on stderr what it does.
Only the standard library is used, because it runs inside isolated builds.

The first of these that works is taken:

1. the directories named by AIOPQUIC_PICOQUIC_DIR and AIOPQUIC_PICOTLS_DIR, as they are;
2. `.sources/` beside this file, when every file still has the digest that was recorded
   when it was fetched;
3. the public git repositories, at the pinned commits;
4. the pinned source archive on the Python package index that pip or uv is set up for.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import package_index  # noqa: E402  (a sibling file, whatever directory this is run from)
import patching  # noqa: E402

FetchError = package_index.FetchError
TREES = ("picoquic", "picotls")
ENV_DIRS = {"picoquic": "AIOPQUIC_PICOQUIC_DIR", "picotls": "AIOPQUIC_PICOTLS_DIR"}
STATE = "state.json"
GIT_PROBE_SECONDS = 8
GIT_FETCH_SECONDS = 180


def say(text: str) -> None:
    print(f"third_party: {text}", file=sys.stderr, flush=True)


# --- digests ---------------------------------------------------------------------------


def selected(root: Path, patterns: list[str]) -> Iterator[str]:
    """The files below `root` that `patterns` (files or folders) name, relative, sorted."""
    found: set[str] = set()
    for pattern in patterns:
        start = root / pattern
        if start.is_file():
            found.add(pattern)
        else:
            found.update(p.relative_to(root).as_posix() for p in start.rglob("*") if p.is_file())
    return iter(sorted(found))


def manifest(root: Path, files: Iterator[str]) -> dict[str, str]:
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in files}


def digest(files: dict[str, str]) -> str:
    text = "".join(f"{files[name]}  {name}\n" for name in sorted(files))
    return hashlib.sha256(text.encode()).hexdigest()


def patches_for(here: Path, tree: str) -> list[Path]:
    return sorted((here / "patches").glob(f"{tree}-*.patch"))


def patches_digest(here: Path, tree: str) -> str:
    patches = patches_for(here, tree)
    if not patches:
        return ""
    return digest({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in patches})


# --- what is on disk -------------------------------------------------------------------


def verify(here: Path, pins: dict[str, Any], tree: str) -> dict[str, str] | None:
    """Describe the fetched tree; None when it is absent or was fetched for another pin.

    A tree that differs from what was recorded is an error: it is neither built (nobody
    verified it) nor deleted (it may be somebody's work).
    """
    root = here / ".sources" / tree
    try:
        state = json.loads((here / ".sources" / STATE).read_text())[tree]
    except (OSError, KeyError, ValueError):
        return None
    if not root.is_dir():
        return None
    wanted = (pins[tree]["commit"], patches_digest(here, tree), pins[tree]["keep"])
    if (state["commit"], state["patches"], state.get("keep")) != wanted:
        return None
    now = manifest(root, selected(root, ["."]))
    was = state["files"]
    if now != was:
        odd = sorted(name for name in now.keys() | was.keys() if now.get(name) != was.get(name))
        shown = ", ".join(odd[:5]) + (" ..." if len(odd) > 5 else "")
        raise FetchError(
            f"{root} is not what was fetched and verified: {len(odd)} file(s) differ ({shown}).\n"
            f"Delete {here / '.sources'} to fetch again, or, to build your own changes, name a "
            f"directory with {ENV_DIRS[tree]}."
        )
    if not state["patches"] and state["origin"] != "git" and state["built"] != pins[tree]["built"]:
        raise FetchError(f"{root} does not have the digest that pins.json gives for it.")
    return {"dir": str(root), "commit": state["commit"], "built": state["built"]}


def own_directory(tree: str, pins: dict[str, Any]) -> dict[str, str] | None:
    named = os.environ.get(ENV_DIRS[tree])
    if not named:
        return None
    root = Path(named).resolve()
    files = manifest(root, selected(root, pins[tree]["build"])) if root.is_dir() else {}
    if not files:
        raise FetchError(f"{ENV_DIRS[tree]}={named} does not hold a {tree} source tree.")
    built = digest(files)
    return {"dir": str(root), "commit": f"own-{built[:12]}", "built": built}


def place(here: Path, pins: dict[str, Any], tree: str, unpacked: Path, origin: str) -> None:
    """Move one verified, unpacked tree into `.sources/` and record its digests."""
    for patch in patches_for(here, tree):
        try:
            patching.apply_patch(unpacked, patch)
        except patching.PatchError as error:
            raise FetchError(str(error)) from None
    files = manifest(unpacked, selected(unpacked, ["."]))
    built = digest(manifest(unpacked, selected(unpacked, pins[tree]["build"])))
    patches = patches_digest(here, tree)
    if not patches and built != pins[tree]["built"]:
        if origin != "git":
            raise FetchError(f"{tree} from {origin} has digest {built}, not the pinned one.")
        say(
            f"warning: {tree} at {pins[tree]['commit']} from git has digest {built}; "
            "pins.json records another one for the archive."
        )
    sources = here / ".sources"
    sources.mkdir(exist_ok=True)
    state_file = sources / STATE
    state = json.loads(state_file.read_text()) if state_file.exists() else {}
    old = sources / tree
    if old.exists():
        shutil.rmtree(old)
    os.replace(unpacked, old)
    state[tree] = {
        "commit": pins[tree]["commit"],
        "origin": origin,
        "patches": patches,
        "keep": pins[tree]["keep"],
        "built": built,
        "files": files,
    }
    fresh = state_file.with_suffix(".new")
    fresh.write_text(json.dumps(state, indent=1, sort_keys=True))
    os.replace(fresh, state_file)


# --- git -------------------------------------------------------------------------------


def run_git(arguments: list[str], cwd: Path, seconds: float) -> str:
    env = dict(os.environ, GIT_TERMINAL_PROMPT="0", GIT_ASKPASS="true", LC_ALL="C")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        env.pop(name, None)
    options = [
        "-c",
        "core.autocrlf=false",
        "-c",
        "http.lowSpeedLimit=1000",
        "-c",
        "http.lowSpeedTime=10",
        "-c",
        "init.defaultBranch=main",
    ]
    try:
        done = subprocess.run(
            ["git", *options, *arguments],
            cwd=cwd,
            env=env,
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
        )
    except FileNotFoundError:
        raise FetchError("git is not installed") from None
    except subprocess.TimeoutExpired:
        raise FetchError(f"git {arguments[0]} did not answer within {seconds:.0f} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise FetchError(f"git {arguments[0]}: {lines[-1]}")
    return done.stdout


def from_git(pins: dict[str, Any], tree: str, work: Path) -> Path:
    pin = pins[tree]
    checkout = work / f"git-{tree}"
    checkout.mkdir()
    run_git(["ls-remote", "--exit-code", pin["repository"], "HEAD"], work, GIT_PROBE_SECONDS)
    run_git(["init", "--quiet", "."], checkout, GIT_PROBE_SECONDS)
    run_git(["fetch", "--quiet", "--depth", "1", pin["repository"], pin["commit"]], checkout, GIT_FETCH_SECONDS)
    run_git(["checkout", "--quiet", "--detach", "FETCH_HEAD"], checkout, GIT_FETCH_SECONDS)
    head = run_git(["rev-parse", "HEAD"], checkout, GIT_PROBE_SECONDS).strip()
    if head != pin["commit"]:
        raise FetchError(f"git gave commit {head} for {pin['commit']}")
    return copy_selected(checkout, work / tree, pin["keep"])


def copy_selected(source: Path, target: Path, patterns: list[str]) -> Path:
    for name in selected(source, patterns):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    return target


# --- all together ----------------------------------------------------------------------


@contextlib.contextmanager
def lock(here: Path) -> Iterator[None]:
    """One fetch at a time, between processes; a second one then finds the first one's work."""
    try:
        import fcntl
    except ImportError:  # a platform without it: os.replace still keeps each step whole
        yield
        return
    with open(here / ".sources.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def fetch(here: Path, pins: dict[str, Any], missing: list[str]) -> None:
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=here) as name:
        work = Path(name)
        for tree in list(missing):
            try:
                say(f"{tree}: trying git, {pins[tree]['repository']}")
                place(here, pins, tree, from_git(pins, tree, work), "git")
                missing.remove(tree)
            except FetchError as error:
                failures.append(f"git, {tree}: {error}")
                say(failures[-1])
        if missing:
            try:
                say("trying the source archive on the package index")
                archive = package_index.download(pins["archive"], work, say)
                for tree in list(missing):
                    prefix = f"{pins['archive']['root']}/third_party/{tree}"
                    package_index.unpack(archive, prefix, pins[tree]["keep"], work / tree)
                    place(here, pins, tree, work / tree, "archive")
                    missing.remove(tree)
                archive.unlink()
            except FetchError as error:
                failures.append(f"package index: {error}")
    if missing:
        raise FetchError(
            f"cannot get the sources of {' and '.join(missing)}. What was tried:\n  - "
            + "\n  - ".join(failures)
            + "\nWhat you can do:\n"
            "  - connect to the network, or set the proxy or certificate variables it needs\n"
            "    (HTTPS_PROXY, SSL_CERT_FILE), or set pip to an index that can be reached;\n"
            "  - put the sources on this machine yourself and name them:\n"
            + "".join(f"      {ENV_DIRS[t]}=/path/to/{t}  (commit {pins[t]['commit']})\n" for t in missing)
            + f"  - copy {here / '.sources'} from a machine where this has worked."
        )


def resolve(here: Path, pins: dict[str, Any], need: list[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for tree in need:
        place_ = own_directory(tree, pins) or verify(here, pins, tree)
        if place_:
            found[tree] = place_
    if len(found) < len(need):
        with lock(here):
            missing = [t for t in need if t not in found and not verify(here, pins, t)]
            if missing:
                fetch(here, pins, missing)
        for tree in need:
            if tree not in found:
                described = verify(here, pins, tree)
                if described is None:
                    raise FetchError(f"{tree} vanished from {here / '.sources'}")
                found[tree] = described
    return found


def export(found: dict[str, dict[str, str]], pins: dict[str, Any], profile: str, target: Path) -> None:
    """Copy what one source distribution carries, with a state file of its own."""
    state: dict[str, Any] = {}
    for tree, patterns in pins["sdist"][profile].items():
        described = found[tree]
        copy = copy_selected(Path(described["dir"]), target / tree, patterns)
        state[tree] = {
            "commit": described["commit"],
            "origin": "git" if described["built"] != pins[tree]["built"] else "archive",
            "patches": patches_digest(HERE, tree),
            "keep": pins[tree]["keep"],
            "built": described["built"],
            "files": manifest(copy, selected(copy, ["."])),
        }
    (target / STATE).write_text(json.dumps(state, indent=1, sort_keys=True))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--need", nargs="+", choices=TREES, default=list(TREES))
    parser.add_argument(
        "--export", type=Path, metavar="DIR", help="also copy what a source distribution carries to DIR"
    )
    parser.add_argument("--profile", choices=("core", "webtransport"), default="core")
    options = parser.parse_args(arguments)
    pins = json.loads((HERE / "pins.json").read_text())
    try:
        found = resolve(HERE, pins, options.need)
        if options.export:
            export(found, pins, options.profile, options.export)
    except FetchError as error:
        say(str(error))
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
