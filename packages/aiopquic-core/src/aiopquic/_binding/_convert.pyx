# cython: language_level=3
"""Between the values of Python and those of C: addresses, texts, snapshots."""
import socket

cimport cython

from cpython.bytes cimport PyBytes_FromStringAndSize

from aiopquic.capi cimport (
    AIOPQ_CLOSE_APPLICATION,
    AIOPQ_CLOSE_HANDSHAKE_TIMEOUT,
    AIOPQ_CLOSE_IDLE_TIMEOUT,
    AIOPQ_CLOSE_STATELESS_RESET,
    AIOPQ_CLOSE_TRANSPORT,
    AIOPQ_CLOSE_VERSION_NEGOTIATION,
    AIOPQ_NO_FRAME,
    aiopq_answer_t,
    aiopq_bytes_t,
    aiopq_close_info_t,
    aiopq_conn_info_t,
    aiopq_conn_stats_t,
    aiopq_connection_id_t,
    aiopq_incoming_info_t,
    aiopq_transport_parameters_t,
    aiopq_verify_error_text,
    sockaddr_storage,
)
from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memcpy

from aiopquic._addresses import packed_address
from aiopquic.exceptions import CloseKind, CloseReason


cdef extern from "<netinet/in.h>" nogil:
    cdef struct in_addr:
        pass
    cdef struct sockaddr_in:
        unsigned short sin_family
        uint16_t sin_port
        in_addr sin_addr
    uint16_t htons(uint16_t value)
    uint16_t ntohs(uint16_t value)


cdef int AF_INET = socket.AF_INET
cdef int AF_INET6 = socket.AF_INET6


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
    cdef bytes packed = packed_address(host)
    zone = host.partition("%")[2]
    if len(packed) == 4:
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
        ech_retry_configs=PyBytes_FromStringAndSize(<const char *>info.ech_retry, info.ech_retry_length),
    )


@cython.final
@cython.no_gc
cdef class HandshakeInfo:
    """What the handshake settled. Dictionaries and addresses are made when somebody looks: few do."""

    def __init__(self):
        raise TypeError("HandshakeInfo objects come with connection_ready()")

    @property
    def peer_address(self):
        return read_address(<sockaddr_storage *>&self._peer_address)

    @property
    def local_address(self):
        return read_address(<sockaddr_storage *>&self._local_address)

    @property
    def connection_ids(self):
        """``local``, ``remote`` and ``initial`` connection ids."""
        return {
            "local": connection_id(&self._local_id),
            "remote": connection_id(&self._remote_id),
            "initial": connection_id(&self._initial_id),
        }

    @property
    def local_parameters(self):
        """Transport parameters, by the names of RFC 9000 section 18.2."""
        return parameters_dict(&self._local_parameters)

    @property
    def remote_parameters(self):
        """The peer's, in the same way."""
        return parameters_dict(&self._remote_parameters)

    @property
    def stream_limits(self):
        """How many streams the peer lets us open at first, bidirectional and one-way."""
        return self._remote_parameters.initial_max_streams_bidi, self._remote_parameters.initial_max_streams_uni


cdef HandshakeInfo handshake_info(aiopq_conn_info_t *source):
    cdef HandshakeInfo info = HandshakeInfo.__new__(HandshakeInfo)
    info.alpn = PyBytes_FromStringAndSize(source.alpn, source.alpn_length).decode("utf-8", "replace") or None
    name = PyBytes_FromStringAndSize(source.server_name, source.server_name_length)
    info.server_name = name.decode("utf-8", "replace") or None
    info.version = source.version
    info.is_resumed = source.is_resumed
    info.early_data_accepted = source.is_early_data_accepted
    info.ech_accepted = source.is_ech_accepted
    info.has_multipath = source.has_multipath
    info.peer_certificates = certificates(source.peer_certificates, source.peer_certificates_length)
    memcpy(&info._peer_address, &source.peer_address, sizeof(info._peer_address))
    memcpy(&info._local_address, &source.local_address, sizeof(info._local_address))
    copy_id(&info._local_id, source.local_id, source.local_id_length)
    copy_id(&info._remote_id, source.remote_id, source.remote_id_length)
    copy_id(&info._initial_id, source.initial_id, source.initial_id_length)
    info._local_parameters = source.local_parameters
    info._remote_parameters = source.remote_parameters
    return info


cdef void copy_id(aiopq_connection_id_t *target, uint8_t *source, uint8_t length) noexcept:
    target.length = length
    memcpy(target.id, source, length)


# Each certificate stands behind its length of four bytes.
cdef tuple certificates(const uint8_t *block, size_t length):
    cdef size_t offset = 0, size
    cdef list found = []
    while offset < length:
        size = (block[offset] << 24) | (block[offset + 1] << 16) | (block[offset + 2] << 8) | block[offset + 3]
        found.append(PyBytes_FromStringAndSize(<const char *>block + offset + 4, <Py_ssize_t>size))
        offset += 4 + size
    return tuple(found)


# None when it was not done.
cdef answer_bytes(aiopq_answer_t *source):
    if source is NULL or not source.is_done:
        return None
    return PyBytes_FromStringAndSize(<char *>source.bytes, <Py_ssize_t>source.length)


cdef bytes connection_id(aiopq_connection_id_t *source):
    return PyBytes_FromStringAndSize(<char *>source.id, source.length)


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
        "reset_stream_at": <bint>p.reset_stream_at,
    }


@cython.final
@cython.no_gc
cdef class IncomingInfo:
    """What is known of a client before its handshake; the names are what it says."""

    def __init__(self):
        raise TypeError("IncomingInfo objects come with connection_incoming()")


cdef IncomingInfo incoming_info(aiopq_incoming_info_t *source):
    cdef IncomingInfo info = IncomingInfo.__new__(IncomingInfo)
    cdef bytes names = PyBytes_FromStringAndSize(<char *>source.alpn, source.alpn_length)
    cdef list alpn = []
    cdef Py_ssize_t at = 0
    while at < len(names):   # each behind a byte with its length, as net/client_hello.c has checked
        alpn.append(names[at + 1:at + 1 + names[at]].decode("utf-8", "replace"))
        at += 1 + names[at]
    name = PyBytes_FromStringAndSize(source.server_name, source.server_name_length)
    info.handle = source.handle
    info.peer_address = read_address(&source.peer_address)
    info.local_address = read_address(&source.local_address)
    info.is_validated = source.is_validated
    info.server_name = name.decode("utf-8", "replace") or None
    info.alpn = tuple(alpn)
    return info


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
        "ecn_ect0_received": s.ecn_received[0],
        "ecn_ect1_received": s.ecn_received[1],
        "ecn_ce_received": s.ecn_received[2],
        "ecn_ect0_reported": s.ecn_reported[0],
        "ecn_ect1_reported": s.ecn_reported[1],
        "ecn_ce_reported": s.ecn_reported[2],
    }
