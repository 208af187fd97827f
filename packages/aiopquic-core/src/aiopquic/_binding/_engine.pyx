# cython: language_level=3
"""The engine on the loop thread: made, started, drained, stopped. Every method belongs to that thread."""
cimport cython

from cpython.bytes cimport PyBytes_FromStringAndSize

from aiopquic._binding._config cimport fill_certificates, fill_config
from aiopquic._binding._connection cimport Connection, wrap_connection
from aiopquic._binding._convert cimport (
    answer_bytes,
    as_text,
    close_reason,
    connection_id,
    fill_address,
    handshake_info,
    incoming_info,
    stats_dict,
)
from aiopquic._binding._paths cimport path_addresses, path_answer, path_event
from aiopquic._binding._status cimport fail
from aiopquic._binding._stream cimport Stream, wrap_stream
from aiopquic._binding._workers cimport Workers
from aiopquic.capi cimport (
    AIOPQ_EVENT_CERTIFICATES_SET,
    AIOPQ_EVENT_CONN_ANSWER,
    AIOPQ_EVENT_CONN_CLOSED,
    AIOPQ_EVENT_CONN_CREATED,
    AIOPQ_EVENT_CONN_ID_ISSUED,
    AIOPQ_EVENT_CONN_ID_RETIRED,
    AIOPQ_EVENT_CONN_PATH,
    AIOPQ_EVENT_CONN_PATH_ANSWER,
    AIOPQ_EVENT_CONN_PING_ACKED,
    AIOPQ_EVENT_CONN_READY,
    AIOPQ_EVENT_CONN_STATS,
    AIOPQ_EVENT_CONN_STREAMS,
    AIOPQ_EVENT_CONN_WRITABLE,
    AIOPQ_EVENT_DATAGRAM_ACKED,
    AIOPQ_EVENT_DATAGRAM_LOST,
    AIOPQ_EVENT_DATAGRAM_SPURIOUS,
    AIOPQ_EVENT_DATAGRAMS_READABLE,
    AIOPQ_EVENT_DATAGRAMS_WRITABLE,
    AIOPQ_EVENT_ENGINE_READY,
    AIOPQ_EVENT_ENGINE_STOPPED,
    AIOPQ_EVENT_INCOMING,
    AIOPQ_EVENT_PROTOCOL,
    AIOPQ_EVENT_STREAM_ACKED,
    AIOPQ_EVENT_STREAM_READABLE,
    AIOPQ_EVENT_STREAM_RELEASED,
    AIOPQ_EVENT_STREAM_RESET,
    AIOPQ_EVENT_STREAM_STOPPED,
    AIOPQ_EVENT_STREAM_WRITABLE,
    AIOPQ_INVALID,
    AIOPQ_OK,
    aiopq_abi_version,
    aiopq_answer_t,
    aiopq_build_id,
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
    aiopq_connection_id_t,
    aiopq_engine_answer_incoming,
    aiopq_engine_begin_drain,
    aiopq_engine_commands_waiting,
    aiopq_engine_counters_t,
    aiopq_engine_end_drain,
    aiopq_engine_events_waiting,
    aiopq_engine_fail,
    aiopq_engine_free,
    aiopq_engine_get_counters,
    aiopq_engine_join,
    aiopq_engine_new,
    aiopq_engine_next_event,
    aiopq_engine_rearm,
    aiopq_engine_release_lent,
    aiopq_engine_session_tickets,
    aiopq_engine_set_certificates,
    aiopq_engine_start,
    aiopq_engine_stop,
    aiopq_engine_t,
    aiopq_engine_wakeup_fd,
    aiopq_event_release,
    aiopq_event_t,
    aiopq_get_live_counts,
    aiopq_incoming_answer_t,
    aiopq_incoming_info_t,
    aiopq_key_exchange_groups,
    aiopq_live_counts_t,
    aiopq_openssl_version,
    aiopq_path_answer_t,
    aiopq_path_event_t,
    aiopq_picoquic_version,
    aiopq_protocol_message_t,
    aiopq_status_t,
    aiopq_stream_is_acked,
    aiopq_stream_limits_t,
    aiopq_stream_owner,
    aiopq_stream_ref,
)
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset
from posix.unistd cimport getpid

from aiopquic._exit import close_at_exit

from aiopquic._sinks import DATAGRAM_ACKED, DATAGRAM_LOST, DATAGRAM_SPURIOUS


