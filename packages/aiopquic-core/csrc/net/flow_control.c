#include "net/flow_control.h"

#include "net/picoquic_private.h"

/* A window that is used up faster than this many round trips holds its sender back, and doubles. */
#define GROWTH_ROUND_TRIPS 4
/* Lets a stream on a path of microseconds grow too: a reader's turns are not shorter than this. */
#define GROWTH_MIN_US 2000

void aiopq_flow_open(aiopq_stream_t *stream)
{
    if (!stream->is_receive_over) {
        stream->conn->window_granted += atomic_load_explicit(&stream->window, memory_order_relaxed);
        stream->window_epoch_us = stream->conn->engine->now_us;
        (void)picoquic_set_app_flow_control(stream->conn->cnx, stream->id, 1);
    }
}

void aiopq_flow_close(aiopq_stream_t *stream)
{
    if (!stream->is_receive_over) {
        stream->is_receive_over = true;
        stream->conn->window_granted -= atomic_load_explicit(&stream->window, memory_order_relaxed);
    }
}

/* Doubles the window when the peer had to wait for it, within the stream's and the connection's limits. */
static uint64_t grow_window(aiopq_stream_t *stream, uint64_t window, uint64_t consumed)
{
    aiopq_conn_t *conn = stream->conn;
    const aiopq_config_t *config = &conn->engine->config;
    if (consumed - stream->window_epoch_consumed < window / 2) {
        return window;
    }
    uint64_t elapsed = conn->engine->now_us - stream->window_epoch_us;
    uint64_t limit = GROWTH_ROUND_TRIPS * aiopq_smoothed_rtt_us(conn->cnx);
    stream->window_epoch_us = conn->engine->now_us;
    stream->window_epoch_consumed = consumed;
    if (elapsed > (limit > GROWTH_MIN_US ? limit : GROWTH_MIN_US)) {
        return window;
    }
    uint64_t grown = 2 * window < config->max_stream_data ? 2 * window : config->max_stream_data;
    uint64_t spare = config->max_data > conn->window_granted ? config->max_data - conn->window_granted : 0;
    if (grown > window + spare) {
        grown = window + spare;
    }
    conn->window_granted += grown - window;
    atomic_store_explicit(&stream->window, grown, memory_order_relaxed);
    return grown;
}

void aiopq_flow_grant(aiopq_stream_t *stream)
{
    aiopq_conn_t *conn = stream->conn;
    if (stream->is_receive_over || conn->cnx == NULL) {
        return;
    }
    uint64_t consumed = atomic_load_explicit(&stream->consumed, memory_order_acquire);
    uint64_t window =
        grow_window(stream, atomic_load_explicit(&stream->window, memory_order_relaxed), consumed);
    uint64_t limit = consumed + window;
    /* A quarter of a window at a time: four frames a window at most, and the peer never runs dry. */
    if (limit < stream->granted + window / 4) {
        return;
    }
    if (!conn->is_ready) {
        conn->has_deferred_credit = true;
        return;
    }
    /* picoquic counts from what it delivered to us. */
    if (picoquic_open_flow_control(conn->cnx, stream->id, limit - stream->received) == 0) {
        stream->granted = limit;
    }
}

static void update_held(aiopq_conn_t *conn)
{
    aiopq_set_held_bytes(conn->cnx,
                         conn->received - atomic_load_explicit(&conn->consumed, memory_order_acquire));
}

void aiopq_flow_conn_received(aiopq_conn_t *conn, uint64_t length)
{
    conn->received += length;
    update_held(conn);
}

void aiopq_flow_conn_consumed(aiopq_conn_t *conn)
{
    if (conn->cnx != NULL) {
        update_held(conn);
        aiopq_wake_connection(conn->cnx, conn->engine->now_us);
    }
}

void aiopq_flow_conn_ready(aiopq_conn_t *conn)
{
    if (conn->has_deferred_credit) {
        conn->has_deferred_credit = false;
        for (aiopq_stream_t *stream = conn->streams; stream != NULL; stream = stream->next) {
            aiopq_flow_grant(stream);
        }
    }
}
