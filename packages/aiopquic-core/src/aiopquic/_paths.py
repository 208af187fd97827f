"""Paths of a connection, as the bridge tells of them and as programs see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["PATH_OUTCOMES", "PATH_WISHES", "PathAnswer", "PathEvent", "PathInfo", "PathOutcome", "PathWish"]

PathWish = Literal["migrate", "add", "cancel", "abandon", "back_up", "use", "list", "watch"]

#: In the order of ``aiopq_path_wish_t``.
PATH_WISHES: tuple[PathWish, ...] = ("migrate", "add", "cancel", "abandon", "back_up", "use", "list", "watch")

PathOutcome = Literal[
    "done",
    "no_answer",
    "not_bound",
    "not_allowed",
    "wrong_family",
    "no_ids",
    "too_many",
    "no_multipath",
    "unknown",
    "last",
    "busy",
    "cancelled",
    "no_sockets",
    "failed",
]

#: In the order of ``aiopq_path_outcome_t``.
PATH_OUTCOMES: tuple[PathOutcome, ...] = get_args(PathOutcome)


@dataclass(frozen=True, slots=True)
class PathInfo:
    """A path of a connection: from where packets go, and to where. Its figures are those of the moment it was made.

    Times are in seconds, sizes in bytes, rates in bytes per second.
    """

    id: int
    "Never given twice in a connection; the path of the handshake has 0."
    local_address: tuple[str, int]
    peer_address: tuple[str, int]
    is_validated: bool
    "The peer has answered there (RFC 9000 section 8.2)."
    is_backup: bool
    "Not used while another path can be."
    is_leaving: bool
    "Abandoned: it takes no new packets and goes soon."
    smoothed_rtt: float
    latest_rtt: float
    min_rtt: float
    max_rtt: float
    rtt_variation: float
    congestion_window: int
    bytes_in_flight: int
    pacing_rate: int
    receive_rate: int
    packets_sent: int
    packets_lost: int
    spurious_losses: int
    bytes_sent: int
    "UDP payload."
    bytes_received: int
    "UDP payload."


@dataclass(frozen=True, slots=True)
class PathEvent:
    """Something happened to a path."""

    kind: Literal["available", "suspended", "deleted", "quality", "moved"]
    """``"available"``: validated, at an address that may be new; ``"suspended"``: the peer has to answer there once
    more; ``"deleted"``: gone; ``"quality"``: its figures have changed; ``"moved"``: the peer sends from another
    address, which is not validated yet."""
    path: PathInfo


@dataclass(frozen=True, slots=True)
class PathAnswer:
    """What became of a request."""

    request: int
    outcome: PathOutcome
    system_error: int
    paths: tuple[PathInfo, ...]
