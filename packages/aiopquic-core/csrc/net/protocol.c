#include "net/protocol.h"

#include <stdlib.h>
#include <string.h>

#include "net/callbacks.h"
#include "net/events_out.h"
#include "net/flow_control.h"
#include "net/objects.h"
#include "net/picoquic_private.h"
#include "net/stream_credit.h"

/* ---- which protocol ---- */

static const aiopq_protocol_t *find(const aiopq_config_t *config, const char *alpn)
{
    for (size_t i = 0; alpn != NULL && i < AIOPQ_PROTOCOLS_MAX && config->protocols[i] != NULL; i++) {
        for (const char *const *name = config->protocols[i]->alpn; *name != NULL; name++) {
            if (strcmp(*name, alpn) == 0) {
                return config->protocols[i];
            }
        }
    }
    return NULL;
}

static void decide(aiopq_conn_t *conn)
{
    aiopq_conn_protocol_t *protocol = &conn->protocol;
    const aiopq_config_t *config = &conn->engine->config;
    const char *alpn = config->protocols[0] != NULL ? picoquic_tls_get_negotiated_alpn(conn->cnx) : NULL;
    if (alpn == NULL && config->protocols[0] != NULL && !conn->is_ready) {
        return; /* not settled yet */
    }
    protocol->is_decided = true;
    protocol->functions = find(config, alpn);
    if (protocol->functions != NULL) {
        protocol->state = protocol->functions->begin(conn);
        if (protocol->state == NULL) {
            aiopq_close_transport(conn->cnx, PICOQUIC_TRANSPORT_INTERNAL_ERROR, 0, NULL);
        }
    }
}

bool aiopq_protocol_decide(aiopq_conn_t *conn)
{
    if (!conn->protocol.is_decided) {
        decide(conn);
    }
    return conn->protocol.state != NULL;
}

/* ---- streams that wait for their scope ---- */

static void unlink_waiting(aiopq_conn_t *conn, aiopq_stream_t **link)
{
    aiopq_stream_t *stream = *link;
    *link = stream->claiming->next;
    conn->protocol.waiting_streams--;
    conn->protocol.waiting_bytes -= atomic_load_explicit(&stream->received, memory_order_relaxed);
}

/* Its bytes count as consumed: nobody on the loop thread has heard of it. */
static void drop_bytes(aiopq_conn_t *conn, aiopq_stream_t *stream)
{
    conn->received -= atomic_load_explicit(&stream->received, memory_order_relaxed);
    atomic_store_explicit(&stream->received, 0, memory_order_relaxed);
    aiopq_byte_queue_discard(&stream->receive);
    aiopq_flow_conn_consumed(conn);
}

void aiopq_protocol_end(aiopq_conn_t *conn)
{
    aiopq_conn_protocol_t *protocol = &conn->protocol;
    while (protocol->first_waiting != NULL) {
        aiopq_stream_t *stream = protocol->first_waiting;
        unlink_waiting(conn, &protocol->first_waiting);
        aiopq_stream_unref(stream);
    }
    if (protocol->state != NULL) {
        void *state = protocol->state;
        protocol->state = NULL;
        protocol->functions->end(state);
    }
}

static bool can_send(const aiopq_conn_t *conn, uint64_t stream_id)
{
    return !aiopq_stream_is_unidirectional(stream_id) || aiopq_stream_is_ours(conn, stream_id);
}

static bool can_receive(const aiopq_conn_t *conn, uint64_t stream_id)
{
    return !aiopq_stream_is_unidirectional(stream_id) || !aiopq_stream_is_ours(conn, stream_id);
}

static void refuse(aiopq_conn_t *conn, aiopq_stream_t *stream, uint64_t error_code)
{
    stream->role = AIOPQ_ROLE_REFUSED;
    if (stream->previous == NULL || conn->is_announced) {
        return;
    }
    if (!stream->is_receive_over) {
        aiopq_stop_receiving(stream, error_code);
    }
    if (can_send(conn, stream->id) && !stream->is_send_over) {
        aiopq_reset_sending(stream, error_code, 0);
    }
}

