"""The comparisons with peers, and what is to be reached in each: docs/benchmarks.md lists them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiopquic_bench.problems import UsageProblem

__all__ = ["OURSELVES", "ROWS", "Goal", "Row", "rows_named"]


#: The peer that is ourselves: with other settings, or by another API.
OURSELVES = "aiopquic"


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure is to be."""

    peer: str
    "Empty in a row that has none."
    figure: str
    floor: float
    "The ratio, ours over theirs, below which (or above which, where less is better) the work is not done."
    target: float
    is_absolute: bool = False
    "Both are values of ours, not ratios; the peer was measured beside it for comparison."


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison."""

    name: str
    title: str
    case: str
    figures: tuple[str, ...]
    "Those that are compared, the most telling first."
    settings: Mapping[str, Any] = field(default_factory=dict)
    "Of both sides: fields of programs.shape.Job, and ``writes_qlog``."
    our_settings: Mapping[str, Any] = field(default_factory=dict)
    "Of ours alone: another API (``adapter``) or driver than those of the command line."
    their_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    "Of a peer alone, by its name."
    peers: tuple[str, ...] = ("aiopquic-0.6.1", "aioquic", "qh3")
    "None: ours is measured alone."
    against: str = "raw QUIC"
    "What ourselves are, as a peer."
    goals: tuple[Goal, ...] = ()
    pairs: int | None = None
    "As many at most, where one takes long and says enough."


_BYTES = ("mbit_per_s", "cpu_s_per_gb")
_EACH = ("per_s", "cpu_us_each")
_MEMORY = ("client_kb_each", "server_kb_each")
_GROWTH = ("client_mb_grown", "server_mb_grown")
_RELEASE = "aiopquic-0.6.1"
_RELEASES = (_RELEASE,)
_DEMO = "picoquicdemo"
_ALL = ("aiopquic-0.6.1", "aioquic", "qh3", _DEMO)

#: The adapters of sessions: ours, and what the release has.
_SESSION = {"adapter": "webtransport"}
_THEIR_SESSION = {_RELEASE: {"adapter": "session_events"}}


def _goals(figure: str, floor: float, target: float, peer: str = _RELEASE) -> Goal:
    return Goal(peer, figure, floor, target)


def _absolute(figure: str, floor: float, target: float, peer: str = _RELEASE) -> Goal:
    return Goal(peer, figure, floor, target, is_absolute=True)


_STREAM_GOALS = (
    _goals("mbit_per_s", 2.5, 4),
    _goals("cpu_s_per_gb", 0.35, 0.22),
    _goals("mbit_per_s", 0.9, 1.25, _DEMO),
)
_RAW_GOALS = (_goals("mbit_per_s", 1.7, 2.5), _goals("cpu_s_per_gb", 0.5, 0.35))
_SESSION_GOALS = (_goals("mbit_per_s", 0.75, 0.9, OURSELVES),)


def _raw(case: str) -> Row:
    return Row(
        name=f"{case}-raw",
        title=f"one stream {case}, 16 KiB writes, against the peer's raw loop",
        case=case,
        figures=_BYTES,
        settings={"size": 1 << 14},
        their_settings={_RELEASE: {"raw": True}},
        peers=_RELEASES,
        goals=_RAW_GOALS,
    )


def _session(name: str, title: str, case: str, **settings: Any) -> Row:
    return Row(
        name=name,
        title=f"WebTransport, {title}",
        case=case,
        figures=_BYTES,
        settings=settings,
        our_settings=_SESSION,
        their_settings=_THEIR_SESSION,
        peers=(OURSELVES, _RELEASE),
        goals=_SESSION_GOALS,
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
        _raw("up"),
        Row(
            name="down",
            title="one stream down, 16 KiB writes, awaited",
            case="down",
            figures=_BYTES,
            settings={"size": 1 << 14},
            peers=_ALL,
            goals=_STREAM_GOALS,
        ),
        _raw("down"),
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
        _session("wt-up", "one stream up, 16 KiB writes", "up", size=1 << 14),
        _session("wt-down", "one stream down, 16 KiB writes", "down", size=1 << 14),
        _session("wt-up-100", "100 streams up, 4 KiB writes", "up", size=1 << 12, streams=100),
        Row(
            name="echo",
            title="echo of 100 B, thread driver",
            case="echo",
            figures=("p50_us", "p99_us", *_EACH),
            settings={"size": 100},
            our_settings={"driver": "thread"},
            goals=(_goals("p50_us", 1, 0.8), _goals("p99_us", 0.5, 0.25)),
        ),
        Row(
            name="echo-inline",
            title="echo of 100 B, inline driver",
            case="echo",
            figures=("p50_us", "p99_us", *_EACH),
            settings={"size": 100},
            our_settings={"driver": "inline"},
            peers=(_RELEASE, "qh3"),
            goals=(_goals("p50_us", 0.8, 0.5), _goals("p99_us", 1, 0.5, "qh3")),
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
            name="wt-churn",
            title="WebTransport, short streams, 256 B each way, 32 at once",
            case="churn",
            figures=_EACH,
            settings={"size": 256, "at_once": 32},
            our_settings=_SESSION,
            their_settings=_THEIR_SESSION,
            peers=(OURSELVES, _RELEASE),
            goals=(_goals("per_s", 2.5, 4),),
        ),
        Row(
            name="churn-million",
            title="memory over a million short streams, the first quarter left out",
            case="churn",
            figures=(*_GROWTH, *_EACH),
            settings={"size": 256, "at_once": 32, "count": 1_000_000, "deadline": 600},
            peers=(),
            goals=tuple(_absolute(figure, 4, 1, "") for figure in _GROWTH),
            pairs=1,
        ),
        Row(
            name="datagrams",
            title="datagrams of 1100 B, delivered",
            case="datagrams",
            figures=("per_s", "lost_percent", "cpu_us_each"),
            settings={"size": 1100},
            goals=(_goals("per_s", 1.7, 3), _absolute("lost_percent", 1, 0.1)),
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
            figures=_MEMORY,
            goals=(_absolute("client_kb_each", 80, 40), _absolute("server_kb_each", 25, 20)),
        ),
        Row(
            name="memory-stream",
            title="memory of an idle stream",
            case="memory-stream",
            figures=_MEMORY,
            peers=_RELEASES,  # the others end or stall at as many open streams
            goals=tuple(_absolute(figure, 4, 2) for figure in _MEMORY),
        ),
        Row(
            name="import",
            title="import in a fresh interpreter",
            case="import",
            figures=("import_ms",),
            goals=(_goals("import_ms", 1, 0.65),),
        ),
        Row(
            name="qlog",
            title="one stream up, 16 KiB writes, with a qlog at both ends, against the same without",
            case="up",
            figures=_BYTES,
            settings={"size": 1 << 14},
            our_settings={"writes_qlog": True},
            peers=(OURSELVES,),
            against="without qlog",
            goals=(_goals("mbit_per_s", 0.6, 0.8, OURSELVES),),
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
