# cython: language_level=3
"""The engine on the loop thread: made, started, drained, stopped. Every method belongs to that thread."""
cimport cython

import ipaddress
import socket

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc

from aiopquic._binding._connection cimport Connection, wrap_connection
from aiopquic._binding._status cimport fail
from aiopquic._binding._stream cimport Stream, wrap_stream
from aiopquic.capi cimport (
    AIOPQ_ALPN_COUNT_MAX,
    AIOPQ_BIND_ADDRESS_MAX,
    AIOPQ_CLOSE_APPLICATION,
    AIOPQ_CLOSE_HANDSHAKE_TIMEOUT,
    AIOPQ_CLOSE_IDLE_TIMEOUT,
    AIOPQ_CLOSE_STATELESS_RESET,
    AIOPQ_CLOSE_TRANSPORT,
    AIOPQ_CLOSE_VERSION_NEGOTIATION,
    AIOPQ_EVENT_CONN_CLOSED,
    AIOPQ_EVENT_CONN_CREATED,
    AIOPQ_EVENT_CONN_READY,
    AIOPQ_EVENT_CONN_STATS,
    AIOPQ_EVENT_CONN_WRITABLE,
    AIOPQ_EVENT_ENGINE_READY,
    AIOPQ_EVENT_ENGINE_STOPPED,
    AIOPQ_EVENT_STREAM_READABLE,
    AIOPQ_EVENT_STREAM_RELEASED,
    AIOPQ_EVENT_STREAM_RESET,
    AIOPQ_EVENT_STREAM_STOPPED,
    AIOPQ_EVENT_STREAM_WRITABLE,
    AIOPQ_NO_FRAME,
    AIOPQ_OK,
    aiopq_abi_version,
    aiopq_build_id,
    aiopq_bytes_t,
    aiopq_check_congestion_control,
    aiopq_close_info_t,
    aiopq_config_t,
    aiopq_conn_handle,
    aiopq_conn_info_t,
    aiopq_conn_is_client,
    aiopq_conn_open,
    aiopq_conn_owner,
    aiopq_conn_ref,
    aiopq_conn_stats_t,
    aiopq_conn_t,
    aiopq_connect_args_t,
    aiopq_engine_begin_drain,
    aiopq_engine_commands_waiting,
    aiopq_engine_counters_t,
    aiopq_engine_events_waiting,
    aiopq_engine_free,
    aiopq_engine_get_counters,
    aiopq_engine_join,
    aiopq_engine_new,
    aiopq_engine_next_event,
    aiopq_engine_rearm,
    aiopq_engine_start,
    aiopq_engine_stop,
    aiopq_engine_t,
    aiopq_engine_wakeup_fd,
    aiopq_event_release,
    aiopq_event_t,
    aiopq_get_live_counts,
    aiopq_live_counts_t,
    aiopq_openssl_version,
    aiopq_picoquic_version,
    aiopq_stream_owner,
    aiopq_stream_ref,
    aiopq_transport_parameters_t,
    aiopq_verify_error_text,
    sockaddr_storage,
)
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from aiopquic._sinks import HandshakeInfo
from aiopquic.exceptions import CloseKind, CloseReason


cdef extern from "<netinet/in.h>" nogil:
    cdef struct in_addr:
        pass
    cdef struct sockaddr_in:
        unsigned short sin_family
        uint16_t sin_port
        in_addr sin_addr
    cdef struct sockaddr_in6:
        unsigned short sin6_family
        uint16_t sin6_port
        uint8_t *sin6_addr
        uint32_t sin6_scope_id
    uint16_t htons(uint16_t value)
    uint16_t ntohs(uint16_t value)


cdef int AF_INET = socket.AF_INET
cdef int AF_INET6 = socket.AF_INET6


