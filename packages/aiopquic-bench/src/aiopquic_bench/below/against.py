"""The ladder before and after: our APIs in two environments in turn, and what is below them once in each round."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiopquic.versions import versions
from aiopquic_bench.below.ladder import RUNGS, WRITE_SIZE, Climb, Rung
from aiopquic_bench.contenders import Contender, ProgramContender, Task
from aiopquic_bench.environments import Environment, environment_finder
from aiopquic_bench.host import host_report
from aiopquic_bench.measuring import Figures
from aiopquic_bench.paired import Match, certificates, play
from aiopquic_bench.peer_list import PEERS
from aiopquic_bench.peers_command import peers_document, version_notes
from aiopquic_bench.ratios import VERDICT_PAIRS
from aiopquic_bench.rows import Row
from aiopquic_bench.showing import progress

__all__ = ["before_named", "measure_both", "problems_of"]

#: The release of that name that is not ours, and the adapters of its APIs where they are others than ours.
RELEASE = "aiopquic-0.6.1"
RELEASE_ADAPTERS = {"webtransport": "session_events"}

FIGURES = ("mbit_per_s", "cpu_s_per_gb")


@dataclass(frozen=True, slots=True)
class _After:
    """The environment of this process, and the rungs that are nobody's API."""

    contender: Contender
    climb: Climb

    @property
    def name(self) -> str:
        return self.contender.name

    @property
    def label(self) -> str:
        return self.contender.label

    def can(self, case: str) -> bool:
        """Everything."""
        return True

    def measure(self, task: Task) -> Figures:
        """Once, in fresh processes."""
        if task.case not in RUNGS:
            return self.contender.measure(task)
        return RUNGS[task.case].measure(replace(self.climb, certificates=str(task.certificates.certificate.parent)))


def before_named(against: str, algorithm: str) -> Contender:
    """What is before: an environment of a revision or a wheel, or the release that `peers` has.

    Raises:
        UsageProblem: there is none of that name.
        Problem: it can't be built or installed.
    """
    if against == RELEASE:
        return PEERS[RELEASE](algorithm)
    return _contender("before", environment_finder(against, has_sessions=True)(), algorithm)


def _contender(name: str, environment: Environment, algorithm: str) -> ProgramContender:
    return ProgramContender(
        name=name,
        label=environment.label,
        python=environment.python,
        adapter="streams",
        settings={"congestion_control": algorithm},
    )


def _match(rung: Rung, before: Contender, case: str) -> Match:
    if rung.adapter is None:
        return Match(Row(name=rung.name, title=rung.label, case=rung.name, figures=FIGURES), None)
    row = Row(
        name=rung.name,
        title=rung.label,
        case=case,
        figures=FIGURES,
        settings={"size": WRITE_SIZE, "adapter": rung.adapter},
        their_settings={RELEASE: {"adapter": RELEASE_ADAPTERS.get(rung.name, rung.adapter)}},
    )
    return Match(row, before)


def measure_both(
    rungs: Sequence[Rung], climb: Climb, before: Contender, *, against: str, pairs: int, missing: Mapping[str, str]
) -> dict[str, Any]:
    """Measure in turn, A B B A A B ...; what the file holds.

    Args:
        rungs: those that can be measured here.
        climb: how.
        before: what is before; the environment of this process is after.
        against: what it is called in the command.
        pairs: of each API.
        missing: the rungs that can't be measured, and why.

    Raises:
        Problem: a rung gave no figure after, or one that is nobody's API gave none.
    """
    host = host_report()
    own = Environment(Path(sys.executable), f"aiopquic {versions()['aiopquic']}")
    after = _contender("after", own, climb.congestion_control)
    matches = [_match(rung, before, climb.case) for rung in rungs]
    with certificates() as files, progress(pairs * len(matches)) as steps:
        ours = _After(after, climb)
        play(ours, matches, pairs=pairs, duration=climb.duration, files=files, begin=steps.begin, end=steps.end)
    settings = {
        "against": against,
        "congestion_control": climb.congestion_control,
        "duration": climb.duration,
        "pairs": pairs,
        "datagram_size": climb.size,
        "is_down": climb.is_down,
    }
    document = peers_document(settings, host, ours, matches)
    notes = version_notes({"before": before})
    return {**document, "before": before.label, "missing": dict(missing), "notes": notes}


def problems_of(document: Mapping[str, Any]) -> list[str]:
    """What a reader has to know: rungs without a figure before, and what makes the two unequal."""
    failed = [f"{each['row']}: {each['problem']}" for each in document["comparisons"] if each["problem"] is not None]
    few = document["settings"]["pairs"]
    hint = [f"pairs of each: {few}, too few for a verdict, which takes {VERDICT_PAIRS}"] if few < VERDICT_PAIRS else []
    return [*document["notes"], *failed, *hint]
