"""The figures there are: what each is called, its unit, and which way is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["KINDS", "Kind", "percentile"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a number means."""

    unit: str
    is_higher_better: bool


KINDS = {
    "mbit_per_s": Kind("Mbit/s", True),
    "virtual_mbit_per_s": Kind("Mbit/s virtual", True),
    "cpu_s_per_gb": Kind("CPU s/GB", False),
    "client_cpu_s_per_gb": Kind("client CPU s/GB", False),
    "server_cpu_s_per_gb": Kind("server CPU s/GB", False),
    "per_s": Kind("per s", True),
    "cpu_us_each": Kind("CPU us each", False),
    "lost_percent": Kind("% lost", False),
    "jitter_us": Kind("us jitter", False),
    "p50_us": Kind("us p50", False),
    "p90_us": Kind("us p90", False),
    "p99_us": Kind("us p99", False),
    "client_kb_each": Kind("client KB each", False),
    "server_kb_each": Kind("server KB each", False),
    "client_mb_grown": Kind("client MB grown", False),
    "server_mb_grown": Kind("server MB grown", False),
    "import_ms": Kind("ms", False),
    "buffer_ns": Kind("ns Buffer", False),
    "chain_ns": Kind("ns StreamChain", False),
    "ring_ns": Kind("ns RingBuffer", False),
}


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the sorted values that ``percent`` of them do not exceed."""
    position = max(0, -int(-len(values) * percent // 100) - 1)
    return values[position]