@cython.final
@cython.no_gc_clear
cdef class Engine:
    """One picoquic context with its network thread.

    Connections keep their engine alive; its C side is freed after the last of them.
    """

    def __cinit__(self, settings):
        self._ptr = NULL
        self._connections = {}
        self._create(settings)

    def __dealloc__(self):
        cdef aiopq_engine_t *ptr = self._ptr
        self._ptr = NULL
        if ptr is not NULL:
            with nogil:
                aiopq_engine_stop(ptr)
                aiopq_engine_join(ptr)
                aiopq_engine_free(ptr)

    cdef _create(self, settings):
        cdef aiopq_config_t config
        cdef aiopq_bytes_t *roots = NULL
        cdef list keep = []   # the bytes that `config` points into, alive until the engine has copied them
        cdef Py_ssize_t i, count
        memset(&config, 0, sizeof(config))
        config.is_client = settings.is_client
        if len(settings.bind_addresses) > AIOPQ_BIND_ADDRESS_MAX or len(settings.alpn) >= AIOPQ_ALPN_COUNT_MAX:
            raise ValueError("too many bind addresses or application protocols")
        for i, host in enumerate(settings.bind_addresses):
            fill_address(&config.bind_addresses[i], host, 0)
        config.local_port = settings.local_port
        config.socket_buffer_bytes = settings.socket_buffer_bytes
        config.use_portable_loop = settings.use_portable_loop
        config.use_pipe_waker = settings.use_pipe_waker
        for i, name in enumerate(settings.alpn):
            config.alpn[i] = as_text(name, keep)
        fill_bytes(&config.certificate_chain, settings.certificate_chain, keep)
        fill_bytes(&config.private_key, settings.private_key, keep)
        config.private_key_password = as_text(settings.private_key_password, keep)
        config.verify_peer = settings.verify_peer
        config.keylog_file = as_text(settings.keylog_file, keep)
        config.qlog_dir = as_text(settings.qlog_dir, keep)
        config.congestion_control = as_text(settings.congestion_control, keep)
        config.cipher_suite = settings.cipher_suite
        config.max_connections = settings.max_connections
        config.idle_timeout_ms = settings.idle_timeout_ms
        config.handshake_timeout_us = settings.handshake_timeout_us
        config.keep_alive_us = settings.keep_alive_us
        config.max_data = settings.max_data
        config.max_stream_data = settings.max_stream_data
        config.initial_stream_window = settings.initial_stream_window
        config.max_streams_bidi = settings.max_streams_bidi
        config.max_streams_uni = settings.max_streams_uni
        config.max_datagram_frame_size = settings.max_datagram_frame_size
        config.send_budget_stream = settings.send_budget_stream
        config.send_budget_conn = settings.send_budget_conn
        config.command_capacity = settings.command_capacity
        count = len(settings.trusted_roots)
        try:
            if count > 0:
                roots = <aiopq_bytes_t *>PyMem_Malloc(<size_t>count * sizeof(aiopq_bytes_t))
                if roots is NULL:
                    raise MemoryError
                for i, der in enumerate(settings.trusted_roots):
                    fill_bytes(&roots[i], der, keep)
                config.trusted_roots = roots
                config.trusted_root_count = <size_t>count
            status = aiopq_engine_new(&config, &self._ptr)
        finally:
            PyMem_Free(roots)
        if status != AIOPQ_OK:
            fail(status, None)

    def start(self):
        """Start the network thread; ``engine_ready`` or ``engine_stopped`` follows."""
        status = aiopq_engine_start(self._ptr)
        if status != AIOPQ_OK:
            fail(status, None)
        self.is_running = True

    def stop(self):
        """Close every connection and end the network thread; ``engine_stopped`` follows."""
        aiopq_engine_stop(self._ptr)

    def join(self):
        """Wait for the network thread: an instant after ``engine_stopped``. Releases the GIL."""
        with nogil:
            aiopq_engine_join(self._ptr)
        self.is_running = False

    def rearm(self):
        """Make the descriptor readable, for events that were taken from the engine and not yet handed on."""
        aiopq_engine_rearm(self._ptr)

    def fileno(self):
        """The descriptor that is readable while events wait."""
        return aiopq_engine_wakeup_fd(self._ptr)

    def connect(self, str host, int port, server_name, alpn, uint32_t version=0):
        """Start a client connection to an IP literal; returns a Connection whose ``sink`` is to be set."""
        cdef aiopq_connect_args_t args
        cdef const char *names[33]
        cdef aiopq_conn_t *ptr
        cdef list keep = []
        cdef Connection connection
        if not 0 < port < 65536:
            raise ValueError(f"a UDP port is 1 to 65535, not {port}")
        if not 0 < len(alpn) <= 32:
            raise ValueError("give between 1 and 32 application protocols (ALPN)")
        memset(&args, 0, sizeof(args))
        fill_address(&args.address, host, <uint16_t>port)
        for i, name in enumerate(alpn):
            names[i] = as_text(name, keep)
        names[len(alpn)] = NULL
        args.alpn = names
        args.server_name = as_text(server_name, keep)
        args.version = version
        status = aiopq_conn_open(self._ptr, &args, &ptr)
        if status != AIOPQ_OK:
            fail(status, None)
        connection = wrap_connection(self, ptr)
        self._connections[aiopq_conn_handle(ptr)] = connection
        return connection

    def connection(self, uint64_t handle):
        """The open connection of that handle, or None."""
        return self._connections.get(handle)

    @property
    def connections(self):
        """The open connections."""
        return list(self._connections.values())

    def drain(self, int limit=256):
        """Hand up to ``limit`` events to their sinks; returns how many there were.

        When more wait, the descriptor stays readable, so that others on the loop get their turn.
        """
        cdef aiopq_event_t event
        cdef int count = 0
        aiopq_engine_begin_drain(self._ptr)
        try:
            while count < limit and aiopq_engine_next_event(self._ptr, &event):
                count += 1
                try:
                    self._dispatch(&event)
                finally:
                    aiopq_event_release(&event)
        finally:
            if aiopq_engine_events_waiting(self._ptr) > 0:
                aiopq_engine_rearm(self._ptr)
        return count

    cdef void _dispatch(self, aiopq_event_t *event) except *:
        cdef Connection connection = None
        try:
            if event.conn is NULL:
                self._dispatch_own(event)
                return
            connection = self._connection_of(event)
            if connection is not None:
                self._dispatch_connection(connection, event)
        except Exception as error:
            self.sink.handler_failed(error, connection)

    cdef _dispatch_own(self, aiopq_event_t *event):
        if event.type == AIOPQ_EVENT_ENGINE_READY:
            self.sink.engine_ready(<int>event.value)
        elif event.type == AIOPQ_EVENT_ENGINE_STOPPED:
            self.sink.engine_stopped(<int>event.value)

    # A connection that a peer opened has no wrapper before its first event; one whose handshake failed
    # never gets any.
    cdef Connection _connection_of(self, aiopq_event_t *event):
        cdef void *owner = aiopq_conn_owner(event.conn)
        cdef Connection connection
        if owner is not NULL:
            return <Connection>owner
        if event.type == AIOPQ_EVENT_CONN_CLOSED or aiopq_conn_is_client(event.conn):
            return None
        aiopq_conn_ref(event.conn)
        connection = wrap_connection(self, event.conn)
        self._connections[aiopq_conn_handle(event.conn)] = connection
        self.sink.connection_accepted(connection)
        return connection

    cdef _dispatch_connection(self, Connection connection, aiopq_event_t *event):
        cdef Stream stream
        sink = connection.sink
        if event.stream is not NULL:
            self._dispatch_stream(connection, sink, event)
        elif event.type == AIOPQ_EVENT_CONN_CLOSED:
            connection.is_closed = True
            self._connections.pop(aiopq_conn_handle(event.conn), None)
            try:
                if sink is not None:
                    sink.connection_closed(close_reason(<aiopq_close_info_t *>event.detail))
            finally:
                connection.streams.clear()
                connection.sink = None
        elif sink is None:
            return
        elif event.type == AIOPQ_EVENT_CONN_READY:
            sink.connection_ready(handshake_info(<aiopq_conn_info_t *>event.detail))
        elif event.type == AIOPQ_EVENT_CONN_CREATED:
            sink.connection_created()
        elif event.type == AIOPQ_EVENT_CONN_STATS:
            sink.connection_stats((<aiopq_conn_stats_t *>event.detail).request,
                                  stats_dict(<aiopq_conn_stats_t *>event.detail))
        elif event.type == AIOPQ_EVENT_CONN_WRITABLE:
            sink.connection_writable()

    cdef _dispatch_stream(self, Connection connection, sink, aiopq_event_t *event):
        cdef void *owner = aiopq_stream_owner(event.stream)
        cdef Stream stream
        if owner is not NULL:
            stream = <Stream>owner
        elif event.type == AIOPQ_EVENT_STREAM_RELEASED:
            return
        else:
            aiopq_stream_ref(event.stream)
            stream = wrap_stream(connection, event.stream)
        if event.type == AIOPQ_EVENT_STREAM_RELEASED:
            connection.streams.pop(stream.id, None)
        if sink is None:
            return
        if event.type == AIOPQ_EVENT_STREAM_READABLE:
            sink.stream_readable(stream)
        elif event.type == AIOPQ_EVENT_STREAM_RESET:
            sink.stream_reset(stream, event.value)
        elif event.type == AIOPQ_EVENT_STREAM_STOPPED:
            sink.stream_stopped(stream, event.value)
        elif event.type == AIOPQ_EVENT_STREAM_WRITABLE:
            sink.stream_writable(stream)
        elif event.type == AIOPQ_EVENT_STREAM_RELEASED:
            sink.stream_released(stream)

    @property
    def counters(self):
        """What the engine has done, and what waits; for diagnosis."""
        cdef aiopq_engine_counters_t counters
        aiopq_engine_get_counters(self._ptr, &counters)
        return {
            "loop_wakes": counters.loop_wakes,
            "loop_wakes_saved": counters.loop_wakes_saved,
            "net_wakes": counters.net_wakes,
            "net_wakes_saved": counters.net_wakes_saved,
            "events_pushed": counters.events_pushed,
            "commands_pushed": counters.commands_pushed,
            "commands_stale": counters.commands_stale,
            "turns": counters.turns,
            "events_waiting": aiopq_engine_events_waiting(self._ptr),
            "commands_waiting": aiopq_engine_commands_waiting(self._ptr),
        }


