/* A protocol of a third party, in a hundred lines: what aiopquic/protocol.h promises, without HTTP/3.
 *
 * The first byte of a stream says whose it is: the protocol's, nobody's, or the application's, with the scope in the
 * second byte. A scope opens and ends as the protocol's streams or the loop thread say. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

#define OWN 0x10     /* then pairs of an operation and a scope */
#define APP 0x20     /* then the scope */
#define NOBODY 0x30  /* refused */
#define ENDLESS 0x40 /* the protocol never knows */

#define SCOPES 16
#define WAITING_STREAMS 4
#define WAITING_BYTES 8192
#define ERROR_WAITING 0x71
#define ERROR_OVER 0x72
#define ERROR_NOBODY 0x73
#define ERROR_CLOSE 0x74

enum {
    COMMAND_SEND = 1,
    COMMAND_OPEN,
    COMMAND_END,
    COMMAND_RESET,
    COMMAND_STOP
};
enum {
    EVENT_BYTES = 1,
    EVENT_FIN,
    EVENT_RESET,
    EVENT_STOPPED,
    EVENT_RELEASED
};

typedef struct toy {
    aiopq_conn_t *conn;
    bool is_open[SCOPES], was_open[SCOPES];
    bool has_skipped; /* the first byte of the own stream */
} toy_t;

static _Atomic uint64_t claims, datagrams; /* calls, of either side */

static void *toy_begin(aiopq_conn_t *conn)
{
    toy_t *toy = calloc(1, sizeof(*toy));
    CHECK(toy != NULL);
    toy->conn = conn;
    aiopq_protocol_count_objects(1);
    return toy;
}

static void toy_end(void *state)
{
    free(state);
    aiopq_protocol_count_objects(-1);
}

static aiopq_claim_t toy_claim(void *state, uint64_t stream_id, const uint8_t *bytes, size_t length,
                               bool is_fin)
{
    const toy_t *toy = state;
    aiopq_claim_t claim = {.kind = AIOPQ_CLAIM_MORE};
    (void)stream_id;
    (void)is_fin;
    atomic_fetch_add(&claims, 1);
    if (length > 0 && bytes[0] == OWN) {
        claim.kind = AIOPQ_CLAIM_OWN;
    } else if (length > 0 && bytes[0] == NOBODY) {
        claim.kind = AIOPQ_CLAIM_REFUSE;
        claim.error_code = ERROR_NOBODY;
    } else if (length > 1 && bytes[0] == APP) {
        CHECK(bytes[1] < SCOPES);
        claim.scope = bytes[1];
        claim.preface_length = 2;
        claim.error_code = ERROR_OVER;
        claim.kind = toy->is_open[bytes[1]]    ? AIOPQ_CLAIM_APPLICATION
                     : toy->was_open[bytes[1]] ? AIOPQ_CLAIM_REFUSE
                                               : AIOPQ_CLAIM_WAIT;
    }
    return claim;
}

static void toy_open(toy_t *toy, uint64_t scope)
{
    toy->is_open[scope] = toy->was_open[scope] = true;
    aiopq_protocol_open_scope(toy->conn, scope);
}

static void toy_close(toy_t *toy, uint64_t scope)
{
    toy->is_open[scope] = false;
    aiopq_protocol_end_scope(toy->conn, scope, ERROR_OVER);
}

static void toy_data(void *state, uint64_t stream_id, const uint8_t *bytes, size_t length, bool is_fin)
{
    toy_t *toy = state;
    aiopq_protocol_tell(toy->conn, EVENT_BYTES, stream_id, bytes, length);
    for (size_t i = 0; i + 1 < length; i++) {
        if (bytes[i] == 'x') {
            aiopq_protocol_close(toy->conn, ERROR_CLOSE, "because");
        } else if (bytes[i + 1] >= SCOPES) {
            continue;
        } else if (bytes[i] == 'o') {
            toy_open(toy, bytes[i + 1]);
        } else if (bytes[i] == 'e') {
            toy_close(toy, bytes[i + 1]);
        }
    }
    if (is_fin) {
        aiopq_protocol_tell(toy->conn, EVENT_FIN, stream_id, NULL, 0);
    }
}

static void toy_reset(void *state, uint64_t stream_id, uint64_t error_code)
{
    uint8_t code = (uint8_t)error_code;
    aiopq_protocol_tell(((toy_t *)state)->conn, EVENT_RESET, stream_id, &code, 1);
}

