#include <string.h>

#include "harness.h"
#include "test.h"

static pair_t pair;

#define CLIENT_BIDI(n) (4u * (n))
#define SERVER_BIDI(n) (4u * (n) + 1)
#define CLIENT_UNI(n) (4u * (n) + 2)
#define SERVER_UNI(n) (4u * (n) + 3)

static flow_t *at_server(uint64_t stream_id)
{
    return flow_find(&pair.server, stream_id);
}

static flow_t *at_client(uint64_t stream_id)
{
    return flow_find(&pair.client, stream_id);
}

static bool has_all(const flow_t *flow, uint64_t length)
{
    return flow != NULL && flow->is_fin_received && flow->received == length;
}

static void check_both_ways(bool from_client, uint64_t stream_id)
{
    peer_t *opener = from_client ? pair.client.peers : pair.server.peers;
    endpoint_t *other = from_client ? &pair.server : &pair.client;
    flow_t *flow = flow_open(opener, stream_id);
    flow_send(flow, 5000, true);
    WAIT(&pair, has_all(flow_find(other, stream_id), 5000));
    flow_t *answer = flow_find(other, stream_id);
    CHECK(!answer->is_released);
    CHECK_EQUAL(aiopq_stream_write(flow->stream, (const uint8_t *)"x", 1, false), AIOPQ_STREAM_FINISHED);
    flow_send(answer, 70000, true);
    WAIT(&pair, has_all(flow, 70000));
    WAIT(&pair, flow->is_released && answer->is_released);
    CHECK_EQUAL(aiopq_stream_sent(answer->stream), 70000);
    CHECK_EQUAL(aiopq_stream_send_queued(answer->stream), 0);
}

static void bidirectional_streams_carry_both_ways(void)
{
    (void)pair_begin(&pair);
    check_both_ways(true, CLIENT_BIDI(0));
    check_both_ways(true, CLIENT_BIDI(1));
    check_both_ways(false, SERVER_BIDI(0));
    check_both_ways(false, SERVER_BIDI(1));
    pair_dispose(&pair);
}

static void unidirectional_streams_carry_one_way(void)
{
    peer_t *client = pair_begin(&pair);
    flow_t *up = flow_open(client, CLIENT_UNI(0)), *down = flow_open(pair.server.peers, SERVER_UNI(0));
    flow_send(up, 100000, true);
    flow_send(down, 100001, true);
    WAIT(&pair, has_all(at_server(CLIENT_UNI(0)), 100000));
    WAIT(&pair, has_all(at_client(SERVER_UNI(0)), 100001));
    flow_t *incoming = at_client(SERVER_UNI(0));
    CHECK_EQUAL(aiopq_stream_send_state(incoming->stream), AIOPQ_WRONG_DIRECTION);
    CHECK_EQUAL(aiopq_stream_write(incoming->stream, (const uint8_t *)"x", 1, false), AIOPQ_WRONG_DIRECTION);
    CHECK_EQUAL(aiopq_stream_reset(incoming->stream, 1, 0), AIOPQ_WRONG_DIRECTION);
    CHECK_EQUAL(aiopq_stream_stop(up->stream, 1), AIOPQ_WRONG_DIRECTION);
    WAIT(&pair, up->is_released && down->is_released);
    WAIT(&pair, at_server(CLIENT_UNI(0))->is_released && incoming->is_released);
    pair_dispose(&pair);
}

static void stream_of_the_peers_kind_is_refused(void)
{
    peer_t *client = pair_begin(&pair);
    aiopq_stream_t *stream;
    CHECK_EQUAL(aiopq_stream_new(client->conn, SERVER_BIDI(0), &stream), AIOPQ_INVALID);
    CHECK_EQUAL(aiopq_stream_new(client->conn, SERVER_UNI(0), &stream), AIOPQ_INVALID);
    CHECK_EQUAL(aiopq_stream_new(client->conn, 1ull << 62, &stream), AIOPQ_INVALID);
    CHECK(stream == NULL);
    pair_dispose(&pair);
}

