/* Streams as the loop thread uses them. */
#include "net/send_budget.h"

static aiopq_status_t post(aiopq_stream_t *stream, aiopq_command_type_t type, uint64_t value)
{
    aiopq_command_t command = {.type = type, .conn = stream->conn, .stream = stream, .value = value};
    return aiopq_command_post(stream->conn->engine, &command);
}

static bool is_closed(const aiopq_stream_t *stream)
{
    return atomic_load_explicit(&stream->conn->is_closed, memory_order_acquire);
}

aiopq_status_t aiopq_stream_new(aiopq_conn_t *conn, uint64_t stream_id, aiopq_stream_t **stream)
{
    *stream = NULL;
    if (stream_id >= (1ull << 62) || !aiopq_stream_is_ours(conn, stream_id)) {
        return AIOPQ_INVALID;
    }
    *stream = aiopq_stream_create(conn, stream_id);
    return *stream != NULL ? AIOPQ_OK : AIOPQ_NO_MEMORY;
}

/* In front of all that is written, whatever the budgets have room for: it is what makes the stream known. */
static aiopq_status_t queue_preface(aiopq_stream_t *stream, aiopq_bytes_t preface)
{
    if (!aiopq_byte_queue_write(&stream->send, preface.data, preface.length, false)) {
        return AIOPQ_NO_MEMORY;
    }
    atomic_fetch_add(&stream->conn->send_queued, preface.length);
    atomic_store(&stream->written, preface.length);
    stream->preface_length = (uint8_t)preface.length;
    (void)atomic_exchange(&stream->is_active, true);
    if (post(stream, AIOPQ_COMMAND_STREAM_SEND, 0) != AIOPQ_OK) {
        atomic_store(&stream->is_active, false); /* no room for commands: the first write tells of it */
    }
    return AIOPQ_OK;
}

aiopq_status_t aiopq_stream_new_scoped(aiopq_conn_t *conn, uint64_t stream_id, uint64_t scope,
                                       aiopq_bytes_t preface, aiopq_stream_t **stream)
{
    *stream = NULL;
    if (preface.length > AIOPQ_PREFACE_MAX) {
        return AIOPQ_INVALID;
    }
    aiopq_status_t status = aiopq_stream_new(conn, stream_id, stream);
    if (status == AIOPQ_OK) {
        (*stream)->scope = scope;
        status = preface.length > 0 ? queue_preface(*stream, preface) : AIOPQ_OK;
        if (status != AIOPQ_OK) {
            aiopq_stream_unref(*stream);
            *stream = NULL;
        }
    }
    return status;
}

uint64_t aiopq_stream_send_queued(const aiopq_stream_t *stream)
{
    uint64_t sent = atomic_load(&stream->sent);
    return atomic_load_explicit(&stream->written, memory_order_relaxed) - sent;
}

uint64_t aiopq_stream_sent(const aiopq_stream_t *stream)
{
    return atomic_load_explicit(&stream->sent, memory_order_acquire);
}

uint64_t aiopq_stream_room(const aiopq_stream_t *stream)
{
    const aiopq_config_t *config = &stream->conn->engine->config;
    uint64_t in_stream = aiopq_stream_send_queued(stream);
    uint64_t in_conn = aiopq_conn_send_queued(stream->conn);
    uint64_t stream_room =
        in_stream < config->send_budget_stream ? config->send_budget_stream - in_stream : 0;
    uint64_t conn_room = in_conn < config->send_budget_conn ? config->send_budget_conn - in_conn : 0;
    uint64_t floor = aiopq_send_floor(config);
    uint64_t own_room = in_stream < floor ? floor - in_stream : 0;
    conn_room = conn_room < own_room ? own_room : conn_room;
    return stream_room < conn_room ? stream_room : conn_room;
}

aiopq_status_t aiopq_stream_send_state(const aiopq_stream_t *stream)
{
    return is_closed(stream) ? AIOPQ_CLOSED : stream->send_state;
}

