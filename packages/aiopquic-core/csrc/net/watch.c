#include "net/watch.h"

#include <stdlib.h>

#include "net/events_out.h"
#include "net/picoquic_private.h"

static void look_at(aiopq_conn_t *conn);

void aiopq_watch_enter(aiopq_conn_t *conn)
{
    aiopq_watch_t *watch = &conn->watch;
    if (watch->previous == NULL) {
        watch->next = conn->engine->watched;
        if (watch->next != NULL) {
            watch->next->watch.previous = &watch->next;
        }
        watch->previous = &conn->engine->watched;
        conn->engine->watched = conn;
    }
}

static void leave(aiopq_conn_t *conn)
{
    aiopq_watch_t *watch = &conn->watch;
    if (watch->previous != NULL) {
        *watch->previous = watch->next;
        if (watch->next != NULL) {
            watch->next->watch.previous = watch->previous;
        }
        watch->next = NULL;
        watch->previous = NULL;
    }
}

/* ---- stream credit ---- */

static void look_at_streams(aiopq_conn_t *conn)
{
    aiopq_watch_t *watch = &conn->watch;
    uint64_t max_bidi = aiopq_max_streams_remote(conn->cnx, false);
    uint64_t max_uni = aiopq_max_streams_remote(conn->cnx, true);
    if (max_bidi <= watch->known_bidi && max_uni <= watch->known_uni) {
        if (conn->is_ready) {
            /* RFC 9000 section 4.6: some peers grant more only when they are told. A larger number than the
             * limit says that nobody waits for that kind. */
            if (max_bidi == watch->known_bidi) {
                aiopq_tell_streams_blocked(conn->cnx, false);
            }
            if (max_uni == watch->known_uni) {
                aiopq_tell_streams_blocked(conn->cnx, true);
            }
        }
        return;
    }
    aiopq_stream_limits_t *limits = malloc(sizeof(*limits));
    if (limits != NULL) { /* else at the next turn */
        limits->max_bidi = max_bidi;
        limits->max_uni = max_uni;
        watch->wants_streams = false;
        aiopq_emit(conn->engine, AIOPQ_EVENT_CONN_STREAMS, conn, NULL, 0, limits);
    }
}

void aiopq_watch_streams(aiopq_conn_t *conn, uint64_t known_bidi, uint64_t known_uni)
{
    conn->watch.wants_streams = true;
    conn->watch.known_bidi = known_bidi;
    conn->watch.known_uni = known_uni;
    aiopq_watch_enter(conn);
    look_at(conn);
}

/* ---- pings ---- */

static void look_at_pings(aiopq_conn_t *conn)
{
    aiopq_watch_t *watch = &conn->watch;
    for (aiopq_ping_t *ping = watch->pings; ping != NULL && conn->is_ready; ping = ping->next) {
        if (!ping->is_queued) {
            ping->packet = aiopq_next_packet(conn->cnx, conn->engine->now_us);
            ping->key_phases = aiopq_key_phases(conn->cnx);
            ping->is_queued = aiopq_queue_ping(conn->cnx); /* else, without memory, at the next turn */
        }
    }
    while (watch->pings != NULL && watch->pings->is_queued &&
           aiopq_is_packet_acked(conn->cnx, watch->pings->packet)) {
        aiopq_ping_t *ping = watch->pings;
        if (ping->updates_keys &&
            (ping->key_phases != aiopq_key_phases(conn->cnx) || !aiopq_update_keys(conn->cnx))) {
            ping->is_queued = false; /* what was acknowledged had other keys: once more */
            aiopq_wake_connection(conn->cnx, conn->engine->now_us);
            break;
        }
        watch->pings = ping->next;
        if (ping->updates_keys) {
            aiopq_emit_answer(conn, ping->uid, true);
        } else {
            aiopq_emit(conn->engine, AIOPQ_EVENT_CONN_PING_ACKED, conn, NULL, ping->uid, NULL);
        }
        free(ping);
    }
}

void aiopq_watch_ping(aiopq_conn_t *conn, aiopq_ping_t *ping)
{
    aiopq_ping_t **end = &conn->watch.pings;
    while (*end != NULL) { /* AIOPQ_PINGS_MAX at most */
        end = &(*end)->next;
    }
    *end = ping;
    aiopq_watch_enter(conn);
    look_at(conn);
}

/* ---- acknowledged streams ---- */

/* True when there is nothing left to wait for. */
static bool look_at_acked(aiopq_stream_t *stream)
{
    uint64_t target = stream->acked_wanted;
    if (!aiopq_is_stream_acked_up_to(stream->conn->cnx, stream->id, aiopq_acked_length(target))) {
        return false;
    }
    aiopq_watch_forget_stream(stream);
    aiopq_emit(stream->conn->engine, AIOPQ_EVENT_STREAM_ACKED, stream->conn, stream, target, NULL);
    return true;
}

void aiopq_watch_acked(aiopq_stream_t *stream, uint64_t target)
{
    if (stream->previous == NULL || stream->is_send_dropped) {
        return;
    }
    aiopq_watch_t *watch = &stream->conn->watch;
    if (stream->previous_watched == NULL) {
        stream->next_watched = watch->streams;
        if (stream->next_watched != NULL) {
            stream->next_watched->previous_watched = &stream->next_watched;
        }
        stream->previous_watched = &watch->streams;
        watch->streams = stream;
    }
    stream->acked_wanted = target;
    if (!look_at_acked(stream)) {
        aiopq_watch_enter(stream->conn);
    }
}

void aiopq_watch_stream_over(aiopq_stream_t *stream)
{
    if (stream->previous_watched != NULL && !look_at_acked(stream)) {
        aiopq_watch_forget_stream(stream);
    }
}

void aiopq_watch_forget_stream(aiopq_stream_t *stream)
{
    if (stream->previous_watched != NULL) {
        *stream->previous_watched = stream->next_watched;
        if (stream->next_watched != NULL) {
            stream->next_watched->previous_watched = stream->previous_watched;
        }
        stream->next_watched = NULL;
        stream->previous_watched = NULL;
    }
}

/* ---- all of them ---- */

static void look_at(aiopq_conn_t *conn)
{
    aiopq_watch_t *watch = &conn->watch;
    if (watch->wants_streams) {
        look_at_streams(conn);
    }
    look_at_pings(conn);
    for (aiopq_stream_t *stream = watch->streams, *following; stream != NULL; stream = following) {
        following = stream->next_watched;
        (void)look_at_acked(stream);
    }
    bool has_paths = aiopq_paths_look(conn);
    if (!watch->wants_streams && watch->pings == NULL && watch->streams == NULL && !has_paths) {
        leave(conn);
    }
}

void aiopq_watch_look(aiopq_engine_t *engine)
{
    for (aiopq_conn_t *conn = engine->watched, *following; conn != NULL; conn = following) {
        following = conn->watch.next;
        look_at(conn);
    }
}

void aiopq_watch_forget(aiopq_conn_t *conn)
{
    aiopq_watch_t *watch = &conn->watch;
    watch->wants_streams = false;
    aiopq_paths_forget(conn);
    while (watch->pings != NULL) {
        aiopq_ping_t *ping = watch->pings;
        watch->pings = ping->next;
        free(ping);
    }
    while (watch->streams != NULL) {
        aiopq_watch_forget_stream(watch->streams);
    }
    leave(conn);
}
