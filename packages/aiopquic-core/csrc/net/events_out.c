#include "net/events_out.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/live.h"

void aiopq_emit(aiopq_engine_t *engine, aiopq_event_type_t type, aiopq_conn_t *conn, aiopq_stream_t *stream,
                uint64_t value, void *detail)
{
    if (conn != NULL && conn->is_announced && type != AIOPQ_EVENT_CONN_CLOSED) {
        free(detail);
        return;
    }
    /* Before the push: the loop thread may be done with the event at once. */
    if (conn != NULL) {
        aiopq_conn_ref(conn);
    }
    if (stream != NULL) {
        aiopq_stream_ref(stream);
    }
    aiopq_live_add(AIOPQ_LIVE_EVENT, 1);
    aiopq_event_t event = {.type = type, .conn = conn, .stream = stream, .value = value, .detail = detail};
    if (!aiopq_spsc_push(&engine->events, &event)) {
        /* An event that is lost leaves somebody waiting for ever; a process without 16 KiB can't go on. */
        fputs("aiopquic: out of memory for events\n", stderr);
        abort();
    }
    engine->events_unsignalled++;
}

void aiopq_emit_answer(aiopq_conn_t *conn, uint64_t request, bool is_done)
{
    aiopq_answer_t *answer = calloc(1, sizeof(*answer));
    if (answer != NULL) {
        answer->is_done = is_done;
    }
    aiopq_emit(conn->engine, AIOPQ_EVENT_CONN_ANSWER, conn, NULL, request, answer);
}

void aiopq_flush_events(aiopq_engine_t *engine)
{
    if (engine->events_unsignalled > 0 || engine->are_returns_due) {
        engine->events_unsignalled = 0;
        engine->are_returns_due = false;
        if (aiopq_waker_signal(&engine->loop_waker)) {
            aiopq_count(&engine->loop_wakes);
        } else {
            aiopq_count(&engine->loop_wakes_saved);
        }
    }
}

void aiopq_event_release(aiopq_event_t *event)
{
    aiopq_stream_unref(event->stream);
    aiopq_conn_unref(event->conn);
    free(event->detail);
    aiopq_live_add(AIOPQ_LIVE_EVENT, -1);
    event->conn = NULL;
    event->stream = NULL;
    event->detail = NULL;
}