/* Bytes to copy, or lent ones. */
static aiopq_status_t queue_bytes(aiopq_stream_t *stream, const uint8_t *data, const aiopq_lent_t *lent,
                                  size_t length, bool fin)
{
    aiopq_conn_t *conn = stream->conn;
    const aiopq_config_t *config = &conn->engine->config;
    aiopq_status_t status = aiopq_stream_send_state(stream);
    if (status != AIOPQ_OK) {
        return status;
    }
    if (length > config->send_budget_stream || length > config->send_budget_conn) {
        return AIOPQ_TOO_LARGE;
    }
    if (length > 0 && length > aiopq_stream_room(stream)) {
        return AIOPQ_WOULD_BLOCK;
    }
    /* Room for the command first: after the bytes are in nothing may fail. */
    if (config->command_capacity != 0 &&
        aiopq_spsc_size(&conn->engine->commands) >= config->command_capacity) {
        return AIOPQ_WOULD_BLOCK;
    }
    if (!(lent != NULL ? aiopq_byte_queue_lend(&stream->send, lent, &conn->engine->returns)
                       : aiopq_byte_queue_write(&stream->send, data, length, fin))) {
        return AIOPQ_NO_MEMORY;
    }
    atomic_fetch_add(&conn->send_queued, length);
    uint64_t written = atomic_load_explicit(&stream->written, memory_order_relaxed) + length;
    atomic_store(&stream->written, written);
    if (fin) {
        atomic_store(&stream->is_fin_queued, true);
        stream->send_state = AIOPQ_STREAM_FINISHED;
    }
    /* A stream that picoquic polls already needs no command. */
    if ((length > 0 || fin) && !atomic_exchange(&stream->is_active, true) &&
        post(stream, AIOPQ_COMMAND_STREAM_SEND, 0) != AIOPQ_OK) {
        atomic_store(&stream->is_active,
                     false); /* no memory: the bytes are taken, the next write tells of them */
    }
    return AIOPQ_OK;
}

aiopq_status_t aiopq_stream_write(aiopq_stream_t *stream, const uint8_t *data, size_t length, bool fin)
{
    return queue_bytes(stream, data, NULL, length, fin);
}

aiopq_status_t aiopq_stream_lend(aiopq_stream_t *stream, const aiopq_lent_t *lent, bool fin)
{
    if (lent->length == 0 || lent->length > UINT32_MAX) {
        return AIOPQ_INVALID;
    }
    return queue_bytes(stream, NULL, lent, lent->length, fin);
}

bool aiopq_stream_want_writable(aiopq_stream_t *stream)
{
    aiopq_conn_t *conn = stream->conn;
    /* Sequentially consistent, as in aiopq_account_sent(). */
    atomic_store(&stream->wants_writable, true);
    atomic_store(&conn->streams_want_writable, true);
    if (aiopq_stream_has_room_again(&conn->engine->config, aiopq_stream_send_queued(stream),
                                    atomic_load(&conn->send_queued))) {
        return !atomic_exchange(&stream->wants_writable, false);
    }
    return true;
}

aiopq_status_t aiopq_stream_reset(aiopq_stream_t *stream, uint64_t error_code, uint64_t reliable)
{
    if (is_closed(stream)) {
        return AIOPQ_CLOSED;
    }
    if (stream->send_state == AIOPQ_WRONG_DIRECTION) {
        return AIOPQ_WRONG_DIRECTION;
    }
    uint64_t written = atomic_load_explicit(&stream->written, memory_order_relaxed);
    uint64_t first = stream->preface_length + (reliable < written ? reliable : written);
    aiopq_command_t command = {.type = AIOPQ_COMMAND_STREAM_RESET,
                               .conn = stream->conn,
                               .stream = stream,
                               .value = error_code,
                               .reliable = first < written ? first : written};
    aiopq_status_t status = aiopq_command_post(stream->conn->engine, &command);
    if (status == AIOPQ_OK) {
        stream->send_state = AIOPQ_STREAM_FINISHED;
        stream->is_reset = true;
    }
    return status;
}