static void empty_stream_with_fin_only(void)
{
    peer_t *client = pair_begin(&pair);
    flow_send(flow_open(client, CLIENT_UNI(0)), 0, true);
    WAIT(&pair, has_all(at_server(CLIENT_UNI(0)), 0));
    /* The end alone behind bytes that have left already. */
    flow_t *flow = flow_open(client, CLIENT_UNI(1));
    flow_send(flow, 10, false);
    WAIT(&pair, at_server(CLIENT_UNI(1)) != NULL && at_server(CLIENT_UNI(1))->received == 10);
    CHECK(!at_server(CLIENT_UNI(1))->is_fin_received);
    flow_send(flow, 0, true);
    WAIT(&pair, has_all(at_server(CLIENT_UNI(1)), 10));
    pair_dispose(&pair);
}

static void large_transfer_with_back_pressure(void)
{
    const uint64_t size = 8u * 1024 * 1024;
    peer_t *client = pair_begin(&pair);
    flow_t *flow = flow_open(client, CLIENT_BIDI(0));
    flow_send(flow, size, true);
    CHECK(flow->written < size); /* the budget holds it back */
    WAIT(&pair, at_server(CLIENT_BIDI(0)) != NULL);
    flow_send(at_server(CLIENT_BIDI(0)), size, true);
    WAIT(&pair, has_all(at_server(CLIENT_BIDI(0)), size) && has_all(flow, size));
    CHECK(flow->writable_count > 10);
    WAIT(&pair, flow->is_released);
    CHECK_EQUAL(aiopq_conn_send_queued(client->conn), 0);
    pair_dispose(&pair);
}

static void connection_budget_is_shared_by_its_streams(void)
{
    enum {
        STREAMS = 16
    };
    const uint64_t size = 512u * 1024;
    pair_prepare(&pair);
    pair.client.config.send_budget_conn = HARNESS_BUDGET + 1000;
    uint64_t most = HARNESS_BUDGET + 1000;
    pair_start(&pair);
    peer_t *client = pair_connect(&pair);
    for (uint64_t i = 0; i < STREAMS; i++) {
        flow_send(flow_open(client, CLIENT_UNI(i)), size, true);
        most += AIOPQ_SEND_FLOOR; /* each has so much to itself */
        CHECK(aiopq_conn_send_queued(client->conn) <= most);
    }
    for (uint64_t i = 0; i < STREAMS; i++) {
        WAIT(&pair, has_all(at_server(CLIENT_UNI(i)), size));
    }
    CHECK_EQUAL(aiopq_conn_send_queued(client->conn), 0);
    pair_dispose(&pair);
}

static void streams_that_are_not_read_leave_the_others_their_floor(void)
{
    enum {
        STALLED = 2
    };
    const uint64_t size = 8u * 1024 * 1024;
    pair_prepare(&pair);
    pair.client.config.send_budget_conn = STALLED * HARNESS_BUDGET; /* used up by those that nobody reads */
    pair_start(&pair);
    peer_t *client = pair_connect(&pair);
    for (uint64_t i = 0; i < STALLED; i++) {
        flow_t *flow = flow_open(client, CLIENT_UNI(i));
        flow_send(flow, 1, false);
        WAIT(&pair, at_server(CLIENT_UNI(i)) != NULL);
        at_server(CLIENT_UNI(i))->holds = true;
        flow_send(flow, HARNESS_WINDOW, false);
        WAIT(&pair, at_server(CLIENT_UNI(i))->received >= HARNESS_WINDOW);
        flow_send(flow, size - HARNESS_WINDOW, true);
    }
    CHECK(aiopq_conn_want_writable(client->conn));
    flow_t *flow = flow_open(client, CLIENT_UNI(STALLED));
    CHECK_EQUAL(aiopq_stream_room(flow->stream), AIOPQ_SEND_FLOOR);
    CHECK(!aiopq_stream_want_writable(flow->stream));
    flow_send(flow, size, true);
    WAIT(&pair, has_all(at_server(CLIENT_UNI(STALLED)), size));
    CHECK_EQUAL(client->writable_count, 0);
    /* And these, once they are read, get done too. */
    for (uint64_t i = 0; i < STALLED; i++) {
        at_server(CLIENT_UNI(i))->holds = false;
        flow_consume(at_server(CLIENT_UNI(i)));
    }
    for (uint64_t i = 0; i < STALLED; i++) {
        WAIT(&pair, has_all(at_server(CLIENT_UNI(i)), size + 1));
    }
    CHECK_EQUAL(client->writable_count, 1);
    pair_dispose(&pair);
}

