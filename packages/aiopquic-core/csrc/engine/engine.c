#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/live.h"
#include "engine/settings.h"
#include "net/callbacks.h"
#include "net/events_out.h"
#include "net/id_maker.h"
#include "net/identities.h"
#include "net/incoming.h"
#include "net/picoquic_private.h"
#include "net/reset.h"
#include "net/tickets.h"
#include "net/tls.h"
#include "net/tokens.h"
#include "net/watch.h"
#include "net/workers.h"

/* Entries of a block: 10 KiB each, so an engine at rest is small. */
#define EVENT_BLOCK 256
#define COMMAND_BLOCK 256

/* Commands that are carried out before the network is looked at again, as many as the drain of the other side takes
 * events. Each takes a microsecond or a few. */
#define TURN_COMMANDS 256

/* picoquic's own packet loop does not tell which connection a datagram was for: an address token that came is kept when
 * there is no doubt about it. */
static void collect_tokens(aiopq_engine_t *engine)
{
    picoquic_cnx_t *cnx = picoquic_get_first_cnx(engine->quic);
    aiopq_tokens_collect(engine, cnx != NULL && picoquic_get_next_cnx(cnx) == NULL ? cnx : NULL);
}

static void engine_dispose(aiopq_engine_t *engine)
{
    if (engine->quic != NULL) {
        aiopq_tls_release(engine);
        picoquic_free(engine->quic);
    }
    aiopq_tokens_free(engine);
    aiopq_id_maker_free(engine->ids);
    aiopq_incoming_free(engine->incoming);
    aiopq_tls_free(engine->tls);
    aiopq_settings_dispose(&engine->config);
    if (engine->events.head != NULL) {
        aiopq_event_t event;
        while (aiopq_spsc_pop(&engine->events, &event)) {
            aiopq_event_release(&event);
        }
        aiopq_spsc_dispose(&engine->events);
    }
    if (engine->commands.head != NULL) {
        aiopq_command_t command;
        while (aiopq_spsc_pop(&engine->commands, &command)) {
            aiopq_command_release(&command);
        }
        aiopq_spsc_dispose(&engine->commands);
    }
    aiopq_returns_release(&engine->returns); /* those of the last streams among them */
    if (engine->wakeup_fd >= 0 && engine->wakeup_fd != engine->loop_waker.read_fd) {
        close(engine->wakeup_fd);
    }
    aiopq_waker_dispose(&engine->loop_waker);
    aiopq_workers_unref(engine->config.workers);
    free(engine->ended);
    free(engine);
}

