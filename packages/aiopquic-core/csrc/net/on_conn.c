/* A connection on the network thread: handshake, end, snapshots. */
#include <stdlib.h>
#include <string.h>

#include "net/callbacks.h"
#include "net/ech.h"
#include "net/events_out.h"
#include "net/flow_control.h"
#include "net/picoquic_private.h"
#include "net/protocol.h"
#include "net/watch.h"

static void copy_connection_id(picoquic_connection_id_t from, uint8_t *to, uint8_t *length)
{
    *length = from.id_len <= AIOPQ_CONNECTION_ID_MAX ? from.id_len : AIOPQ_CONNECTION_ID_MAX;
    memcpy(to, from.id, *length);
}

static void copy_address(const struct sockaddr *from, struct sockaddr_storage *to)
{
    if (from->sa_family == AF_INET) {
        memcpy(to, from, sizeof(struct sockaddr_in));
    } else if (from->sa_family == AF_INET6) {
        memcpy(to, from, sizeof(struct sockaddr_in6));
    }
}

static uint8_t copy_string(const char *from, char *to, size_t max)
{
    size_t length = from != NULL ? strlen(from) : 0;
    if (length > max) {
        length = max;
    }
    memcpy(to, from != NULL ? from : "", length);
    to[length] = 0;
    return (uint8_t)length;
}

/* picoquic counts stream limits as ids, RFC 9000 as numbers of streams; this version keeps numbers. */
void aiopq_copy_parameters(const picoquic_tp_t *from, aiopq_transport_parameters_t *to)
{
    to->initial_max_data = from->initial_max_data;
    to->initial_max_stream_data_bidi_local = from->initial_max_stream_data_bidi_local;
    to->initial_max_stream_data_bidi_remote = from->initial_max_stream_data_bidi_remote;
    to->initial_max_stream_data_uni = from->initial_max_stream_data_uni;
    to->initial_max_streams_bidi = from->initial_max_stream_id_bidir;
    to->initial_max_streams_uni = from->initial_max_stream_id_unidir;
    to->max_idle_timeout_ms = from->max_idle_timeout;
    to->max_udp_payload_size = from->max_packet_size;
    to->max_ack_delay_us = from->max_ack_delay;
    to->ack_delay_exponent = from->ack_delay_exponent;
    to->active_connection_id_limit = from->active_connection_id_limit;
    to->max_datagram_frame_size = from->max_datagram_frame_size;
    to->min_ack_delay_us = from->min_ack_delay;
    to->disable_active_migration = from->migration_disabled != 0;
    to->grease_quic_bit = from->do_grease_quic_bit != 0;
    to->reset_stream_at = from->is_reset_stream_at_enabled != 0;
}

static aiopq_conn_info_t *conn_info(aiopq_conn_t *conn)
{
    size_t certificates = conn->peer_certificates_length;
    aiopq_conn_info_t *info = calloc(1, sizeof(*info) + certificates);
    if (info != NULL) {
        picoquic_cnx_t *cnx = conn->cnx;
        struct sockaddr *address = NULL;
        info->version = aiopq_negotiated_version(cnx);
        info->is_resumed = picoquic_tls_is_psk_handshake(cnx) != 0;
        info->is_ech_accepted = aiopq_ech_is_accepted(cnx);
        info->has_multipath = aiopq_has_multipath(cnx);
        info->is_early_data_accepted = aiopq_early_data_was_accepted(cnx);
        info->alpn_length = copy_string(picoquic_tls_get_negotiated_alpn(cnx), info->alpn, AIOPQ_ALPN_MAX);
        info->server_name_length =
            copy_string(picoquic_tls_get_sni(cnx), info->server_name, AIOPQ_SERVER_NAME_MAX);
        picoquic_get_peer_addr(cnx, &address);
        copy_address(address, &info->peer_address);
        picoquic_get_local_addr(cnx, &address);
        copy_address(address, &info->local_address);
        copy_connection_id(picoquic_get_local_cnxid(cnx), info->local_id, &info->local_id_length);
        copy_connection_id(picoquic_get_remote_cnxid(cnx), info->remote_id, &info->remote_id_length);
        copy_connection_id(picoquic_get_initial_cnxid(cnx), info->initial_id, &info->initial_id_length);
        aiopq_copy_parameters(picoquic_get_transport_parameters(cnx, 1), &info->local_parameters);
        aiopq_copy_parameters(picoquic_get_transport_parameters(cnx, 0), &info->remote_parameters);
        info->peer_certificates_length = certificates;
        if (certificates > 0) {
            memcpy(info->peer_certificates, conn->peer_certificates, certificates);
        }
        free(conn->peer_certificates);
        conn->peer_certificates = NULL;
        conn->peer_certificates_length = 0;
    }
    return info;
}