def live_counts():
    """Objects of the engine alive in this process, for leak checks."""
    cdef aiopq_live_counts_t counts
    aiopq_get_live_counts(&counts)
    return {
        "engines": counts.engines,
        "connections": counts.connections,
        "streams": counts.streams,
        "chunks": counts.chunks,
        "events": counts.events,
    }


def is_congestion_control(str name):
    """True when picoquic has a congestion controller of that name."""
    return aiopq_check_congestion_control(name.encode()) == AIOPQ_OK


def native_versions():
    """The versions of what is linked: ABI number, build id, picoquic, and the OpenSSL that is loaded."""
    return {
        "abi": aiopq_abi_version(),
        "build_id": aiopq_build_id().decode(),
        "picoquic": aiopq_picoquic_version().decode(),
        "openssl": aiopq_openssl_version().decode(),
    }


# ---- between Python and C values ----

cdef const char *as_text(value, list keep) except? NULL:
    if value is None:
        return NULL
    encoded = value if isinstance(value, bytes) else value.encode()
    if b"\0" in encoded:
        raise ValueError("a setting contains a zero byte")
    keep.append(encoded)
    return <const char *>(<bytes>encoded)


cdef int fill_bytes(aiopq_bytes_t *target, bytes value, list keep) except -1:
    keep.append(value)
    target.data = <const uint8_t *><const char *>value
    target.length = <size_t>len(value)
    return 0


