/* Commands on their way to a network thread that the test plays itself. */
#include "engine/engine.h"
#include "harness.h"
#include "test.h"

static pair_t pair;

static void a_turn_carries_out_a_bounded_number(void)
{
    enum {
        COUNT = 1000
    };
    pair_prepare(&pair);
    CHECK_EQUAL(aiopq_engine_new(&pair.client.config, &pair.client.engine), AIOPQ_OK);
    aiopq_engine_t *engine = pair.client.engine;
    pair.server.port = 4433; /* nothing is sent: no driver runs */
    peer_t *client = pair_open(&pair, "localhost", ALPN);
    for (uint64_t i = 1; i < COUNT; i++) {
        CHECK_EQUAL(aiopq_conn_request_stats(client->conn, i), AIOPQ_OK);
    }
    uint64_t turns = 0, waiting = COUNT;
    while (waiting > 0) {
        (void)aiopq_engine_turn(engine, test_now_us());
        uint64_t left = aiopq_engine_commands_waiting(engine);
        CHECK(left < waiting && waiting - left <= 256);
        CHECK_EQUAL(aiopq_engine_may_sleep(engine), left == 0);
        aiopq_engine_woke(engine);
        waiting = left;
        turns++;
    }
    CHECK_EQUAL(turns, 4);
    aiopq_engine_flush(engine);
    endpoint_drain(&pair.client);
    CHECK_EQUAL(client->stats_count, COUNT - 1);
    CHECK_EQUAL(client->stats.request, COUNT - 1); /* in their order */
    endpoint_dispose(&pair.client);
    endpoint_dispose(&pair.server);
    CHECK_NOTHING_ALIVE();
}

static const test_case_t cases[] = {
    TEST(a_turn_carries_out_a_bounded_number),
};
TEST_MAIN(cases)