int aiopq_on_conn_ready(aiopq_conn_t *conn)
{
    if (conn->is_ready) {
        return 0;
    }
    conn->is_ready = true;
    aiopq_count(&conn->engine->handshakes);
    aiopq_conn_info_t *info = conn_info(conn);
    if (info == NULL) {
        return -1;
    }
    if (conn->engine->config.keep_alive_us > 0) {
        picoquic_enable_keep_alive(conn->cnx, conn->engine->config.keep_alive_us);
    }
    aiopq_datagrams_measure(conn);
    (void)aiopq_protocol_decide(conn);
    aiopq_emit(conn->engine, AIOPQ_EVENT_CONN_READY, conn, NULL, 0, info);
    aiopq_tell_connection_ids(conn);
    aiopq_flow_conn_ready(conn);
    aiopq_paths_ready(conn);
    return 0;
}

static void set_reason(aiopq_close_info_t *info, const char *reason)
{
    size_t length = reason != NULL ? strlen(reason) : 0;
    info->reason_length = (uint16_t)(length < AIOPQ_REASON_MAX ? length : AIOPQ_REASON_MAX);
    memcpy(info->reason, reason != NULL ? reason : "", info->reason_length);
}

/* 0, the type of PADDING, stands for "none in particular" (RFC 9000 section 19.19). */
static uint64_t frame_type_or_none(uint64_t type)
{
    return type != 0 ? type : AIOPQ_NO_FRAME;
}

/* The end as picoquic knows it: told by the peer, or found out by us. */
static aiopq_close_info_t close_info(aiopq_conn_t *conn, picoquic_call_back_event_t event)
{
    aiopq_close_info_t info = {.kind = AIOPQ_CLOSE_TRANSPORT, .frame_type = AIOPQ_NO_FRAME};
    uint64_t local = 0, remote = 0, local_application = 0, remote_application = 0;
    picoquic_get_close_reasons(conn->cnx, &local, &remote, &local_application, &remote_application);
    info.verify_error = conn->verify_error;
    aiopq_bytes_t configs = conn->is_client ? aiopq_ech_retry_configs(conn->cnx) : (aiopq_bytes_t){0};
    if (configs.length <= AIOPQ_ECH_RETRY_MAX && configs.length > 0) {
        info.ech_retry_length = (uint16_t)configs.length;
        memcpy(info.ech_retry, configs.data, configs.length);
    }
    if (event == picoquic_callback_stateless_reset) {
        info.kind = AIOPQ_CLOSE_STATELESS_RESET;
        info.is_remote = true;
    } else if (event == picoquic_callback_version_negotiation) {
        info.kind = AIOPQ_CLOSE_VERSION_NEGOTIATION;
        info.is_remote = true;
    } else if (event == picoquic_callback_application_close) {
        info.kind = AIOPQ_CLOSE_APPLICATION;
        info.is_remote = true;
        info.error_code = remote_application;
        set_reason(&info, aiopq_remote_close_reason(conn->cnx));
    } else if (local == PICOQUIC_ERROR_IDLE_TIMEOUT || local == PICOQUIC_ERROR_REPEAT_TIMEOUT) {
        info.kind = conn->is_ready ? AIOPQ_CLOSE_IDLE_TIMEOUT : AIOPQ_CLOSE_HANDSHAKE_TIMEOUT;
    } else if (local == PICOQUIC_ERROR_HANDSHAKE_TIMEOUT) {
        info.kind = AIOPQ_CLOSE_HANDSHAKE_TIMEOUT;
    } else if (local == PICOQUIC_ERROR_VERSION_NEGOTIATION || local == PICOQUIC_ERROR_VERSION_NOT_SUPPORTED) {
        info.kind = AIOPQ_CLOSE_VERSION_NEGOTIATION;
    } else if (local == 0 && remote == 0 && conn->engine->failure != 0) {
        info.kind = AIOPQ_CLOSE_LOCAL_FAILURE;
        set_reason(&info, "the engine under the connection has failed");
    } else if (local != 0) {
        info.error_code = local;
        info.frame_type = frame_type_or_none(aiopq_offending_frame_type(conn->cnx));
        set_reason(&info,
                   conn->verify_detail != NULL ? conn->verify_detail : aiopq_local_close_reason(conn->cnx));
    } else {
        info.is_remote = true;
        info.error_code = remote;
        info.frame_type = frame_type_or_none(aiopq_remote_frame_type(conn->cnx));
        set_reason(&info, aiopq_remote_close_reason(conn->cnx));
    }
    return info;
}

