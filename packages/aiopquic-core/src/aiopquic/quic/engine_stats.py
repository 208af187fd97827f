"""Figures of an engine: what it has done since it was made, and what is open or waits now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiopquic.quic.engine import QuicEngine

__all__ = ["EngineStats", "stats_of"]


@dataclass(frozen=True, slots=True)
class EngineStats:
    """A snapshot, taken without a word to the network thread. Counts are since the engine was made."""

    role: str
    '"client" or "server".'
    port: int
    "The local UDP port; 0 before the sockets are open."
    connections: int
    "Open now, those in their handshake included once they are told of."
    handshakes: int
    handshakes_failed: int
    connections_closed: int
    "Ended, those whose handshake failed among them."
    datagrams_received: int
    "UDP datagrams; 0 with picoquic's own packet loop, which does not tell."
    bytes_received: int
    "Of UDP payload, as above."
    loop_wakes: int
    "Times that the loop was woken."
    network_wakes: int
    "Times that the network thread was woken by a call."
    turns: int
    "Rounds of the network thread."
    events_waiting: int
    "For the loop."
    commands_waiting: int
    "For the network thread."
    incoming_retried: int
    "Clients that were sent a Retry without asking the application (RFC 9000 section 8.1.2)."
    incoming_refused: int
    "Clients that found no room to wait for the application's answer."
    incoming_expired: int
    "Clients that waited for it too long."


def stats_of(engine: QuicEngine) -> EngineStats:
    """The figures of this moment; of an engine that has ended, its last."""
    counters = engine.binding.counters
    return EngineStats(
        role="client" if engine.settings.is_client else "server",
        port=engine.port or 0,
        connections=len(engine.binding.connections),
        handshakes=counters["handshakes"],
        handshakes_failed=counters["handshakes_failed"],
        connections_closed=counters["connections_closed"],
        datagrams_received=counters["datagrams_received"],
        bytes_received=counters["bytes_received"],
        loop_wakes=counters["loop_wakes"],
        network_wakes=counters["net_wakes"],
        turns=counters["turns"],
        events_waiting=counters["events_waiting"],
        commands_waiting=counters["commands_waiting"],
        incoming_retried=counters["incoming_retried"],
        incoming_refused=counters["incoming_refused"],
        incoming_expired=counters["incoming_expired"],
    )
