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
