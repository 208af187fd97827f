"""What a command line asks for: checked, and as a list of jobs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from aiopquic.exceptions import ConfigurationError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.workers import check_workers
from aiopquic_bench.apis import api_named
from aiopquic_bench.cases import CASES, Case, cases_named
from aiopquic_bench.job import Job
from aiopquic_bench.problems import UsageProblem

__all__ = [
    "Plan",
    "checked_algorithm",
    "checked_driver",
    "checked_duration",
    "checked_repeats",
    "parse_size",
    "warm_up_of",
]

DEFAULT_DURATION = 3.0
DEFAULT_REPEATS = 5

#: Below this, starting and stopping is most of what would be measured.
MIN_DURATION = 0.1
MAX_DURATION = 3600.0

QUICK_DURATION = 0.1

#: The warm-up is this share of the duration, and no longer than that many seconds.
WARM_UP_SHARE = 0.25
WARM_UP_MAX = 0.5

ALGORITHMS = ("newreno", "reno", "cubic", "dcubic", "fast", "bbr1", "prague", "c4")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}


def parse_size(text: str) -> int:
    """Bytes from 512, 16KiB, 1MiB."""
    match = re.fullmatch(r"(\d+)\s*([KM]?)(?:i?B)?", text, re.IGNORECASE)
    if match is None:
        raise UsageProblem(f"a size looks like 512, 16KiB or 1MiB, not {text!r}")
    return int(match[1]) * _UNITS[match[2].upper()]


def warm_up_of(duration: float) -> float:
    """Seconds before a measurement that are not counted."""
    return min(WARM_UP_MAX, duration * WARM_UP_SHARE)


def checked_duration(duration: float) -> float:
    """The same, if something can be measured in it."""
    if not duration >= MIN_DURATION:
        raise UsageProblem(f"{duration:g} s are too short to measure anything: {MIN_DURATION:g} s at least")
    if duration > MAX_DURATION:
        raise UsageProblem(f"{duration:g} s are too long for one measurement: {MAX_DURATION:g} s at most")
    return duration


def checked_repeats(repeats: int) -> int:
    """The same, if it is a number of times."""
    if repeats < 1:
        raise UsageProblem(f"each case is measured once at least, not {repeats} times")
    return repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured, in which order, and how often."""

    api: str
    driver: str
    workers: int
    congestion_control: str
    duration: float
    repeats: int
    is_one_process: bool
    measurements: tuple[tuple[Case, int], ...]
    "Cases and sizes."
    left_out: tuple[str, ...]
    "Cases that were not named and that the API does not have."

    @classmethod
    def make(
        cls,
        names: Sequence[str] = (),
        *,
        api: str = "streams",
        driver: str = "thread",
        workers: int = 1,
        congestion_control: str | None = None,
        sizes: Sequence[str] = (),
        duration: float | None = None,
        repeats: int | None = None,
        processes: int = 2,
        is_quick: bool = False,
    ) -> Self:
        """From the command line.

        Raises:
            UsageProblem: something in it can't be.
        """
        api_named(api)
        cases = cases_named(names)
        left_out = tuple(case.name for case in cases if api not in case.apis)
        for name in left_out:
            if name in names:
                raise UsageProblem(f"the case {name!r} needs --api {' or '.join(CASES[name].apis)}, not {api}")
        cases = [case for case in cases if api in case.apis]
        if duration is None:
            duration = QUICK_DURATION if is_quick else DEFAULT_DURATION
        if repeats is None:
            repeats = 1 if is_quick else DEFAULT_REPEATS
        return cls(
            api=api,
            driver=checked_driver(driver),
            workers=_checked_workers(workers, api, driver),
            congestion_control=checked_algorithm(congestion_control),
            duration=checked_duration(duration),
            repeats=checked_repeats(repeats),
            is_one_process=_checked_processes(processes) == 1,
            measurements=tuple((case, size) for case in cases for size in _sizes(case, sizes, is_quick)),
            left_out=left_out,
        )

    def job(self, case: Case, size: int, certificates: str) -> Job:
        """One repeat."""
        return Job(
            case=case.name,
            api=self.api,
            driver=self.driver,
            workers=self.workers,
            congestion_control=self.congestion_control,
            size=size,
            duration=self.duration,
            warm_up=warm_up_of(self.duration),
            is_one_process=self.is_one_process,
            certificates=certificates,
        )

    def settings(self) -> dict[str, Any]:
        """For the results."""
        return {
            "api": self.api,
            "driver": self.driver,
            "workers": self.workers,
            "congestion_control": self.congestion_control,
            "duration": self.duration,
            "repeats": self.repeats,
            "processes": 1 if self.is_one_process else 2,
        }


def _sizes(case: Case, asked: Sequence[str], is_quick: bool) -> Sequence[int]:
    if not asked or not case.takes_size:
        return case.sizes[len(case.sizes) // 2 :][:1] if is_quick else case.sizes
    sizes = [parse_size(text) for text in asked]
    for size in sizes:
        if not case.smallest <= size <= case.largest:
            limits = f"{case.smallest} to {case.largest} bytes"
            raise UsageProblem(f"the case {case.name!r} takes sizes of {limits}, not {size}")
    return sizes


def _checked_processes(count: int) -> int:
    if count not in (1, 2):
        raise UsageProblem(f"client and server are two processes, or one, not {count}")
    return count


def checked_driver(name: str) -> str:
    try:
        QuicConfiguration(driver=name)
    except ConfigurationError as error:
        raise UsageProblem(f"--driver {name}: {error}") from None
    return name


def _checked_workers(count: int, api: str, driver: str) -> int:
    if count != 1 and not api_named(api).has_workers:
        raise UsageProblem(f"--workers {count}: a server of --api {api} has one engine")
    try:
        check_workers(count, QuicConfiguration(is_client=False, driver=driver))
    except ConfigurationError as error:
        raise UsageProblem(f"--workers {count}: {error}") from None
    return count


def checked_algorithm(name: str | None, *, is_simulated: bool = False) -> str:
    """The congestion control of that name, or the default.

    Raises:
        UsageProblem: there is none of that name, or it can't be measured on loopback.
    """
    if name is None:
        name = QuicConfiguration.congestion_control_algorithm or "newreno"
    if name == "bbr" and not is_simulated:
        raise UsageProblem(
            "plain bbr is not measured on loopback, where its window freezes at round-trip times of microseconds: "
            "use bbr1, cubic or newreno"
        )
    try:
        QuicConfiguration(congestion_control_algorithm=name)
    except ConfigurationError:
        nearest = difflib.get_close_matches(name, ALGORITHMS, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"use {', '.join(ALGORITHMS)}"
        raise UsageProblem(f"there is no congestion control {name!r}: {hint}") from None
    return name
