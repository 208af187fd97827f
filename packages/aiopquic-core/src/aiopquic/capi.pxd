# The C interface of libaiopquic for Cython: extern declarations only, so that another wheel can cimport it
# without depending on the layout of a Python class here. aiopquic.capi tells where headers and library are.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "<stdbool.h>" nogil:
    ctypedef bint c_bool "bool"


cdef extern from "aiopquic/abi.h" nogil:
    int AIOPQ_ABI_VERSION
    int aiopq_abi_version()
    const char *aiopq_build_id()
    const char *aiopq_picoquic_version()
    const char *aiopq_openssl_version()


cdef extern from "aiopquic/status.h" nogil:
    ctypedef enum aiopq_status_t:
        AIOPQ_OK
        AIOPQ_WOULD_BLOCK
        AIOPQ_TOO_LARGE
        AIOPQ_CLOSED
        AIOPQ_STREAM_FINISHED
        AIOPQ_STREAM_STOPPED
        AIOPQ_WRONG_DIRECTION
        AIOPQ_NO_MEMORY
        AIOPQ_INVALID
        AIOPQ_STARTED
        AIOPQ_BAD_CERTIFICATE
        AIOPQ_BAD_KEY
        AIOPQ_NO_PASSWORD
        AIOPQ_WRONG_PASSWORD
        AIOPQ_KEY_MISMATCH
        AIOPQ_BAD_TRUST_STORE
        AIOPQ_UNKNOWN_ALGORITHM
        AIOPQ_BAD_ECH_KEY
        AIOPQ_FAILED
    const char *aiopq_status_name(aiopq_status_t status)


cdef extern from "<sys/socket.h>" nogil:
    cdef struct sockaddr_storage:
        unsigned short ss_family


