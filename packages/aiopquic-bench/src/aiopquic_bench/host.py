"""What the figures were made on: nobody can judge them without."""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path

from aiopquic.versions import versions

__all__ = ["host_report"]

#: From <linux/udp.h>: Python has no names for them.
UDP_SEGMENT = 103
UDP_GRO = 104


def host_report() -> dict[str, str | int]:
    """Names and values, in the order in which they are shown."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 0,
        "cores_usable": len(os.sched_getaffinity(0)),
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "kernel": f"{platform.system()} {platform.release()}",
        "rmem_max": _limit("rmem_max"),
        "wmem_max": _limit("wmem_max"),
        "gso": _has_option(UDP_SEGMENT, 1200),
        "gro": _has_option(UDP_GRO, 1),
        **{name: value for name, value in versions().items() if name != "in"},
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _limit(name: str) -> str | int:
    """Bytes of the largest socket buffer that a program may ask for."""
    try:
        return int(Path(f"/proc/sys/net/core/{name}").read_text())
    except OSError:
        return "unknown"


def _has_option(option: int, value: int) -> str:
    """Whether the kernel takes the option on a UDP socket; the path decides for each packet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.setsockopt(socket.IPPROTO_UDP, option, value)
        except OSError as error:
            return f"no ({error.strerror})"
    return "yes"
