/* What the engine sees by looking: stream credit, acknowledged pings and bytes. And the credit that it grants. */
#include <string.h>

#include "harness.h"
#include "test.h"

#define CLIENT_BIDI(n) (4 * (uint64_t)(n))
#define CLIENT_UNI(n) (4 * (uint64_t)(n) + 2)
#define NOBODY UINT64_MAX /* a limit above any: nobody waits for that kind */

static pair_t pair;

static peer_t *begin_with_limits(uint64_t bidi, uint64_t uni)
{
    pair_prepare(&pair);
    pair.server.config.max_streams_bidi = bidi;
    pair.server.config.max_streams_uni = uni;
    pair_start(&pair);
    return pair_connect(&pair);
}

static flow_t *at_server(uint64_t id)
{
    return flow_find(&pair.server, id);
}

/* A bidirectional stream from its opening to its end on both sides. */
static void exchange(peer_t *client, uint64_t number)
{
    flow_t *flow = flow_open(client, CLIENT_BIDI(number));
    flow_send(flow, 100, true);
    WAIT(&pair, at_server(CLIENT_BIDI(number)) != NULL && at_server(CLIENT_BIDI(number))->is_fin_received);
    flow_send(at_server(CLIENT_BIDI(number)), 100, true);
    WAIT(&pair, flow->is_fin_received);
}

/* ---- stream credit ---- */

static void limits_are_told_when_there_are_more_than_known(void)
{
    peer_t *client = begin_with_limits(5, 3);
    CHECK_EQUAL(client->info.remote_parameters.initial_max_streams_bidi, 5);
    CHECK_EQUAL(client->info.remote_parameters.initial_max_streams_uni, 3);
    CHECK_EQUAL(aiopq_conn_want_streams(client->conn, 4, NOBODY), AIOPQ_OK);
    WAIT(&pair, client->streams_count == 1);
    CHECK_EQUAL(aiopq_conn_want_streams(client->conn, NOBODY, 2), AIOPQ_OK);
    WAIT(&pair, client->streams_count == 2);
    CHECK_EQUAL(client->limits.max_bidi, 5);
    CHECK_EQUAL(client->limits.max_uni, 3);
    peer_t *server = pair.server.peers;
    CHECK_EQUAL(aiopq_conn_want_streams(server->conn, 0, 0), AIOPQ_OK);
    WAIT(&pair, server->streams_count == 1);
    CHECK_EQUAL(server->limits.max_bidi, 64);
    pair_dispose(&pair);
}

static void limits_are_told_from_the_handshake_on(void)
{
    pair_prepare(&pair);
    pair.server.config.max_streams_uni = 0;
    pair_start(&pair);
    peer_t *client = pair_open(&pair, "localhost", ALPN);
    CHECK_EQUAL(aiopq_conn_want_streams(client->conn, 0, 0), AIOPQ_OK);
    WAIT(&pair, client->streams_count == 1);
    CHECK_EQUAL(client->limits.max_bidi, 64);
    CHECK_EQUAL(client->limits.max_uni, 0);
    WAIT(&pair, client->is_ready);
    pair_dispose(&pair);
}

static void bidirectional_credit_comes_back(void)
{
    enum {
        ROUNDS = 40
    };
    peer_t *client = begin_with_limits(1, 1);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        exchange(client, i);
        CHECK_EQUAL(aiopq_conn_want_streams(client->conn, i + 1, NOBODY), AIOPQ_OK);
        WAIT(&pair, client->streams_count == i + 1);
        CHECK(client->limits.max_bidi >= i + 2);
    }
    CHECK_EQUAL(client->limits.max_uni, 1);
    pair_dispose(&pair);
}

static void unidirectional_credit_comes_back(void)
{
    enum {
        ROUNDS = 40
    };
    peer_t *client = begin_with_limits(1, 1);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        flow_send(flow_open(client, CLIENT_UNI(i)), 100, true);
        CHECK_EQUAL(aiopq_conn_want_streams(client->conn, NOBODY, i + 1), AIOPQ_OK);
        WAIT(&pair, client->streams_count == i + 1);
        CHECK(client->limits.max_uni >= i + 2);
    }
    CHECK_EQUAL(client->limits.max_bidi, 1);
    pair_dispose(&pair);
}