aiopq_status_t aiopq_stream_want_acked(aiopq_stream_t *stream, bool *will_tell)
{
    uint64_t target = aiopq_acked_target(atomic_load_explicit(&stream->written, memory_order_relaxed),
                                         atomic_load_explicit(&stream->is_fin_queued, memory_order_relaxed));
    *will_tell = false;
    if (target <= stream->acked_told) {
        return AIOPQ_OK;
    }
    if (is_closed(stream)) {
        return AIOPQ_CLOSED;
    }
    if (stream->is_reset || stream->send_state == AIOPQ_STREAM_STOPPED) {
        return stream->send_state;
    }
    aiopq_status_t status = post(stream, AIOPQ_COMMAND_STREAM_WATCH_ACKED, target);
    if (status == AIOPQ_OK) {
        stream->acked_asked = target;
        *will_tell = true;
    }
    return status;
}

bool aiopq_stream_is_acked(const aiopq_stream_t *stream)
{
    return stream->acked_told >= stream->acked_asked;
}

aiopq_status_t aiopq_stream_stop(aiopq_stream_t *stream, uint64_t error_code)
{
    if (is_closed(stream)) {
        return AIOPQ_CLOSED;
    }
    if (aiopq_stream_is_unidirectional(stream->id) && aiopq_stream_is_ours(stream->conn, stream->id)) {
        return AIOPQ_WRONG_DIRECTION;
    }
    return post(stream, AIOPQ_COMMAND_STREAM_STOP, error_code);
}

aiopq_status_t aiopq_stream_set_priority(aiopq_stream_t *stream, uint8_t priority)
{
    if (is_closed(stream)) {
        return AIOPQ_CLOSED;
    }
    return post(stream, AIOPQ_COMMAND_STREAM_PRIORITY, priority);
}

aiopq_chunk_t *aiopq_stream_take(aiopq_stream_t *stream, bool *fin)
{
    /* Clear before looking: bytes that come later are told of again. The end before the bytes: once it is
     * seen, every byte before it is in the queue. */
    atomic_exchange_explicit(&stream->is_readable_told, false, memory_order_acq_rel);
    *fin = atomic_load_explicit(&stream->is_fin_received, memory_order_acquire);
    return aiopq_byte_queue_take(&stream->receive);
}

/* Told to the peer a quarter of the budget at a time. */
static void consume_on_conn(aiopq_conn_t *conn, uint64_t length)
{
    uint64_t consumed = atomic_load_explicit(&conn->consumed, memory_order_relaxed) + length;
    atomic_store_explicit(&conn->consumed, consumed, memory_order_release);
    if (consumed - conn->credit_asked >= conn->engine->config.max_data / 4 &&
        !atomic_load_explicit(&conn->is_closed, memory_order_acquire)) {
        aiopq_command_t command = {.type = AIOPQ_COMMAND_CONN_CREDIT, .conn = conn};
        if (aiopq_command_post(conn->engine, &command) == AIOPQ_OK) {
            conn->credit_asked = consumed;
        }
    }
}

void aiopq_stream_abandon(aiopq_stream_t *stream)
{
    uint64_t left = atomic_load_explicit(&stream->received, memory_order_acquire) -
                    atomic_load_explicit(&stream->consumed, memory_order_relaxed);
    if (left > 0) {
        aiopq_stream_consume(stream, left);
    }
}

void aiopq_stream_consume(aiopq_stream_t *stream, uint64_t length)
{
    uint64_t consumed = atomic_load_explicit(&stream->consumed, memory_order_relaxed) + length;
    atomic_store_explicit(&stream->consumed, consumed, memory_order_release);
    consume_on_conn(stream->conn, length);
    uint64_t window = atomic_load_explicit(&stream->window, memory_order_relaxed);
    if (consumed - stream->credit_asked < window / 4 || is_closed(stream) ||
        atomic_load_explicit(&stream->is_fin_received, memory_order_relaxed)) {
        return;
    }
    if (post(stream, AIOPQ_COMMAND_STREAM_CREDIT, 0) == AIOPQ_OK) {
        stream->credit_asked = consumed; /* else asked again with the next bytes */
    }
}
