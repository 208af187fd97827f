/* Connections as the loop thread uses them. */
#include <stdlib.h>
#include <string.h>

#include "net/objects.h"

/* One block for the request and its strings, freed with the connection. */
static aiopq_connect_request_t *new_request(const aiopq_connect_args_t *args)
{
    size_t size = 0, count = 0;
    for (; args->alpn != NULL && args->alpn[count] != NULL; count++) {
        size += strlen(args->alpn[count]) + 1;
    }
    size_t name_size = args->server_name != NULL ? strlen(args->server_name) + 1 : 0;
    aiopq_connect_request_t *request = calloc(1, sizeof(*request) + size + name_size);
    if (request != NULL) {
        char *cursor = request->strings;
        for (size_t i = 0; i < count; i++) {
            size_t length = strlen(args->alpn[i]) + 1;
            memcpy(cursor, args->alpn[i], length);
            cursor += length;
        }
        if (args->server_name != NULL) {
            memcpy(cursor, args->server_name, name_size);
            request->server_name = cursor;
        }
        request->address = args->address;
        request->alpn_count = count;
        request->version = args->version;
    }
    return request;
}

static bool args_are_valid(const aiopq_connect_args_t *args)
{
    if (args->address.ss_family != AF_INET && args->address.ss_family != AF_INET6) {
        return false;
    }
    if (args->server_name != NULL && strlen(args->server_name) > AIOPQ_SERVER_NAME_MAX) {
        return false;
    }
    size_t count = 0;
    for (; args->alpn != NULL && args->alpn[count] != NULL; count++) {
        size_t length = strlen(args->alpn[count]);
        if (length == 0 || length > AIOPQ_ALPN_MAX || count >= AIOPQ_ALPN_COUNT_MAX) {
            return false;
        }
    }
    return count > 0; /* RFC 9001 section 8.1: QUIC does not go without */
}