static void streams_that_stay_open_do_not_hold_the_credit_of_the_others(void)
{
    enum {
        STAY = 7,
        ROUNDS = 20
    };
    peer_t *client = begin_with_limits(STAY + 1, STAY + 1);
    for (uint64_t i = 0; i < STAY; i++) {
        flow_send(flow_open(client, CLIENT_BIDI(i)), 10, false);
        flow_send(flow_open(client, CLIENT_UNI(i)), 10, false);
    }
    for (uint64_t i = STAY; i < STAY + ROUNDS; i++) {
        exchange(client, i);
        flow_send(flow_open(client, CLIENT_UNI(i)), 100, true);
        uint64_t before = client->streams_count;
        CHECK_EQUAL(aiopq_conn_want_streams(client->conn, i + 1, NOBODY), AIOPQ_OK);
        WAIT(&pair, client->streams_count == before + 1);
        CHECK_EQUAL(aiopq_conn_want_streams(client->conn, NOBODY, i + 1), AIOPQ_OK);
        WAIT(&pair, client->streams_count == before + 2);
    }
    pair_dispose(&pair);
}

static void credit_of_reset_streams_comes_back(void)
{
    enum {
        ROUNDS = 20
    };
    peer_t *client = begin_with_limits(2, 2);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        flow_t *flow = flow_open(client, CLIENT_UNI(i));
        flow_send(flow, 200000, false); /* more than the window: some of it never gets out */
        WAIT(&pair, at_server(CLIENT_UNI(i)) != NULL);
        CHECK_EQUAL(aiopq_stream_reset(flow->stream, 7, 0), AIOPQ_OK);
        CHECK_EQUAL(aiopq_conn_want_streams(client->conn, NOBODY, i + 2), AIOPQ_OK);
        WAIT(&pair, client->streams_count == i + 1);
    }
    pair_dispose(&pair);
}

static void credit_stays_within_the_limit_of_open_streams(void)
{
    peer_t *client = begin_with_limits(8, 8);
    for (uint64_t i = 0; i < 8; i++) {
        flow_send(flow_open(client, CLIENT_UNI(i)), 10, i < 3);
    }
    CHECK_EQUAL(aiopq_conn_want_streams(client->conn, NOBODY, 8), AIOPQ_OK);
    WAIT(&pair, client->streams_count == 1);
    CHECK(client->limits.max_uni <= 11); /* three are over, five are open */
    pair_dispose(&pair);
}

static void a_wish_for_streams_ends_with_the_connection(void)
{
    peer_t *client = begin_with_limits(1, 1);
    CHECK_EQUAL(aiopq_conn_want_streams(client->conn, 1, 1), AIOPQ_OK);
    CHECK_EQUAL(aiopq_conn_close(pair.server.peers->conn, 5, NULL, 0), AIOPQ_OK);
    WAIT(&pair, client->is_closed && pair.server.closed_count == 1);
    CHECK_EQUAL(client->streams_count, 0);
    CHECK_EQUAL(aiopq_conn_want_streams(client->conn, 1, 1), AIOPQ_CLOSED);
    /* One that comes too late for the network thread: the end is on its way. */
    peer_t *second = pair_connect(&pair);
    CHECK_EQUAL(aiopq_conn_close(second->conn, 0, NULL, 0), AIOPQ_OK);
    (void)aiopq_conn_want_streams(second->conn, 1, 1);
    WAIT(&pair, second->is_closed);
    pair_dispose(&pair);
}

/* ---- pings ---- */

static void pings_are_acknowledged_in_their_order(void)
{
    peer_t *client = pair_begin(&pair);
    CHECK_EQUAL(aiopq_conn_ping(client->conn, 71), AIOPQ_OK);
    WAIT(&pair, client->ping_count == 1);
    CHECK_EQUAL(client->ping_uid, 71);
    for (uint64_t i = 0; i < 10; i++) {
        CHECK_EQUAL(aiopq_conn_ping(client->conn, i), AIOPQ_OK);
    }
    WAIT(&pair, client->ping_count == 11);
    CHECK_EQUAL(client->ping_uid, 9);
    CHECK_EQUAL(aiopq_conn_ping(pair.server.peers->conn, 72), AIOPQ_OK);
    WAIT(&pair, pair.server.peers->ping_uid == 72);
    pair_dispose(&pair);
}