static void toy_stopped(void *state, uint64_t stream_id, uint64_t error_code)
{
    uint8_t code = (uint8_t)error_code;
    aiopq_protocol_tell(((toy_t *)state)->conn, EVENT_STOPPED, stream_id, &code, 1);
}

static void toy_released(void *state, uint64_t stream_id)
{
    const toy_t *toy = state;
    CHECK(aiopq_protocol_send(toy->conn, stream_id, (const uint8_t *)"late", 4, false) != AIOPQ_OK);
    aiopq_protocol_tell(toy->conn, EVENT_RELEASED, stream_id, NULL, 0);
}

static bool toy_datagram(void *state, const uint8_t *bytes, size_t length)
{
    (void)state;
    (void)bytes;
    atomic_fetch_add(&datagrams, 1);
    return length % 2 == 0;
}

static bool toy_is_open(void *state, uint64_t scope, uint64_t *error_code)
{
    *error_code = ERROR_OVER;
    return ((toy_t *)state)->is_open[scope];
}

static void toy_command(void *state, int32_t kind, uint64_t uid, const uint8_t *data, size_t length)
{
    toy_t *toy = state;
    if (kind == COMMAND_SEND) {
        (void)aiopq_protocol_send(toy->conn, uid, data, length, length == 0);
    } else if (kind == COMMAND_OPEN) {
        toy_open(toy, uid);
    } else if (kind == COMMAND_END) {
        toy_close(toy, uid);
    } else if (kind == COMMAND_RESET) {
        aiopq_protocol_reset(toy->conn, uid, data[0]);
    } else {
        aiopq_protocol_stop(toy->conn, uid, data[0]);
    }
}

static const char *const alpn[] = {"other", ALPN, NULL};
static const aiopq_protocol_t protocol = {
    .version = AIOPQ_PROTOCOL_VERSION,
    .alpn = alpn,
    .waiting_streams_max = WAITING_STREAMS,
    .waiting_bytes_max = WAITING_BYTES,
    .waiting_error = ERROR_WAITING,
    .begin = toy_begin,
    .end = toy_end,
    .claim = toy_claim,
    .data = toy_data,
    .reset = toy_reset,
    .stopped = toy_stopped,
    .released = toy_released,
    .datagram = toy_datagram,
    .is_scope_open = toy_is_open,
    .command = toy_command,
};

/* ---- helpers ---- */

static pair_t pair;
static peer_t *client, *server;

static void begin(bool is_client_raw)
{
    pair_prepare(&pair);
    pair.server.config.protocols[0] = &protocol;
    if (!is_client_raw) {
        pair.client.config.protocols[0] = &protocol;
    }
    pair_start(&pair);
    client = pair_connect(&pair);
    server = pair.server.peers;
}

static void command(peer_t *peer, int32_t kind, uint64_t uid, const char *data, size_t length)
{
    CHECK_EQUAL(aiopq_conn_protocol_command(peer->conn, kind, uid, (const uint8_t *)data, length), AIOPQ_OK);
}

static flow_t *open_in(peer_t *peer, uint64_t stream_id, uint8_t scope)
{
    const uint8_t preface[] = {APP, scope};
    return flow_open_scoped(peer, stream_id, scope, (aiopq_bytes_t){preface, sizeof(preface)});
}

/* Opens a scope on both sides; the own stream is `stream_id`, made by the first call. */
static void open_scope(uint64_t stream_id, uint8_t scope)
{
    static const char first[] = {OWN};
    uint64_t before = server->message_count;
    const char operation[] = {'o', (char)scope};
    command(client, COMMAND_OPEN, scope, NULL, 0);
    command(client, COMMAND_SEND, stream_id, first, sizeof(first));
    command(client, COMMAND_SEND, stream_id, operation, sizeof(operation));
    WAIT(&pair, server->message_count > before && server->message_length >= 2);
}

static void write_bytes(flow_t *flow, const uint8_t *bytes, size_t length)
{
    CHECK_EQUAL(aiopq_stream_write(flow->stream, bytes, length, false), AIOPQ_OK);
}

static flow_t *wait_for(endpoint_t *endpoint, uint64_t stream_id)
{
    WAIT(&pair, flow_find(endpoint, stream_id) != NULL);
    return flow_find(endpoint, stream_id);
}

/* ---- tests ---- */

