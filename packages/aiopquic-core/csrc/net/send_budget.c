#include "net/send_budget.h"

#include "net/events_out.h"

static void tell_if_room(aiopq_stream_t *stream, uint64_t conn_queued)
{
    aiopq_conn_t *conn = stream->conn;
    /* STREAM_RELEASED is the last event of a stream: whoever waits is woken by it. */
    bool is_released = stream->is_known && stream->previous == NULL;
    if (is_released || !atomic_load(&stream->wants_writable)) {
        return;
    }
    uint64_t queued = atomic_load_explicit(&stream->written, memory_order_acquire) -
                      atomic_load_explicit(&stream->sent, memory_order_relaxed);
    if (aiopq_stream_has_room_again(&conn->engine->config, queued, conn_queued) &&
        atomic_exchange(&stream->wants_writable, false)) {
        aiopq_emit(conn->engine, AIOPQ_EVENT_STREAM_WRITABLE, conn, stream, 0, NULL);
    }
}

void aiopq_tell_writable(aiopq_stream_t *stream)
{
    tell_if_room(stream, atomic_load(&stream->conn->send_queued));
}

/* The connection has room again: so have streams that had none but for that. */
static void tell_streams(aiopq_conn_t *conn, uint64_t conn_queued)
{
    /* Cleared first: a wish that comes from here on sets it again. */
    if (atomic_exchange(&conn->streams_want_writable, false)) {
        bool is_one_left = false;
        for (aiopq_stream_t *stream = conn->streams; stream != NULL; stream = stream->next) {
            tell_if_room(stream, conn_queued);
            is_one_left |= atomic_load(&stream->wants_writable);
        }
        if (is_one_left) {
            atomic_store(&conn->streams_want_writable, true);
        }
    }
}

/* Lent bytes go back in the drains that events bring about, for a wake-up of its own would cost more than the copy that
 * was saved. Behind the last bytes of a stream there may be no event: nothing is held by a stream that is at rest. */
static void ask_to_release(aiopq_stream_t *stream)
{
    aiopq_engine_t *engine = stream->conn->engine;
    if (aiopq_returns_wait(&engine->returns)) {
        /* Below zero when the writer has not counted them yet. */
        uint64_t left = atomic_load_explicit(&stream->written, memory_order_relaxed) -
                        atomic_load_explicit(&stream->sent, memory_order_relaxed);
        engine->are_returns_due |= (int64_t)left <= 0;
    }
}

void aiopq_account_sent(aiopq_stream_t *stream, uint64_t length)
{
    aiopq_conn_t *conn = stream->conn;
    uint64_t budget = conn->engine->config.send_budget_conn;
    /* Sequentially consistent, as in aiopq_stream_want_writable(): either we see its wish here, or it sees
     * the room there. */
    atomic_store(&stream->sent, atomic_load_explicit(&stream->sent, memory_order_relaxed) + length);
    uint64_t before = atomic_fetch_sub(&conn->send_queued, length), after = before - length;
    ask_to_release(stream);
    tell_if_room(stream, after);
    if (!aiopq_has_room_again(after, budget)) {
        return;
    }
    /* Whoever found no room waits for this moment. Only this thread takes away, so none is missed. */
    if (!aiopq_has_room_again(before, budget)) {
        tell_streams(conn, after);
    }
    if (atomic_load(&conn->wants_writable) && atomic_exchange(&conn->wants_writable, false)) {
        aiopq_emit(conn->engine, AIOPQ_EVENT_CONN_WRITABLE, conn, NULL, 0, NULL);
    }
}