static void ping_before_the_handshake_is_sent_after_it(void)
{
    pair_prepare(&pair);
    pair_start(&pair);
    peer_t *client = pair_open(&pair, "localhost", ALPN);
    CHECK_EQUAL(aiopq_conn_ping(client->conn, 5), AIOPQ_OK);
    WAIT(&pair, client->ping_count == 1);
    CHECK(client->is_ready);
    pair_dispose(&pair);
}

static void pings_that_nobody_answers_are_bounded(void)
{
    pair_prepare(&pair);
    pair.client.config.idle_timeout_ms = 1000;
    pair_start(&pair);
    peer_t *client = pair_connect(&pair);
    endpoint_dispose(&pair.server); /* gone without a word */
    for (uint64_t i = 0; i < AIOPQ_PINGS_MAX; i++) {
        CHECK_EQUAL(aiopq_conn_ping(client->conn, i), AIOPQ_OK);
    }
    CHECK_EQUAL(aiopq_conn_ping(client->conn, 1000), AIOPQ_WOULD_BLOCK);
    WAIT(&pair, client->is_closed);
    CHECK_EQUAL(client->ping_count, 0);
    CHECK_EQUAL(aiopq_conn_ping(client->conn, 1000), AIOPQ_CLOSED);
    pair_dispose(&pair);
}

/* ---- acknowledged streams ---- */

static bool want_acked(flow_t *flow)
{
    bool will_tell;
    CHECK_EQUAL(aiopq_stream_want_acked(flow->stream, &will_tell), AIOPQ_OK);
    return will_tell;
}

static aiopq_status_t why_not_acked(flow_t *flow)
{
    bool will_tell = true;
    aiopq_status_t status = aiopq_stream_want_acked(flow->stream, &will_tell);
    CHECK(!will_tell);
    return status;
}

static void bytes_and_end_are_acknowledged_while_the_answer_is_due(void)
{
    peer_t *client = pair_begin(&pair);
    flow_t *flow = flow_open(client, CLIENT_BIDI(0));
    CHECK(!want_acked(flow)); /* nothing was written */
    flow_send(flow, 1000, false);
    CHECK(want_acked(flow));
    WAIT(&pair, flow->acked_count == 1);
    CHECK(!want_acked(flow));
    flow_send(flow, 0, true); /* the end alone is one more thing to wait for */
    CHECK(want_acked(flow));
    WAIT(&pair, flow->acked_count == 2);
    CHECK(!want_acked(flow) && !flow->is_released);
    pair_dispose(&pair);
}

static void release_of_a_finished_stream_acknowledges_it(void)
{
    peer_t *client = pair_begin(&pair);
    flow_t *asked = flow_open(client, CLIENT_UNI(0)), *silent = flow_open(client, CLIENT_UNI(1));
    flow_send(asked, 50000, true);
    flow_send(silent, 50000, true);
    CHECK(want_acked(asked));
    WAIT(&pair, asked->is_released && silent->is_released);
    CHECK_EQUAL(asked->acked_count, 1);
    CHECK(!want_acked(silent));
    CHECK_EQUAL(aiopq_conn_close(client->conn, 0, NULL, 0), AIOPQ_OK);
    WAIT(&pair, client->is_closed);
    CHECK(!want_acked(silent)); /* it was so before the end */
    pair_dispose(&pair);
}

static void later_wish_replaces_the_earlier_one(void)
{
    peer_t *client = pair_begin(&pair);
    flow_t *flow = flow_open(client, CLIENT_UNI(0));
    for (uint64_t i = 0; i < 20; i++) {
        flow_send(flow, 3000, false);
        CHECK(want_acked(flow));
    }
    flow_send(flow, 10, true);
    CHECK(want_acked(flow));
    WAIT(&pair, flow->acked_count > 0);
    CHECK_EQUAL(flow->acked_count, 1);
    CHECK(!want_acked(flow));
    pair_dispose(&pair);
}