static void streams_of_a_scope_are_ordinary_ones(void)
{
    begin(false);
    open_scope(2, 5);
    flow_t *bidi = open_in(client, 0, 5), *uni = open_in(client, 6, 5);
    flow_send(bidi, 300000, true);
    flow_send(uni, 300000, true);
    flow_t *theirs = wait_for(&pair.server, 0);
    flow_send(theirs, 200000, true);
    WAIT(&pair, bidi->is_fin_received && bidi->received == 200000);
    WAIT(&pair, theirs->is_fin_received && theirs->received == 300000);
    flow_t *incoming = wait_for(&pair.server, 6);
    WAIT(&pair, incoming->is_fin_received && incoming->received == 300000);
    CHECK_EQUAL(aiopq_stream_scope(theirs->stream), 5);
    CHECK_EQUAL(aiopq_stream_scope(incoming->stream), 5);
    WAIT(&pair, bidi->is_released && theirs->is_released && uni->is_released && incoming->is_released);
    pair_dispose(&pair);
}

/* Told once when it is known whose it is, without a byte. */
static void an_empty_stream_is_told(void)
{
    begin(false);
    open_scope(2, 1);
    (void)open_in(client, 6, 1);
    flow_t *incoming = wait_for(&pair.server, 6);
    CHECK_EQUAL(incoming->received, 0);
    CHECK(!incoming->is_fin_received);
    pair_dispose(&pair);
}

static void a_preface_may_come_byte_by_byte(void)
{
    begin(true);
    flow_t *own = flow_open(client, 2);
    write_bytes(own, (const uint8_t[]){OWN, 'o', 3}, 3);
    WAIT(&pair, server->message_count == 1);
    uint64_t before = atomic_load(&claims);
    flow_t *flow = flow_open(client, 6);
    write_bytes(flow, (const uint8_t[]){APP}, 1);
    WAIT(&pair, atomic_load(&claims) == before + 1);
    write_bytes(flow, (const uint8_t[]){3}, 1);
    flow_t *incoming = wait_for(&pair.server, 6);
    CHECK_EQUAL(aiopq_stream_scope(incoming->stream), 3);
    flow_send(flow, 1000, true);
    WAIT(&pair, incoming->received == 1000 && incoming->is_fin_received);
    pair_dispose(&pair);
}

static void what_never_can_be_told_closes_the_connection(void)
{
    begin(true);
    flow_t *flow = flow_open(client, 2);
    uint8_t bytes[AIOPQ_PREFACE_MAX] = {ENDLESS};
    write_bytes(flow, bytes, sizeof(bytes));
    WAIT(&pair, client->is_closed && server->is_closed);
    CHECK_EQUAL(client->close.kind, AIOPQ_CLOSE_TRANSPORT);
    CHECK_EQUAL(client->close.error_code, 1); /* INTERNAL_ERROR */
    pair_dispose(&pair);
}

static void a_stream_that_ends_too_early_is_the_protocols(void)
{
    begin(true);
    flow_t *flow = flow_open(client, 0);
    write_bytes(flow, (const uint8_t[]){APP}, 1);
    flow_send(flow, 0, true);
    WAIT(&pair, server->message_kind == EVENT_FIN);
    CHECK_EQUAL(server->message_uid, 0);
    flow_t *other = flow_open(client, 4);
    write_bytes(other, (const uint8_t[]){APP}, 1);
    uint64_t before = atomic_load(&claims);
    WAIT(&pair, atomic_load(&claims) > before);
    CHECK_EQUAL(aiopq_stream_reset(other->stream, 9, 0), AIOPQ_OK);
    WAIT(&pair, server->message_kind == EVENT_RESET);
    CHECK_EQUAL(server->message_uid, 4);
    CHECK_EQUAL(server->message[0], 9);
    CHECK(flow_find(&pair.server, 0) == NULL && flow_find(&pair.server, 4) == NULL);
    pair_dispose(&pair);
}

