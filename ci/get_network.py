"""Installs what the session network runs, where that is allowed, and says what is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys

from get_browsers import as_root

#: The programs, and Debian's package of each. Other systems have them by other names.
PROGRAMS = {
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "tshark": "tshark",
    "dumpcap": "wireshark-common",
    "gtlsclient": "ngtcp2-client",
    "gtlsserver": "ngtcp2-server",
}
#: Not on everybody's path.
FOLDERS = "/usr/sbin:/sbin"


def missing() -> list[str]:
    return [name for name in PROGRAMS if not (shutil.which(name) or shutil.which(name, path=FOLDERS))]


def install(names: list[str]) -> None:
    packages = sorted({PROGRAMS[name] for name in names})
    prefix = as_root()
    if prefix is None:
        print(f"network: no right to install {' '.join(packages)}; apt-get install {' '.join(packages)}")
        return
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    print(f"network: installing {' '.join(packages)}", flush=True)
    subprocess.run([*apt, "update"], stdin=subprocess.DEVNULL)
    for package in packages:  # one that this system does not have leaves the others
        command = [*apt, "install", "-y", "--no-install-recommends", package]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode != 0:
            print(f"network: apt-get could not install {package}: {done.stderr.decode(errors='replace').strip()}")


def main() -> int:
    if names := missing():
        install(names)
    for name in missing():
        print(f"network: {name} is not here: the tests that need it are skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
