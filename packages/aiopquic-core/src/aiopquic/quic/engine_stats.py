"""Figures of an engine: what it has done since it was made, and what is open or waits now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiopquic.quic.engine import QuicEngine

__all__ = ["EngineStats", "ServerStats", "stats_of", "sum_of"]


@dataclass(frozen=True, slots=True)
class EngineStats:
    """A snapshot, taken without a word to the network thread. Counts are since the engine was made."""

    role: str
    '"client" or "server".'
    worker: int
    "Its number among the engines that share a port; 0 for one that has its port alone."
    is_running: bool
    "False when it has ended, by itself or because it was closed."
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
    datagrams_sent: int
    "UDP datagrams, as above."
    bytes_sent: int
    "Of UDP payload, as above."
    send_calls: int
    "System calls that sent them; 0 on a simulated network, too."
    receive_calls: int
    "System calls that brought some, as above."
    datagrams_misrouted: int
    "Those of other workers' connections that came in here, and were handed over."
    misrouted_lost: int
    "Of those, the ones that were lost: the other worker had ended, or had too many waiting."
    loop_wakes: int
    "Times that the loop was woken."
    network_wakes: int
    "Times that the network thread was woken by a call."
    turns: int
    "Rounds of the network thread."
    sleeps: int
    "Times that it went to sleep; 0 without one, and with picoquic's own packet loop."
    sleeps_saved: int
    "Times that ``spin_time`` had it find work before it did."
    events: int
    "Sent to the loop."
    commands: int
    "Sent to the network thread."
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


@dataclass(frozen=True, slots=True)
class ServerStats(EngineStats):
    """A server's figures: the sums over its workers, and each worker's."""

    workers: tuple[EngineStats, ...]
    "By their numbers; one for a server without ``workers=``. An engine that took a dead one's place begins at 0."
    workers_failed: int
    "Engines that ended by themselves; the sums have their figures, too."
    is_steered: bool
    "The kernel sends each datagram to its worker. False: they are handed over from worker to worker."


def sum_of(
    present: Sequence[EngineStats], past: Sequence[EngineStats], *, workers_failed: int, is_steered: bool
) -> ServerStats:
    """The figures of a server whose engines have these; ``past`` are the last ones of those that have successors."""
    first = present[0]
    sums = {
        field.name: sum(getattr(one, field.name) for one in (*present, *past))
        for field in fields(EngineStats)
        if field.name not in ("role", "port", "worker", "is_running")
    }
    return ServerStats(
        role=first.role,
        port=first.port,
        worker=0,
        is_running=any(one.is_running for one in present),
        **sums,
        workers=tuple(present),
        workers_failed=workers_failed,
        is_steered=is_steered,
    )


def stats_of(engine: QuicEngine) -> EngineStats:
    """The figures of this moment; of an engine that has ended, its last."""
    counters = engine.binding.counters
    return EngineStats(
        role="client" if engine.settings.is_client else "server",
        worker=engine.settings.worker,
        is_running=engine.binding.is_running and not engine.is_stopped,
        port=engine.port or 0,
        connections=len(engine.binding.connections),
        handshakes=counters["handshakes"],
        handshakes_failed=counters["handshakes_failed"],
        connections_closed=counters["connections_closed"],
        datagrams_received=counters["datagrams_received"],
        bytes_received=counters["bytes_received"],
        datagrams_sent=counters["datagrams_sent"],
        bytes_sent=counters["bytes_sent"],
        send_calls=counters["send_calls"],
        receive_calls=counters["receive_calls"],
        datagrams_misrouted=counters["datagrams_misrouted"],
        misrouted_lost=counters["misrouted_lost"],
        loop_wakes=counters["loop_wakes"],
        network_wakes=counters["net_wakes"],
        turns=counters["turns"],
        sleeps=counters["sleeps"],
        sleeps_saved=counters["sleeps_saved"],
        events=counters["events_pushed"],
        commands=counters["commands_pushed"],
        events_waiting=counters["events_waiting"],
        commands_waiting=counters["commands_waiting"],
        incoming_retried=counters["incoming_retried"],
        incoming_refused=counters["incoming_refused"],
        incoming_expired=counters["incoming_expired"],
    )
