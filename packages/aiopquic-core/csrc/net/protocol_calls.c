/* What a protocol may ask of its connection. */
#include <stdlib.h>
#include <string.h>

#include "base/live.h"
#include "net/callbacks.h"
#include "net/events_out.h"
#include "net/objects.h"
#include "net/picoquic_private.h"

bool aiopq_protocol_is_client(const aiopq_conn_t *conn)
{
    return conn->is_client;
}

void aiopq_protocol_parameters(aiopq_conn_t *conn, bool ours, aiopq_transport_parameters_t *parameters)
{
    memset(parameters, 0, sizeof(*parameters));
    aiopq_copy_parameters(picoquic_get_transport_parameters(conn->cnx, ours), parameters);
}

static bool is_over(const aiopq_conn_t *conn)
{
    return conn->cnx == NULL || conn->is_announced;
}

/* The protocol's stream of that id, NULL when there is none, or it is somebody else's. */
static aiopq_stream_t *own_stream(aiopq_conn_t *conn, uint64_t stream_id)
{
    aiopq_stream_t *stream = is_over(conn) ? NULL : aiopq_stream_context(conn->cnx, stream_id);
    return stream != NULL && stream->role == AIOPQ_ROLE_OWN ? stream : NULL;
}

static aiopq_status_t open_own(aiopq_conn_t *conn, uint64_t stream_id, aiopq_stream_t **stream)
{
    bool exists;
    if (is_over(conn) || aiopq_is_stream_forgotten(conn->cnx, stream_id, &exists)) {
        return AIOPQ_CLOSED;
    }
    /* picoquic makes the streams with lower ids, too, when one is opened: those are nobody's yet. */
    if (!aiopq_stream_is_ours(conn, stream_id) ||
        (exists && aiopq_stream_context(conn->cnx, stream_id) != NULL)) {
        return AIOPQ_INVALID;
    }
    *stream = aiopq_stream_create(conn, stream_id);
    if (*stream == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    aiopq_stream_attach(*stream);
    aiopq_stream_unref(*stream); /* the connection's list holds it now */
    aiopq_protocol_make_own(conn, *stream);
    return AIOPQ_OK;
}

aiopq_status_t aiopq_protocol_send(aiopq_conn_t *conn, uint64_t stream_id, const uint8_t *bytes,
                                   size_t length, bool fin)
{
    aiopq_stream_t *stream = own_stream(conn, stream_id);
    if (stream == NULL) {
        aiopq_status_t status = open_own(conn, stream_id, &stream);
        if (status != AIOPQ_OK) {
            return status;
        }
    }
    return picoquic_add_to_stream_with_ctx(conn->cnx, stream_id, bytes, length, fin, stream) == 0
               ? AIOPQ_OK
               : AIOPQ_STREAM_FINISHED;
}

void aiopq_protocol_reset(aiopq_conn_t *conn, uint64_t stream_id, uint64_t error_code)
{
    aiopq_stream_t *stream = own_stream(conn, stream_id);
    if (stream != NULL) {
        (void)picoquic_reset_stream(conn->cnx, stream_id, error_code);
        (void)picoquic_set_app_stream_ctx(conn->cnx, stream_id,
                                          stream); /* picoquic_reset_stream() forgets it */
    }
}

void aiopq_protocol_stop(aiopq_conn_t *conn, uint64_t stream_id, uint64_t error_code)
{
    aiopq_stream_t *stream = own_stream(conn, stream_id);
    if (stream != NULL) {
        aiopq_stop_receiving(stream, error_code);
    }
}

bool aiopq_protocol_is_stream_over(aiopq_conn_t *conn, uint64_t stream_id)
{
    bool exists;
    return is_over(conn) || aiopq_is_stream_forgotten(conn->cnx, stream_id, &exists);
}

void aiopq_protocol_close(aiopq_conn_t *conn, uint64_t error_code, const char *reason)
{
    if (is_over(conn)) {
        return;
    }
    aiopq_close_info_t info = {
        .kind = AIOPQ_CLOSE_APPLICATION, .error_code = error_code, .frame_type = AIOPQ_NO_FRAME};
    size_t length = strnlen(reason, AIOPQ_REASON_MAX);
    conn->close_reason = strndup(reason, length);
    memcpy(info.reason, reason, length);
    info.reason_length = (uint16_t)length;
    (void)picoquic_close_ex(conn->cnx, error_code, conn->close_reason);
    aiopq_announce_closed(conn, &info);
}

void aiopq_protocol_tell(aiopq_conn_t *conn, int32_t kind, uint64_t uid, const uint8_t *data, size_t length)
{
    aiopq_protocol_message_t *message = aiopq_protocol_message_new(kind, uid, data, length);
    if (message == NULL) {
        /* As for events themselves: one that is lost leaves somebody waiting for ever. */
        aiopq_protocol_close(conn, PICOQUIC_TRANSPORT_INTERNAL_ERROR, "out of memory");
        return;
    }
    aiopq_emit(conn->engine, AIOPQ_EVENT_PROTOCOL, conn, NULL, 0, message);
}

void aiopq_protocol_count_objects(int64_t change)
{
    aiopq_live_add(AIOPQ_LIVE_PROTOCOL, change);
}
