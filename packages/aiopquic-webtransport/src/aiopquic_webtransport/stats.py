"""A session's figures."""

from __future__ import annotations

from dataclasses import dataclass

from aiopquic import ConnectionStats

__all__ = ["SessionStats"]


@dataclass(frozen=True, slots=True)
class SessionStats:
    """A snapshot of one session, and of the connection that it may share with others."""

    connection: ConnectionStats
    streams_opened: int
    "By this side, since the session began."
    streams_accepted: int
    "Opened by the peer, those included that nobody has accepted yet."
    streams_open: int
    "Of both sides, now."
    datagrams_sent: int
    datagrams_received: int
    datagrams_dropped: int
    "Received, and dropped because nobody took them in time."
