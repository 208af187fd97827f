# cython: language_level=3
"""What a transport tells of itself, its connections and its streams."""
from aiopquic._binding._transport_counters import counters_of, write_counters
from aiopquic._binding._transport_sink import Events


class TransportFacts:
    """The part of TransportContext that answers questions."""

    def __init__(self):
        self._engine = None
        self._events = Events()
        self._port = 0
        self._is_drain_wanted = False
        self._sends = {"send_calls": 0, "send_busy_event_ring": 0, "send_busy_stream_ring": 0, "send_alloc_fail": 0,
                       "set_priority_applied": 0, "set_priority_rejected": 0}

    @property
    def port(self):
        """The local UDP port, also when the system chose it; 0 before start()."""
        return self._port

    @property
    def rx_event_ring_count(self):
        """Events that wait."""
        waiting = self._engine.counters["events_waiting"] if self._engine is not None else 0
        return len(self._events.waiting) + waiting

    rx_count = rx_event_ring_count

    @property
    def tx_event_ring_count(self):
        """Commands that wait for the network thread."""
        return self._engine.counters["commands_waiting"] if self._engine is not None else 0

    # ---- counters ----

    @property
    def counters(self):
        """What the engine has done, and what waits; for diagnosis. The keys are there before start() too."""
        return counters_of(self._engine, self._events, self._sends) | {
            "tx_event_ring_drain_pending_now": int(self._is_drain_wanted)}

    @property
    def send_calls(self):
        return self._sends["send_calls"]

    @property
    def send_busy_event_ring(self):
        """Sends that found too many commands waiting."""
        return self._sends["send_busy_event_ring"]

    @property
    def send_busy_stream_ring(self):
        """Sends that found the stream's budget used up."""
        return self._sends["send_busy_stream_ring"]

    @property
    def send_alloc_fail(self):
        """Sends that found no memory."""
        return self._sends["send_alloc_fail"]

    def dump_counters(self, file=None, label=None, stream_ctxs=(), cnx_ptrs=()):
        """Print the counters, and those of the connections and streams of these handles, a line each."""
        write_counters(self, file, label, stream_ctxs, cnx_ptrs)

    # ---- streams ----

    def stream_counters(self, sc_ptr):
        """``queued`` and ``sent`` bytes of the stream of that handle; empty when it is over."""
        stream = self._events.streams.get(sc_ptr)
        return {} if stream is None else {"queued": stream.send_queued, "sent": stream.sent}

    def tx_data_ring_used(self, sc_ptr):
        """Bytes that wait to be sent on the stream of that handle; 0 when it is over."""
        return self.stream_counters(sc_ptr).get("queued", 0)

    def tx_data_ring_sent(self, sc_ptr):
        """Bytes of the stream that went into packets; 0 when it is over."""
        return self.stream_counters(sc_ptr).get("sent", 0)

    # ---- connections ----

    def _info(self, handle):
        known = self._events.connections.get(handle)
        return known.info if known is not None else None

    def peer_address(self, cnx_ptr):
        """``(host, port)``; None, as for each of these, before the handshake is complete and after the end."""
        info = self._info(cnx_ptr)
        return info.peer_address if info is not None else None

    def local_address(self, cnx_ptr):
        info = self._info(cnx_ptr)
        return info.local_address if info is not None else None

    def get_negotiated_alpn(self, cnx_ptr):
        info = self._info(cnx_ptr)
        return info.alpn if info is not None else None

    def session_resumed(self, cnx_ptr):
        """True when the handshake resumed an earlier session."""
        info = self._info(cnx_ptr)
        return info is not None and info.is_resumed

    def transport_parameters(self, cnx_ptr, local=False):
        """The peer's, or with ``local`` ours, by the names of RFC 9000 section 18.2; empty when not known."""
        info = self._info(cnx_ptr)
        if info is None:
            return {}
        return dict(info.local_parameters if local else info.remote_parameters)

    def connection_ids(self, cnx_ptr):
        """``local``, ``remote`` and ``initial``, as they were at the end of the handshake; empty when not known."""
        info = self._info(cnx_ptr)
        return dict(info.connection_ids) if info is not None else {}

    def path_quality(self, cnx_ptr):
        """The figures of the path, times in microseconds and rates in bytes per second; empty when not known.

        They are those of the call before, or of the handshake: each call asks the network thread for newer ones.
        """
        known = self._events.connections.get(cnx_ptr)
        if known is None:
            return {}
        known.ask_stats()
        return dict(known.stats)

    def cnx_data_counters(self, cnx_ptr):
        """Stream bytes that went ``(out, in)``, as old as what :meth:`path_quality` tells."""
        stats = self.path_quality(cnx_ptr)
        return stats.get("stream_bytes_sent", 0), stats.get("stream_bytes_received", 0)
