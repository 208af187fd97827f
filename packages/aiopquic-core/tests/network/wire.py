"""A link between two network namespaces that loses, delays, reorders, doubles and spoils packets, or is cut.

A program of its own, which `hosts.py` starts: a TUN device in each namespace, and this process between them. It does
what `tc netem` does in kernels that have it, and counts what it did. Like netem it does so in each direction by itself.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import Any

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
UDP = 17


@dataclass
class Settings:
    """Probabilities are 0 to 1, times in seconds, sizes in bytes of IP packets."""

    delay: float = 0.0
    jitter: float = 0.0
    "Added to the delay or taken from it, evenly spread: packets overtake each other."
    early: float = 0.0
    "Goes without the delay, and so before others."
    loss: float = 0.0
    duplicate: float = 0.0
    spoil: float = 0.0
    "One byte behind the UDP header is another one; the checksum does not tell."
    mtu: int = 65535
    "Larger packets vanish, and nobody is told."
    is_cut: bool = False
    "Nothing arrives, what is on its way included."
    seed: int = 1


@dataclass
class Counters:
    delivered: int = 0
    delivered_bytes: int = 0
    lost: int = 0
    duplicated: int = 0
    spoiled: int = 0
    overtaken: int = 0
    too_large: int = 0
    cut: int = 0


@dataclass
class Direction:
    """From one device to the other."""

    source: int
    target: int
    random: random.Random
    counters: Counters = field(default_factory=Counters)
    waiting: list[tuple[float, int, bytes]] = field(default_factory=list)
    taken: int = 0
    newest: int = 0
    "The highest number that was delivered."

    def take(self, settings: Settings) -> None:
        """Everything that waits to be read is dropped, or gets its time."""
        while True:
            try:
                packet = os.read(self.source, 65535)
            except BlockingIOError:
                return
            if settings.is_cut:
                self.counters.cut += 1
            elif len(packet) > settings.mtu:
                self.counters.too_large += 1
            elif self.random.random() < settings.loss:
                self.counters.lost += 1
            else:
                self._plan(packet, settings)

    def _plan(self, packet: bytes, settings: Settings) -> None:
        copies = 1
        if self.random.random() < settings.duplicate:
            self.counters.duplicated += 1
            copies = 2
        if self.random.random() < settings.spoil:
            packet = self._spoil(packet)
        for _ in range(copies):
            self.taken += 1
            delay = settings.delay + self.random.uniform(-settings.jitter, settings.jitter)
            if self.random.random() < settings.early:
                delay = 0.0
            due = time.monotonic() + delay
            heapq.heappush(self.waiting, (due, self.taken, packet))

    def _spoil(self, packet: bytes) -> bytes:
        header = 4 * (packet[0] & 15)
        if packet[0] >> 4 != 4 or packet[9] != UDP or len(packet) < header + 9:
            return packet
        self.counters.spoiled += 1
        spoiled = bytearray(packet)
        spoiled[self.random.randrange(header + 8, len(packet))] ^= self.random.randrange(1, 256)
        spoiled[header + 6 : header + 8] = b"\0\0"  # over IPv4 this stands for: no checksum (RFC 768)
        return bytes(spoiled)

    def deliver(self, settings: Settings) -> None:
        """What is due is written."""
        now = time.monotonic()
        while self.waiting and self.waiting[0][0] <= now:
            _, number, packet = heapq.heappop(self.waiting)
            if settings.is_cut:
                self.counters.cut += 1
                continue
            try:
                os.write(self.target, packet)
            except OSError as error:
                if error.errno != errno.EIO:  # the device is down
                    raise
                self.counters.cut += 1
                continue
            self.counters.overtaken += number < self.newest
            self.newest = max(self.newest, number)
            self.counters.delivered += 1
            self.counters.delivered_bytes += len(packet)


def tun(process: str, name: str) -> int:
    """A TUN device in the network namespace of that process, not blocking."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{process}/ns/net") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def answer(request: dict[str, Any], settings: Settings, directions: list[Direction]) -> dict[str, Any]:
    if request["do"] == "change":
        for name, value in request["settings"].items():
            setattr(settings, name, value)
        return {}
    return {"there": vars(directions[0].counters), "back": vars(directions[1].counters)}


def main(first: str, first_name: str, second: str, second_name: str, wanted: str) -> None:
    """Until standard input ends."""
    settings = Settings(**json.loads(wanted))
    one, other = tun(first, first_name), tun(second, second_name)
    directions = [
        Direction(one, other, random.Random(settings.seed)),
        Direction(other, one, random.Random(-settings.seed)),
    ]
    print(json.dumps({"event": "ready"}), flush=True)
    while True:
        due = [direction.waiting[0][0] for direction in directions if direction.waiting]
        timeout = max(0.0, min(due) - time.monotonic()) if due else None
        readable, _, _ = select.select([one, other, sys.stdin], [], [], timeout)
        for direction in directions:
            direction.take(settings)
            direction.deliver(settings)
        if sys.stdin in readable:
            line = sys.stdin.readline()
            if not line:
                return
            request = json.loads(line)
            print(json.dumps({"id": request["id"], "result": answer(request, settings, directions)}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