void aiopq_announce_closed(aiopq_conn_t *conn, const aiopq_close_info_t *info)
{
    if (conn->is_announced) {
        return;
    }
    aiopq_close_info_t *detail = malloc(sizeof(*detail));
    if (detail != NULL) {
        *detail = *info;
    }
    aiopq_watch_forget(conn);
    conn->is_announced = true;
    aiopq_count(&conn->engine->connections_closed);
    if (!conn->is_ready) {
        aiopq_count(&conn->engine->handshakes_failed);
    }
    atomic_store_explicit(&conn->is_closed, true, memory_order_release);
    aiopq_emit(conn->engine, AIOPQ_EVENT_CONN_CLOSED, conn, NULL, info->error_code, detail);
}

void aiopq_on_conn_closed(aiopq_conn_t *conn, picoquic_call_back_event_t event)
{
    if (!conn->is_announced) {
        aiopq_close_info_t info = close_info(conn, event);
        aiopq_announce_closed(conn, &info);
    }
    /* After the others picoquic goes on draining, and `close` comes in the end; but when they came before the
     * handshake was over, the connection is gone already and nothing more comes. */
    if (event == picoquic_callback_close ||
        picoquic_get_cnx_state(conn->cnx) == picoquic_state_disconnected) {
        aiopq_conn_detach(conn);
    }
}

void aiopq_client_ended(aiopq_engine_t *engine, picoquic_cnx_t *cnx)
{
    if (picoquic_get_cnx_state(cnx) != picoquic_state_disconnected) {
        return;
    }
    for (size_t i = 0; i < engine->ended_count; i++) {
        if (engine->ended[i] == cnx) {
            return; /* told twice: two CONNECTION_CLOSE frames in one datagram */
        }
    }
    if (engine->ended_count == engine->ended_room) {
        size_t room = engine->ended_room > 0 ? 2 * engine->ended_room : 16;
        picoquic_cnx_t **ended = realloc(engine->ended, room * sizeof(*ended));
        if (ended == NULL) {
            return; /* the end of the engine deletes it */
        }
        engine->ended = ended;
        engine->ended_room = room;
    }
    engine->ended[engine->ended_count++] = cnx;
}

void aiopq_delete_ended(aiopq_engine_t *engine)
{
    while (engine->ended_count > 0) {
        picoquic_delete_cnx(engine->ended[--engine->ended_count]);
    }
}