static void bytes_behind_the_window_are_not_acknowledged(void)
{
    const uint64_t size = HARNESS_WINDOW + 20000;
    peer_t *client = pair_begin(&pair);
    flow_t *flow = flow_open(client, CLIENT_UNI(0)), *other = flow_open(client, CLIENT_UNI(1));
    flow_send(flow, 1, false);
    WAIT(&pair, at_server(CLIENT_UNI(0)) != NULL);
    flow_t *held = at_server(CLIENT_UNI(0));
    held->holds = true;
    flow_send(flow, size, false);
    CHECK(want_acked(flow));
    flow_send(other, 8u * HARNESS_WINDOW, true);
    WAIT(&pair, other->is_released);
    CHECK_EQUAL(flow->acked_count, 0);
    held->holds = false;
    flow_consume(held);
    WAIT(&pair, flow->acked_count == 1);
    CHECK_EQUAL(held->received, size + 1);
    pair_dispose(&pair);
}

static void reset_stop_and_close_end_the_wait(void)
{
    peer_t *client = pair_begin(&pair);
    flow_t *reset = flow_open(client, CLIENT_UNI(0)), *stopped = flow_open(client, CLIENT_BIDI(0));
    flow_t *closed = flow_open(client, CLIENT_BIDI(1)), *flows[] = {reset, stopped, closed};
    for (int i = 0; i < 3; i++) {
        flow_send(flows[i], 1, false);
        WAIT(&pair, at_server(aiopq_stream_id(flows[i]->stream)) != NULL);
        at_server(aiopq_stream_id(flows[i]->stream))->holds = true;
        flow_send(flows[i], HARNESS_WINDOW + 20000, false);
        CHECK(want_acked(flows[i]));
    }
    CHECK_EQUAL(aiopq_stream_reset(reset->stream, 1, 0), AIOPQ_OK);
    CHECK_EQUAL(why_not_acked(reset), AIOPQ_STREAM_FINISHED);
    WAIT(&pair, reset->is_released);
    CHECK_EQUAL(why_not_acked(reset), AIOPQ_STREAM_FINISHED);
    CHECK_EQUAL(aiopq_stream_stop(at_server(CLIENT_BIDI(0))->stream, 2), AIOPQ_OK);
    WAIT(&pair, stopped->is_stopped);
    CHECK_EQUAL(why_not_acked(stopped), AIOPQ_STREAM_STOPPED);
    CHECK_EQUAL(aiopq_conn_close(client->conn, 0, NULL, 0), AIOPQ_OK);
    WAIT(&pair, client->is_closed);
    CHECK_EQUAL(why_not_acked(closed), AIOPQ_CLOSED);
    CHECK_EQUAL(reset->acked_count + stopped->acked_count + closed->acked_count, 0);
    pair_dispose(&pair);
}

static const test_case_t cases[] = {
    TEST(limits_are_told_when_there_are_more_than_known),
    TEST(limits_are_told_from_the_handshake_on),
    TEST(bidirectional_credit_comes_back),
    TEST(unidirectional_credit_comes_back),
    TEST(streams_that_stay_open_do_not_hold_the_credit_of_the_others),
    TEST(credit_of_reset_streams_comes_back),
    TEST(credit_stays_within_the_limit_of_open_streams),
    TEST(a_wish_for_streams_ends_with_the_connection),
    TEST(pings_are_acknowledged_in_their_order),
    TEST(ping_before_the_handshake_is_sent_after_it),
    TEST(pings_that_nobody_answers_are_bounded),
    TEST(bytes_and_end_are_acknowledged_while_the_answer_is_due),
    TEST(release_of_a_finished_stream_acknowledges_it),
    TEST(later_wish_replaces_the_earlier_one),
    TEST(bytes_behind_the_window_are_not_acknowledged),
    TEST(reset_stop_and_close_end_the_wait),
};
TEST_MAIN(cases)
