"""The ladder from what the kernel can do to what a program of asyncio gets."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiopquic_bench.below.others import measure_iperf3, measure_picoquicdemo
from aiopquic_bench.below.sim_link import SimLink
from aiopquic_bench.below.udp import LARGEST, SMALLEST, measure_udp
from aiopquic_bench.host import host_report
from aiopquic_bench.job import Job
from aiopquic_bench.measuring import Figures
from aiopquic_bench.plan import warm_up_of
from aiopquic_bench.problems import UsageProblem
from aiopquic_bench.processes import measure_in_process

__all__ = ["DATAGRAM_SIZE", "RUNGS", "WRITE_SIZE", "Climb", "Rung", "executable", "rungs_named"]

#: Bytes of a write of the rungs that write to a stream.
WRITE_SIZE = 1 << 14

#: Bytes of a datagram that passes everywhere: what the document of this ladder's first edition has.
DATAGRAM_SIZE = 1400


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """How the rungs are measured."""

    congestion_control: str
    duration: float
    size: int = DATAGRAM_SIZE
    "Bytes of a datagram, for the rungs without QUIC."
    iperf3: str | None = None
    "The program; None: looked for on the path."
    picoquicdemo: str | None = None
    certificates: str = ""
    is_down: bool = False
    "Where there is QUIC: from server to client."

    @property
    def case(self) -> str:
        """What the APIs do."""
        return "down" if self.is_down else "up"

    def check(self) -> None:
        """Raises UsageProblem for what can't be."""
        if not SMALLEST <= self.size <= LARGEST:
            raise UsageProblem(f"a datagram has {SMALLEST} to {LARGEST} bytes, not {self.size}")
        for name, program in (("iperf3", self.iperf3), ("picoquicdemo", self.picoquicdemo)):
            if program is not None and shutil.which(program) is None:
                raise UsageProblem(f"--{name} {program}: no such program")

    def program(self, name: str) -> str | None:
        """Where the program is, None for nowhere."""
        return shutil.which(self.iperf3 or name if name == "iperf3" else self.picoquicdemo or name)

    def api(self, name: str) -> Figures:
        """One stream over an API of ours."""
        job = Job(
            case=self.case,
            api=name,
            congestion_control=self.congestion_control,
            size=WRITE_SIZE,
            duration=self.duration,
            warm_up=warm_up_of(self.duration),
            certificates=self.certificates,
        )
        return measure_in_process(job)


def _always(climb: Climb) -> str | None:
    return None


def _kernel_has(*options: str) -> Callable[[Climb], str | None]:
    """Those of the host report that say ``yes``."""

    def missing(climb: Climb) -> str | None:
        report = host_report()
        lacking = [f"no {name.upper()} ({report[name]})" for name in options if report[name] != "yes"]
        return f"this host has {' and '.join(lacking)}" if lacking else None

    return missing


def _on_path(name: str, hint: str) -> Callable[[Climb], str | None]:
    return lambda climb: None if climb.program(name) else f"{name} is not on the path: {hint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A step of the ladder."""

    name: str
    label: str
    measure: Callable[[Climb], Figures]
    missing: Callable[[Climb], str | None] = _always
    "Why it can't be measured here; None when it can."
    is_beside: bool = False
    "It does not pass the kernel, so the raw UDP below is no limit for it."
    adapter: str | None = None
    "The module of aiopquic_bench.programs that measures it in any environment; None: it is nobody's API."


def _udp(name: str, label: str, *, gso: bool, gro: bool) -> Rung:
    return Rung(
        name=name,
        label=label,
        measure=lambda climb: measure_udp(climb.size, climb.duration, gso=gso, gro=gro),
        missing=_kernel_has(*(["gso"] if gso else []), *(["gro"] if gro else [])),
    )


def _iperf3(climb: Climb) -> Figures:
    return measure_iperf3(str(climb.program("iperf3")), climb.size, climb.duration)


def _picoquicdemo(climb: Climb) -> Figures:
    program = str(climb.program("picoquicdemo"))
    is_up = not climb.is_down
    return measure_picoquicdemo(program, climb.congestion_control, climb.duration, climb.certificates, is_up=is_up)


def _sim_link(climb: Climb) -> Figures:
    link = SimLink(congestion_control=climb.congestion_control, duration=climb.duration)
    return link.measure(climb.certificates)


def _api(name: str, label: str, adapter: str) -> Rung:
    return Rung(name=name, label=label, measure=lambda climb: climb.api(name), adapter=adapter)


RUNGS = {
    rung.name: rung
    for rung in (
        _udp("udp", "raw UDP (C), a datagram a call", gso=False, gro=False),
        _udp("udp-gso", "raw UDP (C) with GSO", gso=True, gro=False),
        _udp("udp-gso-gro", "raw UDP (C) with GSO and GRO", gso=True, gro=True),
        Rung(
            name="iperf3",
            label="iperf3 -u",
            measure=_iperf3,
            missing=_on_path("iperf3", "its package has that name"),
        ),
        Rung(name="sim-link", label="picoquic alone, no UDP (sim_link)", measure=_sim_link, is_beside=True),
        Rung(
            name="picoquicdemo",
            label="picoquicdemo -a perf (C)",
            measure=_picoquicdemo,
            missing=_on_path("picoquicdemo", "./dev nox -s picoquicdemo builds it, --picoquicdemo FILE names it"),
        ),
        _api("low", "low-level API (TransportContext)", "low"),
        _api("asyncio", "asyncio API, aioquic's shape", "events"),
        _api("streams", "streams API (aiopquic.connect)", "streams"),
        _api("webtransport", "WebTransport API", "webtransport"),
    )
}


def rungs_named(names: Sequence[str], climb: Climb) -> tuple[list[Rung], dict[str, str]]:
    """The rungs of these names, all for none, and why each of the others can't be measured here.

    Raises:
        UsageProblem: there is no such rung, or one that was named can't be measured.
    """
    for name in names:
        if name not in RUNGS:
            nearest = difflib.get_close_matches(name, RUNGS, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(RUNGS)}"
            raise UsageProblem(f"there is no rung {name!r}: {hint}")
    found = [rung for rung in RUNGS.values() if not names or rung.name in names]
    reasons = {rung.name: why for rung in found if (why := rung.missing(climb)) is not None}
    for name in names:
        if name in reasons:
            raise UsageProblem(f"the rung {name!r} can't be measured: {reasons[name]}")
    return [rung for rung in found if rung.name not in reasons], reasons


def executable(path: Path | None) -> str | None:
    """A program that the command line names, as it is run from any folder."""
    return None if path is None else str(path.absolute())
