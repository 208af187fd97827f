"""What of this host or of this build slows QUIC down, and the command that mends it. ``python -m aiopquic doctor``."""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from aiopquic import _build_info
from aiopquic._binding._engine import native_versions

__all__ = ["Finding", "examine", "main"]

#: What an engine asks of the system for each socket (see ``socket_buffer_size``).
WANTED_BUFFER = 4 << 20

# Numbers of <linux/udp.h>, which the socket module does not name in every release.
_SOL_UDP = 17
_UDP_SEGMENT = 103
_UDP_GRO = 104

_SIZES = {"receive": (socket.SO_RCVBUF, "rmem_max"), "send": (socket.SO_SNDBUF, "wmem_max")}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    is_good: bool
    text: str
    "What was found, and what it costs when it is not good."
    mend: str = ""
    "The command or the change that mends it; empty when there is nothing to mend, or nothing that could."


def examine() -> list[Finding]:
    """Look at everything; takes a few milliseconds and changes nothing."""
    return [finding for look in _LOOKS for finding in look()]


def _socket_buffers() -> Iterator[Finding]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for direction, (option, setting) in _SIZES.items():
            probe.setsockopt(socket.SOL_SOCKET, option, WANTED_BUFFER)
            # Linux doubles the number for its own accounts, and tells the double one.
            granted = probe.getsockopt(socket.SOL_SOCKET, option) // (2 if sys.platform == "linux" else 1)
            yield buffer_finding(direction, setting, granted)


def buffer_finding(direction: str, setting: str, granted: int) -> Finding:
    """What is to be said of a socket buffer of that many bytes."""
    what = f"{direction} buffer"
    if granted >= WANTED_BUFFER:
        return Finding(what, True, f"{granted >> 10} KiB")
    text = f"{granted >> 10} KiB of the {WANTED_BUFFER >> 10} KiB that are asked for: bursts are cut off and sent again"
    mend = f"sudo sysctl -w net.core.{setting}={WANTED_BUFFER}" if sys.platform == "linux" else ""
    return Finding(what, False, text, mend)


def _offload() -> Iterator[Finding]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for what, option, value in (("UDP GSO", _UDP_SEGMENT, 1200), ("UDP GRO", _UDP_GRO, 1)):
            yield offload_finding(what, partial(probe.setsockopt, _SOL_UDP, option, value))


def offload_finding(what: str, switch_on: Callable[[], object]) -> Finding:
    """Whether many datagrams cross into the kernel at once."""
    try:
        switch_on()
    except OSError as error:
        text = f"not there ({error.strerror}): each datagram costs a system call of its own"
        return Finding(what, False, text, "a Linux kernel of version 5.0 or later")
    return Finding(what, True, "there")


def _processor() -> Iterator[Finding]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return
    yield cipher_finding(text)


def cipher_finding(cpuinfo: str) -> Finding:
    """Whether the processor has instructions for AES."""
    lines = [line for line in cpuinfo.splitlines() if line.lower().startswith(("flags", "features"))]
    flags = {flag for line in lines for flag in line.split()}
    if "aes" in flags:
        return Finding("AES", True, f"in the processor{', with AVX2' if 'avx2' in flags else ''}")
    text = "the processor has no instructions for it: ChaCha20-Poly1305 is the faster cipher here"
    return Finding("AES", False, text, "cipher_suite=0x1303 on both sides")


def _build() -> Iterator[Finding]:
    yield build_finding(native_versions()["build_id"])


def build_finding(build_id: str) -> Finding:
    """Whether picoquic was built to be fast."""
    options = build_id.split()[-1].split(",")
    checks = [option for option in options if "SANITIZE" in option or "THREAD_CHECK" in option]
    if checks or "DISABLE_DEBUG_PRINTF" not in options:
        text = f"for debugging ({', '.join(checks) or 'it prints what it does'})"
        return Finding("build", False, text, "pip install --force-reinstall aiopquic-core")
    return Finding("build", True, f"release, picoquic {_build_info.PICOQUIC_VERSION}")


def _environment() -> Iterator[Finding]:
    yield loop_finding(os.environ.get("AIOPQUIC_LOOP"))
    if left_out := os.environ.get("AIOPQUIC_WITHOUT"):
        yield left_out_finding(left_out)
    yield debug_finding(bool(os.environ.get("PYTHONASYNCIODEBUG")) or sys.flags.dev_mode, bool(is_debug_python()))


def is_debug_python() -> object:
    """True for an interpreter that was built with its own checks."""
    return sysconfig.get_config_var("Py_DEBUG")


def loop_finding(asked: str | None) -> Finding:
    """Which packet loop there is."""
    if asked == "portable" or not sys.platform.startswith("linux"):
        why = "AIOPQUIC_LOOP=portable asks for it" if asked == "portable" else f"{platform.system()} has no other"
        mend = "unset AIOPQUIC_LOOP" if asked == "portable" else ""
        return Finding("packet loop", False, f"picoquic's own, one datagram at a time: {why}", mend)
    return Finding("packet loop", True, "of Linux, many datagrams for each system call")


def left_out_finding(names: str) -> Finding:
    """What the packet loop is told to do without."""
    text = f"AIOPQUIC_WITHOUT has the packet loop do without {names}: more system calls for each megabyte"
    return Finding("left out", False, text, "unset AIOPQUIC_WITHOUT")


def debug_finding(is_asyncio_debug: bool, is_python_debug: bool) -> Finding:
    """Whether Python checks more than it has to."""
    if is_asyncio_debug:
        return Finding("Python", False, "asyncio's debug mode is on", "unset PYTHONASYNCIODEBUG PYTHONDEVMODE")
    if is_python_debug:
        return Finding("Python", False, "the interpreter was built with Py_DEBUG", "python without --with-pydebug")
    return Finding("Python", True, f"{platform.python_implementation()} {platform.python_version()}")


def _congestion_control() -> Iterator[Finding]:
    from aiopquic.quic.configuration import QuicConfiguration

    yield control_finding(QuicConfiguration.congestion_control_algorithm)


def control_finding(name: str | None) -> Finding:
    """Whether the default does well on short paths, as within a host or a rack."""
    if name == "bbr":
        text = "bbr keeps its window at a few packets where round trips take less than 128 microseconds"
        return Finding("congestion control", False, text, 'congestion_control_algorithm="bbr1"')
    return Finding("congestion control", True, f"{name or 'newreno'}, also for round trips of microseconds")


def _cores() -> Iterator[Finding]:
    yield cores_finding(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def cores_finding(count: int) -> Finding:
    """Whether the network thread has a core beside the loop's."""
    if count > 1:
        return Finding("cores", True, f"{count} for this process")
    text = "one for this process: the network thread and the loop take turns"
    return Finding("cores", False, text, "taskset -p -c 0-1 PID, or a container with two")


_LOOKS = (_socket_buffers, _offload, _processor, _build, _environment, _congestion_control, _cores)


def main(arguments: Sequence[str] = ()) -> int:
    """The command ``aiopquic doctor``: 0 when nothing slows QUIC down, else 1; 2 for what is no argument of it."""
    if list(arguments) not in ([], ["--json"]):
        print(f"aiopquic doctor: unknown argument {arguments[0]!r}: there is --json", file=sys.stderr)
        return 2
    findings = examine()
    if arguments:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f"{'good' if finding.is_good else 'SLOW'}  {finding.what}: {finding.text}")
            if finding.mend:
                print(f"      mend it: {finding.mend}")
    return 0 if all(finding.is_good for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