cdef int fill_address(sockaddr_storage *target, str host, uint16_t port) except -1:
    cdef sockaddr_in *v4 = <sockaddr_in *>target
    cdef sockaddr_in6 *v6 = <sockaddr_in6 *>target
    literal, _, zone = host.partition("%")
    address = ipaddress.ip_address(literal)
    cdef bytes packed = address.packed
    if address.version == 4:
        v4.sin_family = <unsigned short>AF_INET
        v4.sin_port = htons(port)
        memcpy(&v4.sin_addr, <const char *>packed, 4)
    else:
        v6.sin6_family = <unsigned short>AF_INET6
        v6.sin6_port = htons(port)
        memcpy(&v6.sin6_addr, <const char *>packed, 16)
        if zone:
            v6.sin6_scope_id = int(zone) if zone.isdigit() else socket.if_nametoindex(zone)
    return 0


cdef read_address(sockaddr_storage *source):
    cdef sockaddr_in *v4 = <sockaddr_in *>source
    cdef sockaddr_in6 *v6 = <sockaddr_in6 *>source
    if source.ss_family == AF_INET:
        return socket.inet_ntop(AF_INET, PyBytes_FromStringAndSize(<char *>&v4.sin_addr, 4)), ntohs(v4.sin_port)
    if source.ss_family == AF_INET6:
        packed = PyBytes_FromStringAndSize(<char *>&v6.sin6_addr, 16)
        return socket.inet_ntop(AF_INET6, packed), ntohs(v6.sin6_port)
    return None


