"""The comparisons with peers, and what is to be reached in each: docs/benchmarks.md lists them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiopquic_bench.problems import UsageProblem

__all__ = ["ROWS", "Goal", "Row", "rows_named"]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure is to be, against the peer's."""

    peer: str
    figure: str
    floor: float
    "The ratio, ours over theirs, below which (or above which, where less is better) the work is not done."
    target: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison."""

    name: str
    title: str
    case: str
    figures: tuple[str, ...]
    "Those that are compared, the most telling first."
    settings: Mapping[str, Any] = field(default_factory=dict)
    their_settings: Mapping[str, Any] = field(default_factory=dict)
    peers: tuple[str, ...] = ("aiopquic-0.6.1", "aioquic", "qh3")
    goals: tuple[Goal, ...] = ()


_BYTES = ("mbit_per_s", "cpu_s_per_gb")
_EACH = ("per_s", "cpu_us_each")
_RELEASE = "aiopquic-0.6.1"
_RELEASES = (_RELEASE,)
_DEMO = "picoquicdemo"
_ALL = ("aiopquic-0.6.1", "aioquic", "qh3", _DEMO)


def _goals(figure: str, floor: float, target: float, peer: str = _RELEASE) -> Goal:
    return Goal(peer, figure, floor, target)


_STREAM_GOALS = (
    _goals("mbit_per_s", 2.5, 4),
    _goals("cpu_s_per_gb", 0.35, 0.22),
    _goals("mbit_per_s", 0.9, 1.25, _DEMO),
)

ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        Row(
            name="up",
            title="one stream up, 16 KiB writes, awaited",
            case="up",
            figures=_BYTES,
            settings={"size": 1 << 14},
            peers=_ALL,
            goals=_STREAM_GOALS,
        ),
        Row(
            name="up-raw",
            title="one stream up, 16 KiB writes, against the peer's raw loop",
            case="up",
            figures=_BYTES,
            settings={"size": 1 << 14},
            their_settings={"raw": True},
            peers=_RELEASES,
            goals=(_goals("mbit_per_s", 1.7, 2.5), _goals("cpu_s_per_gb", 0.5, 0.35)),
        ),
        Row(
            name="down",
            title="one stream down, 16 KiB writes, awaited",
            case="down",
            figures=_BYTES,
            settings={"size": 1 << 14},
            peers=_ALL,
            goals=_STREAM_GOALS,
        ),
        Row(
            name="up-1k",
            title="one stream up, 1 KiB writes",
            case="up",
            figures=_BYTES,
            settings={"size": 1 << 10},
            goals=(_goals("mbit_per_s", 1.8, 3),),
        ),
        Row(
            name="up-100",
            title="100 streams up, 4 KiB writes",
            case="up",
            figures=_BYTES,
            settings={"size": 1 << 12, "streams": 100},
            goals=(_goals("mbit_per_s", 2, 3),),
        ),
        Row(
            name="echo",
            title="echo of 100 B",
            case="echo",
            figures=("p50_us", "p99_us", *_EACH),
            settings={"size": 100},
            goals=(_goals("p50_us", 1, 0.8), _goals("p99_us", 0.5, 0.25)),
        ),
        Row(
            name="churn",
            title="short streams, 256 B each way, 32 at once",
            case="churn",
            figures=_EACH,
            settings={"size": 256, "at_once": 32},
            goals=(_goals("per_s", 1.4, 2),),
        ),
        Row(
            name="datagrams",
            title="datagrams of 1100 B, delivered",
            case="datagrams",
            figures=("per_s", "lost_percent", "cpu_us_each"),
            settings={"size": 1100},
            goals=(_goals("per_s", 1.7, 3),),
        ),
        Row(
            name="handshakes",
            title="connections, 32 at once",
            case="handshakes",
            figures=_EACH,
            settings={"at_once": 32},
            goals=(_goals("per_s", 1.1, 1.5),),
        ),
        Row(
            name="memory-connection",
            title="memory of an idle connection",
            case="memory-connection",
            figures=("client_kb_each", "server_kb_each"),
        ),
        Row(
            name="memory-stream",
            title="memory of an idle stream",
            case="memory-stream",
            figures=("client_kb_each", "server_kb_each"),
            peers=_RELEASES,  # the others end or stall at as many open streams
        ),
        Row(
            name="import",
            title="import in a fresh interpreter",
            case="import",
            figures=("import_ms",),
            goals=(_goals("import_ms", 1, 0.65),),
        ),
    )
}


def rows_named(names: Sequence[str]) -> list[Row]:
    """The rows of these names; all for none.

    Raises:
        UsageProblem: there is no such row.
    """
    for name in names:
        if name not in ROWS:
            nearest = difflib.get_close_matches(name, ROWS, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(ROWS)}"
            raise UsageProblem(f"there is no comparison {name!r}: {hint}")
    return [row for row in ROWS.values() if not names or row.name in names]
