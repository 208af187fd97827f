#include "net/datagrams.h"

#include <string.h>

#include "net/events_out.h"
#include "net/objects.h"
#include "net/picoquic_private.h"
#include "net/protocol.h"

void aiopq_datagrams_dispose(aiopq_datagrams_t *datagrams)
{
    aiopq_fates_dispose(&datagrams->fates);
    aiopq_record_queue_dispose(&datagrams->send);
    aiopq_record_queue_dispose(&datagrams->receive);
}

/* ---- how large ---- */

/* Bytes of a variable-length integer (RFC 9000 section 16), for numbers of two bytes. */
static size_t varint_bytes(size_t value)
{
    return value < 64 ? 1 : value < 16384 ? 2 : 4;
}

/* The frame has a type, a length and the payload (RFC 9221 section 4), and the peer's limit is for all three. */
static size_t payload_of_frame(size_t frame_bytes)
{
    size_t payload = frame_bytes;
    while (payload > 0 && 1 + varint_bytes(payload) + payload > frame_bytes) {
        payload--;
    }
    return payload;
}

void aiopq_datagrams_measure(aiopq_conn_t *conn)
{
    if (!conn->is_ready) {
        return;
    }
    size_t limit = conn->engine->config.datagram_max_payload;
    size_t payload = payload_of_frame(aiopq_datagram_frame_room(conn->cnx));
    if (limit != 0 && payload > limit) {
        payload = limit;
    }
    if (payload != atomic_load_explicit(&conn->datagrams.max_bytes, memory_order_relaxed)) {
        atomic_store_explicit(&conn->datagrams.max_bytes, (uint32_t)payload, memory_order_relaxed);
    }
}

/* ---- sending ---- */

static void add(_Atomic uint64_t *counter, uint64_t amount)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + amount,
                          memory_order_relaxed);
}

static void tell(aiopq_conn_t *conn, aiopq_event_type_t fate, uint64_t number)
{
    if (number != 0) {
        aiopq_emit(conn->engine, fate, conn, NULL, number, NULL);
    }
}

/* The oldest one is gone. Whoever waits for room is woken at half a queue: late enough that one wake-up is
 * worth many datagrams, early enough that the sender does not run dry. */
static void drop_first(aiopq_conn_t *conn)
{
    aiopq_datagrams_t *datagrams = &conn->datagrams;
    aiopq_record_queue_pop(&datagrams->send);
    /* Sequentially consistent, as in aiopq_conn_want_datagrams_writable(): either we see its wish here, or it
     * sees the room there. */
    if (atomic_load(&datagrams->wants_writable) &&
        aiopq_record_queue_bytes(&datagrams->send) <= conn->engine->config.datagram_queue_bytes / 2 &&
        atomic_exchange(&datagrams->wants_writable, false)) {
        aiopq_emit(conn->engine, AIOPQ_EVENT_DATAGRAMS_WRITABLE, conn, NULL, 0, NULL);
    }
}

/* True when more than `count` datagrams wait. Otherwise picoquic need not ask: the next one comes with a
 * command. Clear, then look again: whatever comes now is either seen here, or its sender finds the flag clear.
 * Exchanged on both sides, so that whoever comes second sees what the first one did before. */
static bool has_more_than(aiopq_datagrams_t *datagrams, uint64_t count)
{
    if (aiopq_record_queue_size(&datagrams->send) > count) {
        return true;
    }
    (void)atomic_exchange(&datagrams->is_active, false);
    return aiopq_record_queue_size(&datagrams->send) > count && !atomic_exchange(&datagrams->is_active, true);
}

void aiopq_datagrams_start(aiopq_conn_t *conn)
{
    if (conn->cnx == NULL || conn->is_announced) {
        aiopq_datagrams_end(conn);
    } else {
        (void)picoquic_mark_datagram_ready(conn->cnx, 1);
    }
}

void aiopq_datagrams_end(aiopq_conn_t *conn)
{
    /* What is queued from now on comes with a command, which leads here again. */
    (void)atomic_exchange(&conn->datagrams.is_active, false);
    aiopq_record_queue_discard(&conn->datagrams.send);
    aiopq_fates_dispose(&conn->datagrams.fates);
}

static void count_lost(aiopq_conn_t *conn, uint64_t number)
{
    add(&conn->datagrams.lost, 1);
    tell(conn, AIOPQ_EVENT_DATAGRAM_LOST, number);
}

static void count_sent(aiopq_conn_t *conn, const aiopq_queued_datagram_t *datagram, size_t length)
{
    add(&conn->datagrams.sent, 1);
    if (datagram->number != 0) {
        uint64_t given_up = aiopq_fates_add(&conn->datagrams.fates, datagram->number, conn->engine->now_us,
                                            datagram->content, length);
        tell(conn, AIOPQ_EVENT_DATAGRAM_LOST, given_up);
    }
}

