"""What a link does to datagrams."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aiopquic.exceptions import ConfigurationError

__all__ = ["Link"]


@dataclass(frozen=True, kw_only=True)
class Link:
    """One direction of a link; without arguments, one that only takes a moment. Chances are 0 to 1 of the datagrams.

    Raises:
        ConfigurationError: a value that can't be.
    """

    mbps: float | None = None
    "Rate in Mbit/s; None: no limit."
    delay: float = 0.0
    "One way, in seconds, behind the time that the bits take."
    jitter: float = 0.0
    "Each datagram is late by up to this many seconds more, all delays equally likely."
    reordering: bool = False
    "What jitter delays less overtakes; otherwise it waits for those before it."
    queue_bytes: int | None = None
    "What waits for the rate at most, more is dropped; None: no limit."
    mark_bytes: int | None = None
    "ECN-capable datagrams behind more waiting bytes than this are marked (RFC 3168); None: none."
    mtu: int | None = None
    "Larger UDP payloads are dropped; None: none."
    loss: float = 0.0
    "The chance of each datagram to be lost."
    burst_loss: tuple[float, float] | None = None
    "The chance that a run of losses begins, and that it ends, with each datagram; None: no runs."
    loss_pattern: str = ""
    'Which are lost, over and over: "...x" loses every fourth. At most 64 characters, "." or "x".'
    duplicate: float = 0.0
    "The chance to arrive twice."
    corrupt: float = 0.0
    "The chance that one bit is flipped."
    hold: float = 0.0
    "The chance to be held back by ``hold_time``, so that later ones overtake."
    hold_time: float = 0.0
    "In seconds."
    down: bool = False
    "Everything is lost."

    def __post_init__(self) -> None:
        self._check_chances()
        self._check_amounts()
        if len(self.loss_pattern) > 64 or set(self.loss_pattern) - {".", "x"}:
            raise ConfigurationError(f'loss_pattern is up to 64 of "." and "x", not {self.loss_pattern!r}')
        if self.mbps is None and (self.queue_bytes or self.mark_bytes):
            raise ConfigurationError("a queue needs a rate that it waits for: set mbps")
        if self.hold and not self.hold_time:
            raise ConfigurationError("hold needs hold_time: how long datagrams are held back")

    def _check_chances(self) -> None:
        if self.burst_loss is not None and len(self.burst_loss) != 2:
            raise ConfigurationError("burst_loss is the chance to begin and the chance to end")
        chances = [(name, getattr(self, name)) for name in ("loss", "duplicate", "corrupt", "hold")]
        chances += [("burst_loss", chance) for chance in self.burst_loss or ()]
        for name, chance in chances:
            if not (isinstance(chance, int | float) and 0 <= chance <= 1):
                raise ConfigurationError(f"{name} of a link is a chance from 0 to 1, not {chance!r}")

    def _check_amounts(self) -> None:
        for name in ("delay", "jitter", "hold_time"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
                raise ConfigurationError(f"{name} of a link is a number of seconds from 0 on, not {value!r}")
        if self.mbps is not None and not (math.isfinite(self.mbps) and self.mbps * 1_000_000 >= 1):
            raise ConfigurationError(f"mbps of a link is a rate above 0, or None for no limit, not {self.mbps!r}")
        for name in ("queue_bytes", "mark_bytes", "mtu"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value <= 0):
                raise ConfigurationError(f"{name} of a link is a number of bytes above 0, or None, not {value!r}")

    def _settings(self) -> dict[str, int]:
        """The same in the units of the engine."""
        enter, leave = self.burst_loss or (0.0, 0.0)
        return {
            "rate_bps": round((self.mbps or 0) * 1_000_000),
            "delay_us": round(self.delay * 1_000_000),
            "jitter_us": round(self.jitter * 1_000_000),
            "is_reordering": self.reordering,
            "queue_bytes": self.queue_bytes or 0,
            "mark_bytes": self.mark_bytes or 0,
            "mtu": self.mtu or 0,
            "loss_ppm": round(self.loss * 1_000_000),
            "burst_enter_ppm": round(enter * 1_000_000),
            "burst_leave_ppm": round(leave * 1_000_000),
            "loss_pattern": sum(1 << place for place, mark in enumerate(self.loss_pattern) if mark == "x"),
            "loss_pattern_length": len(self.loss_pattern),
            "duplicate_ppm": round(self.duplicate * 1_000_000),
            "corrupt_ppm": round(self.corrupt * 1_000_000),
            "hold_ppm": round(self.hold * 1_000_000),
            "hold_us": round(self.hold_time * 1_000_000),
            "is_down": self.down,
        }