cdef extern from "aiopquic/event.h" nogil:
    ctypedef struct aiopq_conn_t:
        pass
    ctypedef struct aiopq_stream_t:
        pass
    ctypedef enum aiopq_event_type_t:
        AIOPQ_EVENT_NONE
        AIOPQ_EVENT_ENGINE_READY
        AIOPQ_EVENT_ENGINE_STOPPED
        AIOPQ_EVENT_CONN_CREATED
        AIOPQ_EVENT_CONN_READY
        AIOPQ_EVENT_CONN_CLOSED
        AIOPQ_EVENT_CONN_STATS
        AIOPQ_EVENT_CONN_WRITABLE
        AIOPQ_EVENT_CONN_STREAMS
        AIOPQ_EVENT_CONN_PING_ACKED
        AIOPQ_EVENT_CERTIFICATES_SET
        AIOPQ_EVENT_CONN_ANSWER
        AIOPQ_EVENT_CONN_PATH
        AIOPQ_EVENT_CONN_PATH_ANSWER
        AIOPQ_EVENT_DATAGRAMS_READABLE
        AIOPQ_EVENT_DATAGRAMS_WRITABLE
        AIOPQ_EVENT_DATAGRAM_ACKED
        AIOPQ_EVENT_DATAGRAM_LOST
        AIOPQ_EVENT_DATAGRAM_SPURIOUS
        AIOPQ_EVENT_STREAM_READABLE
        AIOPQ_EVENT_STREAM_RESET
        AIOPQ_EVENT_STREAM_STOPPED
        AIOPQ_EVENT_STREAM_WRITABLE
        AIOPQ_EVENT_STREAM_ACKED
        AIOPQ_EVENT_STREAM_RELEASED
        AIOPQ_EVENT_CONN_ID_ISSUED
        AIOPQ_EVENT_CONN_ID_RETIRED
        AIOPQ_EVENT_INCOMING
        AIOPQ_EVENT_PROTOCOL
    ctypedef enum aiopq_close_kind_t:
        AIOPQ_CLOSE_APPLICATION
        AIOPQ_CLOSE_TRANSPORT
        AIOPQ_CLOSE_IDLE_TIMEOUT
        AIOPQ_CLOSE_HANDSHAKE_TIMEOUT
        AIOPQ_CLOSE_STATELESS_RESET
        AIOPQ_CLOSE_VERSION_NEGOTIATION
        AIOPQ_CLOSE_LOCAL_FAILURE
    const char *aiopq_verify_error_text(int32_t verify_error)
    uint64_t AIOPQ_NO_FRAME
    int AIOPQ_REASON_MAX
    ctypedef struct aiopq_close_info_t:
        aiopq_close_kind_t kind
        bint is_remote
        uint64_t error_code
        uint64_t frame_type
        int32_t verify_error
        uint16_t reason_length
        char *reason
        uint16_t ech_retry_length
        uint8_t *ech_retry
    ctypedef struct aiopq_transport_parameters_t:
        uint64_t initial_max_data, initial_max_stream_data_bidi_local, initial_max_stream_data_bidi_remote
        uint64_t initial_max_stream_data_uni, initial_max_streams_bidi, initial_max_streams_uni
        uint64_t max_idle_timeout_ms, max_udp_payload_size, max_ack_delay_us, ack_delay_exponent
        uint64_t active_connection_id_limit, max_datagram_frame_size, min_ack_delay_us
        bint disable_active_migration
        bint grease_quic_bit
        bint reset_stream_at
    ctypedef struct aiopq_connection_id_t:
        uint8_t length
        uint8_t *id
    ctypedef struct aiopq_conn_info_t:
        uint32_t version
        bint is_resumed, is_early_data_accepted, is_ech_accepted, has_multipath
        uint8_t alpn_length
        uint8_t server_name_length
        char *alpn
        char *server_name
        sockaddr_storage peer_address
        sockaddr_storage local_address
        uint8_t local_id_length
        uint8_t remote_id_length
        uint8_t initial_id_length
        uint8_t *local_id
        uint8_t *remote_id
        uint8_t *initial_id
        aiopq_transport_parameters_t local_parameters
        aiopq_transport_parameters_t remote_parameters
        size_t peer_certificates_length
        uint8_t *peer_certificates
    ctypedef struct aiopq_incoming_info_t:
        uint64_t handle
        sockaddr_storage peer_address
        sockaddr_storage local_address
        bint is_validated
        uint8_t server_name_length
        char *server_name
        uint16_t alpn_length
        uint8_t *alpn
    ctypedef enum aiopq_incoming_answer_t:
        AIOPQ_INCOMING_ACCEPT
        AIOPQ_INCOMING_REFUSE
        AIOPQ_INCOMING_RETRY
    ctypedef struct aiopq_conn_stats_t:
        uint64_t request, receive_rate_estimate, pacing_rate, cwin, bytes_in_transit, rtt, rtt_sample
        uint64_t rtt_variant, rtt_min, rtt_max, packets_sent, packets_lost, timer_losses, spurious_losses
        uint64_t max_spurious_rtt, max_reorder_delay, max_reorder_gap, bytes_sent, bytes_received
        uint64_t stream_bytes_sent, stream_bytes_received
        uint64_t *ecn_received, *ecn_reported
    ctypedef struct aiopq_stream_limits_t:
        uint64_t max_bidi
        uint64_t max_uni
    ctypedef struct aiopq_event_t:
        aiopq_event_type_t type
        aiopq_conn_t *conn
        aiopq_stream_t *stream
        uint64_t value
        void *detail


cdef extern from "aiopquic/network.h" nogil:
    ctypedef struct aiopq_network_t:
        pass
    ctypedef struct aiopq_link_config_t:
        uint64_t rate_bps
        uint64_t delay_us
        uint64_t jitter_us
        bint is_reordering
        uint64_t queue_bytes
        uint64_t mark_bytes
        uint32_t mtu
        uint32_t loss_ppm
        uint32_t burst_enter_ppm
        uint32_t burst_leave_ppm
        uint64_t loss_pattern
        uint32_t loss_pattern_length
        uint32_t duplicate_ppm
        uint32_t corrupt_ppm
        uint32_t hold_ppm
        uint64_t hold_us
        bint is_down
    ctypedef struct aiopq_link_counters_t:
        uint64_t sent, sent_bytes, delivered, delivered_bytes, lost, overflowed, too_large, marked, duplicated
        uint64_t corrupted
    aiopq_network_t *aiopq_network_new(uint64_t seed, uint64_t start_us)
    void aiopq_network_free(aiopq_network_t *network)
    uint64_t *aiopq_network_clock(aiopq_network_t *network)
    aiopq_status_t aiopq_network_set_link(aiopq_network_t *network, const sockaddr_storage *source,
                                          const sockaddr_storage *to, const aiopq_link_config_t *config)
    void aiopq_network_get_counters(const aiopq_network_t *network, const sockaddr_storage *source,
                                    const sockaddr_storage *to, aiopq_link_counters_t *counters)
    aiopq_status_t aiopq_network_rebind(aiopq_network_t *network, const sockaddr_storage *inside,
                                        const sockaddr_storage *outside)
    bint aiopq_network_run(aiopq_network_t *network, uint64_t deadline_us)
    uint64_t aiopq_network_next_us(const aiopq_network_t *network)
    uint64_t aiopq_network_unreachable(const aiopq_network_t *network)


