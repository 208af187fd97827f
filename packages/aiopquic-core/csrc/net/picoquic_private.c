#include "net/picoquic_private.h"

#include <picoquic_internal.h>
#include <string.h>
#include <tls_api.h>

uint64_t aiopq_remote_stop_code(picoquic_cnx_t *cnx, uint64_t stream_id)
{
    picoquic_stream_head_t *stream = picoquic_find_stream(cnx, stream_id);
    return stream != NULL ? stream->remote_stop_error : 0;
}

const char *aiopq_remote_close_reason(picoquic_cnx_t *cnx)
{
    return cnx->remote_error_reason;
}

const char *aiopq_local_close_reason(picoquic_cnx_t *cnx)
{
    return cnx->local_error_reason;
}

uint64_t aiopq_offending_frame_type(picoquic_cnx_t *cnx)
{
    return cnx->offending_frame_type;
}

uint64_t aiopq_remote_frame_type(picoquic_cnx_t *cnx)
{
    return cnx->remote_frame_type;
}

const picoquic_connection_id_t *aiopq_next_local_id(picoquic_cnx_t *cnx, uint64_t *sequence)
{
    picoquic_local_cnxid_list_t *list = picoquic_find_or_create_local_cnxid_list(cnx, 0, 0);
    picoquic_local_cnxid_t *id = list != NULL ? list->local_cnxid_first : NULL;
    while (id != NULL && id->sequence <= *sequence) {
        id = id->next; /* they are in the order of their numbers */
    }
    if (id == NULL) {
        return NULL;
    }
    *sequence = id->sequence;
    return &id->cnx_id;
}

bool aiopq_early_data_was_accepted(picoquic_cnx_t *cnx)
{
    if (cnx->client_mode) {
        return cnx->zero_rtt_data_accepted && cnx->nb_zero_rtt_sent > 0;
    }
    return cnx->nb_zero_rtt_received > 0;
}

void aiopq_close_transport(picoquic_cnx_t *cnx, uint64_t error_code, uint64_t frame_type, const char *reason)
{
    (void)picoquic_connection_error_ex(cnx, error_code, frame_type, reason);
}

bool aiopq_close_is_unsent(picoquic_cnx_t *cnx)
{
    return cnx->cnx_state == picoquic_state_disconnecting ||
           cnx->cnx_state == picoquic_state_handshake_failure;
}

void aiopq_set_held_bytes(picoquic_cnx_t *cnx, uint64_t held)
{
    cnx->data_held = held;
}

void aiopq_wake_connection(picoquic_cnx_t *cnx, uint64_t now_us)
{
    picoquic_reinsert_by_wake_time(cnx->quic, cnx, now_us);
}

uint64_t aiopq_smoothed_rtt_us(picoquic_cnx_t *cnx)
{
    return cnx->path[0]->smoothed_rtt;
}

size_t aiopq_datagram_frame_room(picoquic_cnx_t *cnx)
{
    size_t room = cnx->remote_parameters.max_datagram_frame_size;
    for (int i = 0; i < cnx->nb_paths && room > 0; i++) {
        const picoquic_path_t *path = cnx->path[i];
        const picoquic_remote_cnxid_t *id = path->first_tuple->p_remote_cnxid;
        size_t id_bytes = id != NULL ? id->cnx_id.id_len : PICOQUIC_CONNECTION_ID_MAX_SIZE;
        /* A short header (RFC 9000 section 17.3.1) has a byte of flags, the connection id, and a packet number of
         * one byte at first and four in the end: measured with four, the room does not shrink on the way. */
        size_t overhead = 1 + id_bytes + 4 + picoquic_get_checksum_length(cnx, picoquic_epoch_1rtt);
        size_t packet = path->send_mtu > overhead ? path->send_mtu - overhead : 0;
        if (!path->path_is_demoted && packet < room) {
            room = packet;
        }
    }
    return room;
}

void aiopq_announce_datagrams_as_configured(picoquic_quic_t *quic)
{
    quic->are_datagrams_as_configured = 1;
}

void aiopq_seed_public_random(uint64_t seed)
{
    picoquic_public_random_seed_64(seed, 1);
}

void aiopq_keep_public_random(picoquic_quic_t *quic)
{
    quic->use_predictable_random = 1;
}

uint64_t aiopq_key_phases(picoquic_cnx_t *cnx)
{
    return cnx->nb_crypto_key_rotations;
}

