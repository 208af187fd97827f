# cython: language_level=3
"""The low-level API: one engine, its events as tuples, its commands as calls. Bring your own event loop."""
import asyncio
import os
import select

from aiopquic._binding._chunk import StreamChunk
from aiopquic._binding._engine import Engine
from aiopquic._binding._ring import RingBuffer
from aiopquic._binding._transport_counters import dump_all_counters, transports, tx_data_bytes_queued
from aiopquic._binding._transport_datagrams import TransportDatagrams
from aiopquic._binding._transport_numbers import (
    DEFAULT_KEY_EXCHANGE_GROUPS,
    EVT_ALMOST_READY,
    EVT_APP_CLOSE,
    EVT_CLOSE,
    EVT_DATAGRAM,
    EVT_DATAGRAM_ACKED,
    EVT_DATAGRAM_LOST,
    EVT_DATAGRAM_TX_DRAINED,
    EVT_READY,
    EVT_STOP_SENDING,
    EVT_STREAM_DATA,
    EVT_STREAM_DESTROY,
    EVT_STREAM_FIN,
    EVT_STREAM_RESET,
    EVT_STREAM_TX_DRAINED,
    KEX_MLKEM1024,
    KEX_SECP256R1,
    KEX_SECP256R1MLKEM768,
    KEX_X25519,
    KEX_X25519MLKEM768,
    TX_CLOSE,
    TX_STOP_SENDING,
    TX_STREAM_DATA,
    TX_STREAM_FIN,
    TX_STREAM_RESET,
)
from aiopquic._binding._transport_settings import (
    application_protocols,
    check_congestion_control_algorithm,
    check_version,
    refuse,
    transport_settings,
)
from aiopquic._binding._transport_sink import ConnectionEvents
from aiopquic._addresses import packed_address
from aiopquic._files import explain
from aiopquic._tickets import save_tickets, trust_of
from aiopquic.exceptions import (
    BindError,
    CertificateFileError,
    QuicConnectionError,
    StreamClosedError,
    StreamError,
    WouldBlockError,
)

__all__ = [
    "DEFAULT_KEY_EXCHANGE_GROUPS",
    "EVT_ALMOST_READY",
    "EVT_APP_CLOSE",
    "EVT_CLOSE",
    "EVT_DATAGRAM",
    "EVT_DATAGRAM_ACKED",
    "EVT_DATAGRAM_LOST",
    "EVT_DATAGRAM_TX_DRAINED",
    "EVT_READY",
    "EVT_STOP_SENDING",
    "EVT_STREAM_DATA",
    "EVT_STREAM_DESTROY",
    "EVT_STREAM_FIN",
    "EVT_STREAM_RESET",
    "EVT_STREAM_TX_DRAINED",
    "KEX_MLKEM1024",
    "KEX_SECP256R1",
    "KEX_SECP256R1MLKEM768",
    "KEX_X25519",
    "KEX_X25519MLKEM768",
    "TX_CLOSE",
    "TX_STOP_SENDING",
    "TX_STREAM_DATA",
    "TX_STREAM_FIN",
    "TX_STREAM_RESET",
    "RingBuffer",
    "StreamChunk",
    "TransportContext",
    "check_congestion_control_algorithm",
    "dump_all_counters",
    "tx_data_bytes_queued",
]

# Opening the sockets takes microseconds; a host that needs longer than this is stuck.
cdef int START_TIMEOUT_MS = 5000