static void own_streams_are_told_of_everything(void)
{
    begin(false);
    command(client, COMMAND_SEND, 0, "\x10hello", 6);
    WAIT(&pair, server->message_count == 1);
    CHECK_EQUAL(server->message_kind, EVENT_BYTES);
    CHECK_EQUAL(server->message_length, 6);
    CHECK(memcmp(server->message, "\x10hello", 6) == 0);
    command(server, COMMAND_SEND, 0, "answer", 6);
    WAIT(&pair, client->message_count == 1 && memcmp(client->message, "answer", 6) == 0);
    command(server, COMMAND_SEND, 0, NULL, 0);
    WAIT(&pair, client->message_kind == EVENT_FIN);
    command(client, COMMAND_SEND, 0, NULL, 0);
    WAIT(&pair, client->message_kind == EVENT_RELEASED && server->message_kind == EVENT_RELEASED);

    command(client, COMMAND_SEND, 4, "\x10", 1);
    WAIT(&pair, server->message_uid == 4);
    command(client, COMMAND_STOP, 4, "\x21", 1);
    WAIT(&pair, server->message_kind == EVENT_STOPPED && server->message[0] == 0x21);
    WAIT(&pair, client->message_kind == EVENT_RESET && client->message[0] == 0x21);
    command(client, COMMAND_RESET, 4, "\x22", 1);
    WAIT(&pair, server->message_kind == EVENT_RELEASED && client->message_kind == EVENT_RELEASED);
    CHECK(pair.server.flow_count == 0 && pair.client.flow_count == 0);
    pair_dispose(&pair);
}

/* More than any window: the credit comes without the application. */
static void own_streams_take_any_length(void)
{
    begin(false);
    char *bytes = calloc(1, 64 * 1024);
    CHECK(bytes != NULL);
    bytes[0] = OWN;
    for (int i = 0; i < 64; i++) { /* four times the connection's budget */
        command(client, COMMAND_SEND, 0, bytes, 64 * 1024);
    }
    command(client, COMMAND_SEND, 0, NULL, 0);
    free(bytes);
    WAIT(&pair, server->message_kind == EVENT_FIN);
    pair_dispose(&pair);
}

static void nobodys_are_refused(void)
{
    begin(true);
    flow_t *flow = flow_open(client, 0), *uni = flow_open(client, 2);
    write_bytes(flow, (const uint8_t[]){NOBODY, 1, 2, 3}, 4);
    write_bytes(uni, (const uint8_t[]){NOBODY, 1, 2, 3}, 4);
    WAIT(&pair, flow->is_stopped && flow->is_reset && uni->is_stopped);
    CHECK_EQUAL(flow->stop_code, ERROR_NOBODY);
    CHECK_EQUAL(flow->reset_code, ERROR_NOBODY);
    CHECK_EQUAL(uni->stop_code, ERROR_NOBODY);
    WAIT(&pair, flow->is_released && uni->is_released);
    CHECK_EQUAL(pair.server.flow_count, 0);
    pair_dispose(&pair);
}

static void streams_wait_for_their_scope(void)
{
    begin(false);
    command(client, COMMAND_OPEN, 7, NULL, 0);
    uint64_t before = atomic_load(&claims);
    flow_t *whole = open_in(client, 6, 7);
    flow_send(whole, 1000, true);
    WAIT(&pair, whole->is_released); /* for the peer it is over before anybody has heard of it */
    flow_t *going = open_in(client, 0, 7);
    flow_send(going, 500, false);
    flow_t *given_up = open_in(client, 10, 7);
    WAIT(&pair, atomic_load(&claims) >= before + 3);
    CHECK_EQUAL(aiopq_stream_reset(given_up->stream, 0x44, 0), AIOPQ_OK);
    WAIT(&pair, given_up->is_released);
    CHECK_EQUAL(pair.server.flow_count, 0);

    open_scope(2, 7);
    flow_t *first = wait_for(&pair.server, 6), *second = wait_for(&pair.server, 0),
           *third = wait_for(&pair.server, 10);
    WAIT(&pair, first->received == 1000 && first->is_fin_received && first->is_released);
    WAIT(&pair, second->received == 500);
    WAIT(&pair, third->is_reset && third->reset_code == 0x44 && third->is_released);
    CHECK(third->next == second && second->next == first); /* the newest first */
    flow_send(going, 100000, true);
    flow_send(second, 100000, true);
    WAIT(&pair, second->received == 100500 && second->is_fin_received && going->is_fin_received);
    pair_dispose(&pair);
}