static void room_of_the_connection_wakes_its_streams(void)
{
    pair_prepare(&pair);
    pair.client.config.send_budget_conn = 2 * HARNESS_BUDGET;
    pair_start(&pair);
    peer_t *client = pair_connect(&pair);
    flow_t *flows[4];
    for (uint64_t i = 0; i < 4; i++) {
        flows[i] = flow_open(client, CLIENT_UNI(i));
        flow_send(flows[i], 1, false);
        WAIT(&pair, at_server(CLIENT_UNI(i)) != NULL);
        at_server(CLIENT_UNI(i))->holds = true;
    }
    /* The last one holds more than half of its floor and less than half of its budget, and is never read. */
    flow_send(flows[3], HARNESS_WINDOW + 3 * HARNESS_BUDGET / 8, false);
    WAIT(&pair, at_server(CLIENT_UNI(3))->received >= HARNESS_WINDOW);
    for (uint64_t i = 0; i < 3; i++) {
        flow_send(flows[i], HARNESS_WINDOW + HARNESS_BUDGET, false);
        WAIT(&pair, at_server(CLIENT_UNI(i))->received >= HARNESS_WINDOW);
    }
    CHECK(aiopq_stream_want_writable(flows[3]->stream));
    uint64_t before = flows[3]->writable_count;
    for (uint64_t i = 0; i < 3; i++) {
        at_server(CLIENT_UNI(i))->holds = false;
        flow_consume(at_server(CLIENT_UNI(i)));
    }
    WAIT(&pair, flows[3]->writable_count == before + 1);
    CHECK(aiopq_stream_send_queued(flows[3]->stream) > AIOPQ_SEND_FLOOR / 2); /* not its own doing */
    pair_dispose(&pair);
}

static void write_is_all_or_nothing(void)
{
    static uint8_t bytes[HARNESS_BUDGET + 1];
    pair_prepare(&pair);
    pair_start(&pair);
    peer_t *client = pair_open(&pair, "localhost", ALPN);
    flow_t *flow = flow_open(client, CLIENT_UNI(0));
    test_fill(bytes, sizeof(bytes), 0, 0);
    CHECK_EQUAL(aiopq_stream_write(flow->stream, bytes, HARNESS_BUDGET + 1, false), AIOPQ_TOO_LARGE);
    CHECK_EQUAL(aiopq_stream_send_queued(flow->stream), 0);
    CHECK_EQUAL(aiopq_stream_room(flow->stream), HARNESS_BUDGET);
    CHECK(!aiopq_stream_want_writable(flow->stream)); /* there is room: no event will come */
    pair_dispose(&pair);
}

/* The most that may be under way when nobody consumes: the receiver's window and what waits here. */
#define HELD_MAX (HARNESS_WINDOW + HARNESS_BUDGET)

static void receiver_that_does_not_consume_stops_the_sender(void)
{
    const uint64_t size = 1024u * 1024;
    peer_t *client = pair_begin(&pair);
    flow_t *flow = flow_open(client, CLIENT_UNI(0)), *other = flow_open(client, CLIENT_UNI(1));
    flow_send(flow, 1, false);
    WAIT(&pair, at_server(CLIENT_UNI(0)) != NULL);
    flow_t *held = at_server(CLIENT_UNI(0));
    held->holds = true;
    flow_send(flow, size - 1, true);
    WAIT(&pair, held->received >= HARNESS_WINDOW);
    /* Long enough for anything that would come in spite of the window: another stream's whole transfer. */
    flow_send(other, size, true);
    WAIT(&pair, has_all(at_server(CLIENT_UNI(1)), size));
    CHECK(held->received <= HARNESS_WINDOW + 1); /* the first byte was consumed */
    CHECK(flow->written <= HELD_MAX + 1);
    CHECK(!held->is_fin_received);
    held->holds = false;
    flow_consume(held);
    WAIT(&pair, has_all(held, size));
    pair_dispose(&pair);
}

