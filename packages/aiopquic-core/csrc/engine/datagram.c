/* Datagrams as the loop thread uses them. */
#include "aiopquic/datagram.h"

#include <string.h>

#include "net/objects.h"

uint32_t aiopq_conn_max_datagram(const aiopq_conn_t *conn)
{
    return atomic_load_explicit(&conn->datagrams.max_bytes, memory_order_relaxed);
}

aiopq_status_t aiopq_conn_send_datagram(aiopq_conn_t *conn, aiopq_bytes_t prefix, aiopq_bytes_t data,
                                        uint64_t number)
{
    aiopq_datagrams_t *datagrams = &conn->datagrams;
    uint32_t max_bytes = aiopq_conn_max_datagram(conn);
    size_t length = prefix.length + data.length;
    if (atomic_load_explicit(&conn->is_closed, memory_order_acquire)) {
        return AIOPQ_CLOSED;
    }
    if (max_bytes == 0 || length > max_bytes) {
        return AIOPQ_TOO_LARGE;
    }
    size_t size = sizeof(aiopq_queued_datagram_t) + length;
    if (aiopq_record_queue_bytes(&datagrams->send) + aiopq_record_bytes(size) >
        conn->engine->config.datagram_queue_bytes) {
        return AIOPQ_WOULD_BLOCK;
    }
    aiopq_queued_datagram_t *datagram = aiopq_record_queue_reserve(&datagrams->send, size);
    if (datagram == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    datagram->number = number;
    if (prefix.length > 0) {
        memcpy(datagram->content, prefix.data, prefix.length);
    }
    if (data.length > 0) {
        memcpy(datagram->content + prefix.length, data.data, data.length);
    }
    aiopq_record_queue_commit(&datagrams->send);
    /* A connection that picoquic asks for datagrams already needs no command. */
    if (!atomic_exchange(&datagrams->is_active, true)) {
        aiopq_command_t command = {.type = AIOPQ_COMMAND_DATAGRAMS, .conn = conn};
        if (aiopq_command_post(conn->engine, &command) != AIOPQ_OK) {
            /* No memory: the datagram is taken, the next one tells of it. */
            (void)atomic_exchange(&datagrams->is_active, false);
        }
    }
    return AIOPQ_OK;
}

bool aiopq_conn_want_datagrams_writable(aiopq_conn_t *conn)
{
    aiopq_datagrams_t *datagrams = &conn->datagrams;
    /* Sequentially consistent, as in drop_first(). */
    atomic_store(&datagrams->wants_writable, true);
    if (aiopq_record_queue_bytes(&datagrams->send) <= conn->engine->config.datagram_queue_bytes / 2) {
        return !atomic_exchange(&datagrams->wants_writable, false);
    }
    return true;
}

uint64_t aiopq_conn_datagrams_arrived(aiopq_conn_t *conn)
{
    /* Clear before looking: what comes later is told of again. */
    (void)atomic_exchange_explicit(&conn->datagrams.is_readable_told, false, memory_order_acq_rel);
    return aiopq_record_queue_size(&conn->datagrams.receive);
}

const uint8_t *aiopq_conn_first_datagram(aiopq_conn_t *conn, size_t *length)
{
    return aiopq_record_queue_peek(&conn->datagrams.receive, length);
}

void aiopq_conn_drop_first_datagram(aiopq_conn_t *conn)
{
    aiopq_record_queue_pop(&conn->datagrams.receive);
}

void aiopq_conn_get_datagram_stats(const aiopq_conn_t *conn, aiopq_datagram_stats_t *stats)
{
    const aiopq_datagrams_t *datagrams = &conn->datagrams;
    stats->queued = aiopq_record_queue_size(&datagrams->send);
    stats->queued_bytes = aiopq_record_queue_bytes(&datagrams->send);
    stats->sent = atomic_load_explicit(&datagrams->sent, memory_order_relaxed);
    stats->received = atomic_load_explicit(&datagrams->received, memory_order_relaxed);
    stats->dropped_received = atomic_load_explicit(&datagrams->dropped_received, memory_order_relaxed);
    stats->acked = atomic_load_explicit(&datagrams->acked, memory_order_relaxed);
    stats->lost = atomic_load_explicit(&datagrams->lost, memory_order_relaxed);
    stats->spurious = atomic_load_explicit(&datagrams->spurious, memory_order_relaxed);
}
