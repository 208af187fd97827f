"""What a case is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiopquic_bench.job import Job
from aiopquic_bench.measuring import Figures
from aiopquic_bench.peers import Peer

__all__ = ["Case"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Something that is measured."""

    name: str
    group: str
    "Names several cases at once on the command line."
    summary: str
    measure: Callable[[Job, Peer], Awaitable[Figures]] | None = None
    "For what needs a server."
    measure_alone: Callable[[Job], Figures] | None = None
    "For what needs none."
    sizes: tuple[int, ...] = (0,)
    "Bytes that are measured when none are asked for; 0 where there are none to choose."
    smallest: int = 0
    largest: int = 0
    apis: tuple[str, ...] = ("streams", "webtransport", "asyncio", "low")

    @property
    def takes_size(self) -> bool:
        """True when ``--size`` means something."""
        return self.largest > 0