void aiopq_conn_detach(aiopq_conn_t *conn)
{
    while (conn->streams != NULL) {
        aiopq_stream_detach(conn->streams);
    }
    aiopq_protocol_end(conn);
    aiopq_datagrams_end(conn);
    aiopq_paths_end(conn);
    if (conn->is_failing) {
        aiopq_conn_t **link = &conn->engine->failing;
        while (*link != conn) {
            link = &(*link)->next_failing;
        }
        *link = conn->next_failing;
        conn->is_failing = false;
    }
    picoquic_set_callback(conn->cnx, aiopq_conn_callback, NULL);
    if (conn->is_client) {
        aiopq_client_ended(conn->engine, conn->cnx);
    }
    conn->cnx = NULL;
    aiopq_conn_unref(conn);
}

void aiopq_conn_failing(aiopq_conn_t *conn, int verify_error, char *detail)
{
    conn->verify_error = verify_error;
    free(conn->verify_detail);
    conn->verify_detail = detail;
    if (!conn->is_failing) {
        conn->is_failing = true;
        conn->next_failing = conn->engine->failing;
        conn->engine->failing = conn;
    }
}

void aiopq_announce_failing(aiopq_engine_t *engine)
{
    for (aiopq_conn_t *conn = engine->failing; conn != NULL; conn = conn->next_failing) {
        if (!conn->is_announced && picoquic_get_local_error(conn->cnx) != 0) {
            aiopq_close_info_t info = close_info(conn, picoquic_callback_close);
            aiopq_announce_closed(conn, &info);
        }
    }
}

aiopq_conn_stats_t *aiopq_conn_snapshot(aiopq_conn_t *conn)
{
    aiopq_conn_stats_t *stats = calloc(1, sizeof(*stats));
    if (stats != NULL) {
        picoquic_path_quality_t quality;
        picoquic_get_default_path_quality(conn->cnx, &quality);
        aiopq_datagrams_measure(conn);
        stats->receive_rate_estimate = quality.receive_rate_estimate;
        stats->pacing_rate = quality.pacing_rate;
        stats->cwin = quality.cwin;
        stats->bytes_in_transit = quality.bytes_in_transit;
        stats->rtt = quality.rtt;
        stats->rtt_sample = quality.rtt_sample;
        stats->rtt_variant = quality.rtt_variant;
        stats->rtt_min = quality.rtt_min;
        stats->rtt_max = quality.rtt_max;
        stats->packets_sent = quality.sent;
        stats->packets_lost = quality.lost;
        stats->timer_losses = quality.timer_losses;
        stats->spurious_losses = quality.spurious_losses;
        stats->max_spurious_rtt = quality.max_spurious_rtt;
        stats->max_reorder_delay = quality.max_reorder_delay;
        stats->max_reorder_gap = quality.max_reorder_gap;
        stats->bytes_sent = quality.bytes_sent;
        stats->bytes_received = quality.bytes_received;
        stats->stream_bytes_sent = picoquic_get_data_sent(conn->cnx);
        stats->stream_bytes_received = picoquic_get_data_received(conn->cnx);
        aiopq_ecn_counts(conn->cnx, stats->ecn_received, stats->ecn_reported);
    }
    return stats;
}

size_t aiopq_select_alpn(picoquic_quic_t *quic, picoquic_iovec_t *list, size_t count)
{
    aiopq_engine_t *engine = picoquic_get_default_callback_context(quic);
    /* The server's order decides (RFC 7301 section 3.2). */
    for (size_t ours = 0; ours < engine->alpn_count; ours++) {
        const char *name = engine->config.alpn[ours];
        for (size_t theirs = 0; theirs < count; theirs++) {
            if (list[theirs].len == strlen(name) && memcmp(list[theirs].base, name, list[theirs].len) == 0) {
                return theirs;
            }
        }
    }
    return count;
}

int aiopq_on_request_alpn(aiopq_conn_t *conn, void *tls_context)
{
    if (conn->request == NULL || !aiopq_ech_use(conn)) {
        return -1;
    }
    const char *token = conn->request->strings;
    for (size_t i = 0; i < conn->request->alpn_count; i++) {
        if (picoquic_add_proposed_alpn(tls_context, token) != 0) {
            return -1;
        }
        token += strlen(token) + 1;
    }
    return 0;
}
