"""What the short form of the gate allows, where there is no other revision to compare with.

Virtual time is arithmetic on whole numbers, without anything of the host in it: such a figure can be kept in a file,
and has a tenth of slack for other versions of Python and OpenSSL. Instructions depend on the compiler, the interpreter
and the CPU: only the ratio of two counts of the same job is kept, with much slack. docs/benchmarks.md says more.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["INSTRUCTIONS", "SLACK", "VIRTUAL", "InstructionBudget"]

#: The share by which a virtual figure may be above its budget.
SLACK = 0.1

#: By scenario, seed 1: virtual seconds, datagrams both ways, and their bytes.
VIRTUAL = {
    "bulk": (0.815834, 3121, 4154474),
    "bulk-100": (0.796641, 3616, 4192374),
    "echo": (2.066031, 420, 44246),
    "churn": (0.887868, 557, 362868),
    "handshakes": (0.809552, 240, 124148),
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
