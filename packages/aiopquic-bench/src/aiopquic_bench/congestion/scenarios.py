"""The scenarios: a link, what happens to it, and who sends."""

from __future__ import annotations

import asyncio
import dataclasses
import difflib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiopquic.testing.simnet import Host, Link, SimulatedNetwork
from aiopquic_bench.problems import UsageProblem

__all__ = ["SCENARIOS", "Path", "Scenario", "scenarios_named"]

KILOBYTES = 1000


@dataclass(slots=True)
class Path:
    """What is between sender and receiver now; both directions are alike."""

    network: SimulatedNetwork
    sender: Host
    receiver: Host
    link: Link

    def change(self, **changes: Any) -> None:
        """Change some of it from now on."""
        self.link = dataclasses.replace(self.link, **changes)
        self.network.link(self.sender, self.receiver, self.link)

    @property
    def mbps(self) -> float:
        """What it can carry now, in Mbit/s."""
        return 0.0 if self.link.down else self.link.mbps or 0.0


async def _steady(path: Path, duration: float) -> None:
    await asyncio.sleep(duration)


async def _fade(path: Path, duration: float) -> None:
    """Half of the time good; then far from the station, behind a wall for a moment, and back."""
    await asyncio.sleep(duration * 0.4)
    path.change(mbps=4, jitter=0.015, burst_loss=(0.01, 0.3))
    await asyncio.sleep(duration * 0.15)
    path.change(down=True)
    await asyncio.sleep(duration * 0.025)
    path.change(down=False)
    await asyncio.sleep(duration * 0.125)
    path.change(mbps=60, jitter=0.003, burst_loss=None)
    await asyncio.sleep(duration * 0.3)


async def _hand_over(path: Path, duration: float) -> None:
    """Four satellites, one after the other: each has a delay of its own, and nothing arrives while they change."""
    for delay in (0.02, 0.038, 0.026, 0.032):
        path.change(delay=delay, down=False)
        await asyncio.sleep(duration / 4 - 0.08)
        path.change(down=True)
        await asyncio.sleep(0.08)
    path.change(down=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Something that a congestion controller has to cope with."""

    name: str
    summary: str
    link: Link
    play: Callable[[Path, float], Awaitable[None]]
    "What happens to the link, in so many seconds."
    has_rival: bool = False
    "Another flow joins after a quarter of the time."


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="satellite",
            summary="20 Mbit/s, 600 ms round trip, 0.1 % loss, a queue of 1 MB",
            link=Link(mbps=20, delay=0.3, loss=0.001, queue_bytes=1000 * KILOBYTES),
            play=_steady,
        ),
        Scenario(
            name="wifi-fade",
            summary="60 Mbit/s with jitter, down to 4 Mbit/s with losses and a moment of nothing, and back",
            link=Link(mbps=60, delay=0.004, jitter=0.003, queue_bytes=300 * KILOBYTES),
            play=_fade,
        ),
        Scenario(
            name="leo",
            summary="50 Mbit/s; the delay jumps between 20 and 38 ms with every satellite, 80 ms of nothing between",
            link=Link(mbps=50, delay=0.02, loss=0.0005, queue_bytes=400 * KILOBYTES),
            play=_hand_over,
        ),
        Scenario(
            name="competing",
            summary="20 Mbit/s, 40 ms round trip, a queue of 200 kB; a second flow joins",
            link=Link(mbps=20, delay=0.02, queue_bytes=200 * KILOBYTES),
            play=_steady,
            has_rival=True,
        ),
    )
}


def scenarios_named(names: Sequence[str]) -> list[Scenario]:
    """The scenarios of these names; all for none.

    Raises:
        UsageProblem: there is no such scenario.
    """
    for name in names:
        if name not in SCENARIOS:
            nearest = difflib.get_close_matches(name, SCENARIOS, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(SCENARIOS)}"
            raise UsageProblem(f"there is no scenario {name!r}: {hint}")
    return [scenario for scenario in SCENARIOS.values() if not names or scenario.name in names]
