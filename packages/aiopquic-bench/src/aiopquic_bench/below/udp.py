"""Raw UDP over loopback, in C, in two processes: what the kernel can do at all."""

from __future__ import annotations

import json
import select
import subprocess

from aiopquic_bench.below.native import PATIENCE, answer_of, checked, native_words, rates, started
from aiopquic_bench.measuring import Figures
from aiopquic_bench.plan import warm_up_of
from aiopquic_bench.problems import ExitCode, Problem

__all__ = ["LARGEST", "SMALLEST", "measure_udp"]

#: Payloads of datagrams: the number in each, and a byte; and what IPv4 takes.
SMALLEST = 9
LARGEST = 65507


def measure_udp(size: int, duration: float, *, gso: bool, gro: bool, spoil: int = 0) -> Figures:
    """Send datagrams as fast as they go, and count those that arrive.

    Args:
        size: bytes of each.
        duration: seconds that are measured.
        gso: many to a call of the sender (UDP_SEGMENT).
        gro: many to a call of the receiver (UDP_GRO).
        spoil: for tests: from the datagram of this number on, a bit is wrong.

    Raises:
        Problem: the kernel has no such option, or a datagram arrived otherwise than it was sent.
    """
    times = {"size": size, "duration_s": duration, "warm_up_s": warm_up_of(duration)}
    seconds = times["warm_up_s"] + duration + 3 * PATIENCE  # for the first datagram, and for those that count
    flags = ["--gro"] if gro else []
    with started(native_words("udp-receive", *flags, patience_s=PATIENCE, **times)) as receiver:
        port = _port_of(receiver)
        flags = ["--gso"] if gso else []
        with started(native_words("udp-send", *flags, port=port, spoil=spoil, **times)) as sender:
            try:
                received = answer_of(receiver, "the receiver of datagrams", seconds)
            except Problem:
                if sender.poll() is not None:  # with a problem of its own, before anything arrived
                    answer_of(sender, "the sender of datagrams", seconds)
                raise
            sent = answer_of(sender, "the sender of datagrams", seconds)
    mbit_per_s = received["bytes"] * 8e-6 / received["seconds"]
    return {
        **rates(mbit_per_s, sent["cpu_seconds"] / sent["seconds"], received["cpu_seconds"] / received["seconds"]),
        "lost_percent": 100 * received["lost"] / (received["datagrams"] + received["lost"]),
    }


def _port_of(receiver: subprocess.Popen[str]) -> int:
    assert receiver.stdout is not None
    if not select.select([receiver.stdout], [], [], PATIENCE)[0]:
        raise Problem(f"the receiver of datagrams did not begin within {PATIENCE:g} s", ExitCode.STALLED)
    line = receiver.stdout.readline()
    if not line:
        raise Problem("the receiver of datagrams ended before it began", ExitCode.PEER)
    return int(checked(json.loads(line), receiver.poll())["port"])