static void refuse_waiting(aiopq_conn_t *conn, aiopq_stream_t **link, uint64_t error_code)
{
    aiopq_stream_t *stream = *link;
    unlink_waiting(conn, link);
    drop_bytes(conn, stream);
    refuse(conn, stream, error_code);
    aiopq_stream_unref(stream);
}

static aiopq_stream_t **link_of(aiopq_conn_t *conn, const aiopq_stream_t *stream)
{
    aiopq_stream_t **link = &conn->protocol.first_waiting;
    while (*link != stream) {
        link = &(*link)->claiming->next;
    }
    return link;
}

/* More bytes for a stream that waits. They are queued as the application's; only nothing is told. */
static int hold(aiopq_conn_t *conn, aiopq_stream_t *stream, const uint8_t *bytes, size_t length, bool is_fin)
{
    aiopq_conn_protocol_t *protocol = &conn->protocol;
    if (protocol->waiting_bytes + length > protocol->functions->waiting_bytes_max) {
        refuse_waiting(conn, link_of(conn, stream), protocol->functions->waiting_error);
        return 0;
    }
    protocol->waiting_bytes += length;
    return aiopq_stream_receive(conn, stream, bytes, length, is_fin);
}

/* Gives the stream its place at the end of those that wait. False when there is none. */
static bool begin_waiting(aiopq_conn_t *conn, aiopq_stream_t *stream)
{
    aiopq_conn_protocol_t *protocol = &conn->protocol;
    if (protocol->waiting_streams >= protocol->functions->waiting_streams_max) {
        return false;
    }
    aiopq_stream_t **link = &protocol->first_waiting;
    while (*link != NULL) {
        link = &(*link)->claiming->next;
    }
    aiopq_stream_ref(stream);
    *link = stream;
    protocol->waiting_streams++;
    stream->role = AIOPQ_ROLE_WAITING;
    /* As if it had been told: aiopq_protocol_open_scope() does. */
    atomic_store_explicit(&stream->is_readable_told, true, memory_order_relaxed);
    return true;
}

void aiopq_protocol_open_scope(aiopq_conn_t *conn, uint64_t scope)
{
    aiopq_stream_t **link = &conn->protocol.first_waiting;
    while (*link != NULL) {
        aiopq_stream_t *stream = *link;
        const aiopq_claiming_t *claiming = stream->claiming;
        if (stream->scope != scope) {
            link = &stream->claiming->next;
            continue;
        }
        unlink_waiting(conn, link);
        stream->role = AIOPQ_ROLE_APPLICATION;
        aiopq_emit(conn->engine, AIOPQ_EVENT_STREAM_READABLE, conn, stream, 0, NULL);
        if (claiming->is_reset) {
            aiopq_emit(conn->engine, AIOPQ_EVENT_STREAM_RESET, conn, stream, claiming->reset_code, NULL);
        }
        if (claiming->is_stopped) {
            aiopq_emit(conn->engine, AIOPQ_EVENT_STREAM_STOPPED, conn, stream, claiming->stop_code, NULL);
        }
        if (claiming->is_released) {
            aiopq_emit(conn->engine, AIOPQ_EVENT_STREAM_RELEASED, conn, stream, 0, NULL);
        }
        aiopq_stream_unref(stream);
    }
}

/* ---- whose is it ---- */

void aiopq_protocol_make_own(aiopq_conn_t *conn, aiopq_stream_t *stream)
{
    stream->role = AIOPQ_ROLE_OWN;
    aiopq_flow_close(stream); /* the protocol takes what comes: picoquic itself gives the credit */
    if (can_receive(conn, stream->id)) {
        (void)picoquic_set_app_flow_control(conn->cnx, stream->id, 0);
    }
    if (can_send(conn, stream->id)) {
        (void)picoquic_set_stream_priority(conn->cnx, stream->id, 0);
    }
}