cdef extern from "aiopquic/protocol.h" nogil:
    const char *AIOPQ_PROTOCOL_CAPSULE
    int AIOPQ_PROTOCOL_VERSION
    int AIOPQ_PREFACE_MAX
    uint64_t AIOPQ_NO_SCOPE
    ctypedef struct aiopq_protocol_t "struct aiopq_protocol":
        uint32_t version
    ctypedef struct aiopq_protocol_message_t:
        int32_t kind
        uint64_t uid
        size_t length
        uint8_t *data
    aiopq_status_t aiopq_conn_protocol_command(aiopq_conn_t *conn, int32_t kind, uint64_t uid, const uint8_t *data,
                                               size_t length)


cdef extern from "aiopquic/config.h" nogil:
    ctypedef struct aiopq_bytes_t:
        const uint8_t *data
        size_t length
    int AIOPQ_ALPN_COUNT_MAX
    int AIOPQ_BIND_ADDRESS_MAX
    int AIOPQ_PROTOCOLS_MAX
    int AIOPQ_TICKET_KEY_LENGTH
    int AIOPQ_RESET_SECRET_LENGTH
    int AIOPQ_KEY_EXCHANGE_MAX
    ctypedef enum aiopq_pmtud_t:
        AIOPQ_PMTUD_BASIC
        AIOPQ_PMTUD_DELAYED
        AIOPQ_PMTUD_BLOCKED
    ctypedef struct aiopq_certificate_t:
        const char *server_name
        aiopq_bytes_t chain
        aiopq_bytes_t key
        const char *key_password
    ctypedef struct aiopq_ech_key_t:
        aiopq_bytes_t config
        aiopq_bytes_t private_key
    int AIOPQ_QUIC_LB_SERVER_ID_MAX
    int AIOPQ_QUIC_LB_KEY_LENGTH
    ctypedef struct aiopq_quic_lb_t:
        uint8_t rotation
        uint8_t server_id_length
        uint8_t *server_id
        uint8_t nonce_length
        bint encodes_length
        bint has_key
        uint8_t *key
    ctypedef struct aiopq_workers_t "struct aiopq_workers":
        pass
    ctypedef struct aiopq_config_t:
        bint is_client
        bint always_retry
        uint32_t half_open_limit
        bint holds_incoming
        aiopq_network_t *network
        uint64_t *simulated_time_us
        sockaddr_storage *bind_addresses
        uint16_t local_port
        uint32_t socket_buffer_bytes
        uint32_t spin_us
        bint use_portable_loop
        bint is_inline
        bint use_pipe_waker
        bint without_gso, without_gro, without_joining
        aiopq_workers_t *workers
        uint32_t worker
        const char **alpn
        const aiopq_protocol_t **protocols
        aiopq_bytes_t certificate_chain
        aiopq_bytes_t private_key
        const char *private_key_password
        const aiopq_certificate_t *certificates
        size_t certificate_count
        const aiopq_bytes_t *trusted_roots
        size_t trusted_root_count
        bint verify_peer
        bint is_peer_certificate_optional
        aiopq_bytes_t certificate_hashes
        aiopq_bytes_t pinned_keys
        const aiopq_ech_key_t *ech_keys
        size_t ech_key_count
        bint uses_ech
        aiopq_bytes_t ech_configs
        const char *ech_public_name
        uint8_t *stateless_reset_secret
        uint8_t *ticket_key
        const char *keylog_file
        const char *qlog_dir
        const char *congestion_control
        const char *congestion_options
        uint64_t max_congestion_window
        bint no_ack_frequency, no_spin_bit
        uint8_t connection_id_length
        aiopq_quic_lb_t quic_lb
        uint32_t cipher_suite
        uint16_t *key_exchange_groups
        uint64_t key_update_interval
        uint32_t version
        uint32_t desired_version
        aiopq_pmtud_t pmtud
        bint keeps_sessions
        aiopq_bytes_t session_tickets
        bint accepts_early_data
        uint32_t max_connections
        uint64_t idle_timeout_ms, handshake_timeout_us, keep_alive_us, max_data, max_stream_data
        uint64_t initial_stream_window, max_streams_bidi
        uint8_t max_paths
        sockaddr_storage *preferred_addresses
        uint64_t max_streams_uni
        uint32_t max_datagram_frame_size
        uint64_t send_budget_stream, send_budget_conn, datagram_queue_bytes, datagram_receive_bytes
        uint8_t datagram_priority
        uint32_t datagram_max_payload
        size_t command_capacity