class TransportContext(TransportDatagrams):
    """One network thread with its sockets and connections, for a client or a server.

    Connections and streams are named by handles: numbers that are never used twice. All calls belong to one thread.
    Poll ``eventfd`` and call :meth:`drain_rx` when it is readable. docs/low-level-api.md shows it whole.

    ``ring_capacity`` or ``tx_ring_cap`` bounds the commands that may wait for the network thread, 0 sets no bound;
    ``tx_event_ring_low_water_pct`` is how full that may be for there to be room again, 50 unless given. Events are
    not bounded by a number, so ``rx_data_ring_cap`` has no effect here: at most one of each stream waits.
    """

    def __init__(self, ring_capacity=0, tx_ring_cap=0, rx_data_ring_cap=0, tx_event_ring_low_water_pct=0):
        super().__init__()
        self._command_capacity = tx_ring_cap or ring_capacity
        self._low_water = self._command_capacity * (tx_event_ring_low_water_pct or 50) // 100
        self._commands_drained = asyncio.Event()
        self._commands_drained.set()
        self._is_ready = False
        self._error = None
        self._alpn = ()
        self._ticket_file = None
        self.settings = None
        transports.add(self)

    # ---- life ----

    def start(self, port=0, cert_file=None, key_file=None, alpn=None, is_client=True, idle_timeout_ms=30000,
              max_datagram_frame_size=0, wt_path=None, debug_log=None, keylog_filename=None,
              congestion_control_algorithm=None, *, alpn_list=None, host=None, ip_family=-1, initial_max_data=0,
              rx_data_ring_cap=0, rx_ring_cap=0, initial_max_streams_uni=0, initial_max_streams_bidi=0,
              keep_alive_interval_ms=0, socket_buffer_size=0, qlog_dir=None, verify_peer=True, ca_file=None,
              max_connections=256, cipher_suite=0, key_exchange_groups=None, stream_ring_cap=4 << 20,
              key_password=None, retry=False, key_update_interval=0, ticket_file=None, pmtud_policy=None,
              wt_supported_protocols=None, web_folder=None, dual=False, desired_version=0, driver="thread"):
        """Open the sockets and start the network thread.

        A client verifies servers against ``ca_file``, or certifi's certificates, unless ``verify_peer`` is False.
        ``rx_data_ring_cap``, ``rx_ring_cap`` to older programs, is the largest receive window of a stream, and
        ``stream_ring_cap`` the most that may wait to be sent on one, in bytes. A client keeps its session tickets in
        ``ticket_file``, which is written by stop(). ``key_update_interval`` is the number of packets that are sent with
        one key, ``pmtud_policy`` "basic", "delayed" or "blocked", ``key_exchange_groups`` an order of their numbers.
        With ``driver="inline"`` there is no network thread: datagrams move when :meth:`drain_rx` is called.

        Raises:
            RuntimeError: started before.
            ConfigurationError, CertificateFileError: a setting is wrong, or not available here.
            BindError: (an OSError) the port is in use, or not allowed.
        """
        if self._engine is not None:
            raise RuntimeError("Transport already started: make another TransportContext")
        refuse({"wt_path": wt_path, "wt_supported_protocols": wt_supported_protocols, "web_folder": web_folder,
                "dual": dual, "debug_log": debug_log})
        names = application_protocols(alpn, alpn_list)
        settings = transport_settings(
            names, self._command_capacity, port=port, host=host, ip_family=ip_family, cert_file=cert_file,
            key_file=key_file, key_password=key_password, is_client=is_client, idle_timeout_ms=idle_timeout_ms,
            keylog_filename=keylog_filename, congestion_control_algorithm=congestion_control_algorithm,
            initial_max_data=initial_max_data, rx_data_ring_cap=rx_data_ring_cap or rx_ring_cap,
            initial_max_streams_uni=initial_max_streams_uni, initial_max_streams_bidi=initial_max_streams_bidi,
            keep_alive_interval_ms=keep_alive_interval_ms, socket_buffer_size=socket_buffer_size, qlog_dir=qlog_dir,
            verify_peer=verify_peer, ca_file=ca_file, max_connections=max_connections, cipher_suite=cipher_suite,
            max_datagram_frame_size=max_datagram_frame_size, stream_ring_cap=stream_ring_cap,
            key_exchange_groups=key_exchange_groups, retry=retry, key_update_interval=key_update_interval,
            ticket_file=ticket_file, pmtud_policy=pmtud_policy, desired_version=desired_version, driver=driver)
        try:
            engine = Engine(settings)
        except CertificateFileError as error:
            raise explain(error, cert_file, key_file) from None
        engine.sink = self
        self._alpn = names
        self._ticket_file = settings.session_ticket_file
        self.settings = settings  # for what is put on this transport's settings beside it
        self._engine = engine
        engine.start()
        self._wait_until_ready(port)

    def _wait_until_ready(self, port):
        poller = select.poll()
        poller.register(self._engine.fileno(), select.POLLIN)
        while not self._is_ready and self._error is None:
            if not poller.poll(START_TIMEOUT_MS):
                raise TimeoutError("the network thread did not start")
            self._engine.drain()
        if self._error is not None:
            self._engine.join()
            raise BindError(self._error, f"UDP port {port} can't be bound: {os.strerror(self._error)}")
        self._engine.rearm()  # the loop-ready event waits for drain_rx()

    def stop(self, drain_timeout=0.05):
        """Close every connection, with CONNECTION_CLOSE on the wire, and wait for the network thread.

        That takes as long as the network thread needs to send, half a second at most; ``drain_timeout`` is not needed.
        """
        if self._engine is not None and self._engine.is_running:
            self._engine.stop()
            self._engine.join()
            if self._ticket_file is not None:
                save_tickets(self._ticket_file, self._engine.session_tickets(), trust_of(self.settings),
                             self.settings.session_tickets)
            while self._engine.drain():
                pass
            self._commands_drained.set()

    @property
    def started(self):
        """True between start() and stop()."""
        return self._engine is not None and self._engine.is_running

    @property
    def thread_ready(self):
        """True once the sockets are open."""
        return self._is_ready

    @property
    def eventfd(self):
        """A descriptor that is readable while events wait; -1 before start()."""
        return self._engine.fileno() if self._engine is not None else -1

    def wake_up(self):
        """Nothing to do: commands wake the network thread by themselves."""

    # ---- events ----

    def _fill(self, max_events):
        if self._engine is None:
            return
        if len(self._events.waiting) < max_events:
            self._engine.drain(max_events - len(self._events.waiting))
        if self._is_drain_wanted:
            self._look_at_commands()

    def drain_rx(self, max_events=256):
        """Up to ``max_events`` events, oldest first.

        Each is ``(event_type, stream_id, data, is_fin, error_code, connection, stream, stream)``; the last three are
        handles, 0 where there is none. Type 6 without a connection says that the sockets are open. ``data`` stays
        valid as long as something refers to it.

        Backpressure: bytes count as consumed when they are taken here, so a program that stops calling holds its
        peers at their windows.
        """
        self._fill(max_events)
        events = self._events.waiting
        taken = [events.popleft() for _ in range(min(max_events, len(events)))]
        if events:
            self._engine.rearm()
        return taken

    def drain_rx_callback(self, handler, max_events=256):
        """Call ``handler(event)`` for each of up to ``max_events`` events; returns how many there were.

        An exception of the handler comes out; the events behind it wait for the next drain.
        """
        self._fill(max_events)
        events = self._events.waiting
        count = 0
        try:
            while events and count < max_events:
                count += 1
                handler(events.popleft())
        finally:
            if events and self.started:
                self._engine.rearm()
        return count

    def release_batch(self):
        """Nothing to do: what a drain hands out belongs to whoever refers to it."""

    # ---- connections ----

    def create_client_connection(self, host, port, sni=None, alpn=None, desired_version=0):
        """Start a client connection to an IP literal; returns its handle.

        ``desired_version`` is that of its first packet; the one of start() is what the server is asked to change to.

        Raises ValueError for a host that is not an IP literal, RuntimeError before start().
        """
        if not self.started:
            raise RuntimeError("start() the transport before connecting")
        check_version(desired_version)
        packed_address(host)
        names = (alpn,) if alpn else self._alpn
        connection = self._engine.connect(host, port, sni or host, names, desired_version)
        return ConnectionEvents(connection, self._events).connection.handle

    def close_connection(self, cnx_ptr, error_code=0, reason=b""):
        """Close with an application code and a reason; nothing happens when it is closed already."""
        connection = self._engine.connection(cnx_ptr) if self._engine is not None else None
        if connection is not None:
            connection.close(error_code, reason)

    # ---- sending ----

    def tx_send_stream(self, cnx_ptr, stream_id, data, end_stream=False, stream_ring_cap=0):
        """Queue bytes on a stream, and its end; opens it when it is ours and new. Returns the stream's handle.

        All or nothing: BufferError when the stream's budget is used up, or too many commands wait; then
        EVT_STREAM_TX_DRAINED comes when there is room again. The budget is that of start() for every stream, so
        ``stream_ring_cap`` is not needed here.
        """
        stream = self._stream(cnx_ptr, stream_id, may_open=True)
        handle = self._events.add_stream(stream)
        self._sends["send_calls"] += 1
        try:
            stream.write(data, end_stream)
        except WouldBlockError:
            # With room in the stream, it was the commands, even if they are carried out by now.
            full = self._command_capacity > 0 and stream.room >= memoryview(data).nbytes
            self._sends["send_busy_event_ring" if full else "send_busy_stream_ring"] += 1
            self.set_tx_data_drain_pending(handle)
            raise
        except MemoryError:
            self._sends["send_alloc_fail"] += 1
            raise
        return handle

    def tx_send_atomic(self, stream_id, data, end_stream, cnx_ptr, sc=0, ring_cap=0):
        """The same, with a number for an answer: 0 taken, 1 the stream's budget is used up, 2 too many commands wait,
        -1 the stream or the connection is over, or there is no memory."""
        busy = self.send_busy_event_ring
        try:
            self.tx_send_stream(cnx_ptr, stream_id, data, end_stream)
        except BufferError:
            return 1 if self.send_busy_event_ring == busy else 2
        except (StreamError, QuicConnectionError, MemoryError):
            return -1
        return 0

    def push_tx_event(self, event_type, stream_id, data=None, error_code=0, cnx_ptr=0, stream_ctx=0, is_fin=0):
        """One command by number: 128 data, 129 data and FIN, 131 close, 132 reset, 133 stop sending."""
        if event_type == TX_CLOSE:
            self._connection(cnx_ptr).close(error_code, bytes(data) if data else b"")
        elif event_type in (TX_STREAM_DATA, TX_STREAM_FIN):
            fin = event_type == TX_STREAM_FIN or bool(is_fin)
            self.tx_send_stream(cnx_ptr, stream_id, data if data is not None else b"", fin)
        elif event_type == TX_STREAM_RESET:
            self._stream(cnx_ptr, stream_id).reset(error_code)
        elif event_type == TX_STOP_SENDING:
            self._stream(cnx_ptr, stream_id).stop(error_code)
        else:
            raise ValueError(f"unknown command {event_type}")

    push_tx = push_tx_event

    def set_stream_priority(self, cnx_ptr, stream_id, priority):
        """0 is sent first, 255 last; opens the stream as a send does. Returns 1 when too many commands wait, else 0."""
        stream = self._stream(cnx_ptr, stream_id, may_open=True)
        self._events.add_stream(stream)
        try:
            stream.set_priority(priority)
        except WouldBlockError:
            self._sends["set_priority_rejected"] += 1
            return 1
        self._sends["set_priority_applied"] += 1
        return 0

    def set_default_stream_priority(self, priority):
        """The priority of every stream that is opened from now on, by either side."""
        if not 0 <= priority <= 255:
            raise ValueError(f"a stream priority is 0 to 255, not {priority}")
        self._events.default_priority = priority

    # ---- room to send ----

    def set_tx_data_drain_pending(self, sc_ptr):
        """Ask for one EVT_STREAM_TX_DRAINED, once at most half of the stream's budget is used; at once if it is so."""
        stream = self._events.streams.get(sc_ptr)
        if stream is None:
            return
        self._events.drain_wanted.add(sc_ptr)
        if not stream.want_writable():
            self._events.drain_wanted.discard(sc_ptr)
            self._events.tell(EVT_STREAM_TX_DRAINED, stream)
            self._engine.rearm()

    def clear_tx_data_drain_pending(self, sc_ptr):
        """Take that wish back."""
        self._events.drain_wanted.discard(sc_ptr)

    @property
    def tx_event_ring_capacity(self):
        """Commands that may wait; 0: no bound."""
        return self._command_capacity

    @property
    def tx_event_ring_drain_event(self):
        """An asyncio.Event that is set while there is room for commands; clear it, arm it, look again, await it."""
        return self._commands_drained

    def arm_tx_event_ring_drain_pending(self):
        """Set the event when there is room for commands; False when there is already, and it is set then."""
        self._is_drain_wanted = True
        self._look_at_commands()
        return self._is_drain_wanted

    def clear_tx_event_ring_drain_pending(self):
        """Take that wish back."""
        self._is_drain_wanted = False

    # Commands that wait are carried out within a turn of the network thread: until then each drain looks again.
    def _look_at_commands(self):
        if self.started and self._command_capacity and self.tx_event_ring_count > self._low_water:
            self._engine.rearm()
        else:
            self._is_drain_wanted = False
            self._commands_drained.set()

    # ---- what a handle stands for ----

    def _connection(self, handle):
        connection = self._engine.connection(handle) if self._engine is not None else None
        if connection is None:
            raise StreamClosedError(f"there is no open connection {handle}", 0)
        return connection

    def _stream(self, handle, stream_id, may_open=False):
        connection = self._connection(handle)
        stream = connection.streams.get(stream_id)
        if stream is None:
            if not may_open:
                raise StreamClosedError(f"stream {stream_id} is not open", stream_id)
            try:
                stream = connection.open_stream(stream_id)
            except RuntimeError as error:
                raise StreamClosedError(f"stream {stream_id} does not exist: the peer has not opened it",
                                        stream_id) from error
        return stream

    # ---- EngineSink ----

    def engine_ready(self, port):
        self._port = port
        self._is_ready = True
        self._events.waiting.append((EVT_READY, 0, None, False, 0, 0, 0, 0))

    def engine_stopped(self, error):
        if not self._is_ready:
            self._error = error

    def connection_accepted(self, connection):
        ConnectionEvents(connection, self._events)

    def handler_failed(self, error, connection):
        raise error