static void give_data(aiopq_conn_t *conn, aiopq_stream_t *stream, const uint8_t *bytes, size_t length,
                      bool is_fin)
{
    if ((length > 0 || is_fin) && !conn->is_announced) {
        conn->protocol.functions->data(conn->protocol.state, stream->id, bytes, length, is_fin);
    }
}

/* The stream's bytes so far, in two runs: what was kept, and what has come. */
typedef struct arrival {
    const uint8_t *kept, *bytes;
    size_t kept_length, length;
    bool is_fin;
} arrival_t;

static int settle(aiopq_conn_t *conn, aiopq_stream_t *stream, const aiopq_claim_t *claim, arrival_t *arrival)
{
    size_t in_kept =
        claim->preface_length < arrival->kept_length ? claim->preface_length : arrival->kept_length;
    switch (claim->kind) {
    case AIOPQ_CLAIM_OWN:
        aiopq_protocol_make_own(conn, stream);
        give_data(conn, stream, arrival->kept, arrival->kept_length, false);
        give_data(conn, stream, arrival->bytes, arrival->length, arrival->is_fin);
        return 0;
    case AIOPQ_CLAIM_REFUSE:
        refuse(conn, stream, claim->error_code);
        return 0;
    default:
        break;
    }
    stream->scope = claim->scope;
    arrival->kept += in_kept;
    arrival->kept_length -= in_kept;
    arrival->bytes += claim->preface_length - in_kept;
    arrival->length -= claim->preface_length - in_kept;
    if (claim->kind == AIOPQ_CLAIM_WAIT) {
        if (!begin_waiting(conn, stream)) {
            refuse(conn, stream, conn->protocol.functions->waiting_error);
            return 0;
        }
        if (arrival->kept_length > 0 && hold(conn, stream, arrival->kept, arrival->kept_length, false) != 0) {
            return -1;
        }
        return stream->role != AIOPQ_ROLE_WAITING
                   ? 0
                   : hold(conn, stream, arrival->bytes, arrival->length, arrival->is_fin);
    }
    stream->role = AIOPQ_ROLE_APPLICATION;
    if (arrival->kept_length > 0 &&
        aiopq_stream_receive(conn, stream, arrival->kept, arrival->kept_length, false) != 0) {
        return -1;
    }
    return aiopq_stream_receive(conn, stream, arrival->bytes, arrival->length, arrival->is_fin);
}

static int claim(aiopq_conn_t *conn, aiopq_stream_t *stream, const uint8_t *bytes, size_t length, bool is_fin)
{
    const aiopq_conn_protocol_t *protocol = &conn->protocol;
    uint8_t head[AIOPQ_PREFACE_MAX];
    aiopq_claiming_t *claiming = stream->claiming;
    size_t kept = claiming != NULL ? claiming->length : 0;
    size_t shown = length < sizeof(head) - kept ? length : sizeof(head) - kept;
    if (kept > 0) {
        memcpy(head, claiming->bytes, kept);
    }
    if (shown > 0) {
        memcpy(head + kept, bytes, shown);
    }
    bool is_all = is_fin && shown == length;
    aiopq_claim_t answer =
        protocol->functions->claim(protocol->state, stream->id, head, kept + shown, is_all);
    if (answer.kind == AIOPQ_CLAIM_MORE && is_all) {
        answer.kind = AIOPQ_CLAIM_OWN;
    }
    if (conn->is_announced) {
        return 0; /* the protocol has closed the connection for it */
    }
    if (claiming == NULL && (answer.kind == AIOPQ_CLAIM_MORE || answer.kind == AIOPQ_CLAIM_WAIT)) {
        claiming = stream->claiming = calloc(1, sizeof(*claiming));
        if (claiming == NULL) {
            return -1;
        }
    }
    if (answer.kind == AIOPQ_CLAIM_MORE) {
        if (kept + shown == sizeof(head)) {
            return -1; /* no preface is as long as that */
        }
        memcpy(claiming->bytes, head, kept + shown);
        claiming->length = kept + shown;
        return 0;
    }
    arrival_t arrival = {head, bytes, kept, length, is_fin};
    return answer.preface_length <= kept + length ? settle(conn, stream, &answer, &arrival) : -1;
}

