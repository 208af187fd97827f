#include "net/command.h"

#include <stdlib.h>
#include <string.h>

#include "net/callbacks.h"
#include "net/events_out.h"
#include "net/exporter.h"
#include "net/flow_control.h"
#include "net/identities.h"
#include "net/incoming.h"
#include "net/objects.h"
#include "net/picoquic_private.h"
#include "net/protocol.h"
#include "net/qlog.h"
#include "net/reset.h"
#include "net/tls.h"
#include "net/tokens.h"
#include "net/watch.h"

/* What a stopping engine waits at most for its CONNECTION_CLOSE frames to be sent: they go out in the next
 * turn unless the socket is blocked. */
#define STOP_LIMIT_US 500000

aiopq_status_t aiopq_command_post(aiopq_engine_t *engine, const aiopq_command_t *command)
{
    size_t capacity = engine->config.command_capacity;
    /* Nobody would repeat these: an engine must end, a peer at its window must hear of credit, who waits must be
     * told, a client waits for the answer, and queued datagrams must go. They are few: one, four a window, one for
     * each that waits, one an attempt, and one a connection. */
    bool is_exempt =
        command->type == AIOPQ_COMMAND_STOP || command->type == AIOPQ_COMMAND_STREAM_CREDIT ||
        command->type == AIOPQ_COMMAND_CONN_CREDIT || command->type == AIOPQ_COMMAND_WATCH_STREAMS ||
        command->type == AIOPQ_COMMAND_STREAM_WATCH_ACKED || command->type == AIOPQ_COMMAND_INCOMING_ACCEPT ||
        command->type == AIOPQ_COMMAND_INCOMING_REFUSE || command->type == AIOPQ_COMMAND_INCOMING_RETRY ||
        command->type == AIOPQ_COMMAND_DATAGRAMS;
    if (capacity != 0 && aiopq_spsc_size(&engine->commands) >= capacity && !is_exempt) {
        return AIOPQ_WOULD_BLOCK;
    }
    if (command->conn != NULL) {
        aiopq_conn_ref(command->conn);
    }
    if (command->stream != NULL) {
        aiopq_stream_ref(command->stream);
    }
    if (!aiopq_spsc_push(&engine->commands, command)) {
        aiopq_stream_unref(command->stream);
        aiopq_conn_unref(command->conn);
        return AIOPQ_NO_MEMORY;
    }
    aiopq_engine_kick(engine);
    return AIOPQ_OK;
}

void aiopq_command_release(aiopq_command_t *command)
{
    aiopq_stream_unref(command->stream);
    aiopq_conn_unref(command->conn);
    if (command->type == AIOPQ_COMMAND_CERTIFICATES) {
        aiopq_identities_free(command->detail);
    } else {
        free(command->detail);
    }
}

