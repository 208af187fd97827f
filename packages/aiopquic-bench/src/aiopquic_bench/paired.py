"""Measuring two in turn, A B B A A B ..., so that what disturbs the host for a while meets both."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiopquic.testing.certificates import dev_authority
from aiopquic_bench.contenders import Certificates, Contender, Task
from aiopquic_bench.measuring import Figures
from aiopquic_bench.plan import warm_up_of
from aiopquic_bench.problems import Problem
from aiopquic_bench.ratios import Ratios
from aiopquic_bench.rows import OURSELVES, Row

__all__ = ["Match", "certificates", "play"]

AUTHORITY_FILE = "authority.pem"


@dataclass(slots=True)
class Match:
    """One row, ours against one other, or alone."""

    row: Row
    peer: Contender | None
    ours: list[Figures] = field(default_factory=list)
    theirs: list[Figures] = field(default_factory=list)
    problem: Problem | None = None
    "Why there is nothing to compare."

    @property
    def pairs(self) -> int:
        """Those that are whole; how often ours was measured when it is alone."""
        return len(self.ours)

    @property
    def peer_name(self) -> str:
        """Empty when ours is alone."""
        return "" if self.peer is None else self.peer.name

    @property
    def label(self) -> str:
        """Who it is against; with its settings, when that is ourselves."""
        if self.peer is None:
            return "alone"
        if self.peer.name != OURSELVES:
            return self.peer.label
        return f"{self.peer.label}, {self.row.against}"

    def wanted(self, pairs: int) -> int:
        """How many of ``pairs`` it takes."""
        return min(pairs, self.row.pairs or pairs)

    def values(self, figure: str) -> tuple[list[float], list[float]]:
        """Of ours and theirs; empty where one of them does not give it."""
        if any(figure not in each for each in (*self.ours, *self.theirs)):
            return [], []
        return [each[figure] for each in self.ours], [each[figure] for each in self.theirs]

    def ratios(self, figure: str) -> Ratios | None:
        """Ours over theirs, pair by pair; None where nothing can be divided."""
        ours, theirs = self.values(figure)
        return Ratios.of(ours, theirs) if theirs else None


@contextmanager
def certificates() -> Iterator[Certificates]:
    """A root and a server's certificate, in files that go afterwards."""
    with tempfile.TemporaryDirectory(prefix="aiopquic-bench-") as folder:
        authority = dev_authority()
        certificate, private_key = authority.issue().write(folder)
        root = Path(folder) / AUTHORITY_FILE
        root.write_bytes(authority.certificate_pem)
        yield Certificates(root, certificate, private_key)


def play(
    ours: Contender,
    matches: Sequence[Match],
    *,
    pairs: int,
    duration: float,
    files: Certificates,
    begin: Callable[[str], None] = lambda label: None,
    end: Callable[[], None] = lambda: None,
) -> None:
    """Round after round through all matches, with the order of the two turned round in every other.

    A match that a peer can't play to its end has a problem afterwards, and the others go on.

    Raises:
        Problem: ours gave no figure.
    """
    warm_up = warm_up_of(duration)
    for number in range(pairs):
        for match in matches:
            if number >= match.wanted(pairs):
                continue
            if match.problem is not None:
                begin(f"{match.row.name} {match.peer_name} left out")
                end()
                continue
            begin(f"{match.row.name} {match.peer_name} {number + 1}/{pairs}")
            _play_once(ours, match, is_turned=number % 2 == 1, duration=duration, warm_up=warm_up, files=files)
            end()


def _play_once(
    ours: Contender, match: Match, *, is_turned: bool, duration: float, warm_up: float, files: Certificates
) -> None:
    row = match.row
    our_task = Task(row.case, {**row.settings, **row.our_settings}, duration, warm_up, files)
    if match.peer is None:
        match.ours.append(ours.measure(our_task))
        return
    theirs_alone = row.their_settings.get(match.peer.name, {})
    their_task = Task(row.case, {**row.settings, **theirs_alone}, duration, warm_up, files)
    theirs: Figures = {}
    found: Figures = {}
    for is_ours in (False, True) if is_turned else (True, False):
        if is_ours:
            found = ours.measure(our_task)
            continue
        try:
            theirs = match.peer.measure(their_task)
        except Problem as problem:
            match.problem = problem
            return
    match.ours.append(found)
    match.theirs.append(theirs)