bool aiopq_update_keys(picoquic_cnx_t *cnx)
{
    /* picoquic_start_key_rotation() compares numbers of our packets with those of the peer's, and makes new keys even
     * where a packet with the other phase, which anybody can send, has made picoquic compute them already. */
    bool has_new =
        cnx->crypto_context_new.aead_encrypt != NULL && cnx->crypto_context_new.aead_decrypt != NULL;
    if (cnx->cnx_state != picoquic_state_ready || cnx->key_phase_enc != cnx->key_phase_dec ||
        (!has_new && picoquic_compute_new_rotated_keys(cnx) != 0)) {
        return false;
    }
    picoquic_apply_rotated_keys(cnx, 1);
    picoquic_crypto_context_free(&cnx->crypto_context_old);
    cnx->crypto_epoch_sequence = cnx->pkt_ctx[picoquic_packet_context_application].send_sequence;
    return true;
}

uint32_t aiopq_negotiated_version(picoquic_cnx_t *cnx)
{
    return picoquic_supported_versions[cnx->version_index].version;
}

uint64_t aiopq_max_streams_remote(picoquic_cnx_t *cnx, bool is_unidirectional)
{
    return is_unidirectional ? cnx->max_streams_unidir_remote : cnx->max_streams_bidir_remote;
}

/* Frames of a type and one number; picoquic sends them again when they are lost. False without memory. */
static bool queue_frame(picoquic_cnx_t *cnx, picoquic_frame_type_enum_t type, uint64_t value)
{
    uint8_t frame[1 + sizeof(uint64_t)] = {(uint8_t)type};
    uint8_t *end = picoquic_frames_varint_encode(frame + 1, frame + sizeof(frame), value);
    return picoquic_queue_misc_frame(cnx, frame, (size_t)(end - frame), 0,
                                     picoquic_packet_context_application) == 0;
}

void aiopq_tell_streams_blocked(picoquic_cnx_t *cnx, bool is_unidirectional)
{
    /* picoquic says it of streams that it has, once for each limit; so do we, of those that are not made yet. */
    uint64_t limit = aiopq_max_streams_remote(cnx, is_unidirectional);
    if (is_unidirectional && !cnx->stream_blocked_unidir_sent) {
        cnx->stream_blocked_unidir_sent = queue_frame(cnx, picoquic_frame_type_streams_blocked_unidir, limit);
    } else if (!is_unidirectional && !cnx->stream_blocked_bidir_sent) {
        cnx->stream_blocked_bidir_sent = queue_frame(cnx, picoquic_frame_type_streams_blocked_bidir, limit);
    }
}

uint64_t aiopq_max_streams_local(picoquic_cnx_t *cnx, bool is_unidirectional)
{
    return is_unidirectional ? cnx->max_streams_unidir_local : cnx->max_streams_bidir_local;
}

uint64_t aiopq_streams_opened_by_peer(picoquic_cnx_t *cnx, bool is_unidirectional)
{
    /* The two low bits of an id are its type (RFC 9000 section 2.1). */
    return cnx->next_stream_id[(is_unidirectional ? 2 : 0) + (cnx->client_mode ? 1 : 0)] >> 2;
}

void aiopq_grant_streams(picoquic_cnx_t *cnx, bool is_unidirectional, uint64_t max)
{
    if (is_unidirectional && queue_frame(cnx, picoquic_frame_type_max_streams_unidir, max)) {
        cnx->max_streams_unidir_local = max;
    } else if (!is_unidirectional && queue_frame(cnx, picoquic_frame_type_max_streams_bidir, max)) {
        cnx->max_streams_bidir_local = max;
    }
}

bool aiopq_queue_ping(picoquic_cnx_t *cnx)
{
    uint8_t frame = picoquic_frame_type_ping;
    return picoquic_queue_misc_frame(cnx, &frame, 1, 0, picoquic_packet_context_application) == 0;
}

uint64_t aiopq_next_packet(picoquic_cnx_t *cnx, uint64_t now_us)
{
    return cnx->is_multipath_enabled ? now_us
                                     : cnx->pkt_ctx[picoquic_packet_context_application].send_sequence;
}

bool aiopq_is_packet_acked(picoquic_cnx_t *cnx, uint64_t number)
{
    for (int i = 0; cnx->is_multipath_enabled && i < cnx->nb_paths; i++) {
        if (cnx->path[i]->pkt_ctx.highest_acknowledged != UINT64_MAX &&
            cnx->path[i]->pkt_ctx.latest_time_acknowledged >= number) {
            return true;
        }
    }
    if (cnx->is_multipath_enabled) {
        return false;
    }
    /* Begins as the number before the first one's, which wraps around when that is 0. */
    uint64_t highest = cnx->pkt_ctx[picoquic_packet_context_application].highest_acknowledged;
    return highest != UINT64_MAX && highest >= number;
}

