"""What the short form of the gate allows, where there is no other revision to compare with.

Virtual time is arithmetic on whole numbers, without anything of the host in it: such a figure can be kept in a file,
and has a tenth of slack for other versions of Python and OpenSSL. Instructions depend on the compiler, the interpreter
and the CPU: only the ratio of two counts of the same job is kept, with much slack. docs/benchmarks.md says more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["COUNTS", "INSTRUCTIONS", "SLACK", "VIRTUAL", "CountBudget", "InstructionBudget"]

#: The share by which a virtual figure may be above its budget.
SLACK = 0.1

#: By scenario, seed 1: virtual seconds, datagrams both ways, and their bytes.
VIRTUAL = {
    "bulk": (0.815918, 3059, 4159045),
    "bulk-100": (0.797461, 3540, 4190630),
    "echo": (2.066028, 420, 44310),
    "churn": (0.887863, 526, 361791),
    "handshakes": (0.809549, 240, 125428),
}


@dataclass(frozen=True, slots=True)
class InstructionBudget:
    """How much one count may be of another."""

    what: str
    scenario: str
    of: str
    "``engine``: the engine's part of the same scenario; or another scenario, whose total is meant."
    most: float


INSTRUCTIONS = (
    InstructionBudget(
        "a byte on one of 100 streams, against one of a single stream", "count-bulk-100", "count-bulk", 2.2
    ),
    InstructionBudget("a byte in all, against the engine's part of it", "count-bulk", "engine", 9.0),
)


@dataclass(frozen=True, slots=True)
class CountBudget:
    """How often something may happen over real sockets, for each megabyte, echo, stream or datagram."""

    lever: str
    "What it guards, as in docs/comparing.md."
    scenario: str
    "Of programs/counts.py."
    what: str
    counts: tuple[str, ...]
    "The count; with two, the first for each of the second."
    most: float
    varies: bool = False
    "From run to run, with what else the host does."
    needs: tuple[str, ...] = ()
    "What a host must have for it: ``gso``, ``gro``, ``cores``."

    def value(self, found: Mapping[str, float]) -> float:
        """In the counts of one round; beyond all bounds where there is none of the second."""
        first, *second = (found[name] for name in self.counts)
        if not second:
            return first
        return first / second[0] if second[0] else math.inf


_SENT = ("client_send_calls", "client_datagrams_sent")
_SLEEPS = ("sleeps", "sleeps_saved")
_RECEIVED = ("server_receive_calls", "server_datagrams_received")

#: What was seen, and what with the lever lost, is in docs/comparing.md. Where a count is a matter of the program alone
#: (events, commands, objects, memory) its budget is a fifth to a half above; where threads meet that run at their own
#: speeds (``varies``: system calls, wake-ups) it is at least twice the most that was seen next to programs that had all
#: cores busy, for what is lost costs tens of times more there.
COUNTS = (
    CountBudget("UDP_SEGMENT", "up", "send calls for each datagram", _SENT, 0.2, varies=True, needs=("gso",)),
    CountBudget("UDP_GRO", "up", "receive calls for each datagram", _RECEIVED, 0.2, varies=True, needs=("gso", "gro")),
    CountBudget("looking on", "up", "sleeps of network threads for each MB", ("sleeps",), 50, varies=True),
    CountBudget("coalesced events", "up", "events for each MB", ("events",), 60, varies=True),
    CountBudget("coalesced commands", "up", "commands for each MB", ("commands",), 12, varies=True),
    CountBudget("large chunks", "up", "reads for each MB", ("reads",), 60, varies=True),
    CountBudget("coalesced events", "up-100", "events for each MB", ("events",), 120, varies=True),
    CountBudget("large chunks", "up-100", "reads for each MB", ("reads",), 120, varies=True),
    CountBudget("a write with room", "write", "turns of the loop for each write", ("loop_turns",), 0.02),
    CountBudget("a write with room", "write", "tasks, futures, callbacks for each write", ("made",), 0.02),
    CountBudget("spin", "echo", "sleeps for each that it saved", _SLEEPS, 50, varies=True, needs=("cores",)),
    CountBudget("small messages", "echo", "events for each echo", ("events",), 2.5),
    CountBudget("small messages", "echo", "commands for each echo", ("commands",), 2.5),
    CountBudget("small messages", "echo", "turns of the loop for each echo", ("loop_turns",), 5),
    CountBudget("short streams", "churn", "events for each stream", ("events",), 4.8),
    CountBudget("short streams", "churn", "commands for each stream", ("commands",), 2.6),
    CountBudget("short streams", "churn", "tasks, futures, callbacks for each stream", ("made",), 7),
    CountBudget("wake-ups of the loop", "churn", "for each stream", ("loop_wakes",), 0.4, varies=True),
    CountBudget("wake-ups of the network", "churn", "for each stream", ("network_wakes",), 0.6, varies=True),
    CountBudget("one drain per batch", "churn", "turns of the loop for each stream", ("loop_turns",), 1.5, varies=True),
    CountBudget("joining", "datagrams", "send calls for each datagram", _SENT, 0.25, varies=True, needs=("gso",)),
    CountBudget("coalesced events", "datagrams", "events for each datagram", ("server_events",), 0.25, varies=True),
    CountBudget("coalesced commands", "datagrams", "commands for each datagram", ("commands",), 0.25, varies=True),
    CountBudget("memory", "connection", "KB of both ends", ("kb",), 68),
    CountBudget("memory", "stream", "KB of both ends", ("kb",), 8),
)
