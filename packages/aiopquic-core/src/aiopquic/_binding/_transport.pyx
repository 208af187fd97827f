# cython: language_level=3
"""The low-level API: one engine, its events as tuples, its commands as calls. Bring your own event loop."""
import ipaddress
import os
import select
from collections import deque

from aiopquic._binding._engine import Engine
from aiopquic._files import check_keylog, explain, read_certificate, read_private_key, trusted_roots
from aiopquic._settings import EngineSettings
from aiopquic.exceptions import BindError, CertificateFileError, CloseKind, ConfigurationError, StreamClosedError

__all__ = ["TransportContext"]

# Event numbers of drain_rx(), by the names that programs know.
EVT_STREAM_DATA = 0
EVT_STREAM_FIN = 1
EVT_STREAM_RESET = 2
EVT_STOP_SENDING = 3
EVT_CLOSE = 4
EVT_APP_CLOSE = 5
EVT_READY = 6
EVT_ALMOST_READY = 7
EVT_DATAGRAM = 8
EVT_STREAM_TX_DRAINED = 15
EVT_STREAM_DESTROY = 17

# Command numbers of push_tx_event().
TX_CLOSE = 131
TX_STREAM_RESET = 132
TX_STOP_SENDING = 133
TX_STREAM_DATA = 128
TX_STREAM_FIN = 129

# Opening the sockets takes microseconds; a host that needs longer than this is stuck.
cdef int START_TIMEOUT_MS = 5000

cdef object DEFAULT_MAX_DATA = 1 << 24

# Enough for the bursts of a fast sender on one host.
cdef object DEFAULT_SOCKET_BUFFER = 4 << 20


class _ConnectionEvents:
    """Turns the events of one connection into tuples."""

    __slots__ = ("_append", "_connection", "_handle")

    def __init__(self, connection, append):
        self._connection = connection
        self._handle = connection.handle
        self._append = append

    def _stream_event(self, number, stream, data=None, fin=False, error_code=0):
        handle = stream.handle
        self._append((number, stream.id, data, fin, error_code, self._handle, handle, handle))

    def connection_created(self):
        self._append((EVT_ALMOST_READY, 0, None, False, 0, self._handle, 0, 0))

    def connection_ready(self, info):
        self._append((EVT_READY, 0, None, False, 0, self._handle, 0, 0))

    def connection_closed(self, reason):
        number = EVT_APP_CLOSE if reason.kind is CloseKind.APPLICATION else EVT_CLOSE
        self._append((number, 0, None, False, reason.error_code, self._handle, 0, 0))

    def connection_stats(self, request, stats):
        pass

    def connection_id_issued(self, connection_id):
        """Of no use without an event of its own."""

    def connection_id_retired(self, connection_id):
        """Of no use without an event of its own."""

    def connection_writable(self):
        pass

    def datagrams_readable(self):
        for data in self._connection.take_datagrams():
            self._append((EVT_DATAGRAM, 0, memoryview(data), False, 0, self._handle, 0, 0))

    def datagrams_writable(self):
        pass

    def datagram_fate(self, uid, fate):
        pass

    def stream_readable(self, stream):
        buffers, fin = stream.take()
        if fin and not buffers:
            buffers = [memoryview(b"")]
        last = len(buffers) - 1
        for index, data in enumerate(buffers):
            ends = fin and index == last
            self._stream_event(EVT_STREAM_FIN if ends else EVT_STREAM_DATA, stream, data, ends)
            stream.consume(len(data))

    def stream_reset(self, stream, error_code):
        self._stream_event(EVT_STREAM_RESET, stream, error_code=error_code)

    def stream_stopped(self, stream, error_code):
        self._stream_event(EVT_STOP_SENDING, stream, error_code=error_code)

    def stream_writable(self, stream):
        self._stream_event(EVT_STREAM_TX_DRAINED, stream)

    def stream_released(self, stream):
        self._stream_event(EVT_STREAM_DESTROY, stream)


