/* What the loop thread asks of a connection and is answered, each with a number of its own. */
#include <stdlib.h>
#include <string.h>

#include "net/objects.h"

static aiopq_status_t post(aiopq_conn_t *conn, aiopq_command_type_t type, uint64_t request, void *detail)
{
    aiopq_command_t command = {.type = type, .conn = conn, .value = request, .detail = detail};
    aiopq_status_t status = aiopq_command_post(conn->engine, &command);
    if (status != AIOPQ_OK) {
        free(detail);
    }
    return status;
}

aiopq_status_t aiopq_conn_export_secret(aiopq_conn_t *conn, uint64_t request, const char *label,
                                        aiopq_bytes_t context, size_t length)
{
    if (atomic_load_explicit(&conn->is_closed, memory_order_acquire)) {
        return AIOPQ_CLOSED;
    }
    size_t label_length = strlen(label);
    if (label_length == 0 || label_length > AIOPQ_EXPORT_LABEL_MAX || length == 0 ||
        length > AIOPQ_EXPORT_MAX) {
        return AIOPQ_INVALID;
    }
    aiopq_export_request_t *wish = malloc(sizeof(*wish) + context.length);
    if (wish == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    memcpy(wish->label, label, label_length + 1);
    wish->length = length;
    wish->context_length = context.length;
    if (context.length > 0) {
        memcpy(wish->context, context.data, context.length);
    }
    return post(conn, AIOPQ_COMMAND_EXPORT, request, wish);
}

aiopq_status_t aiopq_conn_update_keys(aiopq_conn_t *conn, uint64_t request)
{
    if (atomic_load_explicit(&conn->is_closed, memory_order_acquire)) {
        return AIOPQ_CLOSED;
    }
    aiopq_ping_t *ping = calloc(1, sizeof(*ping));
    if (ping == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    ping->uid = request;
    ping->updates_keys = true;
    return post(conn, AIOPQ_COMMAND_PING, 0, ping);
}

aiopq_status_t aiopq_conn_start_qlog(aiopq_conn_t *conn, uint64_t request, const char *folder)
{
    if (atomic_load_explicit(&conn->is_closed, memory_order_acquire)) {
        return AIOPQ_CLOSED;
    }
    char *copy = strdup(folder);
    return copy != NULL ? post(conn, AIOPQ_COMMAND_QLOG_START, request, copy) : AIOPQ_NO_MEMORY;
}

aiopq_status_t aiopq_conn_stop_qlog(aiopq_conn_t *conn, uint64_t request)
{
    if (atomic_load_explicit(&conn->is_closed, memory_order_acquire)) {
        return AIOPQ_CLOSED;
    }
    return post(conn, AIOPQ_COMMAND_QLOG_STOP, request, NULL);
}
