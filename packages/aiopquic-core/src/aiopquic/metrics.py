"""The figures of all engines of the process, for a monitoring system that reads Prometheus's text format.

``render()`` is what a handler for ``/metrics`` returns, with :data:`CONTENT_TYPE`. It needs no other package.
"""

from __future__ import annotations

from aiopquic.quic.engine import running_engines
from aiopquic.quic.engine_stats import EngineStats, stats_of

__all__ = ["CONTENT_TYPE", "engine_stats", "render"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Figures that go up and down; all others only grow, until their engine is gone.
_GAUGES = ("connections", "events_waiting", "commands_waiting")

_HELP = {
    "connections": "Connections that are open.",
    "handshakes": "Handshakes that were completed.",
    "handshakes_failed": "Connections that ended before their handshake was complete.",
    "connections_closed": "Connections that have ended.",
    "datagrams_received": "UDP datagrams that came in.",
    "bytes_received": "Bytes of UDP payload that came in.",
    "datagrams_sent": "UDP datagrams that went out.",
    "bytes_sent": "Bytes of UDP payload that went out.",
    "send_calls": "System calls that sent datagrams.",
    "receive_calls": "System calls that brought datagrams.",
    "datagrams_misrouted": "Those of another worker's connections, handed over.",
    "misrouted_lost": "Those of them that were lost.",
    "loop_wakes": "Times that the event loop was woken.",
    "network_wakes": "Times that the network thread was woken by a call.",
    "turns": "Rounds of the network thread.",
    "sleeps": "Times that the network thread went to sleep.",
    "sleeps_saved": "Times that it found work while it looked on.",
    "events": "Events for the event loop.",
    "commands": "Commands for the network thread.",
    "events_waiting": "Events that wait for the event loop.",
    "commands_waiting": "Commands that wait for the network thread.",
    "incoming_retried": "Clients that were sent a Retry.",
    "incoming_refused": "Clients that were refused for want of room.",
    "incoming_expired": "Clients that waited too long for a decision.",
}


def engine_stats() -> list[EngineStats]:
    """A snapshot of every engine whose network thread runs, by port."""
    return sorted((stats_of(engine) for engine in running_engines), key=lambda one: (one.role, one.port, one.worker))


def render() -> str:
    """All of them in Prometheus's text format, each engine with its ``role``, ``port`` and ``worker`` as labels."""
    everything = engine_stats()
    lines = []
    for name, text in _HELP.items():
        kind, full = ("gauge", f"aiopquic_{name}") if name in _GAUGES else ("counter", f"aiopquic_{name}_total")
        lines += [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]
        for one in everything:
            labels = f'role="{one.role}",port="{one.port}",worker="{one.worker}"'
            lines.append(f"{full}{{{labels}}} {getattr(one, name)}")
    return "\n".join(lines) + "\n"
