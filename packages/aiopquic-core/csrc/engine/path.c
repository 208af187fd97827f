/* Paths as the loop thread asks for them. */
#include "aiopquic/path.h"

#include <stdlib.h>

#include "net/objects.h"

static bool is_closed(const aiopq_conn_t *conn)
{
    return atomic_load_explicit(&conn->is_closed, memory_order_acquire);
}

aiopq_status_t aiopq_conn_request_path(aiopq_conn_t *conn, const aiopq_path_request_t *request)
{
    bool is_probe = request->wish == AIOPQ_PATH_MIGRATE || request->wish == AIOPQ_PATH_ADD;
    if (is_probe && (!conn->is_client || request->request == 0)) {
        return AIOPQ_INVALID; /* RFC 9000 section 9: servers stay where they are */
    }
    if (is_closed(conn)) {
        return AIOPQ_CLOSED;
    }
    aiopq_path_request_t *copy = malloc(sizeof(*copy));
    if (copy == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    *copy = *request;
    aiopq_status_t status = aiopq_command_post(
        conn->engine, &(aiopq_command_t){.type = AIOPQ_COMMAND_PATH, .conn = conn, .detail = copy});
    if (status != AIOPQ_OK) {
        free(copy);
    }
    return status;
}

aiopq_status_t aiopq_stream_set_path(aiopq_stream_t *stream, uint64_t path_id)
{
    if (is_closed(stream->conn)) {
        return AIOPQ_CLOSED;
    }
    return aiopq_command_post(stream->conn->engine, &(aiopq_command_t){.type = AIOPQ_COMMAND_STREAM_PATH,
                                                                       .conn = stream->conn,
                                                                       .stream = stream,
                                                                       .value = path_id});
}
