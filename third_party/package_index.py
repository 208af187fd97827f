"""Fetch one pinned source archive from the Python package index, and unpack part of it.

Which index that is, pip and uv are asked: their environment variables and pip's own
configuration come first, pip's built-in default last. `pip download` is only the last
resort, because pip runs an archive's build to read its metadata, which takes minutes.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

SECONDS = 20
DEFAULT_INDEX = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"


class FetchError(Exception):
    """The sources could not be had; the text says why and what can be done."""


def pythons_with_pip() -> list[str]:
    candidates = [sys.executable, shutil.which("python3"), shutil.which("python"), "/usr/bin/python3"]
    found = []
    for python in dict.fromkeys(c for c in candidates if c):
        if not ask([python, "-c", "import pip; print(1)"]):
            continue
        found.append(python)
    return found


def ask(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def indexes() -> list[str]:
    """The simple-index addresses to try, in order."""
    found = [os.environ.get(name, "") for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")]
    found = [re.sub(r"^[\w.-]+=(?=\w+://)", "", url) for url in found]
    for python in pythons_with_pip()[:1]:
        found.append(ask([python, "-m", "pip", "config", "get", "global.index-url"]))
        found.append(ask([python, "-c", DEFAULT_INDEX]))
    return list(dict.fromkeys(url.rstrip("/") for url in found if url))


def tls_context() -> ssl.SSLContext:
    # SSL_CERT_FILE and SSL_CERT_DIR are honoured by OpenSSL itself.
    bundle = None
    if not os.environ.get("SSL_CERT_FILE"):
        bundle = os.environ.get("PIP_CERT") or os.environ.get("REQUESTS_CA_BUNDLE")
    return ssl.create_default_context(cafile=bundle or None)


def read(url: str, accept: str = "*/*") -> tuple[bytes, str]:
    """The body and its content type."""
    parts = urllib.parse.urlsplit(url)
    headers = {"Accept": accept, "User-Agent": "aiopquic-build"}
    if parts.username:
        pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        url = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=SECONDS, context=tls_context()) as answer:
            return answer.read(), answer.headers.get("Content-Type", "")
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise FetchError(f"{parts.hostname or url}: {error}") from None


def address_of(index: str, project: str, filename: str) -> str:
    page_url = f"{index}/{project}/"
    body, kind = read(page_url, "application/vnd.pypi.simple.v1+json, text/html;q=0.5")
    if "json" in kind:
        links = [entry["url"] for entry in json.loads(body)["files"] if entry["filename"] == filename]
    else:
        hrefs = re.findall(r'href\s*=\s*["\']([^"\']+)', body.decode("utf-8", "replace"))
        links = [html.unescape(h) for h in hrefs if urllib.parse.urlsplit(h).path.rpartition("/")[2] == filename]
    if not links:
        raise FetchError(f"{urllib.parse.urlsplit(index).hostname} has no {filename}")
    link = urllib.parse.urljoin(page_url, links[0])
    login = urllib.parse.urlsplit(index).netloc.rpartition("@")[0]
    parts = urllib.parse.urlsplit(link)
    if login and "@" not in parts.netloc and index.rpartition("@")[2].startswith(parts.netloc):
        link = urllib.parse.urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc}"))
    return link.partition("#")[0]


def check(body: bytes, sha256: str) -> None:
    got = hashlib.sha256(body).hexdigest()
    if got != sha256:
        raise FetchError(f"the archive has sha256 {got}, not the pinned {sha256}")


def download(pin: dict[str, Any], work: Path, say: Callable[[str], None]) -> Path:
    target = work / pin["filename"]
    failures = []
    for index in indexes():
        try:
            body, _ = read(address_of(index, pin["project"], pin["filename"]))
            check(body, pin["sha256"])
            target.write_bytes(body)
            return target
        except (FetchError, KeyError, ValueError) as error:
            failures.append(str(error))
            say(str(error))
    try:
        return pip_download(pin, work, say)
    except FetchError as error:
        raise FetchError("; ".join([*failures, str(error)])) from None


def pip_download(pin: dict[str, Any], work: Path, say: Callable[[str], None]) -> Path:
    pythons = pythons_with_pip()
    if not pythons:
        raise FetchError("there is no pip that could be asked for the package index")
    say("asking pip for the archive; it may take some minutes")
    requirements = work / "requirements.txt"
    requirements.write_text(f"{pin['project']}=={pin['version']} --hash=sha256:{pin['sha256']}\n")
    command = [
        pythons[0],
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-binary",
        ":all:",
        "--ignore-requires-python",
        "--require-hashes",
        "--retries",
        "1",
        "--timeout",
        str(SECONDS),
        "--dest",
        str(work),
        "-r",
        str(requirements),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise FetchError("pip download did not end within ten minutes") from None
    target = work / pin["filename"]
    if done.returncode or not target.exists():
        lines = (done.stderr.strip() or "no message").splitlines()
        raise FetchError(f"pip download: {lines[-1]}")
    check(target.read_bytes(), pin["sha256"])
    return target


def unpack(archive: Path, prefix: str, keep: list[str], target: Path) -> None:
    """Unpack the regular files below `prefix` that `keep` names; refuse anything odd."""
    wanted = [PurePosixPath(k) for k in keep]
    count = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            if not member.name.startswith(prefix + "/"):
                continue
            name = PurePosixPath(member.name[len(prefix) + 1 :])
            if name.is_absolute() or ".." in name.parts or "\\" in str(name):
                raise FetchError(f"the archive holds a member that leaves its folder: {member.name}")
            if not any(name == w or w in name.parents for w in wanted):
                continue
            if member.isdir():
                continue
            if not member.isreg():
                raise FetchError(f"the archive holds something that is no file: {member.name}")
            content = tar.extractfile(member)
            assert content is not None
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())
            count += 1
    if not count:
        raise FetchError(f"the archive holds nothing under {prefix}")