static void those_that_wait_are_bounded(void)
{
    begin(false);
    command(client, COMMAND_OPEN, 7, NULL, 0);
    flow_t *flows[WAITING_STREAMS + 1];
    for (uint64_t i = 0; i <= WAITING_STREAMS; i++) {
        flows[i] = open_in(client, 4 * i, 7);
    }
    flow_t *refused = flows[WAITING_STREAMS];
    WAIT(&pair, refused->is_stopped && refused->is_reset);
    CHECK_EQUAL(refused->stop_code, ERROR_WAITING);
    CHECK_EQUAL(refused->reset_code, ERROR_WAITING);
    for (int i = 0; i < 2; i++) { /* its bytes are given up, and make room for others' */
        flow_send(flows[i], WAITING_BYTES + 1, false);
        WAIT(&pair, flows[i]->is_stopped && flows[i]->stop_code == ERROR_WAITING);
    }
    flow_send(flows[2], WAITING_BYTES, false);
    open_scope(2, 7);
    flow_t *third = wait_for(&pair.server, 8);
    WAIT(&pair, third->received == WAITING_BYTES);
    CHECK(!flows[2]->is_stopped && !flows[3]->is_stopped);
    (void)wait_for(&pair.server, 12);
    CHECK_EQUAL(pair.server.flow_count, 2);
    pair_dispose(&pair);
}

static void the_end_of_a_connection_drops_those_that_wait(void)
{
    begin(false);
    command(client, COMMAND_OPEN, 7, NULL, 0);
    uint64_t before = atomic_load(&claims);
    flow_send(open_in(client, 0, 7), 5000, false);
    flow_send(open_in(client, 6, 7), 100, true);
    WAIT(&pair, atomic_load(&claims) >= before + 2);
    CHECK_EQUAL(aiopq_conn_close(client->conn, 0, NULL, 0), AIOPQ_OK);
    WAIT(&pair, client->is_closed && server->is_closed);
    pair_dispose(&pair);
}

static void the_end_of_a_scope_ends_its_streams(void)
{
    begin(false);
    open_scope(2, 5);
    open_scope(2, 6);
    flow_t *bidi = open_in(client, 0, 5), *uni = open_in(client, 6, 5), *other = open_in(client, 4, 6);
    flow_send(bidi, 1000000, false);
    flow_send(uni, 1000000, false);
    flow_send(other, 1000, false);
    flow_t *theirs = wait_for(&pair.server, 0), *incoming = wait_for(&pair.server, 6);
    flow_send(theirs, 1000000, false);
    WAIT(&pair, bidi->received > 0);
    command(server, COMMAND_END, 5, NULL, 0);
    WAIT(&pair, theirs->is_reset && theirs->is_stopped && incoming->is_reset);
    CHECK_EQUAL(theirs->reset_code, ERROR_OVER);
    CHECK_EQUAL(theirs->stop_code, ERROR_OVER);
    /* The client's protocol has not ended the scope: these are the peer's doing. */
    WAIT(&pair, bidi->is_reset && bidi->is_stopped && uni->is_stopped);
    CHECK_EQUAL(bidi->reset_code, ERROR_OVER);
    WAIT(&pair, theirs->is_released && incoming->is_released && bidi->is_released && uni->is_released);
    CHECK_EQUAL(aiopq_conn_send_queued(client->conn), 0);

    flow_t *late = open_in(client, 8, 5);
    WAIT(&pair, late->is_stopped && late->stop_code == ERROR_OVER);
    flow_t *ours = open_in(server, 1, 5); /* which knows that it is over */
    WAIT(&pair, ours->is_stopped && ours->is_reset);
    CHECK(flow_find(&pair.client, 1) == NULL || flow_find(&pair.client, 1)->received == 0);

    flow_t *unharmed = wait_for(&pair.server, 4);
    flow_send(other, 1000, true);
    WAIT(&pair, unharmed->received == 2000 && unharmed->is_fin_received);
    pair_dispose(&pair);
}

static void the_protocol_closes_with_a_reason(void)
{
    begin(false);
    command(client, COMMAND_SEND, 0, "\x10x!", 3);
    WAIT(&pair, client->is_closed && server->is_closed);
    CHECK(client->close.is_remote && !server->close.is_remote);
    CHECK_EQUAL(client->close.error_code, ERROR_CLOSE);
    CHECK_EQUAL(client->close.reason_length, 7);
    CHECK(memcmp(client->close.reason, "because", 7) == 0);
    CHECK_EQUAL(aiopq_conn_protocol_command(client->conn, COMMAND_OPEN, 1, NULL, 0), AIOPQ_CLOSED);
    pair_dispose(&pair);
}