cdef extern from "aiopquic/workers.h" nogil:
    aiopq_status_t aiopq_workers_open(const aiopq_config_t *config, uint32_t count, bint is_steered,
                                      aiopq_workers_t **workers, int *system_error)
    void aiopq_workers_close(aiopq_workers_t *workers)
    void aiopq_workers_unref(aiopq_workers_t *workers)
    uint16_t aiopq_workers_port(const aiopq_workers_t *workers)
    bint aiopq_workers_are_steered(const aiopq_workers_t *workers)


cdef extern from "aiopquic/chunk.h" nogil:
    ctypedef struct aiopq_chunk_t:
        aiopq_chunk_t *next
        uint32_t filled
        uint8_t *data
    void aiopq_chunk_free(aiopq_chunk_t *chunk)
    void aiopq_chunk_free_list(aiopq_chunk_t *first)


cdef extern from "aiopquic/lent.h" nogil:
    ctypedef struct aiopq_lent_t:
        const uint8_t *bytes
        size_t length
        void *owner
        void (*release)(void *owner) noexcept


cdef extern from "aiopquic/engine.h" nogil:
    ctypedef struct aiopq_engine_t:
        pass
    aiopq_status_t aiopq_engine_new(const aiopq_config_t *config, aiopq_engine_t **engine)
    void aiopq_engine_free(aiopq_engine_t *engine)
    aiopq_status_t aiopq_engine_start(aiopq_engine_t *engine)
    void aiopq_engine_stop(aiopq_engine_t *engine)
    aiopq_status_t aiopq_engine_fail(aiopq_engine_t *engine, int system_error)
    void aiopq_engine_join(aiopq_engine_t *engine)
    aiopq_status_t aiopq_engine_session_tickets(aiopq_engine_t *engine, uint8_t **bytes, size_t *length)
    int aiopq_engine_wakeup_fd(const aiopq_engine_t *engine)
    void aiopq_engine_begin_drain(aiopq_engine_t *engine)
    bint aiopq_engine_next_event(aiopq_engine_t *engine, aiopq_event_t *event)
    void aiopq_engine_end_drain(aiopq_engine_t *engine)
    void aiopq_engine_release_lent(aiopq_engine_t *engine)
    void aiopq_engine_rearm(aiopq_engine_t *engine)
    void aiopq_event_release(aiopq_event_t *event)
    void aiopq_engine_kick(aiopq_engine_t *engine)
    uint64_t aiopq_engine_events_waiting(const aiopq_engine_t *engine)
    uint64_t aiopq_engine_commands_waiting(const aiopq_engine_t *engine)
    ctypedef struct aiopq_engine_counters_t:
        uint64_t loop_wakes, loop_wakes_saved, net_wakes, net_wakes_saved, events_pushed, commands_pushed
        uint64_t commands_stale, turns, handshakes, handshakes_failed, connections_closed, datagrams_received
        uint64_t datagrams_sent, bytes_sent, send_calls, receive_calls, sleeps, sleeps_saved
        uint64_t datagrams_misrouted, misrouted_lost
        uint64_t bytes_received, incoming_asked, incoming_retried, incoming_refused, incoming_expired
    void aiopq_engine_get_counters(const aiopq_engine_t *engine, aiopq_engine_counters_t *counters)
    ctypedef struct aiopq_live_counts_t:
        int64_t engines
        int64_t connections
        int64_t streams
        int64_t chunks
        int64_t events
        int64_t attempts
        int64_t blocks
        int64_t protocols
    void aiopq_get_live_counts(aiopq_live_counts_t *counts)
    aiopq_status_t aiopq_check_certificate(const aiopq_certificate_t *certificate)
    aiopq_status_t aiopq_engine_set_certificates(
        aiopq_engine_t *engine, const aiopq_config_t *config, uint64_t request)
    aiopq_status_t aiopq_engine_answer_incoming(aiopq_engine_t *engine, uint64_t handle, aiopq_incoming_answer_t answer)
    aiopq_status_t aiopq_check_congestion_control(const char *name)
    size_t aiopq_key_exchange_groups(uint16_t *groups)
    ctypedef struct aiopq_connect_args_t:
        sockaddr_storage address
        const char *server_name
        const char **alpn
        uint32_t version
    aiopq_status_t aiopq_conn_open(aiopq_engine_t *engine, const aiopq_connect_args_t *args, aiopq_conn_t **conn)
    uint64_t aiopq_conn_handle(const aiopq_conn_t *conn)
    bint aiopq_conn_is_client(const aiopq_conn_t *conn)
    aiopq_status_t aiopq_conn_close(aiopq_conn_t *conn, uint64_t error_code, const char *reason, size_t reason_length)
    int AIOPQ_TRANSPORT_ERROR_MAX
    aiopq_status_t aiopq_conn_close_transport(aiopq_conn_t *conn, uint64_t error_code, uint64_t frame_type,
                                              const char *reason, size_t reason_length)
    aiopq_status_t aiopq_conn_request_stats(aiopq_conn_t *conn, uint64_t request)
    aiopq_status_t aiopq_conn_want_streams(aiopq_conn_t *conn, uint64_t known_bidi, uint64_t known_uni)
    int AIOPQ_PINGS_MAX
    size_t AIOPQ_EXPORT_LABEL_MAX
    size_t AIOPQ_EXPORT_MAX
    ctypedef struct aiopq_answer_t:
        bint is_done
        size_t length
        uint8_t *bytes
    aiopq_status_t aiopq_conn_export_secret(
        aiopq_conn_t *conn, uint64_t request, const char *label, aiopq_bytes_t context, size_t length)
    aiopq_status_t aiopq_conn_update_keys(aiopq_conn_t *conn, uint64_t request)
    aiopq_status_t aiopq_conn_start_qlog(aiopq_conn_t *conn, uint64_t request, const char *folder)
    aiopq_status_t aiopq_conn_stop_qlog(aiopq_conn_t *conn, uint64_t request)
    aiopq_status_t aiopq_conn_ping(aiopq_conn_t *conn, uint64_t uid)
    uint64_t aiopq_conn_send_queued(const aiopq_conn_t *conn)
    bint aiopq_conn_want_writable(aiopq_conn_t *conn)
    void aiopq_conn_ref(aiopq_conn_t *conn)
    void aiopq_conn_unref(aiopq_conn_t *conn)
    void *aiopq_conn_owner(const aiopq_conn_t *conn)
    void aiopq_conn_set_owner(aiopq_conn_t *conn, void *owner)


