/* Lent bytes: released on the loop thread, whatever ends their stream, and without an event. */
#include <errno.h>
#include <string.h>

#include "harness.h"
#include "lending.h"
#include "test.h"

static pair_t pair;

/* A stream whose peer has shut its window, with lent bytes that wait. */
static flow_t *begin_blocked(void)
{
    flow_t *flow = flow_open(pair_begin(&pair), 0);
    flow_send(flow, 1, false);
    WAIT(&pair, flow_find(&pair.server, 0) != NULL);
    flow_find(&pair.server, 0)->holds = true;
    flow_send(flow, 1024u * 1024, false);
    WAIT(&pair, flow_find(&pair.server, 0)->received >= HARNESS_WINDOW);
    CHECK(lending_count() > 1);
    return flow;
}

static void end(void)
{
    WAIT(&pair, lending_count() == 0);
    pair_dispose(&pair);
}

static aiopq_status_t lend(flow_t *flow, size_t length)
{
    aiopq_lent_t lent = lending_make(length > 0 ? length : 1);
    memset((uint8_t *)(uintptr_t)lent.bytes, 7, length);
    lent.length = length;
    aiopq_status_t status = aiopq_stream_lend(flow->stream, &lent, false);
    if (status != AIOPQ_OK) {
        lent.release(lent.owner);
    }
    return status;
}

static void a_loop_at_rest_is_woken_to_release(void)
{
    flow_t *flow = flow_open(pair_begin(&pair), 0);
    for (uint64_t round = 1; round <= 20; round++) {
        flow_send(flow, 2 * 16u * 1024, false); /* one copied write, one lent */
        WAIT(&pair, flow_find(&pair.server, 0) != NULL &&
                        flow_find(&pair.server, 0)->received == round * 2 * 16u * 1024);
        WAIT(&pair, lending_count() == 0);
    }
    CHECK_EQUAL(flow->writable_count, 0);
    pair_dispose(&pair);
}

static void lent_bytes_count_in_the_budget(void)
{
    flow_t *flow = flow_open(pair_begin(&pair), 0);
    CHECK_EQUAL(lend(flow, 0), AIOPQ_INVALID);
    CHECK_EQUAL(lend(flow, HARNESS_BUDGET + 1), AIOPQ_TOO_LARGE);
    flow_send(flow, 1, false);
    WAIT(&pair, flow_find(&pair.server, 0) != NULL);
    flow_find(&pair.server, 0)->holds = true;
    flow_send(flow, 1024u * 1024, false);
    WAIT(&pair, flow_find(&pair.server, 0)->received >= HARNESS_WINDOW);
    int64_t before = lending_count();
    CHECK_EQUAL(lend(flow, HARNESS_BUDGET), AIOPQ_WOULD_BLOCK);
    CHECK_EQUAL(lending_count(), before);
    CHECK(aiopq_stream_send_queued(flow->stream) <= HARNESS_BUDGET);
    CHECK_EQUAL(aiopq_stream_reset(flow->stream, 1, 0), AIOPQ_OK);
    CHECK_EQUAL(lend(flow, 1), AIOPQ_STREAM_FINISHED);
    end();
}

static void a_reset_gives_back(void)
{
    flow_t *flow = begin_blocked();
    CHECK_EQUAL(aiopq_stream_reset(flow->stream, 1, 0), AIOPQ_OK);
    end();
}

static void a_stop_of_the_peer_gives_back(void)
{
    (void)begin_blocked();
    CHECK_EQUAL(aiopq_stream_stop(flow_find(&pair.server, 0)->stream, 1), AIOPQ_OK);
    end();
}

static void the_end_of_the_connection_gives_back(void)
{
    flow_t *flow = begin_blocked();
    CHECK_EQUAL(aiopq_conn_close(flow->peer->conn, 0, NULL, 0), AIOPQ_OK);
    end();
}

static void the_end_of_the_engine_gives_back(void)
{
    (void)begin_blocked();
    aiopq_engine_stop(pair.client.engine);
    end();
}

static void a_failure_of_the_engine_gives_back(void)
{
    (void)begin_blocked();
    CHECK_EQUAL(aiopq_engine_fail(pair.client.engine, EIO), AIOPQ_OK);
    end();
}

/* Nobody drains any more: what was lent comes back with the engine. */
static void an_engine_that_is_freed_gives_back(void)
{
    (void)begin_blocked();
    endpoint_dispose(&pair.client);
    CHECK_EQUAL(lending_count(), 0);
    pair_dispose(&pair);
}

static const test_case_t cases[] = {
    TEST(a_loop_at_rest_is_woken_to_release),
    TEST(lent_bytes_count_in_the_budget),
    TEST(a_reset_gives_back),
    TEST(a_stop_of_the_peer_gives_back),
    TEST(the_end_of_the_connection_gives_back),
    TEST(the_end_of_the_engine_gives_back),
    TEST(a_failure_of_the_engine_gives_back),
    TEST(an_engine_that_is_freed_gives_back),
};
TEST_MAIN(cases)
