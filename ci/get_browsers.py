"""Installs the browsers that the WebTransport tests use, where that is allowed, and says what is missing.

Fails when not even one is there in the end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

#: The programs that count as the browser, and Debian's package of it. Other systems have them by other names.
BROWSERS = {
    "chromium": (("chromium", "chromium-browser", "google-chrome"), "chromium"),
    "firefox": (("firefox-esr", "firefox"), "firefox-esr"),
}


def missing() -> list[str]:
    return [name for name, (programs, _) in BROWSERS.items() if not any(map(shutil.which, programs))]


def as_root() -> list[str] | None:
    """What goes before a command that only root may run; None where nobody may."""
    if shutil.which("apt-get") is None:
        return None
    if os.getuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n"]
    return None


def install(names: list[str]) -> None:
    prefix = as_root()
    packages = [BROWSERS[name][1] for name in names]
    if prefix is None:
        print(f"browsers: no right to install {' '.join(packages)}; apt-get install {' '.join(packages)}")
        return
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    print(f"browsers: installing {' '.join(packages)}", flush=True)
    subprocess.run([*apt, "update"], stdin=subprocess.DEVNULL)
    for package in packages:  # one that this system does not have leaves the other
        done = subprocess.run(
            [*apt, "install", "-y", "--no-install-recommends", package], stdin=subprocess.DEVNULL, capture_output=True
        )
        if done.returncode != 0:
            print(f"browsers: apt-get could not install {package}: {done.stderr.decode(errors='replace').strip()}")


def main() -> int:
    if names := missing():
        install(names)
    for name in (left := missing()):
        print(f"browsers: {name} is not here: its tests are skipped")
    return 1 if len(left) == len(BROWSERS) else 0


if __name__ == "__main__":
    sys.exit(main())