static void other_protocols_are_left_alone(void)
{
    pair_prepare(&pair);
    pair.server.config.protocols[0] = &protocol;
    pair.server.config.alpn[1] = "raw";
    pair_start(&pair);
    client = pair_open(&pair, "localhost", "raw");
    WAIT(&pair, client->is_ready && pair.server.peers != NULL && pair.server.peers->is_ready);
    uint64_t before = atomic_load(&claims);
    flow_t *flow = flow_open(client, 0);
    flow_send(flow, 1000, true);
    flow_t *incoming = wait_for(&pair.server, 0);
    WAIT(&pair, incoming->received == 1000);
    CHECK_EQUAL(aiopq_stream_scope(incoming->stream), AIOPQ_NO_SCOPE);
    CHECK_EQUAL(atomic_load(&claims), before);
    command(pair.server.peers, COMMAND_OPEN, 1, NULL, 0); /* does nothing */
    pair_dispose(&pair);
}

static void datagrams_pass_the_protocol(void)
{
    begin(false);
    uint64_t before = atomic_load(&datagrams);
    CHECK_EQUAL(datagram_send(client, 11, false), AIOPQ_OK);
    CHECK_EQUAL(datagram_send(client, 12, false), AIOPQ_OK);
    WAIT(&pair, server->datagram_count == 1);
    CHECK_EQUAL(server->datagram_bytes, 12);
    CHECK(atomic_load(&datagrams) > before);
    pair_dispose(&pair);
}

/* RESET_STREAM_AT, for a stream of no protocol. */
static void the_first_bytes_arrive_before_a_reset(void)
{
    pair_begin(&pair);
    client = pair.client.peers;
    flow_t *flow = flow_open(client, 2);
    flow_send(flow, 100000, false);
    CHECK_EQUAL(aiopq_stream_reset(flow->stream, 0x31, 60000), AIOPQ_OK);
    CHECK_EQUAL(aiopq_stream_reset(flow->stream, 0x32, 70000), AIOPQ_OK); /* does not count */
    flow_t *incoming = wait_for(&pair.server, 2);
    WAIT(&pair, incoming->is_reset);
    CHECK_EQUAL(incoming->reset_code, 0x31);
    CHECK(incoming->received >= 60000 && incoming->received < 100000);
    WAIT(&pair, flow->is_released && incoming->is_released);
    CHECK_EQUAL(aiopq_conn_send_queued(client->conn), 0);
    CHECK(client->info.remote_parameters.reset_stream_at);

    flow_t *all = flow_open(client, 6); /* more than there is: all of it */
    flow_send(all, 100, false);
    CHECK_EQUAL(aiopq_stream_reset(all->stream, 0x33, UINT64_MAX), AIOPQ_OK);
    flow_t *whole = wait_for(&pair.server, 6);
    WAIT(&pair, whole->is_reset && whole->received == 100);
    pair_dispose(&pair);
}

/* The preface of a scope arrives with a reset that comes at once. */
static void a_preface_survives_the_reset(void)
{
    begin(false);
    open_scope(2, 5);
    flow_t *flow = open_in(client, 6, 5);
    flow_send(flow, 100000, false);
    CHECK_EQUAL(aiopq_stream_reset(flow->stream, 0x35, 0), AIOPQ_OK);
    flow_t *incoming = wait_for(&pair.server, 6);
    WAIT(&pair, incoming->is_reset && incoming->reset_code == 0x35);
    CHECK_EQUAL(aiopq_stream_scope(incoming->stream), 5);
    pair_dispose(&pair);
}

int main(int argc, char **argv)
{
    static const test_case_t cases[] = {
        TEST(streams_of_a_scope_are_ordinary_ones),
        TEST(an_empty_stream_is_told),
        TEST(a_preface_may_come_byte_by_byte),
        TEST(what_never_can_be_told_closes_the_connection),
        TEST(a_stream_that_ends_too_early_is_the_protocols),
        TEST(own_streams_are_told_of_everything),
        TEST(own_streams_take_any_length),
        TEST(nobodys_are_refused),
        TEST(streams_wait_for_their_scope),
        TEST(those_that_wait_are_bounded),
        TEST(the_end_of_a_connection_drops_those_that_wait),
        TEST(the_end_of_a_scope_ends_its_streams),
        TEST(the_protocol_closes_with_a_reason),
        TEST(other_protocols_are_left_alone),
        TEST(datagrams_pass_the_protocol),
        TEST(the_first_bytes_arrive_before_a_reset),
        TEST(a_preface_survives_the_reset),
    };
    return test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