bool aiopq_is_stream_acked_up_to(picoquic_cnx_t *cnx, uint64_t stream_id, uint64_t length)
{
    picoquic_stream_head_t *stream = picoquic_find_stream(cnx, stream_id);
    return stream != NULL &&
           (length == 0 || picoquic_check_sack_list(&stream->sack_list, 0, length - 1) != 0);
}

void aiopq_set_retry(picoquic_quic_t *quic, bool is_wanted)
{
    picoquic_set_cookie_mode(quic, is_wanted ? 3 : 2); /* 1: by Retry; 2: by NEW_TOKEN, for the next time */
}

bool aiopq_has_many_handshakes(const picoquic_quic_t *quic)
{
    return quic->current_number_half_open >= quic->max_half_open_before_retry;
}

bool aiopq_is_retry(const uint8_t *bytes, size_t length)
{
    static const uint8_t version_2[4] = {0x6b, 0x33, 0x43, 0xcf};
    if (length < 7 || (bytes[0] & 0x80) == 0) {
        return false;
    }
    /* RFC 9369 section 3.2 gives the type another number; version 0 is a Version Negotiation packet. */
    uint8_t type = memcmp(bytes + 1, version_2, 4) == 0 ? 0 : 3;
    return (bytes[0] >> 4 & 3) == type && (bytes[1] | bytes[2] | bytes[3] | bytes[4]) != 0;
}

bool aiopq_knows_connection(picoquic_quic_t *quic, const uint8_t *id, uint8_t id_length,
                            const struct sockaddr *from)
{
    picoquic_connection_id_t destination = {.id_len = id_length};
    picoquic_local_cnxid_t *local_id = NULL;
    memcpy(destination.id, id, id_length);
    return picoquic_cnx_by_id(quic, destination, &local_id) != NULL ||
           picoquic_cnx_by_icid(quic, &destination, from) != NULL;
}

bool aiopq_token_is_valid(picoquic_quic_t *quic, const struct sockaddr *from, uint64_t now_us,
                          const picoquic_connection_id_t *destination, uint32_t packet_number,
                          const uint8_t *token, size_t token_length)
{
    uint8_t text[128]; /* picoquic's tokens are shorter; it refuses longer ones */
    size_t text_length = 0;
    int is_new_token = 0;
    picoquic_connection_id_t original;
    picoquic_registered_token_t used;
    if (picoquic_verify_retry_token(quic, from, now_us, &is_new_token, &original, destination, packet_number,
                                    token, token_length, 0) != 0 ||
        picoquic_server_decrypt_retry_token(quic, from, &is_new_token, token, token_length, text,
                                            &text_length) != 0) {
        return false;
    }
    /* What picoquic writes down when a token is used: its expiry and its last bytes. */
    memset(&used, 0, sizeof(used));
    used.token_time = PICOPARSE_64(text);
    used.token_hash = PICOPARSE_64(token + token_length - 8);
    return picosplay_find(&quic->token_reuse_tree, &used) == NULL;
}

void aiopq_begin_thread_check(picoquic_quic_t *quic)
{
    (void)quic; /* the macro is empty in builds that do not check */
    PICOQUIC_THREAD_SET_CHECK(quic);
}

void aiopq_end_thread_check(picoquic_quic_t *quic)
{
    (void)quic; /* the macro is empty in builds that do not check */
    PICOQUIC_THREAD_DISABLE_CHECK(quic);
}

bool aiopq_knows_reset_stream_at(picoquic_cnx_t *cnx)
{
    return cnx->is_reset_stream_at_enabled != 0;
}

void *aiopq_stream_context(picoquic_cnx_t *cnx, uint64_t stream_id)
{
    const picoquic_stream_head_t *stream = picoquic_find_stream(cnx, stream_id);
    return stream != NULL ? stream->app_stream_ctx : NULL;
}

bool aiopq_is_stream_forgotten(picoquic_cnx_t *cnx, uint64_t stream_id, bool *exists)
{
    *exists = picoquic_find_stream(cnx, stream_id) != NULL;
    return !*exists && stream_id < cnx->next_stream_id[STREAM_TYPE_FROM_ID(stream_id)];
}

void aiopq_set_max_connections(picoquic_quic_t *quic, uint32_t max_connections)
{
    quic->max_number_connections = max_connections;
    quic->tentative_max_number_connections = max_connections;
}