aiopq_status_t aiopq_conn_open(aiopq_engine_t *engine, const aiopq_connect_args_t *args,
                               aiopq_conn_t **result)
{
    *result = NULL;
    if (!args_are_valid(args)) {
        return AIOPQ_INVALID;
    }
    if (engine->was_stopped) {
        return AIOPQ_CLOSED;
    }
    aiopq_conn_t *conn = aiopq_conn_new(engine, true);
    if (conn == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    conn->request = new_request(args);
    aiopq_status_t status = AIOPQ_NO_MEMORY;
    if (conn->request != NULL) {
        aiopq_conn_ref(conn); /* the network thread's, dropped by aiopq_conn_detach() or a failed connect */
        status = aiopq_command_post(engine, &(aiopq_command_t){.type = AIOPQ_COMMAND_CONNECT, .conn = conn});
        if (status != AIOPQ_OK) {
            aiopq_conn_unref(conn);
        }
    }
    if (status != AIOPQ_OK) {
        aiopq_conn_unref(conn);
        return status;
    }
    *result = conn;
    return AIOPQ_OK;
}

static aiopq_status_t post_close(aiopq_conn_t *conn, uint64_t error_code, uint64_t frame_type,
                                 const char *reason, size_t reason_length)
{
    if (reason_length > AIOPQ_REASON_MAX) {
        return AIOPQ_INVALID;
    }
    if (conn->is_close_requested || atomic_load_explicit(&conn->is_closed, memory_order_acquire)) {
        return AIOPQ_OK;
    }
    aiopq_close_request_t *request = NULL;
    if (reason_length > 0 || frame_type != AIOPQ_NO_FRAME) {
        request = malloc(sizeof(*request));
        if (request == NULL) {
            return AIOPQ_NO_MEMORY;
        }
        if (reason_length > 0) {
            memcpy(request->reason, reason, reason_length);
        }
        request->length = reason_length;
        request->frame_type = frame_type;
    }
    aiopq_command_t command = {
        .type = AIOPQ_COMMAND_CLOSE, .conn = conn, .value = error_code, .detail = request};
    aiopq_status_t status = aiopq_command_post(conn->engine, &command);
    if (status != AIOPQ_OK) {
        free(request);
        return status;
    }
    conn->is_close_requested = true;
    return AIOPQ_OK;
}

aiopq_status_t aiopq_conn_close(aiopq_conn_t *conn, uint64_t error_code, const char *reason,
                                size_t reason_length)
{
    if (error_code >= (1ull << 62)) {
        return AIOPQ_INVALID;
    }
    return post_close(conn, error_code, AIOPQ_NO_FRAME, reason, reason_length);
}

aiopq_status_t aiopq_conn_close_transport(aiopq_conn_t *conn, uint64_t error_code, uint64_t frame_type,
                                          const char *reason, size_t reason_length)
{
    if (error_code == 0 || error_code > AIOPQ_TRANSPORT_ERROR_MAX || frame_type >= (1ull << 62)) {
        return AIOPQ_INVALID;
    }
    return post_close(conn, error_code, frame_type, reason, reason_length);
}

aiopq_status_t aiopq_conn_request_stats(aiopq_conn_t *conn, uint64_t request)
{
    if (atomic_load_explicit(&conn->is_closed, memory_order_acquire)) {
        return AIOPQ_CLOSED;
    }
    aiopq_command_t command = {.type = AIOPQ_COMMAND_STATS, .conn = conn, .value = request};
    return aiopq_command_post(conn->engine, &command);
}

aiopq_status_t aiopq_conn_want_streams(aiopq_conn_t *conn, uint64_t known_bidi, uint64_t known_uni)
{
    if (atomic_load_explicit(&conn->is_closed, memory_order_acquire)) {
        return AIOPQ_CLOSED;
    }
    aiopq_streams_wish_t *wish = malloc(sizeof(*wish));
    if (wish == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    wish->known_bidi = known_bidi;
    wish->known_uni = known_uni;
    aiopq_command_t command = {.type = AIOPQ_COMMAND_WATCH_STREAMS, .conn = conn, .detail = wish};
    aiopq_status_t status = aiopq_command_post(conn->engine, &command);
    if (status != AIOPQ_OK) {
        free(wish);
    }
    return status;
}

aiopq_status_t aiopq_conn_ping(aiopq_conn_t *conn, uint64_t uid)
{
    if (atomic_load_explicit(&conn->is_closed, memory_order_acquire)) {
        return AIOPQ_CLOSED;
    }
    if (conn->pings_waiting >= AIOPQ_PINGS_MAX) {
        return AIOPQ_WOULD_BLOCK;
    }
    aiopq_ping_t *ping = calloc(1, sizeof(*ping));
    if (ping == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    ping->uid = uid;
    aiopq_command_t command = {.type = AIOPQ_COMMAND_PING, .conn = conn, .detail = ping};
    aiopq_status_t status = aiopq_command_post(conn->engine, &command);
    if (status == AIOPQ_OK) {
        conn->pings_waiting++;
    } else {
        free(ping);
    }
    return status;
}

aiopq_status_t aiopq_conn_protocol_command(aiopq_conn_t *conn, int32_t kind, uint64_t uid,
                                           const uint8_t *data, size_t length)
{
    if (atomic_load_explicit(&conn->is_closed, memory_order_acquire)) {
        return AIOPQ_CLOSED;
    }
    aiopq_protocol_message_t *message = aiopq_protocol_message_new(kind, uid, data, length);
    if (message == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    aiopq_command_t command = {.type = AIOPQ_COMMAND_PROTOCOL, .conn = conn, .detail = message};
    aiopq_status_t status = aiopq_command_post(conn->engine, &command);
    if (status != AIOPQ_OK) {
        free(message);
    }
    return status;
}

bool aiopq_conn_want_writable(aiopq_conn_t *conn)
{
    /* Sequentially consistent, as in aiopq_account_sent(): either the network thread sees the wish, or we see the
     * room it made. */
    atomic_store(&conn->wants_writable, true);
    if (atomic_load(&conn->send_queued) <= conn->engine->config.send_budget_conn / 2) {
        return !atomic_exchange(&conn->wants_writable, false);
    }
    return true;
}