aiopq_status_t aiopq_engine_new(const aiopq_config_t *config, aiopq_engine_t **result)
{
    *result = NULL;
    /* The queues in it are aligned to cache lines, beyond what calloc() gives. */
    aiopq_engine_t *engine = aligned_alloc(_Alignof(aiopq_engine_t), sizeof(*engine));
    if (engine == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    memset(engine, 0, sizeof(*engine));
    engine->loop_waker.read_fd = engine->loop_waker.write_fd = engine->wakeup_fd = -1;
    aiopq_returns_init(&engine->returns);
    aiopq_status_t status = aiopq_settings_copy(&engine->config, config);
    if (config->workers != NULL) {
        aiopq_workers_ref(config->workers);
    }
    if (status == AIOPQ_OK) {
        status = aiopq_id_maker_new(config, &engine->ids);
    }
    if (status == AIOPQ_OK && (!aiopq_spsc_init(&engine->events, sizeof(aiopq_event_t), EVENT_BLOCK) ||
                               !aiopq_spsc_init(&engine->commands, sizeof(aiopq_command_t), COMMAND_BLOCK))) {
        status = AIOPQ_NO_MEMORY;
    }
    if (status == AIOPQ_OK && !aiopq_waker_init(&engine->loop_waker, config->use_pipe_waker)) {
        status = AIOPQ_FAILED;
    }
    engine->wakeup_fd = engine->loop_waker.read_fd;
    if (status == AIOPQ_OK) {
        while (engine->alpn_count < AIOPQ_ALPN_COUNT_MAX && engine->config.alpn[engine->alpn_count] != NULL) {
            engine->alpn_count++;
        }
        status = aiopq_settings_create_quic(engine, config);
    }
    if (status == AIOPQ_OK) {
        status = aiopq_tls_setup(engine, config);
    }
    if (status == AIOPQ_OK && config->holds_incoming && !aiopq_incoming_setup(engine)) {
        status = AIOPQ_NO_MEMORY;
    }
    if (status == AIOPQ_OK && config->session_tickets.length > 0) {
        status = aiopq_tickets_load(engine, config->session_tickets);
    }
    if (status != AIOPQ_OK) {
        engine_dispose(engine);
        return status;
    }
    aiopq_live_add(AIOPQ_LIVE_ENGINE, 1);
    *result = engine;
    return AIOPQ_OK;
}

void aiopq_engine_free(aiopq_engine_t *engine)
{
    if (engine != NULL) {
        aiopq_engine_finish(engine, 0); /* connections of an engine that never ran */
        engine_dispose(engine);
        aiopq_live_add(AIOPQ_LIVE_ENGINE, -1);
    }
}

/* ---- for the driver, on the network thread ---- */

void aiopq_engine_receive(aiopq_engine_t *engine, const aiopq_datagram_t *datagram, uint64_t now_us)
{
    aiopq_count(&engine->datagrams_received);
    aiopq_count_many(&engine->bytes_received, datagram->length);
    if (engine->incoming == NULL || !aiopq_incoming_take(engine, datagram)) {
        aiopq_give_datagram(engine, datagram, now_us);
    }
}

void aiopq_engine_sent(aiopq_engine_t *engine, size_t length, size_t segment)
{
    aiopq_count_many(&engine->datagrams_sent, (length + segment - 1) / segment);
    aiopq_count_many(&engine->bytes_sent, length);
}

void aiopq_engine_sent_stateless(aiopq_engine_t *engine, const uint8_t *bytes, size_t length)
{
    /* One that holds incoming connections counts where it decides. */
    if (engine->incoming == NULL && aiopq_is_retry(bytes, length)) {
        aiopq_count(&engine->incoming_retried);
    }
}

bool aiopq_engine_turn(aiopq_engine_t *engine, uint64_t now_us)
{
    engine->now_us = now_us;
    aiopq_count(&engine->turns);
    bool has_worked = aiopq_commands_run(engine, TURN_COMMANDS);
    if (engine->incoming != NULL) {
        aiopq_incoming_expire(engine);
    }
    if (!engine->config.is_client) {
        aiopq_tokens_bound_used(engine);
    }
    return has_worked;
}

void aiopq_engine_flush(aiopq_engine_t *engine)
{
    collect_tokens(engine);
    aiopq_resets_finish(engine);
    aiopq_announce_failing(engine);
    aiopq_watch_look(engine);
    aiopq_delete_ended(engine);
    if (engine->config.workers != NULL) {
        aiopq_workers_settle(engine);
    }
    aiopq_flush_events(engine);
}

int64_t aiopq_engine_delay_us(aiopq_engine_t *engine, uint64_t now_us, int64_t limit_us)
{
    int64_t delay = picoquic_get_next_wake_delay(engine->quic, now_us, limit_us);
    if (engine->is_stopping && delay > 1000) {
        delay = 1000; /* the deadline of the stop is looked at again */
    }
    if (engine->incoming != NULL) {
        uint64_t deadline_us = aiopq_incoming_deadline_us(engine->incoming);
        uint64_t left_us = deadline_us > now_us ? deadline_us - now_us : 0;
        if (delay > 0 && left_us < (uint64_t)delay) {
            delay = (int64_t)left_us;
        }
    }
    return delay;
}

bool aiopq_engine_may_sleep(aiopq_engine_t *engine)
{
    /* Sequentially consistent with aiopq_engine_kick(). */
    atomic_store(&engine->net_is_asleep, true);
    atomic_thread_fence(memory_order_seq_cst);
    if (aiopq_commands_waiting(engine)) {
        atomic_store_explicit(&engine->net_is_asleep, false, memory_order_relaxed);
        return false;
    }
    return true;
}

void aiopq_engine_woke(aiopq_engine_t *engine)
{
    if (atomic_load_explicit(&engine->net_is_asleep, memory_order_relaxed)) {
        atomic_store_explicit(&engine->net_is_asleep, false, memory_order_relaxed);
    }
}

bool aiopq_engine_is_done(aiopq_engine_t *engine, uint64_t now_us)
{
    if (engine->failure != 0) {
        return true;
    }
    if (!engine->is_stopping) {
        return false;
    }
    if (now_us >= engine->stop_deadline_us) {
        return true;
    }
    for (picoquic_cnx_t *cnx = picoquic_get_first_cnx(engine->quic); cnx != NULL;
         cnx = picoquic_get_next_cnx(cnx)) {
        if (aiopq_close_is_unsent(cnx)) {
            return false;
        }
    }
    return true;
}

void aiopq_engine_finish(aiopq_engine_t *engine, int system_error)
{
    engine->is_stopping = true;
    if (system_error != 0) {
        engine->failure = system_error;
    }
    (void)aiopq_commands_run(engine, SIZE_MAX);
    aiopq_delete_ended(engine);
    picoquic_cnx_t *cnx;
    while ((cnx = picoquic_get_first_cnx(engine->quic)) != NULL) {
        picoquic_delete_cnx(cnx); /* calls back with close: announces and detaches */
        engine->ended_count = 0;
    }
    aiopq_resets_finish(engine);
    aiopq_emit(engine, AIOPQ_EVENT_ENGINE_STOPPED, NULL, NULL, (uint64_t)engine->failure, NULL);
    aiopq_flush_events(engine);
    aiopq_end_thread_check(engine->quic); /* what is left is freed by the loop thread */
}

/* ---- for the loop thread ---- */

int aiopq_engine_wakeup_fd(const aiopq_engine_t *engine)
{
    return engine->wakeup_fd;
}

void aiopq_engine_begin_drain(aiopq_engine_t *engine)
{
    if (engine->begin_round != NULL) {
        engine->begin_round(engine->driver);
    } else {
        aiopq_waker_clear(&engine->loop_waker);
    }
}

void aiopq_engine_end_drain(aiopq_engine_t *engine)
{
    if (engine->end_round != NULL) {
        engine->end_round(engine->driver);
    }
    if (aiopq_spsc_has_entry(&engine->events)) {
        (void)aiopq_waker_signal(&engine->loop_waker);
    }
}

/* Remembers what the peer has acknowledged, for aiopq_stream_want_acked(). */
static void note_acked(const aiopq_event_t *event)
{
    aiopq_stream_t *stream = event->stream;
    if (event->type == AIOPQ_EVENT_STREAM_ACKED) {
        stream->acked_told = event->value;
    } else if (stream->send_state == AIOPQ_STREAM_FINISHED && !stream->is_reset) {
        /* Released after its end was sent, and no other way: everything was acknowledged. */
        stream->acked_told = aiopq_acked_target(atomic_load(&stream->written), true);
    }
}

bool aiopq_engine_next_event(aiopq_engine_t *engine, aiopq_event_t *event)
{
    if (!aiopq_spsc_pop(&engine->events, event)) {
        return false;
    }
    if (event->type == AIOPQ_EVENT_ENGINE_STOPPED) {
        engine->was_stopped = true; /* also when nobody asked: the sockets failed */
    }
    if (event->type == AIOPQ_EVENT_STREAM_STOPPED && event->stream->send_state == AIOPQ_OK) {
        event->stream->send_state = AIOPQ_STREAM_STOPPED;
    }
    if (event->type == AIOPQ_EVENT_CONN_PING_ACKED) {
        event->conn->pings_waiting--;
    }
    if (event->type == AIOPQ_EVENT_STREAM_ACKED || event->type == AIOPQ_EVENT_STREAM_RELEASED) {
        note_acked(event);
    }
    return true;
}

void aiopq_engine_release_lent(aiopq_engine_t *engine)
{
    aiopq_returns_release(&engine->returns);
}

void aiopq_engine_rearm(aiopq_engine_t *engine)
{
    (void)aiopq_waker_signal(&engine->loop_waker);
}

aiopq_status_t aiopq_engine_answer_incoming(aiopq_engine_t *engine, uint64_t handle,
                                            aiopq_incoming_answer_t answer)
{
    static const aiopq_command_type_t commands[] = {[AIOPQ_INCOMING_ACCEPT] = AIOPQ_COMMAND_INCOMING_ACCEPT,
                                                    [AIOPQ_INCOMING_REFUSE] = AIOPQ_COMMAND_INCOMING_REFUSE,
                                                    [AIOPQ_INCOMING_RETRY] = AIOPQ_COMMAND_INCOMING_RETRY};
    if ((size_t)answer >= sizeof(commands) / sizeof(commands[0])) {
        return AIOPQ_INVALID;
    }
    if (engine->was_stopped) {
        return AIOPQ_CLOSED;
    }
    return aiopq_command_post(engine, &(aiopq_command_t){.type = commands[answer], .value = handle});
}

aiopq_status_t aiopq_engine_set_certificates(aiopq_engine_t *engine, const aiopq_config_t *config,
                                             uint64_t request)
{
    if (engine->was_stopped) {
        return AIOPQ_CLOSED;
    }
    aiopq_identities_t *identities;
    aiopq_status_t status = aiopq_identities_read(config, &identities);
    if (status == AIOPQ_OK) {
        aiopq_command_t command = {
            .type = AIOPQ_COMMAND_CERTIFICATES, .value = request, .detail = identities};
        status = aiopq_command_post(engine, &command);
    }
    if (status != AIOPQ_OK) {
        aiopq_identities_free(identities);
    }
    return status;
}

uint64_t aiopq_engine_events_waiting(const aiopq_engine_t *engine)
{
    return aiopq_spsc_size(&engine->events);
}

uint64_t aiopq_engine_commands_waiting(const aiopq_engine_t *engine)
{
    return aiopq_spsc_size(&engine->commands);
}

void aiopq_engine_get_counters(const aiopq_engine_t *engine, aiopq_engine_counters_t *counters)
{
    counters->loop_wakes = atomic_load_explicit(&engine->loop_wakes, memory_order_relaxed);
    counters->loop_wakes_saved = atomic_load_explicit(&engine->loop_wakes_saved, memory_order_relaxed);
    counters->net_wakes = atomic_load_explicit(&engine->net_wakes, memory_order_relaxed);
    counters->net_wakes_saved = atomic_load_explicit(&engine->net_wakes_saved, memory_order_relaxed);
    counters->events_pushed = atomic_load_explicit(&engine->events.pushed, memory_order_relaxed);
    counters->commands_pushed = atomic_load_explicit(&engine->commands.pushed, memory_order_relaxed);
    counters->commands_stale = atomic_load_explicit(&engine->commands_stale, memory_order_relaxed);
    counters->turns = atomic_load_explicit(&engine->turns, memory_order_relaxed);
    counters->connections_closed = atomic_load_explicit(&engine->connections_closed, memory_order_relaxed);
    counters->handshakes = atomic_load_explicit(&engine->handshakes, memory_order_relaxed);
    counters->handshakes_failed = atomic_load_explicit(&engine->handshakes_failed, memory_order_relaxed);
    counters->datagrams_received = atomic_load_explicit(&engine->datagrams_received, memory_order_relaxed);
    counters->bytes_received = atomic_load_explicit(&engine->bytes_received, memory_order_relaxed);
    counters->datagrams_sent = atomic_load_explicit(&engine->datagrams_sent, memory_order_relaxed);
    counters->bytes_sent = atomic_load_explicit(&engine->bytes_sent, memory_order_relaxed);
    counters->send_calls = atomic_load_explicit(&engine->send_calls, memory_order_relaxed);
    counters->receive_calls = atomic_load_explicit(&engine->receive_calls, memory_order_relaxed);
    counters->sleeps = atomic_load_explicit(&engine->sleeps, memory_order_relaxed);
    counters->sleeps_saved = atomic_load_explicit(&engine->sleeps_saved, memory_order_relaxed);
    counters->datagrams_misrouted = atomic_load_explicit(&engine->datagrams_misrouted, memory_order_relaxed);
    counters->misrouted_lost = atomic_load_explicit(&engine->misrouted_lost, memory_order_relaxed);
    counters->incoming_asked = atomic_load_explicit(&engine->incoming_asked, memory_order_relaxed);
    counters->incoming_retried = atomic_load_explicit(&engine->incoming_retried, memory_order_relaxed);
    counters->incoming_refused = atomic_load_explicit(&engine->incoming_refused, memory_order_relaxed);
    counters->incoming_expired = atomic_load_explicit(&engine->incoming_expired, memory_order_relaxed);
}

void aiopq_get_live_counts(aiopq_live_counts_t *counts)
{
    counts->engines = aiopq_live_get(AIOPQ_LIVE_ENGINE);
    counts->connections = aiopq_live_get(AIOPQ_LIVE_CONN);
    counts->streams = aiopq_live_get(AIOPQ_LIVE_STREAM);
    counts->chunks = aiopq_live_get(AIOPQ_LIVE_CHUNK);
    counts->events = aiopq_live_get(AIOPQ_LIVE_EVENT);
    counts->attempts = aiopq_live_get(AIOPQ_LIVE_ATTEMPT);
    counts->blocks = aiopq_live_get(AIOPQ_LIVE_BLOCK);
    counts->protocols = aiopq_live_get(AIOPQ_LIVE_PROTOCOL);
}
