/* One QUIC stream on the network thread: bytes in, bytes out, its end. */
#include "net/callbacks.h"
#include "net/events_out.h"
#include "net/flow_control.h"
#include "net/picoquic_private.h"
#include "net/reset.h"
#include "net/send_budget.h"
#include "net/stream_credit.h"
#include "net/watch.h"

void aiopq_stream_attach(aiopq_stream_t *stream)
{
    aiopq_conn_t *conn = stream->conn;
    aiopq_stream_ref(stream);
    stream->next = conn->streams;
    if (stream->next != NULL) {
        stream->next->previous = &stream->next;
    }
    conn->streams = stream;
    stream->previous = &conn->streams;
    stream->is_known = true;
    (void)picoquic_set_app_stream_ctx(conn->cnx, stream->id, stream);
    aiopq_flow_open(stream);
    aiopq_tell_writable(stream);
}

void aiopq_stream_detach(aiopq_stream_t *stream)
{
    if (stream->previous == NULL) {
        return;
    }
    *stream->previous = stream->next;
    if (stream->next != NULL) {
        stream->next->previous = stream->previous;
    }
    stream->previous = NULL;
    stream->next = NULL;
    aiopq_stream_end_sending(stream);
    aiopq_flow_close(stream);
    aiopq_stream_unref(stream);
}

/* Bytes that wait to be sent from which on trying larger packets pays: about where picoquic sees it for its own. */
#define PMTUD_PAYS_BYTES (256u * 1024)

void aiopq_stream_end_sending(aiopq_stream_t *stream)
{
    stream->is_send_over = true;
    stream->is_send_dropped = true;
    aiopq_watch_forget_stream(stream);
    /* Whatever is written from now on comes with a command, which leads here again: nothing stays counted.
     * Sequentially consistent, as in aiopq_stream_write(). */
    atomic_store(&stream->is_active, false);
    uint64_t left = atomic_load(&stream->written) - atomic_load_explicit(&stream->sent, memory_order_relaxed);
    aiopq_byte_queue_discard(&stream->send);
    aiopq_account_sent(stream, left);
}

int aiopq_stream_receive(aiopq_conn_t *conn, aiopq_stream_t *stream, const uint8_t *bytes, size_t length,
                         bool is_fin)
{
    if (!aiopq_byte_queue_write(&stream->receive, bytes, length, is_fin)) {
        return -1;
    }
    uint64_t received = atomic_load_explicit(&stream->received, memory_order_relaxed) + length;
    atomic_store_explicit(&stream->received, received, memory_order_release);
    aiopq_flow_conn_received(conn, length);
    if (is_fin) {
        aiopq_flow_close(stream);
        /* Release: pairs with the acquire in aiopq_stream_take(); the last bytes before the end. */
        atomic_store_explicit(&stream->is_fin_received, true, memory_order_release);
    }
    /* One readable event at a time; aiopq_stream_take() clears the flag before it looks at the queue. */
    if (!atomic_exchange_explicit(&stream->is_readable_told, true, memory_order_acq_rel)) {
        aiopq_emit(conn->engine, AIOPQ_EVENT_STREAM_READABLE, conn, stream, 0, NULL);
    }
    return 0;
}

int aiopq_on_stream_reset(aiopq_conn_t *conn, aiopq_stream_t *stream)
{
    aiopq_flow_close(stream);
    if (atomic_load_explicit(&stream->is_fin_received, memory_order_relaxed)) {
        return 0; /* RFC 9000 section 3.2: all data is here, the reset changes nothing */
    }
    aiopq_emit(conn->engine, AIOPQ_EVENT_STREAM_RESET, conn, stream,
               picoquic_get_remote_stream_error(conn->cnx, stream->id), NULL);
    return 0;
}

int aiopq_on_stop_sending(aiopq_conn_t *conn, aiopq_stream_t *stream)
{
    uint64_t code = aiopq_remote_stop_code(conn->cnx, stream->id);
    aiopq_emit(conn->engine, AIOPQ_EVENT_STREAM_STOPPED, conn, stream, code, NULL);
    aiopq_stream_end_sending(stream);
    /* The answer that RFC 9000 section 3.5 asks for, with the code that was asked for. picoquic forgets our
     * pointer when it resets. */
    (void)picoquic_reset_stream(conn->cnx, stream->id, code);
    (void)picoquic_set_app_stream_ctx(conn->cnx, stream->id, stream);
    return 0;
}

int aiopq_on_prepare_to_send(aiopq_conn_t *conn, aiopq_stream_t *stream, void *context, size_t space)
{
    if (stream == NULL || stream->is_send_over) {
        (void)picoquic_provide_stream_data_buffer(context, 0, 0, 0);
        return 0;
    }
    if (stream->reset.is_due) {
        return aiopq_reset_prepare(stream, context, space);
    }
    size_t gathered = aiopq_byte_queue_gather(&stream->send, space);
    bool is_fin_queued = atomic_load(&stream->is_fin_queued);
    if (gathered == 0 && !is_fin_queued) {
        /* Dry, or the loop thread is in the middle of a write. Clear, then look again: whatever comes now
         * is either seen here, or its writer finds the flag clear and sends a command. */
        atomic_store(&stream->is_active, false);
        gathered = aiopq_byte_queue_gather(&stream->send, space);
        is_fin_queued = atomic_load(&stream->is_fin_queued);
        if ((gathered == 0 && !is_fin_queued) || atomic_exchange(&stream->is_active, true)) {
            (void)picoquic_provide_stream_data_buffer(context, 0, 0, 0);
            return 0;
        }
    }
    /* The end was queued after the last byte, so with the end in sight nothing can be in the making. */
    if (is_fin_queued) {
        gathered = aiopq_byte_queue_gather(&stream->send, space);
    }
    size_t length = gathered < space ? gathered : space;
    bool is_fin = is_fin_queued && length == gathered &&
                  atomic_load_explicit(&stream->sent, memory_order_relaxed) + length ==
                      atomic_load_explicit(&stream->written, memory_order_acquire);
    uint8_t *buffer = picoquic_provide_stream_data_buffer(context, length, is_fin, !is_fin);
    if (buffer == NULL) {
        return -1;
    }
    aiopq_byte_queue_read(&stream->send, buffer, length);
    if (is_fin) {
        stream->is_send_over = true;
    }
    aiopq_account_sent(stream, length);
    /* picoquic decides by what waits in its own queues, which are empty: the bytes wait in ours. */
    if (conn->engine->config.pmtud == AIOPQ_PMTUD_DELAYED &&
        atomic_load_explicit(&conn->send_queued, memory_order_relaxed) > PMTUD_PAYS_BYTES) {
        picoquic_cnx_set_pmtud_policy(conn->cnx, picoquic_pmtud_basic);
    }
    return 0;
}

int aiopq_on_stream_released(aiopq_conn_t *conn, aiopq_stream_t *stream)
{
    if (stream != NULL) {
        aiopq_watch_stream_over(stream);
        aiopq_credit_stream_over(conn, stream->id);
        aiopq_emit(conn->engine, AIOPQ_EVENT_STREAM_RELEASED, conn, stream, 0, NULL);
        aiopq_stream_detach(stream);
    }
    return 0;
}
