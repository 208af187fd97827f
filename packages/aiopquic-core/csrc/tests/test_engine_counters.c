/* What the counters say of system calls, with all that saves them and without. */
#include <picoquic.h>

#include "driver/udp_socket.h"
#include "harness.h"
#include "test.h"

#define SIZE (4u << 20)

static pair_t pair;

typedef struct counts {
    aiopq_engine_counters_t client, server;
} counts_t;

static counts_t counts_now(void)
{
    counts_t counts;
    aiopq_engine_get_counters(pair.server.engine, &counts.server);
    aiopq_engine_get_counters(pair.client.engine,
                              &counts.client); /* what has arrived is among what was sent */
    return counts;
}

/* One stream up, with room for batches; the counters behind it. */
static counts_t transfer(void)
{
    pair.client.config.send_budget_stream = pair.client.config.send_budget_conn = SIZE;
    pair.server.config.initial_stream_window = pair.server.config.max_stream_data = SIZE;
    pair_start(&pair);
    flow_send(flow_open(pair_connect(&pair), 0), SIZE, true);
    WAIT(&pair, flow_find(&pair.server, 0) != NULL && flow_find(&pair.server, 0)->is_fin_received);
    return counts_now();
}

static bool counts_agree(void)
{
    counts_t counts = counts_now();
    return counts.server.datagrams_received <= counts.client.datagrams_sent &&
           counts.server.bytes_received <= counts.client.bytes_sent;
}

/* False on a simulated network, and with picoquic's packet loop. */
static bool has_calls(void)
{
    return pair.network == NULL && !pair.client.config.use_portable_loop;
}

static bool has_offload(void)
{
    aiopq_udp_socket_t probe;
    CHECK_EQUAL(aiopq_udp_open(&probe, &pair.client.config.bind_addresses[0], 0, 0, false), 0);
    bool has = probe.can_segment && probe.can_coalesce;
    aiopq_udp_close(&probe);
    return has;
}

static void what_one_sends_the_other_receives(void)
{
    pair_prepare(&pair);
    counts_t counts = transfer();
    if (!pair.client.config.use_portable_loop) {
        CHECK(counts.client.bytes_sent > SIZE);
        CHECK(counts.client.datagrams_sent > SIZE / PICOQUIC_MAX_PACKET_SIZE);
        CHECK(counts.server.bytes_received > SIZE);
        WAIT(&pair, counts_agree()); /* a datagram may arrive before it is counted as sent */
    }
    CHECK_EQUAL(counts.client.send_calls > 0, has_calls());
    CHECK_EQUAL(counts.server.receive_calls > 0, has_calls());
    pair_dispose(&pair);
}

static void a_call_moves_many(void)
{
    pair_prepare(&pair);
    counts_t counts = transfer();
    if (has_calls() && has_offload()) {
        CHECK(counts.client.send_calls < counts.client.datagrams_sent);
        CHECK(counts.server.receive_calls < counts.server.datagrams_received);
    }
    pair_dispose(&pair);
}

static void without_segmentation_a_call_sends_one(void)
{
    pair_prepare(&pair);
    pair.client.config.without_gso = true;
    counts_t counts = transfer();
    if (has_calls()) {
        CHECK(counts.client.send_calls >= counts.client.datagrams_sent);
    }
    pair_dispose(&pair);
}

static void without_coalescing_a_call_receives_one(void)
{
    pair_prepare(&pair);
    pair.server.config.without_gro = true;
    counts_t counts = transfer();
    if (has_calls()) {
        CHECK_EQUAL(counts.server.receive_calls, counts.server.datagrams_received);
    }
    pair_dispose(&pair);
}

static void without_a_spin_every_wait_is_a_sleep(void)
{
    pair_prepare(&pair);
    pair.client.config.spin_us = pair.server.config.spin_us = 0;
    counts_t counts = transfer();
    CHECK_EQUAL(counts.client.sleeps_saved + counts.server.sleeps_saved, 0);
    CHECK_EQUAL(counts.client.sleeps > 0, has_calls() && !pair.client.config.is_inline);
    pair_dispose(&pair);
}

static const test_case_t cases[] = {
    TEST(what_one_sends_the_other_receives),     TEST(a_call_moves_many),
    TEST(without_segmentation_a_call_sends_one), TEST(without_coalescing_a_call_receives_one),
    TEST(without_a_spin_every_wait_is_a_sleep),
};
TEST_MAIN(cases)
