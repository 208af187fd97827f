# cython: language_level=3
"""The counters of the low-level API, by the names that programs know, and their printing."""
import sys
import weakref

from aiopquic._binding._engine import live_counts

# Every transport that is alive, for what is told of all of them. Only loop threads touch it, under the GIL.
transports = weakref.WeakSet()


def counters_of(engine, events, sends):
    """The engine's own counters, and the same by other names; zeros without an engine.

    ``sends`` are the transport's own. The queues grow, so that what counts overflows and drops is always 0.
    """
    live = live_counts()
    own = engine.counters if engine is not None else {}
    commands = own.get("commands_waiting", 0)
    waiting = own.get("events_waiting", 0) + len(events.waiting)
    pushed = own.get("commands_pushed", 0)
    return own | sends | {
        "rx_event_ring_count_now": waiting,
        "rx_notify_pending_now": int(waiting > 0),
        "rx_event_drops": 0,
        "rx_event_drops_stream_data": 0,
        "rx_overflow_pushed": 0,
        "rx_overflow_max_depth": 0,
        "rx_overflow_depth_now": 0,
        "tx_event_ring_pushes": pushed,
        "tx_event_ring_pops": pushed - commands,
        "tx_event_ring_count_now": commands,
        "tx_event_dropped_dead_cnx": own.get("commands_stale", 0),
        "tx_data_bytes_queued": queued_bytes(engine),
        "wake_calls": own.get("net_wakes", 0),
        "wake_skipped_coalesced": own.get("net_wakes_saved", 0),
        "loop_callbacks": own.get("turns", 0),
        "chunks_alive_total": live["chunks"],
        "sc_alive_total": live["streams"],
    }


def queued_bytes(engine):
    return sum(connection.send_queued for connection in engine.connections) if engine is not None else 0


def tx_data_bytes_queued():
    """Bytes that wait to be sent, over every transport of this process."""
    return sum(transport.counters["tx_data_bytes_queued"] for transport in list(transports))


def write_counters(transport, file, label, stream_ctxs, cnx_ptrs):
    target = file if file is not None else sys.stderr
    name = label or f"transport on port {transport.port}"
    for title, counters in [
        (name, transport.counters),
        *((f"{name}, connection {handle}", transport.path_quality(handle)) for handle in cnx_ptrs),
        *((f"{name}, stream {handle}", transport.stream_counters(handle)) for handle in stream_ctxs),
    ]:
        values = " ".join(f"{key}={value}" for key, value in sorted(counters.items()))
        print(f"{title}: {values}", file=target)


def dump_all_counters(file=None):
    """One line for each transport that is alive, on standard error unless told otherwise."""
    for transport in list(transports):
        transport.dump_counters(file)
