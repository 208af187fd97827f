"""What a transfer came to."""

from __future__ import annotations

import resource
import time
from dataclasses import asdict, dataclass
from typing import Any

from rich.filesize import decimal

__all__ = ["Outcome", "Stopwatch", "cpu_seconds"]


def cpu_seconds() -> float:
    """CPU time of this process, all threads, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@dataclass(slots=True, kw_only=True)
class Outcome:
    """The figures of one command."""

    direction: str
    "put or get."
    files: int = 0
    "Files that were transferred."
    skipped: int = 0
    "Files that were there already."
    bytes: int = 0
    "Bytes of files that travelled: less than the files have after an interruption."
    seconds: float = 0.0
    "From the first request to the last answer."
    rtt_us: int = 0
    "The sender's smoothed round-trip time at the end."
    packets_sent: int = 0
    "By the sender of the files."
    packets_lost: int = 0
    cpu_seconds: float = 0.0
    "Of the client's process meanwhile."

    @property
    def mbit_per_second(self) -> float:
        """Megabits of files per second."""
        return self.bytes * 8 / 1e6 / self.seconds if self.seconds > 0 else 0.0

    @property
    def loss_percent(self) -> float:
        """Packets that were taken for lost, of those sent."""
        return 100 * self.packets_lost / self.packets_sent if self.packets_sent else 0.0

    def as_json(self) -> dict[str, Any]:
        """The fields and the rate."""
        return {"event": "result", **asdict(self), "mbit_per_second": round(self.mbit_per_second, 3)}

    def __str__(self) -> str:
        files = f"{self.files} file{'' if self.files == 1 else 's'}"
        skipped = f" ({self.skipped} more there already)" if self.skipped else ""
        return (
            f"{self.direction}: {files}{skipped}, {decimal(self.bytes)} in {self.seconds:.2f} s: "
            f"{self.mbit_per_second:.0f} Mbit/s, RTT {self.rtt_us / 1000:.2f} ms, "
            f"{self.packets_lost} of {self.packets_sent} packets lost ({self.loss_percent:.3f} %)"
        )


class Stopwatch:
    """Seconds of the clock and of the CPU since it was made."""

    def __init__(self) -> None:
        self._begun, self._cpu = time.perf_counter(), cpu_seconds()

    def stop(self, outcome: Outcome) -> None:
        """Fill in both."""
        outcome.seconds = time.perf_counter() - self._begun
        outcome.cpu_seconds = cpu_seconds() - self._cpu