cdef extern from "aiopquic/datagram.h" nogil:
    uint32_t aiopq_conn_max_datagram(const aiopq_conn_t *conn)
    aiopq_status_t aiopq_conn_send_datagram(aiopq_conn_t *conn, aiopq_bytes_t prefix, aiopq_bytes_t data,
                                            uint64_t number)
    bint aiopq_conn_want_datagrams_writable(aiopq_conn_t *conn)
    uint64_t aiopq_conn_datagrams_arrived(aiopq_conn_t *conn)
    const uint8_t *aiopq_conn_first_datagram(aiopq_conn_t *conn, size_t *length)
    void aiopq_conn_drop_first_datagram(aiopq_conn_t *conn)
    ctypedef struct aiopq_datagram_stats_t:
        uint64_t queued, queued_bytes, sent, received, dropped_received, acked, lost, spurious
    void aiopq_conn_get_datagram_stats(const aiopq_conn_t *conn, aiopq_datagram_stats_t *stats)


cdef extern from "aiopquic/path.h" nogil:
    uint64_t AIOPQ_ANY_PATH
    ctypedef struct aiopq_path_info_t:
        uint64_t id
        sockaddr_storage local_address
        sockaddr_storage peer_address
        bint is_validated
        bint is_backup
        bint is_leaving
        uint64_t receive_rate_estimate, pacing_rate, cwin, bytes_in_transit, rtt, rtt_sample, rtt_variant
        uint64_t rtt_min, rtt_max, packets_sent, packets_lost, spurious_losses, bytes_sent, bytes_received
    ctypedef struct aiopq_path_event_t:
        aiopq_path_info_t path
        sockaddr_storage local_address
        sockaddr_storage peer_address
    ctypedef enum aiopq_path_wish_t:
        AIOPQ_PATH_MIGRATE
    ctypedef enum aiopq_path_outcome_t:
        AIOPQ_PATH_DONE
    ctypedef struct aiopq_path_request_t:
        uint64_t request
        aiopq_path_wish_t wish
        uint64_t id
        sockaddr_storage local_address
        sockaddr_storage peer_address
        uint64_t rtt_change_us
        uint64_t rate_change
    ctypedef struct aiopq_path_answer_t:
        uint64_t request
        aiopq_path_outcome_t outcome
        int system_error
        size_t path_count
        aiopq_path_info_t *paths
    aiopq_status_t aiopq_conn_request_path(aiopq_conn_t *conn, const aiopq_path_request_t *request)
    aiopq_status_t aiopq_stream_set_path(aiopq_stream_t *stream, uint64_t path_id)