/* The oldest datagram that can be sent at all; those that became too large for the path count as lost. NULL
 * when there is none. */
static const aiopq_queued_datagram_t *first_to_send(aiopq_conn_t *conn, size_t *length)
{
    size_t max_bytes = atomic_load_explicit(&conn->datagrams.max_bytes, memory_order_relaxed);
    const aiopq_queued_datagram_t *datagram;
    size_t size;
    while ((datagram = aiopq_record_queue_peek(&conn->datagrams.send, &size)) != NULL) {
        *length = size - sizeof(*datagram);
        if (*length <= max_bytes) {
            return datagram;
        }
        uint64_t number = datagram->number;
        drop_first(conn);
        count_lost(conn, number);
    }
    return NULL;
}

int aiopq_on_prepare_datagram(aiopq_conn_t *conn, void *context, size_t space)
{
    aiopq_datagrams_t *datagrams = &conn->datagrams;
    size_t length = 0;
    aiopq_datagrams_measure(conn);
    const aiopq_queued_datagram_t *datagram = first_to_send(conn, &length);
    if (datagram == NULL) {
        if (!has_more_than(datagrams, 0)) {
            (void)picoquic_mark_datagram_ready(conn->cnx, 0);
        }
        return 0;
    }
    if (length == 0) {
        /* picoquic takes a length of 0 for "none"; its own queue knows empty datagrams and goes first. */
        int error = picoquic_queue_datagram_frame(conn->cnx, 0, datagram->content);
        count_sent(conn, datagram, length);
        drop_first(conn);
        return error;
    }
    if (length + varint_bytes(length) > space) {
        return 0; /* behind the other frames of this packet; picoquic asks again for the next one */
    }
    bool has_more = has_more_than(datagrams, 1);
    uint8_t *buffer = picoquic_provide_datagram_buffer_ex(
        context, length, has_more ? picoquic_datagram_active_any_path : picoquic_datagram_not_active);
    if (buffer == NULL) {
        return -1;
    }
    memcpy(buffer, datagram->content, length);
    count_sent(conn, datagram, length);
    drop_first(conn);
    return 0;
}

/* ---- what became of them ---- */

int aiopq_on_datagram_acked(aiopq_conn_t *conn, uint64_t sent_us, const uint8_t *bytes, size_t length,
                            bool was_lost)
{
    add(was_lost ? &conn->datagrams.spurious : &conn->datagrams.acked, 1);
    uint64_t number = aiopq_fates_acked(&conn->datagrams.fates, sent_us, bytes, length, &was_lost);
    tell(conn, was_lost ? AIOPQ_EVENT_DATAGRAM_SPURIOUS : AIOPQ_EVENT_DATAGRAM_ACKED, number);
    aiopq_datagrams_measure(conn);
    return 0;
}

int aiopq_on_datagram_lost(aiopq_conn_t *conn, uint64_t sent_us, const uint8_t *bytes, size_t length)
{
    count_lost(conn, aiopq_fates_lost(&conn->datagrams.fates, sent_us, bytes, length));
    aiopq_datagrams_measure(conn);
    return 0;
}

/* ---- receiving ---- */

int aiopq_on_datagram(aiopq_conn_t *conn, const uint8_t *bytes, size_t length)
{
    aiopq_datagrams_t *datagrams = &conn->datagrams;
    const aiopq_config_t *config = &conn->engine->config;
    aiopq_datagrams_measure(conn);
    if (!aiopq_protocol_takes_datagram(conn, bytes, length)) {
        add(&datagrams->dropped_received, 1);
        return 0;
    }
    /* What waits may be older, but the application has begun to count on it; and a queue whose head is dropped
     * would need both threads to consume. */
    uint64_t waiting = aiopq_record_queue_bytes(&datagrams->receive) + aiopq_record_bytes(length);
    uint8_t *record = waiting <= config->datagram_receive_bytes && config->max_datagram_frame_size > 0
                          ? aiopq_record_queue_reserve(&datagrams->receive, length)
                          : NULL;
    if (record == NULL) {
        add(&datagrams->dropped_received, 1);
        return 0;
    }
    memcpy(record, bytes, length);
    aiopq_record_queue_commit(&datagrams->receive);
    add(&datagrams->received, 1);
    /* One readable event at a time; aiopq_conn_datagrams_arrived() clears the flag before it looks. */
    if (!atomic_exchange_explicit(&datagrams->is_readable_told, true, memory_order_acq_rel)) {
        aiopq_emit(conn->engine, AIOPQ_EVENT_DATAGRAMS_READABLE, conn, NULL, 0, NULL);
    }
    return 0;
}