/* ---- picoquic's callbacks ---- */

static int on_data(aiopq_conn_t *conn, aiopq_stream_t *stream, const uint8_t *bytes, size_t length,
                   bool is_fin)
{
    switch (stream->role) {
    case AIOPQ_ROLE_UNCLAIMED:
        return claim(conn, stream, bytes, length, is_fin);
    case AIOPQ_ROLE_OWN:
        give_data(conn, stream, bytes, length, is_fin);
        return 0;
    case AIOPQ_ROLE_WAITING:
        return hold(conn, stream, bytes, length, is_fin);
    default:
        return 0;
    }
}

static void on_reset(aiopq_conn_t *conn, aiopq_stream_t *stream)
{
    uint64_t code = picoquic_get_remote_stream_error(conn->cnx, stream->id);
    aiopq_flow_close(stream);
    if (stream->role == AIOPQ_ROLE_WAITING) {
        stream->claiming->is_reset = !atomic_load_explicit(&stream->is_fin_received, memory_order_relaxed);
        stream->claiming->reset_code = code;
    } else if (stream->role == AIOPQ_ROLE_UNCLAIMED || stream->role == AIOPQ_ROLE_OWN) {
        if (stream->role == AIOPQ_ROLE_UNCLAIMED) {
            stream->role = AIOPQ_ROLE_OWN;
        }
        conn->protocol.functions->reset(conn->protocol.state, stream->id, code);
    }
}

static void on_stop_sending(aiopq_conn_t *conn, aiopq_stream_t *stream)
{
    uint64_t code = aiopq_remote_stop_code(conn->cnx, stream->id);
    aiopq_stream_end_sending(stream);
    (void)picoquic_reset_stream(conn->cnx, stream->id, code);
    (void)picoquic_set_app_stream_ctx(conn->cnx, stream->id, stream);
    if (stream->role == AIOPQ_ROLE_WAITING) {
        stream->claiming->is_stopped = true;
        stream->claiming->stop_code = code;
    } else if (stream->role == AIOPQ_ROLE_OWN) {
        conn->protocol.functions->stopped(conn->protocol.state, stream->id, code);
    }
}

static int on_prepare(aiopq_conn_t *conn, aiopq_stream_t *stream, void *context, size_t space)
{
    if (stream->role == AIOPQ_ROLE_ENDED && stream->reset.is_due) {
        return aiopq_on_prepare_to_send(conn, stream, context, space);
    }
    (void)picoquic_provide_stream_data_buffer(context, 0, 0, 0);
    return 0;
}

static void on_released(aiopq_conn_t *conn, aiopq_stream_t *stream)
{
    if (stream->role == AIOPQ_ROLE_ENDED) {
        (void)aiopq_on_stream_released(conn, stream);
        return;
    }
    if (stream->role == AIOPQ_ROLE_WAITING) {
        stream->claiming->is_released = true;
    } else if (stream->role == AIOPQ_ROLE_OWN && conn->protocol.state != NULL && !conn->is_announced) {
        stream->role = AIOPQ_ROLE_REFUSED; /* picoquic still has it, and forgets it next */
        conn->protocol.functions->released(conn->protocol.state, stream->id);
    }
    aiopq_credit_stream_over(conn, stream->id);
    aiopq_stream_detach(stream);
}

