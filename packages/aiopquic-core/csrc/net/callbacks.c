#include "net/callbacks.h"

#include "net/protocol.h"
#include "net/stream_credit.h"

/* picoquic calls this on the network thread for every event of a connection. It decides nothing: each
 * aiopq_on_* function owns one event. With the fate of a datagram comes its sending time in place of a
 * stream id, with what happens to a path its id. An answer that is not zero closes the connection with INTERNAL_ERROR. */
static int dispatch(aiopq_conn_t *conn, aiopq_stream_t *stream, uint64_t stream_id, uint8_t *bytes,
                    size_t length, picoquic_call_back_event_t event)
{
    switch (event) {
    case picoquic_callback_stream_data:
        return aiopq_stream_receive(conn, stream, bytes, length, false);
    case picoquic_callback_stream_fin:
        return aiopq_stream_receive(conn, stream, bytes, length, true);
    case picoquic_callback_stream_reset:
        return aiopq_on_stream_reset(conn, stream);
    case picoquic_callback_stop_sending:
        return aiopq_on_stop_sending(conn, stream);
    case picoquic_callback_prepare_to_send:
        return aiopq_on_prepare_to_send(conn, stream, bytes, length);
    case picoquic_callback_stream_released:
        return aiopq_on_stream_released(conn, stream);
    case picoquic_callback_datagram:
        return aiopq_on_datagram(conn, bytes, length);
    case picoquic_callback_prepare_datagram:
        return aiopq_on_prepare_datagram(conn, bytes, length);
    case picoquic_callback_datagram_acked:
    case picoquic_callback_datagram_spurious:
        return aiopq_on_datagram_acked(conn, stream_id, bytes, length,
                                       event == picoquic_callback_datagram_spurious);
    case picoquic_callback_datagram_lost:
        return aiopq_on_datagram_lost(conn, stream_id, bytes, length);
    case picoquic_callback_request_alpn_list:
        return aiopq_on_request_alpn(conn, bytes);
    case picoquic_callback_ready:
        return aiopq_on_conn_ready(conn);
    case picoquic_callback_local_cnxid_issued:
        aiopq_on_connection_id(conn, AIOPQ_EVENT_CONN_ID_ISSUED, bytes, length);
        return 0;
    case picoquic_callback_local_cnxid_retired:
        aiopq_on_connection_id(conn, AIOPQ_EVENT_CONN_ID_RETIRED, bytes, length);
        return 0;
    case picoquic_callback_path_available:
        aiopq_on_path(conn, stream_id, AIOPQ_PATH_AVAILABLE);
        return 0;
    case picoquic_callback_path_suspended:
        aiopq_on_path(conn, stream_id, AIOPQ_PATH_SUSPENDED);
        return 0;
    case picoquic_callback_path_deleted:
        aiopq_on_path(conn, stream_id, AIOPQ_PATH_DELETED);
        return 0;
    case picoquic_callback_path_quality_changed:
        aiopq_on_path(conn, stream_id, AIOPQ_PATH_QUALITY);
        return 0;
    case picoquic_callback_stateless_reset:
    case picoquic_callback_application_close:
    case picoquic_callback_close:
    case picoquic_callback_version_negotiation:
        aiopq_on_conn_closed(conn, event);
        return 0;
    default:
        return 0;
    }
}

static bool is_stream_event(picoquic_call_back_event_t event)
{
    return event == picoquic_callback_stream_data || event == picoquic_callback_stream_fin ||
           event == picoquic_callback_stream_reset || event == picoquic_callback_stop_sending;
}

int aiopq_conn_callback(picoquic_cnx_t *cnx, uint64_t stream_id, uint8_t *bytes, size_t length,
                        picoquic_call_back_event_t event, void *conn_ptr, void *stream_ptr)
{
    aiopq_conn_t *conn = conn_ptr;
    aiopq_stream_t *stream = stream_ptr;
    if (conn == NULL) {
        /* Behind aiopq_conn_detach(): frames that follow a CONNECTION_CLOSE in its packet, and the end of the
         * draining period. */
        if (event == picoquic_callback_close && picoquic_is_client(cnx)) {
            aiopq_client_ended(picoquic_get_default_callback_context(picoquic_get_quic_ctx(cnx)), cnx);
        }
        return 0;
    }
    if (stream == NULL && is_stream_event(event)) {
        if (conn->is_announced) {
            return 0;
        }
        stream = aiopq_stream_create(conn, stream_id);
        if (stream == NULL) {
            return -1;
        }
        if (aiopq_protocol_decide(conn)) {
            stream->role = AIOPQ_ROLE_UNCLAIMED;
        }
        aiopq_stream_attach(stream);
        aiopq_stream_unref(stream); /* the connection's list holds it now */
        aiopq_credit_stream_opened(conn, stream_id);
    }
    if (stream != NULL && stream->role != AIOPQ_ROLE_APPLICATION) {
        return aiopq_protocol_dispatch(conn, stream, bytes, length, event);
    }
    return dispatch(conn, stream, stream_id, bytes, length, event);
}

aiopq_conn_t *aiopq_conn_of(picoquic_cnx_t *cnx)
{
    if (picoquic_get_callback_function(cnx) == aiopq_conn_callback) {
        return picoquic_get_callback_context(cnx);
    }
    aiopq_conn_t *conn = aiopq_conn_new(picoquic_get_callback_context(cnx), false);
    if (conn != NULL) {
        conn->cnx = cnx; /* the reference of aiopq_conn_new() is the network thread's */
        picoquic_set_callback(cnx, aiopq_conn_callback, conn);
    }
    return conn;
}

int aiopq_server_callback(picoquic_cnx_t *cnx, uint64_t stream_id, uint8_t *bytes, size_t length,
                          picoquic_call_back_event_t event, void *engine_ptr, void *stream_ptr)
{
    (void)engine_ptr; /* aiopq_conn_of() has it from the connection */
    aiopq_conn_t *conn = aiopq_conn_of(cnx);
    if (conn == NULL) {
        return -1;
    }
    return aiopq_conn_callback(cnx, stream_id, bytes, length, event, conn, stream_ptr);
}
