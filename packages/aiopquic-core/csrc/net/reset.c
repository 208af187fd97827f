#include "net/reset.h"

#include "net/callbacks.h"
#include "net/flow_control.h"
#include "net/objects.h"
#include "net/picoquic_private.h"
#include "net/send_budget.h"

static void reset_now(aiopq_stream_t *stream, uint64_t error_code, uint64_t reliable)
{
    picoquic_cnx_t *cnx = stream->conn->cnx;
    aiopq_stream_end_sending(stream);
    (void)picoquic_reset_stream_at(cnx, stream->id, error_code, reliable);
    (void)picoquic_set_app_stream_ctx(cnx, stream->id, stream); /* picoquic_reset_stream_at() forgets it */
}

void aiopq_reset_sending(aiopq_stream_t *stream, uint64_t error_code, uint64_t reliable)
{
    picoquic_cnx_t *cnx = stream->conn->cnx;
    uint64_t sent = atomic_load_explicit(&stream->sent, memory_order_relaxed);
    if (stream->reset.is_due) {
        return;
    }
    if (!aiopq_knows_reset_stream_at(cnx)) {
        reliable = 0;
    }
    if (reliable <= sent || stream->is_send_over) {
        reset_now(stream, error_code, reliable < sent ? reliable : sent);
        return;
    }
    stream->reset.is_due = true;
    stream->reset.error_code = error_code;
    stream->reset.size = reliable;
    (void)picoquic_mark_active_stream_v2(cnx, stream->id, 1);
}

void aiopq_stop_receiving(aiopq_stream_t *stream, uint64_t error_code)
{
    picoquic_cnx_t *cnx = stream->conn->cnx;
    aiopq_flow_close(stream);
    (void)picoquic_stop_sending(cnx, stream->id, error_code);
    (void)picoquic_set_app_stream_ctx(cnx, stream->id, stream); /* picoquic_stop_sending() forgets it */
}

int aiopq_reset_prepare(aiopq_stream_t *stream, void *context, size_t space)
{
    aiopq_engine_t *engine = stream->conn->engine;
    uint64_t left = stream->reset.size - atomic_load_explicit(&stream->sent, memory_order_relaxed);
    size_t length = left < space ? (size_t)left : space;
    /* The command came behind the bytes, so all of them are there. */
    if (aiopq_byte_queue_gather(&stream->send, length) < length) {
        return -1;
    }
    uint8_t *buffer = picoquic_provide_stream_data_buffer(context, length, 0, length < left);
    if (buffer == NULL && length > 0) {
        return -1;
    }
    aiopq_byte_queue_read(&stream->send, buffer, length);
    aiopq_account_sent(stream, length);
    if (length == left && !stream->reset.is_listed) {
        aiopq_stream_ref(stream);
        stream->reset.is_listed = true;
        stream->reset.next = engine->resetting;
        engine->resetting = stream;
    }
    return 0;
}

void aiopq_resets_finish(aiopq_engine_t *engine)
{
    while (engine->resetting != NULL) {
        aiopq_stream_t *stream = engine->resetting;
        engine->resetting = stream->reset.next;
        /* Unless the peer has stopped it or the connection ended in the same turn. */
        if (stream->previous != NULL && !stream->is_send_over) {
            reset_now(stream, stream->reset.error_code, stream->reset.size);
        }
        aiopq_stream_unref(stream);
    }
}