@cython.final
@cython.no_gc_clear
cdef class Engine:
    """One picoquic context with its network thread.

    Connections keep their engine alive; its C side is freed after the last of them.
    """

    def __cinit__(self, settings):
        self._ptr = NULL
        self._pid = getpid()
        self._connections = {}
        self._create(settings)

    def __dealloc__(self):
        cdef aiopq_engine_t *ptr = self._ptr
        self._ptr = NULL
        # A child of fork() has a copy of the engine without its thread, which can't be joined: it stays.
        if ptr is not NULL and self._pid == getpid():
            with nogil:
                aiopq_engine_stop(ptr)
                aiopq_engine_join(ptr)
            aiopq_engine_free(ptr)  # with the GIL, for it releases what writes have lent

    cdef _create(self, settings):
        cdef aiopq_config_t config
        cdef aiopq_engine_t *ptr = NULL
        cdef aiopq_status_t status
        cdef Workers workers = settings.workers
        cdef list keep = fill_config(&config, settings)
        if workers is not None:
            config.workers = workers._ptr
            config.worker = settings.worker
        self._network = settings.network
        self._protocols = tuple(settings.protocols)
        self._is_inline = settings.is_inline and settings.network is None
        # Parsing a trust store takes tens of milliseconds: other threads may run Python meanwhile.
        with nogil:
            status = aiopq_engine_new(&config, &ptr)
        self._ptr = ptr
        keep.clear()
        if status != AIOPQ_OK:
            fail(status, None)

    def start(self):
        """Start the driver; ``engine_ready`` or ``engine_stopped`` follows."""
        status = aiopq_engine_start(self._ptr)
        if status != AIOPQ_OK:
            fail(status, None)
        self.is_running = True
        close_at_exit(self)

    def stop(self):
        """Close every connection and end the network thread; ``engine_stopped`` follows."""
        aiopq_engine_stop(self._ptr)

    def fail(self, int error):
        """For tests: end the network thread as it ends when its sockets are gone, with that errno."""
        status = aiopq_engine_fail(self._ptr, error)
        if status != AIOPQ_OK:
            fail(status, None)

    def join(self):
        """Wait for the network thread: an instant after ``engine_stopped``. Releases the GIL."""
        with nogil:
            aiopq_engine_join(self._ptr)
        aiopq_engine_release_lent(self._ptr)
        self.is_running = False

    def session_tickets(self):
        """The session tickets that were not used yet, as bytes for another engine's settings; after ``join``."""
        cdef uint8_t *tickets
        cdef size_t length
        status = aiopq_engine_session_tickets(self._ptr, &tickets, &length)
        if status != AIOPQ_OK:
            fail(status, None)
        try:
            return PyBytes_FromStringAndSize(<const char *>tickets, <Py_ssize_t>length) if length else b""
        finally:
            free(tickets)

    def set_certificates(self, settings, uint64_t request):
        """Present the certificates of ``settings`` from here on; ``certificates_set`` tells since when.

        Raises CertificateFileError, and nothing has changed.
        """
        cdef aiopq_config_t config
        cdef list keep = []
        memset(&config, 0, sizeof(config))
        fill_certificates(&config, settings, keep)
        status = aiopq_engine_set_certificates(self._ptr, &config, request)
        if status != AIOPQ_OK:
            fail(status, None)

    def rearm(self):
        """Make the descriptor readable, for events that were taken from the engine and not yet handed on."""
        aiopq_engine_rearm(self._ptr)

    def fileno(self):
        """The descriptor that is readable while events wait; from ``start`` on it stays the same."""
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

    def answer_incoming(self, uint64_t handle, int answer):
        """Decide about a client that ``connection_incoming`` told of, by ``_sinks.INCOMING_ACCEPT`` or its like.

        An answer about a client that has been dropped in the meantime does nothing.
        """
        if aiopq_engine_answer_incoming(self._ptr, handle, <aiopq_incoming_answer_t>answer) == AIOPQ_INVALID:
            raise ValueError(f"an answer is INCOMING_ACCEPT, INCOMING_REFUSE or INCOMING_RETRY, not {answer}")

    def connection(self, uint64_t handle):
        """The open connection of that handle, or None."""
        return self._connections.get(handle)

    @property
    def connections(self):
        """The open connections."""
        return list(self._connections.values())

    def drain(self, int limit=256):
        """Hand up to ``limit`` events to their sinks; returns how many there were.

        When more wait, the descriptor stays readable, so that others on the loop get their turn. Without a network
        thread the datagrams are moved here.
        """
        cdef aiopq_event_t event
        cdef int count = 0
        if self._is_inline:
            with nogil:
                aiopq_engine_begin_drain(self._ptr)
        else:
            aiopq_engine_begin_drain(self._ptr)
        try:
            while count < limit and aiopq_engine_next_event(self._ptr, &event):
                count += 1
                try:
                    self._dispatch(&event)
                finally:
                    aiopq_event_release(&event)
        finally:
            if self._is_inline:
                with nogil:
                    aiopq_engine_end_drain(self._ptr)
            else:
                aiopq_engine_end_drain(self._ptr)
            aiopq_engine_release_lent(self._ptr)
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
        elif event.type == AIOPQ_EVENT_CERTIFICATES_SET:
            self.sink.certificates_set(event.value)
        elif event.type == AIOPQ_EVENT_INCOMING:
            self.sink.connection_incoming(incoming_info(<aiopq_incoming_info_t *>event.detail))

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
        cdef aiopq_protocol_message_t *message
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
        elif event.type == AIOPQ_EVENT_DATAGRAMS_READABLE:
            sink.datagrams_readable()
        elif event.type == AIOPQ_EVENT_DATAGRAMS_WRITABLE:
            sink.datagrams_writable()
        elif event.type == AIOPQ_EVENT_DATAGRAM_ACKED:
            sink.datagram_fate(event.value, DATAGRAM_ACKED)
        elif event.type == AIOPQ_EVENT_DATAGRAM_LOST:
            sink.datagram_fate(event.value, DATAGRAM_LOST)
        elif event.type == AIOPQ_EVENT_DATAGRAM_SPURIOUS:
            sink.datagram_fate(event.value, DATAGRAM_SPURIOUS)
        elif event.type == AIOPQ_EVENT_CONN_STREAMS:
            sink.connection_streams((<aiopq_stream_limits_t *>event.detail).max_bidi,
                                    (<aiopq_stream_limits_t *>event.detail).max_uni)
        elif event.type == AIOPQ_EVENT_CONN_PING_ACKED:
            sink.connection_ping_acked(event.value)
        elif event.type == AIOPQ_EVENT_CONN_ANSWER:
            sink.connection_answered(event.value, answer_bytes(<aiopq_answer_t *>event.detail))
        elif event.type == AIOPQ_EVENT_PROTOCOL:
            message = <aiopq_protocol_message_t *>event.detail
            sink.protocol_event(message.kind, message.uid,
                                PyBytes_FromStringAndSize(<const char *>message.data, <Py_ssize_t>message.length))
        elif event.type == AIOPQ_EVENT_CONN_PATH:
            sink.connection_path(path_event(<int>event.value, <aiopq_path_event_t *>event.detail),
                                 *path_addresses(<aiopq_path_event_t *>event.detail))
        elif event.type == AIOPQ_EVENT_CONN_PATH_ANSWER:
            sink.connection_path_answer(path_answer(<aiopq_path_answer_t *>event.detail))
        elif event.type == AIOPQ_EVENT_CONN_ID_ISSUED:
            sink.connection_id_issued(connection_id(<aiopq_connection_id_t *>event.detail))
        elif event.type == AIOPQ_EVENT_CONN_ID_RETIRED:
            sink.connection_id_retired(connection_id(<aiopq_connection_id_t *>event.detail))

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
        elif event.type == AIOPQ_EVENT_STREAM_ACKED:
            if aiopq_stream_is_acked(event.stream):
                sink.stream_acked(stream)
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
            "handshakes": counters.handshakes,
            "handshakes_failed": counters.handshakes_failed,
            "connections_closed": counters.connections_closed,
            "datagrams_received": counters.datagrams_received,
            "bytes_received": counters.bytes_received,
            "datagrams_sent": counters.datagrams_sent,
            "bytes_sent": counters.bytes_sent,
            "send_calls": counters.send_calls,
            "receive_calls": counters.receive_calls,
            "sleeps": counters.sleeps,
            "sleeps_saved": counters.sleeps_saved,
            "datagrams_misrouted": counters.datagrams_misrouted,
            "misrouted_lost": counters.misrouted_lost,
            "incoming_asked": counters.incoming_asked,
            "incoming_retried": counters.incoming_retried,
            "incoming_refused": counters.incoming_refused,
            "incoming_expired": counters.incoming_expired,
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
        "attempts": counts.attempts,
        "blocks": counts.blocks,
        "protocols": counts.protocols,
    }


def is_congestion_control(str name):
    """True when picoquic has a congestion controller of that name."""
    return aiopq_check_congestion_control(name.encode()) == AIOPQ_OK


def key_exchange_groups():
    """The key exchange groups that there are, by their IANA numbers, in the order of the default."""
    cdef uint16_t groups[32]
    cdef size_t i
    return tuple(groups[i] for i in range(aiopq_key_exchange_groups(groups)))


def native_versions():
    """The versions of what is linked: ABI number, build id, picoquic, and the OpenSSL that is loaded."""
    return {
        "abi": aiopq_abi_version(),
        "build_id": aiopq_build_id().decode(),
        "picoquic": aiopq_picoquic_version().decode(),
        "openssl": aiopq_openssl_version().decode(),
    }