cdef close_reason(aiopq_close_info_t *info):
    if info is NULL:   # there was no memory for the details
        return CloseReason(CloseKind.LOCAL_FAILURE)
    if info.kind == AIOPQ_CLOSE_APPLICATION:
        kind = CloseKind.APPLICATION
    elif info.kind == AIOPQ_CLOSE_TRANSPORT:
        kind = CloseKind.TRANSPORT
    elif info.kind == AIOPQ_CLOSE_IDLE_TIMEOUT:
        kind = CloseKind.IDLE_TIMEOUT
    elif info.kind == AIOPQ_CLOSE_HANDSHAKE_TIMEOUT:
        kind = CloseKind.HANDSHAKE_TIMEOUT
    elif info.kind == AIOPQ_CLOSE_STATELESS_RESET:
        kind = CloseKind.STATELESS_RESET
    elif info.kind == AIOPQ_CLOSE_VERSION_NEGOTIATION:
        kind = CloseKind.VERSION_NEGOTIATION
    else:
        kind = CloseKind.LOCAL_FAILURE
    return CloseReason(
        kind,
        is_remote=info.is_remote,
        error_code=info.error_code,
        frame_type=None if info.frame_type == AIOPQ_NO_FRAME else info.frame_type,
        reason=PyBytes_FromStringAndSize(info.reason, info.reason_length).decode("utf-8", "replace"),
        verify_error=aiopq_verify_error_text(info.verify_error).decode() if info.verify_error != 0 else "",
    )


cdef handshake_info(aiopq_conn_info_t *info):
    alpn = PyBytes_FromStringAndSize(info.alpn, info.alpn_length).decode("utf-8", "replace")
    name = PyBytes_FromStringAndSize(info.server_name, info.server_name_length).decode("utf-8", "replace")
    return HandshakeInfo(
        alpn or None,
        name or None,
        info.version,
        <bint>info.is_resumed,
        read_address(&info.peer_address),
        read_address(&info.local_address),
        {
            "local": PyBytes_FromStringAndSize(<char *>info.local_id, info.local_id_length),
            "remote": PyBytes_FromStringAndSize(<char *>info.remote_id, info.remote_id_length),
            "initial": PyBytes_FromStringAndSize(<char *>info.initial_id, info.initial_id_length),
        },
        parameters_dict(&info.local_parameters),
        parameters_dict(&info.remote_parameters),
    )


cdef parameters_dict(aiopq_transport_parameters_t *p):
    return {
        "initial_max_data": p.initial_max_data,
        "initial_max_stream_data_bidi_local": p.initial_max_stream_data_bidi_local,
        "initial_max_stream_data_bidi_remote": p.initial_max_stream_data_bidi_remote,
        "initial_max_stream_data_uni": p.initial_max_stream_data_uni,
        "initial_max_streams_bidi": p.initial_max_streams_bidi,
        "initial_max_streams_uni": p.initial_max_streams_uni,
        "max_idle_timeout": p.max_idle_timeout_ms,
        "max_udp_payload_size": p.max_udp_payload_size,
        "max_ack_delay": p.max_ack_delay_us,
        "ack_delay_exponent": p.ack_delay_exponent,
        "active_connection_id_limit": p.active_connection_id_limit,
        "disable_active_migration": <bint>p.disable_active_migration,
        "max_datagram_frame_size": p.max_datagram_frame_size,
        "min_ack_delay": p.min_ack_delay_us,
        "grease_quic_bit": <bint>p.grease_quic_bit,
    }


cdef stats_dict(aiopq_conn_stats_t *s):
    return {
        "receive_rate_estimate": s.receive_rate_estimate,
        "pacing_rate": s.pacing_rate,
        "cwin": s.cwin,
        "rtt": s.rtt,
        "rtt_sample": s.rtt_sample,
        "rtt_variant": s.rtt_variant,
        "rtt_min": s.rtt_min,
        "rtt_max": s.rtt_max,
        "sent": s.packets_sent,
        "lost": s.packets_lost,
        "timer_losses": s.timer_losses,
        "spurious_losses": s.spurious_losses,
        "max_spurious_rtt": s.max_spurious_rtt,
        "max_reorder_delay": s.max_reorder_delay,
        "max_reorder_gap": s.max_reorder_gap,
        "bytes_in_transit": s.bytes_in_transit,
        "bytes_sent": s.bytes_sent,
        "bytes_received": s.bytes_received,
        "stream_bytes_sent": s.stream_bytes_sent,
        "stream_bytes_received": s.stream_bytes_received,
    }
