#include "net/picoquic_private.h"

#include <picoquic_internal.h>

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

uint32_t aiopq_negotiated_version(picoquic_cnx_t *cnx)
{
    return picoquic_supported_versions[cnx->version_index].version;
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
