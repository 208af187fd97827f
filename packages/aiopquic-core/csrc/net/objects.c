#include "net/objects.h"

#include <stdlib.h>
#include <string.h>

#include "base/live.h"

/* Handles are serial numbers: none is ever given twice, so a stale one can't name a newer object. */
static _Atomic uint64_t next_handle = 1;

static uint64_t new_handle(void)
{
    return atomic_fetch_add_explicit(&next_handle, 1, memory_order_relaxed);
}

aiopq_conn_t *aiopq_conn_new(aiopq_engine_t *engine, bool is_client)
{
    aiopq_conn_t *conn = calloc(1, sizeof(*conn));
    if (conn != NULL) {
        atomic_init(&conn->refs, 1);
        conn->engine = engine;
        conn->handle = new_handle();
        conn->is_client = is_client;
        aiopq_live_add(AIOPQ_LIVE_CONN, 1);
    }
    return conn;
}

void aiopq_conn_ref(aiopq_conn_t *conn)
{
    atomic_fetch_add_explicit(&conn->refs, 1, memory_order_relaxed);
}

void aiopq_conn_unref(aiopq_conn_t *conn)
{
    /* Release, then acquire by the last one: whatever other holders wrote is done before the free. */
    if (conn != NULL && atomic_fetch_sub_explicit(&conn->refs, 1, memory_order_acq_rel) == 1) {
        free(conn->request);
        free(conn->close_reason);
        free(conn->verify_detail);
        free(conn->peer_certificates);
        aiopq_datagrams_dispose(&conn->datagrams);
        free(conn);
        aiopq_live_add(AIOPQ_LIVE_CONN, -1);
    }
}

uint64_t aiopq_conn_handle(const aiopq_conn_t *conn)
{
    return conn->handle;
}

bool aiopq_conn_is_client(const aiopq_conn_t *conn)
{
    return conn->is_client;
}

void *aiopq_conn_owner(const aiopq_conn_t *conn)
{
    return conn->owner;
}

void aiopq_conn_set_owner(aiopq_conn_t *conn, void *owner)
{
    conn->owner = owner;
}

uint64_t aiopq_conn_send_queued(const aiopq_conn_t *conn)
{
    return atomic_load_explicit(&conn->send_queued, memory_order_acquire);
}

aiopq_stream_t *aiopq_stream_create(aiopq_conn_t *conn, uint64_t stream_id)
{
    aiopq_stream_t *stream = calloc(1, sizeof(*stream));
    if (stream != NULL) {
        atomic_init(&stream->refs, 1);
        aiopq_conn_ref(conn);
        stream->conn = conn;
        stream->id = stream_id;
        stream->handle = new_handle();
        stream->scope = AIOPQ_NO_SCOPE;
        aiopq_byte_queue_init(&stream->send);
        aiopq_byte_queue_init(&stream->receive);
        uint64_t window = conn->engine->config.initial_stream_window;
        bool is_ours = aiopq_stream_is_ours(conn, stream_id);
        if (aiopq_stream_is_unidirectional(stream_id)) {
            stream->send_state = is_ours ? AIOPQ_OK : AIOPQ_WRONG_DIRECTION;
            stream->is_send_over = !is_ours;
            stream->is_receive_over = is_ours;
            window = is_ours ? 0 : window;
        }
        atomic_init(&stream->window, window);
        stream->granted = window;
        aiopq_live_add(AIOPQ_LIVE_STREAM, 1);
    }
    return stream;
}

void aiopq_stream_ref(aiopq_stream_t *stream)
{
    atomic_fetch_add_explicit(&stream->refs, 1, memory_order_relaxed);
}

void aiopq_stream_unref(aiopq_stream_t *stream)
{
    if (stream != NULL && atomic_fetch_sub_explicit(&stream->refs, 1, memory_order_acq_rel) == 1) {
        aiopq_byte_queue_dispose(&stream->send);
        aiopq_byte_queue_dispose(&stream->receive);
        free(stream->claiming);
        aiopq_conn_unref(stream->conn);
        free(stream);
        aiopq_live_add(AIOPQ_LIVE_STREAM, -1);
    }
}

uint64_t aiopq_stream_id(const aiopq_stream_t *stream)
{
    return stream->id;
}

uint64_t aiopq_stream_scope(const aiopq_stream_t *stream)
{
    return stream->scope;
}

uint64_t aiopq_stream_handle(const aiopq_stream_t *stream)
{
    return stream->handle;
}

aiopq_conn_t *aiopq_stream_conn(const aiopq_stream_t *stream)
{
    return stream->conn;
}

void *aiopq_stream_owner(const aiopq_stream_t *stream)
{
    return stream->owner;
}

void aiopq_stream_set_owner(aiopq_stream_t *stream, void *owner)
{
    stream->owner = owner;
}
