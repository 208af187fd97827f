"""The peers by name: where each comes from, and how it is measured."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from aiopquic.versions import versions
from aiopquic_bench.contenders import Contender, ProgramContender
from aiopquic_bench.environments import find_python, of_requirement
from aiopquic_bench.picoquicdemo import DemoContender, find_demo
from aiopquic_bench.problems import UsageProblem
from aiopquic_bench.rows import OURSELVES

__all__ = ["PEERS", "checked_peers", "ourselves"]

#: How each API of ours is measured.
ADAPTERS = {"streams": "streams", "asyncio": "events"}


def ourselves(api: str, congestion_control: str, *, driver: str = "thread") -> ProgramContender:
    """The aiopquic of this environment.

    Raises:
        UsageProblem: there is no such API.
    """
    if api not in ADAPTERS:
        raise UsageProblem(f"the API {api!r} can't be compared with peers: use {' or '.join(ADAPTERS)}")
    return ProgramContender(
        name=OURSELVES,
        label=f"aiopquic {versions()['aiopquic']}",
        python=Path(sys.executable),
        adapter=ADAPTERS[api],
        settings={"congestion_control": congestion_control, "driver": driver},
    )


def _release(congestion_control: str) -> Contender:
    environment = of_requirement("aiopquic==0.6.1", find_python((3, 12), what="aiopquic 0.6.1"))
    return ProgramContender(
        name="aiopquic-0.6.1",
        label=environment.label,
        python=environment.python,
        adapter="events",
        settings={"congestion_control": congestion_control},
    )


def _aioquic_like(package: str, requirement: str) -> Callable[[str], Contender]:
    def make(congestion_control: str) -> Contender:
        environment = of_requirement(requirement, find_python((3, 11), what=package))
        return ProgramContender(
            name=package,
            label=environment.label,
            python=environment.python,
            adapter="aioquic_like",
            package=package,
            cases_left_out=("memory-stream",),
        )

    return make


def _demo(congestion_control: str) -> Contender:
    return DemoContender(program=find_demo(), congestion_control=congestion_control)


#: Each makes the peer, with the congestion control that aiopquic and picoquicdemo take; the others keep their own.
PEERS: dict[str, Callable[[str], Contender]] = {
    OURSELVES: lambda congestion_control: ourselves("streams", congestion_control),
    "aiopquic-0.6.1": _release,
    "aioquic": _aioquic_like("aioquic", "aioquic==1.7.2"),
    "qh3": _aioquic_like("qh3", "qh3==2.1.0"),
    "picoquicdemo": _demo,
}


def checked_peers(names: Sequence[str]) -> list[str]:
    """The names of peers, all of them for none.

    Raises:
        UsageProblem: there is no such peer.
    """
    for name in names:
        if name not in PEERS:
            nearest = difflib.get_close_matches(name, PEERS, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(PEERS)}"
            raise UsageProblem(f"there is no peer {name!r}: {hint}")
    return [name for name in PEERS if not names or name in names]