static void windows_of_many_streams_stay_in_the_budget(void)
{
    enum {
        STREAMS = 8
    };
    const uint64_t size = 2u * 1024 * 1024;
    pair_prepare(&pair);
    /* Room for one stream to grow to its largest window, not for all. */
    pair.server.config.max_data = STREAMS * HARNESS_WINDOW + HARNESS_STREAM_MAX;
    pair_start(&pair);
    peer_t *client = pair_connect(&pair);
    for (uint64_t i = 0; i < STREAMS; i++) {
        flow_send(flow_open(client, CLIENT_UNI(i)), size, true);
    }
    for (uint64_t i = 0; i < STREAMS; i++) {
        WAIT(&pair, has_all(at_server(CLIENT_UNI(i)), size));
    }
    pair_dispose(&pair);
}

static void data_before_the_handshake_arrives_after_it(void)
{
    pair_prepare(&pair);
    pair_start(&pair);
    peer_t *client = pair_open(&pair, "localhost", ALPN);
    flow_send(flow_open(client, CLIENT_BIDI(0)), 200000, true);
    WAIT(&pair, has_all(at_server(CLIENT_BIDI(0)), 200000));
    CHECK(client->is_ready);
    pair_dispose(&pair);
}

static void stats_answer_the_request(void)
{
    peer_t *client = pair_begin(&pair);
    flow_send(flow_open(client, CLIENT_UNI(0)), 10000, true);
    WAIT(&pair, has_all(at_server(CLIENT_UNI(0)), 10000));
    CHECK_EQUAL(aiopq_conn_request_stats(client->conn, 77), AIOPQ_OK);
    WAIT(&pair, client->stats_count == 1);
    CHECK_EQUAL(client->stats.request, 77);
    CHECK_EQUAL(client->stats.stream_bytes_sent, 10000);
    CHECK(client->stats.packets_sent > 0 && client->stats.cwin > 0);
    CHECK_EQUAL(aiopq_stream_set_priority(flow_open(client, CLIENT_UNI(1))->stream, 3), AIOPQ_OK);
    pair_dispose(&pair);
}

static void many_short_streams_leave_nothing(void)
{
    const uint64_t count = TEST_SCALE(2000u, 1000u);
    peer_t *client = pair_begin(&pair);
    for (uint64_t i = 0; i < count; i++) {
        flow_t *flow = flow_open(client, CLIENT_BIDI(i));
        flow_send(flow, i % 100, true);
        if (i % 16 == 15) {
            /* The server answers all it has seen; the limit on open streams holds the rest back. */
            for (flow_t *seen = pair.server.flows; seen != NULL && !seen->wants_fin; seen = seen->next) {
                flow_send(seen, 50, true);
            }
            (void)harness_turn(&pair.server, &pair.client, UINT64_MAX);
        }
    }
    uint64_t deadline = test_now_us() + HARNESS_WAIT_US;
    while (pair.client.released_count < count || pair.server.released_count < count) {
        CHECK(harness_turn(&pair.server, &pair.client, deadline));
        for (flow_t *seen = pair.server.flows; seen != NULL; seen = seen->next) {
            if (!seen->wants_fin) {
                flow_send(seen, 50, true);
            }
        }
    }
    CHECK_EQUAL(pair.server.flow_count, count);
    for (flow_t *flow = pair.client.flows; flow != NULL; flow = flow->next) {
        CHECK_EQUAL(flow->received, 50);
    }
    aiopq_live_counts_t alive;
    aiopq_get_live_counts(&alive);
    CHECK_EQUAL(alive.streams, 2 * count); /* those that the test holds */
    CHECK_EQUAL(alive.chunks, 0);
    pair_dispose(&pair);
}

static const test_case_t cases[] = {
    TEST(bidirectional_streams_carry_both_ways),
    TEST(unidirectional_streams_carry_one_way),
    TEST(stream_of_the_peers_kind_is_refused),
    TEST(empty_stream_with_fin_only),
    TEST(large_transfer_with_back_pressure),
    TEST(connection_budget_is_shared_by_its_streams),
    TEST(streams_that_are_not_read_leave_the_others_their_floor),
    TEST(room_of_the_connection_wakes_its_streams),
    TEST(write_is_all_or_nothing),
    TEST(receiver_that_does_not_consume_stops_the_sender),
    TEST(windows_of_many_streams_stay_in_the_budget),
    TEST(data_before_the_handshake_arrives_after_it),
    TEST(stats_answer_the_request),
    TEST(many_short_streams_leave_nothing),
};
TEST_MAIN(cases)
