# cython: language_level=3
"""From the settings of an engine to the structure that C takes."""
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid

from aiopquic._binding._convert cimport as_text, fill_address, fill_bytes
from aiopquic._binding._network cimport Network
from aiopquic._binding._status cimport fail
from aiopquic.capi cimport (
    AIOPQ_ALPN_COUNT_MAX,
    AIOPQ_BIND_ADDRESS_MAX,
    AIOPQ_KEY_EXCHANGE_MAX,
    AIOPQ_OK,
    AIOPQ_PMTUD_BASIC,
    AIOPQ_PMTUD_BLOCKED,
    AIOPQ_PMTUD_DELAYED,
    AIOPQ_PROTOCOL_CAPSULE,
    AIOPQ_PROTOCOL_VERSION,
    AIOPQ_PROTOCOLS_MAX,
    AIOPQ_QUIC_LB_KEY_LENGTH,
    AIOPQ_QUIC_LB_SERVER_ID_MAX,
    AIOPQ_RESET_SECRET_LENGTH,
    AIOPQ_TICKET_KEY_LENGTH,
    aiopq_bytes_t,
    aiopq_certificate_t,
    aiopq_check_certificate,
    aiopq_config_t,
    aiopq_ech_key_t,
    aiopq_network_clock,
    aiopq_protocol_t,
)
from libc.stdint cimport uint32_t
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset


cdef list fill_config(aiopq_config_t *config, settings):
    cdef list keep = []
    cdef Py_ssize_t i
    memset(config, 0, sizeof(aiopq_config_t))
    config.is_client = settings.is_client
    config.always_retry = settings.always_retry
    config.holds_incoming = settings.holds_incoming
    fill_sockets(config, settings)
    if len(settings.alpn) >= AIOPQ_ALPN_COUNT_MAX:
        raise ValueError("too many application protocols")
    for i, name in enumerate(settings.alpn):
        config.alpn[i] = as_text(name, keep)
    if len(settings.protocols) > AIOPQ_PROTOCOLS_MAX:
        raise ValueError(f"an engine has at most {AIOPQ_PROTOCOLS_MAX} protocols")
    for i, capsule in enumerate(settings.protocols):
        config.protocols[i] = protocol_of(capsule)
    fill_tls(config, settings, keep)
    config.keylog_file = as_text(settings.keylog_file, keep)
    config.qlog_dir = as_text(settings.qlog_dir, keep)
    config.congestion_control = as_text(settings.congestion_control, keep)
    config.congestion_options = as_text(settings.congestion_options, keep)
    config.max_congestion_window = settings.max_congestion_window
    config.no_ack_frequency = not settings.offers_ack_frequency
    config.no_spin_bit = not settings.shows_spin_bit
    config.connection_id_length = settings.connection_id_length
    config.version = settings.version
    config.desired_version = settings.desired_version
    config.pmtud = {"basic": AIOPQ_PMTUD_BASIC, "delayed": AIOPQ_PMTUD_DELAYED,
                    "blocked": AIOPQ_PMTUD_BLOCKED}[settings.pmtud]
    fill_limits(config, settings)
    return keep


cdef const aiopq_protocol_t *protocol_of(capsule) except NULL:
    if not PyCapsule_IsValid(capsule, AIOPQ_PROTOCOL_CAPSULE):
        raise TypeError(f"a protocol is a capsule named {AIOPQ_PROTOCOL_CAPSULE.decode()!r}, not {capsule!r}")
    cdef const aiopq_protocol_t *protocol = <const aiopq_protocol_t *>PyCapsule_GetPointer(
        capsule, AIOPQ_PROTOCOL_CAPSULE)
    if protocol.version != <uint32_t>AIOPQ_PROTOCOL_VERSION:
        raise ValueError(f"the protocol was built for version {protocol.version} of aiopquic/protocol.h, and this "
                         f"aiopquic has version {AIOPQ_PROTOCOL_VERSION}: install the one that belongs to it")
    return protocol


cdef fill_sockets(aiopq_config_t *config, settings):
    cdef Network network = settings.network
    cdef Py_ssize_t i
    if network is not None:
        config.network = network._ptr
        config.simulated_time_us = aiopq_network_clock(network._ptr)
    if len(settings.bind_addresses) > AIOPQ_BIND_ADDRESS_MAX:
        raise ValueError("too many bind addresses")
    for i, host in enumerate(settings.bind_addresses):
        fill_address(&config.bind_addresses[i], host, 0)
    for i, place in enumerate(settings.preferred_addresses):
        fill_address(&config.preferred_addresses[i], place[0], place[1])
    config.local_port = settings.local_port
    config.socket_buffer_bytes = settings.socket_buffer_bytes
    config.spin_us = settings.spin_us
    config.use_portable_loop = settings.use_portable_loop
    config.use_pipe_waker = settings.use_pipe_waker
    config.without_gso = "gso" in settings.without
    config.without_gro = "gro" in settings.without
    config.without_joining = "joining" in settings.without
    config.is_inline = settings.is_inline
    fill_quic_lb(config, settings.quic_lb)


cdef fill_quic_lb(aiopq_config_t *config, quic_lb):
    if quic_lb is None:
        return
    if not 0 < len(quic_lb.server_id) <= AIOPQ_QUIC_LB_SERVER_ID_MAX:
        raise ValueError(f"a server id has 1 to {AIOPQ_QUIC_LB_SERVER_ID_MAX} bytes")
    config.quic_lb.rotation = quic_lb.config_rotation
    config.quic_lb.server_id_length = <uint8_t>len(quic_lb.server_id)
    memcpy(config.quic_lb.server_id, <const char *>quic_lb.server_id, config.quic_lb.server_id_length)
    config.quic_lb.nonce_length = quic_lb.nonce_length
    config.quic_lb.encodes_length = quic_lb.encodes_length
    config.quic_lb.has_key = quic_lb.key is not None
    fill_secret(config.quic_lb.key, quic_lb.key, AIOPQ_QUIC_LB_KEY_LENGTH)