int aiopq_protocol_dispatch(aiopq_conn_t *conn, aiopq_stream_t *stream, const uint8_t *bytes, size_t length,
                            picoquic_call_back_event_t event)
{
    switch (event) {
    case picoquic_callback_prepare_to_send:
        return on_prepare(conn, stream, (void *)(uintptr_t)bytes, length);
    case picoquic_callback_stream_released:
        on_released(conn, stream);
        return 0;
    default:
        break;
    }
    if (conn->is_announced) {
        return 0;
    }
    switch (event) {
    case picoquic_callback_stream_data:
    case picoquic_callback_stream_fin:
        return on_data(conn, stream, bytes, length, event == picoquic_callback_stream_fin);
    case picoquic_callback_stream_reset:
        on_reset(conn, stream);
        return 0;
    case picoquic_callback_stop_sending:
        on_stop_sending(conn, stream);
        return 0;
    default:
        return 0;
    }
}

bool aiopq_protocol_takes_datagram(aiopq_conn_t *conn, const uint8_t *bytes, size_t length)
{
    const aiopq_conn_protocol_t *protocol = &conn->protocol;
    if (conn->is_announced || !aiopq_protocol_decide(conn) || protocol->functions->datagram == NULL) {
        return true;
    }
    return protocol->functions->datagram(protocol->state, bytes, length);
}

/* ---- scopes that end ---- */

/* The application hears of it as of the peer's doing: readers and writers wake up with the code. */
static void end_stream(aiopq_stream_t *stream, uint64_t error_code)
{
    aiopq_conn_t *conn = stream->conn;
    if (!stream->is_send_over && !stream->reset.is_due) {
        uint64_t sent = atomic_load_explicit(&stream->sent, memory_order_relaxed);
        aiopq_emit(conn->engine, AIOPQ_EVENT_STREAM_STOPPED, conn, stream, error_code, NULL);
        aiopq_reset_sending(stream, error_code,
                            stream->preface_length < sent ? stream->preface_length : sent);
    }
    if (!stream->is_receive_over) {
        aiopq_emit(conn->engine, AIOPQ_EVENT_STREAM_RESET, conn, stream, error_code, NULL);
        aiopq_stop_receiving(stream, error_code);
    }
    stream->role = AIOPQ_ROLE_ENDED; /* what the peer says of it now is an answer to this, or late */
}

void aiopq_protocol_end_scope(aiopq_conn_t *conn, uint64_t scope, uint64_t error_code)
{
    for (aiopq_stream_t **link = &conn->protocol.first_waiting; *link != NULL;) {
        if ((*link)->scope == scope) {
            refuse_waiting(conn, link, error_code);
        } else {
            link = &(*link)->claiming->next;
        }
    }
    aiopq_stream_t *next;
    for (aiopq_stream_t *stream = conn->streams; stream != NULL; stream = next) {
        next = stream->next;
        if (stream->scope == scope && stream->role == AIOPQ_ROLE_APPLICATION) {
            end_stream(stream, error_code);
        }
    }
}

void aiopq_protocol_check_scope(aiopq_stream_t *stream)
{
    const aiopq_conn_protocol_t *protocol = &stream->conn->protocol;
    uint64_t error_code = 0;
    if (stream->scope != AIOPQ_NO_SCOPE && protocol->state != NULL &&
        !protocol->functions->is_scope_open(protocol->state, stream->scope, &error_code)) {
        end_stream(stream, error_code);
    }
}

/* ---- what the loop thread asks ---- */

aiopq_protocol_message_t *aiopq_protocol_message_new(int32_t kind, uint64_t uid, const uint8_t *data,
                                                     size_t length)
{
    aiopq_protocol_message_t *message = malloc(sizeof(*message) + length);
    if (message != NULL) {
        message->kind = kind;
        message->uid = uid;
        message->length = length;
        if (length > 0) {
            memcpy(message->data, data, length);
        }
    }
    return message;
}

void aiopq_protocol_run(aiopq_conn_t *conn, const aiopq_protocol_message_t *message)
{
    const aiopq_conn_protocol_t *protocol = &conn->protocol;
    if (protocol->state != NULL && !conn->is_announced) {
        protocol->functions->command(protocol->state, message->kind, message->uid, message->data,
                                     message->length);
    }
}