class TransportContext:
    """One network thread with its sockets and connections, for a client or a server.

    Connections and streams are named by handles: numbers that are never used twice. All calls belong to one thread.
    Poll ``eventfd`` and call :meth:`drain_rx` when it is readable.

    ``ring_capacity`` bounds the commands that may wait for the network thread; 0 sets no bound.
    """

    def __init__(self, ring_capacity=0, tx_ring_cap=0, rx_data_ring_cap=0, tx_event_ring_low_water_pct=0):
        self._command_capacity = tx_ring_cap or ring_capacity
        self._engine = None
        self._events = deque()
        self._port = 0
        self._is_ready = False
        self._error = None
        self._alpn = ()

    # ---- life ----

    def start(self, port=0, cert_file=None, key_file=None, alpn=None, is_client=True, idle_timeout_ms=30000,
              max_datagram_frame_size=0, keylog_filename=None, congestion_control_algorithm=None, *,
              alpn_list=None, host=None, initial_max_data=0, rx_data_ring_cap=0, initial_max_streams_uni=0,
              initial_max_streams_bidi=0, keep_alive_interval_ms=0, socket_buffer_size=0, qlog_dir=None,
              verify_peer=True, ca_file=None, max_connections=256, cipher_suite=0, stream_ring_cap=4 << 20,
              key_password=None):
        """Open the sockets and start the network thread.

        A client verifies servers against ``ca_file``, or certifi's certificates, unless ``verify_peer`` is False.

        Raises:
            RuntimeError: started before.
            ConfigurationError, CertificateFileError: a setting is wrong.
            BindError: (an OSError) the port is in use, or not allowed.
        """
        if self._engine is not None:
            raise RuntimeError("Transport already started: make another TransportContext")
        names = tuple(alpn_list) if alpn_list else ((alpn,) if alpn else ())
        if not names:
            raise ConfigurationError("QUIC needs an application protocol: give alpn or alpn_list")
        if not 0 <= port <= 65535:
            raise ConfigurationError(f"a UDP port is 0 to 65535, not {port!r}")
        keylog_file = keylog_filename or os.environ.get("SSLKEYLOGFILE") or None
        check_keylog(keylog_file)
        settings = EngineSettings(
            is_client=is_client,
            bind_addresses=(host,) if host else ("0.0.0.0",),
            local_port=port,
            socket_buffer_bytes=socket_buffer_size or DEFAULT_SOCKET_BUFFER,
            alpn=names,
            certificate_chain=b"" if is_client else read_certificate(cert_file),
            private_key=b"" if is_client else read_private_key(key_file),
            private_key_password=key_password.encode() if isinstance(key_password, str) else key_password,
            trusted_roots=trusted_roots(ca_file) if is_client and verify_peer else (),
            verify_peer=verify_peer,
            keylog_file=keylog_file,
            qlog_dir=qlog_dir,
            congestion_control=congestion_control_algorithm,
            cipher_suite=cipher_suite,
            max_connections=max_connections,
            idle_timeout_ms=idle_timeout_ms,
            keep_alive_us=keep_alive_interval_ms * 1000,
            max_data=initial_max_data or DEFAULT_MAX_DATA,
            max_stream_data=rx_data_ring_cap or DEFAULT_MAX_DATA,
            initial_stream_window=min(1 << 16, rx_data_ring_cap or DEFAULT_MAX_DATA),
            max_streams_uni=initial_max_streams_uni or 512,
            max_streams_bidi=initial_max_streams_bidi or 512,
            max_datagram_frame_size=max_datagram_frame_size,
            send_budget_stream=stream_ring_cap,
            send_budget_conn=1 << 60,
            command_capacity=self._command_capacity,
        )
        try:
            engine = Engine(settings)
        except CertificateFileError as error:
            raise explain(error, cert_file, key_file, bool(key_password)) from None
        engine.sink = self
        self._alpn = names
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
        """Close every connection, with CONNECTION_CLOSE on the wire, and wait for the network thread."""
        if self._engine is not None and self._engine.is_running:
            self._engine.stop()
            self._engine.join()
            while self._engine.drain():
                pass

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

    @property
    def port(self):
        """The local UDP port, also when the system chose it; 0 before start()."""
        return self._port

    def wake_up(self):
        """Nothing to do: commands wake the network thread by themselves."""

    # ---- events ----

    def drain_rx(self, max_events=256):
        """Up to ``max_events`` events, oldest first.

        Each is ``(event_type, stream_id, data, is_fin, error_code, connection, stream, stream)``; the last three are
        handles, 0 where there is none. Type 6 without a connection says that the sockets are open.

        Backpressure: bytes count as consumed when they are taken here, so a program that stops calling holds its
        peers at their windows.
        """
        events = self._events
        if self._engine is None:
            return []
        if len(events) < max_events:
            self._engine.drain(max_events - len(events))
        taken = [events.popleft() for _ in range(min(max_events, len(events)))]
        if events:
            self._engine.rearm()
        return taken

    @property
    def rx_event_ring_count(self):
        """Events that wait."""
        return len(self._events) + (self._engine.counters["events_waiting"] if self._engine is not None else 0)

    @property
    def counters(self):
        """What the engine has done, and what waits; for diagnosis."""
        return self._engine.counters if self._engine is not None else {}

    # ---- commands ----

    def create_client_connection(self, host, port, sni=None, alpn=None, *, desired_version=0):
        """Start a client connection to an IP literal; returns its handle.

        Raises ValueError for a host that is not an IP literal, RuntimeError before start().
        """
        if not self.started:
            raise RuntimeError("start() the transport before connecting")
        ipaddress.ip_address(host)
        names = (alpn,) if alpn else self._alpn
        connection = self._engine.connect(host, port, sni or host, names, desired_version)
        connection.sink = _ConnectionEvents(connection, self._events.append)
        return connection.handle

    def tx_send_stream(self, cnx_ptr, stream_id, data, end_stream=False):
        """Queue bytes on a stream; opens it when it is ours and new. All or nothing, as ``send_stream_data``."""
        self._stream(cnx_ptr, stream_id, may_open=True).write(data, end_stream)

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

    def close_connection(self, cnx_ptr, error_code=0, reason=b""):
        """Close with an application code and a reason; nothing happens when it is closed already."""
        connection = self._engine.connection(cnx_ptr) if self._engine is not None else None
        if connection is not None:
            connection.close(error_code, reason)

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
        self._events.append((EVT_READY, 0, None, False, 0, 0, 0, 0))

    def engine_stopped(self, error):
        if not self._is_ready:
            self._error = error

    def connection_accepted(self, connection):
        connection.sink = _ConnectionEvents(connection, self._events.append)

    def handler_failed(self, error, connection):
        raise error