cdef fill_tls(aiopq_config_t *config, settings, list keep):
    cdef Py_ssize_t i
    fill_certificates(config, settings, keep)
    config.verify_peer = settings.verify_peer
    config.is_peer_certificate_optional = settings.is_peer_certificate_optional
    config.trusted_roots = fill_list(settings.trusted_roots, keep)
    config.trusted_root_count = <size_t>len(settings.trusted_roots)
    fill_bytes(&config.certificate_hashes, b"".join(settings.certificate_hashes), keep)
    fill_bytes(&config.pinned_keys, b"".join(settings.pinned_keys), keep)
    fill_secret(config.stateless_reset_secret, settings.stateless_reset_secret, AIOPQ_RESET_SECRET_LENGTH)
    fill_secret(config.ticket_key, settings.session_ticket_key, AIOPQ_TICKET_KEY_LENGTH)
    config.cipher_suite = settings.cipher_suite
    if len(settings.key_exchange_groups) > AIOPQ_KEY_EXCHANGE_MAX:
        raise ValueError("too many key exchange groups")
    for i, group in enumerate(settings.key_exchange_groups):
        config.key_exchange_groups[i] = group
    config.key_update_interval = settings.key_update_interval
    config.keeps_sessions = settings.session_ticket_file is not None or settings.session_store is not None
    fill_bytes(&config.session_tickets, settings.session_tickets, keep)
    config.accepts_early_data = settings.accepts_early_data
    config.half_open_limit = settings.half_open_limit
    fill_ech(config, settings, keep)


cdef fill_ech(aiopq_config_t *config, settings, list keep):
    cdef Py_ssize_t count = len(settings.ech_keys), i
    cdef bytes block = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>sizeof(aiopq_ech_key_t) * count)
    cdef aiopq_ech_key_t *entries = <aiopq_ech_key_t *><char *>block
    keep.append(block)
    for i, (public, private) in enumerate(settings.ech_keys):
        fill_bytes(&entries[i].config, public, keep)
        fill_bytes(&entries[i].private_key, private, keep)
    config.ech_keys = entries
    config.ech_key_count = <size_t>count
    config.uses_ech = settings.uses_ech
    fill_bytes(&config.ech_configs, settings.ech_configs, keep)
    config.ech_public_name = as_text(settings.ech_public_name, keep)


cdef fill_secret(uint8_t *target, secret, size_t length):
    if secret:
        if <size_t>len(secret) != length:
            raise ValueError(f"a secret of {length} bytes is wanted, not one of {len(secret)}")
        memcpy(target, <const char *>secret, length)


cdef fill_certificates(aiopq_config_t *config, settings, list keep):
    cdef Py_ssize_t count = len(settings.certificates), i
    cdef bytes block = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>sizeof(aiopq_certificate_t) * count)
    cdef aiopq_certificate_t *entries = <aiopq_certificate_t *><char *>block
    fill_bytes(&config.certificate_chain, settings.certificate_chain, keep)
    fill_bytes(&config.private_key, settings.private_key, keep)
    config.private_key_password = as_text(settings.private_key_password, keep)
    keep.append(block)
    for i, (name, chain, key, password) in enumerate(settings.certificates):
        fill_certificate(&entries[i], name, chain, key, password, keep)
    config.certificates = entries
    config.certificate_count = <size_t>count


cdef fill_certificate(aiopq_certificate_t *entry, name, bytes chain, bytes key, password, list keep):
    entry.server_name = as_text(name, keep)
    fill_bytes(&entry.chain, chain, keep)
    fill_bytes(&entry.key, key, keep)
    entry.key_password = as_text(password, keep)


def check_certificate(bytes chain, bytes key, password):
    """Raise CertificateFileError unless both can be read and belong together; PEM or DER."""
    cdef aiopq_certificate_t certificate
    cdef list keep = []
    fill_certificate(&certificate, None, chain, key, password, keep)
    status = aiopq_check_certificate(&certificate)
    if status != AIOPQ_OK:
        fail(status, None)


# A list of runs of bytes; `keep` gets its memory, too.
cdef aiopq_bytes_t *fill_list(values, list keep) except? NULL:
    cdef bytes block = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>sizeof(aiopq_bytes_t) * len(values))
    cdef aiopq_bytes_t *entries = <aiopq_bytes_t *><char *>block
    cdef Py_ssize_t i
    keep.append(block)
    for i, value in enumerate(values):
        fill_bytes(&entries[i], value, keep)
    return entries


cdef fill_limits(aiopq_config_t *config, settings):
    config.max_connections = settings.max_connections
    config.idle_timeout_ms = settings.idle_timeout_ms
    config.handshake_timeout_us = settings.handshake_timeout_us
    config.keep_alive_us = settings.keep_alive_us
    config.max_data = settings.max_data
    config.max_stream_data = settings.max_stream_data
    config.initial_stream_window = settings.initial_stream_window
    config.max_streams_bidi = settings.max_streams_bidi
    config.max_paths = settings.max_paths
    config.max_streams_uni = settings.max_streams_uni
    config.max_datagram_frame_size = settings.max_datagram_frame_size
    config.send_budget_stream = settings.send_budget_stream
    config.send_budget_conn = settings.send_budget_conn
    config.datagram_queue_bytes = settings.datagram_queue_bytes
    config.datagram_receive_bytes = settings.datagram_receive_bytes
    config.datagram_max_payload = settings.datagram_max_payload
    config.datagram_priority = settings.datagram_priority
    config.command_capacity = settings.command_capacity