void aiopq_engine_kick(aiopq_engine_t *engine)
{
    /* Sequentially consistent with the other side's announcement in aiopq_engine_may_sleep(): either it sees
     * the command or we see that it sleeps. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&engine->net_is_asleep, memory_order_relaxed) &&
        atomic_exchange(&engine->net_is_asleep, false) && engine->wake_network != NULL) {
        aiopq_count(&engine->net_wakes);
        engine->wake_network(engine->driver);
    } else {
        aiopq_count(&engine->net_wakes_saved);
    }
}

bool aiopq_commands_waiting(const aiopq_engine_t *engine)
{
    return aiopq_spsc_has_entry(&engine->commands);
}

/* ---- what each command does ---- */

static void fail_connect(aiopq_conn_t *conn, uint64_t error)
{
    aiopq_close_info_t info = {
        .kind = AIOPQ_CLOSE_LOCAL_FAILURE, .error_code = error, .frame_type = AIOPQ_NO_FRAME};
    aiopq_announce_closed(conn, &info);
    aiopq_conn_unref(conn); /* the reference that aiopq_conn_open() gave to the network thread */
}

static void do_connect(aiopq_engine_t *engine, aiopq_conn_t *conn)
{
    aiopq_connect_request_t *request = conn->request;
    picoquic_connection_id_t none = {{0}, 0};
    if (engine->is_stopping) {
        fail_connect(conn, 0);
        return;
    }
    uint32_t version = request->version != 0 ? request->version : engine->config.version;
    /* picoquic looks for a ticket only where it knows the protocol beforehand; the callback could offer several. */
    /* With ECH it must ask: each ClientHello, that behind a Retry too, is prepared where it does (net/ech.h). */
    bool is_known = engine->config.keeps_sessions && !engine->config.uses_ech && request->alpn_count == 1;
    const char *alpn = is_known ? request->strings : NULL;
    conn->cnx = picoquic_create_cnx(engine->quic, none, none, (struct sockaddr *)&request->address,
                                    engine->now_us, version, request->server_name, alpn, 1);
    if (conn->cnx == NULL) {
        fail_connect(conn, PICOQUIC_ERROR_MEMORY);
        return;
    }
    picoquic_set_callback(conn->cnx, aiopq_conn_callback, conn);
    if (engine->config.desired_version != 0) {
        picoquic_set_desired_version(conn->cnx, engine->config.desired_version);
    }
    aiopq_tokens_use(engine, conn);
    int error = picoquic_start_client_cnx(conn->cnx);
    if (error != 0) {
        aiopq_close_info_t info = {
            .kind = AIOPQ_CLOSE_LOCAL_FAILURE, .error_code = (uint64_t)error, .frame_type = AIOPQ_NO_FRAME};
        picoquic_cnx_t *cnx = conn->cnx;
        aiopq_announce_closed(conn, &info);
        aiopq_conn_detach(conn);
        picoquic_set_callback(cnx, NULL, NULL);
        picoquic_delete_cnx(cnx);
        return;
    }
    aiopq_emit(engine, AIOPQ_EVENT_CONN_CREATED, conn, NULL, 0, NULL);
}

static void do_close(aiopq_conn_t *conn, uint64_t error_code, const aiopq_close_request_t *request)
{
    if (conn->cnx == NULL || conn->is_announced) {
        return;
    }
    aiopq_close_info_t info = {
        .kind = AIOPQ_CLOSE_APPLICATION, .error_code = error_code, .frame_type = AIOPQ_NO_FRAME};
    bool is_transport = request != NULL && request->frame_type != AIOPQ_NO_FRAME;
    if (request != NULL && request->length > 0) {
        conn->close_reason = strndup(request->reason, request->length);
        memcpy(info.reason, request->reason, request->length);
        info.reason_length = (uint16_t)request->length;
    }
    if (is_transport) {
        info.kind = AIOPQ_CLOSE_TRANSPORT;
        info.frame_type = request->frame_type;
        aiopq_close_transport(conn->cnx, error_code, request->frame_type, conn->close_reason);
        aiopq_wake_connection(conn->cnx, conn->engine->now_us);
    } else {
        (void)picoquic_close_ex(conn->cnx, error_code, conn->close_reason);
    }
    aiopq_announce_closed(conn, &info);
}

static void do_stats(aiopq_conn_t *conn, uint64_t request)
{
    if (conn->cnx != NULL) {
        aiopq_conn_stats_t *stats = aiopq_conn_snapshot(conn);
        if (stats != NULL) {
            stats->request = request;
            aiopq_emit(conn->engine, AIOPQ_EVENT_CONN_STATS, conn, NULL, 0, stats);
        }
    }
}

static void do_export(aiopq_conn_t *conn, uint64_t request, const aiopq_export_request_t *wish)
{
    if (conn->cnx == NULL || conn->is_announced) {
        return; /* the end answers */
    }
    aiopq_answer_t *answer = malloc(sizeof(*answer) + wish->length);
    if (answer != NULL) {
        aiopq_bytes_t context = {.data = wish->context, .length = wish->context_length};
        answer->is_done = aiopq_export_secret(conn->cnx, wish->label, context, answer->bytes, wish->length);
        answer->length = answer->is_done ? wish->length : 0;
    }
    aiopq_emit(conn->engine, AIOPQ_EVENT_CONN_ANSWER, conn, NULL, request, answer);
}

static void do_qlog(aiopq_conn_t *conn, uint64_t request, const char *folder)
{
    if (conn->cnx == NULL || conn->is_announced) {
        return; /* the end answers */
    }
    aiopq_emit_answer(conn, request,
                      folder != NULL ? aiopq_qlog_start(conn->cnx, folder) : aiopq_qlog_stop(conn->cnx));
}

/* False when there is nothing left that could be waited for: the end is or will be announced. */
static bool is_watchable(const aiopq_conn_t *conn)
{
    return conn->cnx != NULL && !conn->is_announced;
}

static void do_watch_streams(aiopq_conn_t *conn, const aiopq_streams_wish_t *wish)
{
    if (is_watchable(conn)) {
        aiopq_watch_streams(conn, wish->known_bidi, wish->known_uni);
    }
}

static void do_ping(aiopq_conn_t *conn, aiopq_command_t *command)
{
    if (is_watchable(conn)) {
        aiopq_ping_t *ping = command->detail;
        command->detail = NULL;
        aiopq_watch_ping(conn, ping);
    }
}

static void do_path(aiopq_conn_t *conn, aiopq_command_t *command)
{
    if (is_watchable(conn)) {
        aiopq_path_request_t *request = command->detail;
        command->detail = NULL;
        aiopq_paths_request(conn, request);
    }
}

/* picoquic must have the stream before anything can be said about it. False when it can't any more. */
static bool make_known(aiopq_stream_t *stream)
{
    aiopq_conn_t *conn = stream->conn;
    if (conn->cnx == NULL || conn->is_announced) {
        return false;
    }
    if (!stream->is_known) {
        aiopq_stream_attach(stream);
        aiopq_protocol_check_scope(stream);
    }
    return stream->previous != NULL;
}

static void do_stream_send(aiopq_stream_t *stream)
{
    if (!make_known(stream) || stream->is_send_over) {
        aiopq_stream_end_sending(stream);
        return;
    }
    if (picoquic_mark_active_stream_v2(stream->conn->cnx, stream->id, 1) != 0) {
        aiopq_stream_end_sending(stream);
    }
}

static void do_stream_reset(aiopq_stream_t *stream, uint64_t error_code, uint64_t reliable)
{
    if (make_known(stream)) {
        aiopq_reset_sending(stream, error_code, reliable);
    }
}

static void do_stream_stop(aiopq_stream_t *stream, uint64_t error_code)
{
    if (make_known(stream) && !stream->is_receive_over) {
        aiopq_stop_receiving(stream, error_code);
    }
}

static void do_stop(aiopq_engine_t *engine)
{
    engine->is_stopping = true;
    engine->stop_deadline_us = engine->now_us + STOP_LIMIT_US;
    if (engine->incoming != NULL) {
        aiopq_incoming_refuse_all(engine);
    }
    for (picoquic_cnx_t *cnx = picoquic_get_first_cnx(engine->quic); cnx != NULL;
         cnx = picoquic_get_next_cnx(cnx)) {
        aiopq_conn_t *conn = picoquic_get_callback_context(cnx);
        if (picoquic_get_callback_function(cnx) == aiopq_conn_callback && conn != NULL) {
            do_close(conn, 0, NULL);
        } else {
            (void)picoquic_close(cnx, 0);
        }
    }
}

static void run(aiopq_engine_t *engine, aiopq_command_t *command)
{
    aiopq_conn_t *conn = command->conn;
    aiopq_stream_t *stream = command->stream;
    if (conn != NULL && conn->is_announced) {
        aiopq_count(&engine->commands_stale);
    }
    switch (command->type) {
    case AIOPQ_COMMAND_CONNECT:
        do_connect(engine, conn);
        break;
    case AIOPQ_COMMAND_CLOSE:
        do_close(conn, command->value, command->detail);
        break;
    case AIOPQ_COMMAND_CONN_CREDIT:
        aiopq_flow_conn_consumed(conn);
        break;
    case AIOPQ_COMMAND_STATS:
        do_stats(conn, command->value);
        break;
    case AIOPQ_COMMAND_WATCH_STREAMS:
        do_watch_streams(conn, command->detail);
        break;
    case AIOPQ_COMMAND_PING:
        do_ping(conn, command);
        break;
    case AIOPQ_COMMAND_EXPORT:
        do_export(conn, command->value, command->detail);
        break;
    case AIOPQ_COMMAND_QLOG_START:
    case AIOPQ_COMMAND_QLOG_STOP:
        do_qlog(conn, command->value, command->detail);
        break;
    case AIOPQ_COMMAND_DATAGRAMS:
        aiopq_datagrams_start(conn);
        break;
    case AIOPQ_COMMAND_PROTOCOL:
        aiopq_protocol_run(conn, command->detail);
        break;
    case AIOPQ_COMMAND_PATH:
        do_path(conn, command);
        break;
    case AIOPQ_COMMAND_STREAM_SEND:
        do_stream_send(stream);
        break;
    case AIOPQ_COMMAND_STREAM_RESET:
        do_stream_reset(stream, command->value, command->reliable);
        break;
    case AIOPQ_COMMAND_STREAM_STOP:
        do_stream_stop(stream, command->value);
        break;
    case AIOPQ_COMMAND_STREAM_CREDIT:
        aiopq_flow_grant(stream);
        break;
    case AIOPQ_COMMAND_STREAM_PRIORITY:
        if (make_known(stream)) {
            (void)picoquic_set_stream_priority(conn->cnx, stream->id, (uint8_t)command->value);
        }
        break;
    case AIOPQ_COMMAND_STREAM_PATH:
        if (make_known(stream)) {
            (void)picoquic_set_stream_path_affinity(conn->cnx, stream->id, command->value);
        }
        break;
    case AIOPQ_COMMAND_STREAM_WATCH_ACKED:
        if (is_watchable(conn)) {
            aiopq_watch_acked(stream, command->value);
        }
        break;
    case AIOPQ_COMMAND_INCOMING_ACCEPT:
        aiopq_incoming_answer(engine, command->value, AIOPQ_INCOMING_ACCEPT);
        break;
    case AIOPQ_COMMAND_INCOMING_REFUSE:
        aiopq_incoming_answer(engine, command->value, AIOPQ_INCOMING_REFUSE);
        break;
    case AIOPQ_COMMAND_INCOMING_RETRY:
        aiopq_incoming_answer(engine, command->value, AIOPQ_INCOMING_RETRY);
        break;
    case AIOPQ_COMMAND_CERTIFICATES:
        command->detail = aiopq_tls_set_identities(engine, command->detail);
        aiopq_emit(engine, AIOPQ_EVENT_CERTIFICATES_SET, NULL, NULL, command->value, NULL);
        break;
    case AIOPQ_COMMAND_STOP:
        do_stop(engine);
        break;
    case AIOPQ_COMMAND_FAIL:
        engine->failure = (int)command->value;
        break;
    case AIOPQ_COMMAND_COUNT:
        break;
    }
}

bool aiopq_commands_run(aiopq_engine_t *engine, size_t limit)
{
    aiopq_command_t command;
    size_t count = 0;
    for (; count < limit && aiopq_spsc_pop(&engine->commands, &command); count++) {
        run(engine, &command);
        aiopq_command_release(&command);
    }
    return count > 0;
}