cdef extern from "aiopquic/stream.h" nogil:
    int AIOPQ_SEND_FLOOR
    aiopq_status_t aiopq_stream_new(aiopq_conn_t *conn, uint64_t stream_id, aiopq_stream_t **stream)
    aiopq_status_t aiopq_stream_new_scoped(
        aiopq_conn_t *conn, uint64_t stream_id, uint64_t scope, aiopq_bytes_t preface, aiopq_stream_t **stream)
    uint64_t aiopq_stream_scope(const aiopq_stream_t *stream)
    uint64_t aiopq_stream_id(const aiopq_stream_t *stream)
    uint64_t aiopq_stream_handle(const aiopq_stream_t *stream)
    aiopq_status_t aiopq_stream_write(aiopq_stream_t *stream, const uint8_t *data, size_t length, bint fin)
    aiopq_status_t aiopq_stream_lend(aiopq_stream_t *stream, const aiopq_lent_t *lent, bint fin)
    uint64_t aiopq_stream_room(const aiopq_stream_t *stream)
    bint aiopq_stream_want_writable(aiopq_stream_t *stream)
    uint64_t aiopq_stream_send_queued(const aiopq_stream_t *stream)
    uint64_t aiopq_stream_sent(const aiopq_stream_t *stream)
    aiopq_status_t aiopq_stream_want_acked(aiopq_stream_t *stream, c_bool *will_tell)
    bint aiopq_stream_is_acked(const aiopq_stream_t *stream)
    aiopq_status_t aiopq_stream_send_state(const aiopq_stream_t *stream)
    aiopq_status_t aiopq_stream_reset(aiopq_stream_t *stream, uint64_t error_code, uint64_t reliable)
    aiopq_status_t aiopq_stream_stop(aiopq_stream_t *stream, uint64_t error_code)
    aiopq_status_t aiopq_stream_set_priority(aiopq_stream_t *stream, uint8_t priority)
    aiopq_chunk_t *aiopq_stream_take(aiopq_stream_t *stream, c_bool *fin)
    void aiopq_stream_consume(aiopq_stream_t *stream, uint64_t length)
    void aiopq_stream_abandon(aiopq_stream_t *stream)
    void aiopq_stream_ref(aiopq_stream_t *stream)
    void aiopq_stream_unref(aiopq_stream_t *stream)
    void *aiopq_stream_owner(const aiopq_stream_t *stream)
    void aiopq_stream_set_owner(aiopq_stream_t *stream, void *owner)
