/* Everything at once, in an order that the seed gives: what the two threads of two engines may meet. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "test.h"

#define CONNECTIONS 4
#define STREAMS_PER_CONNECTION 60 /* opened by one side over the life of a connection */

static pair_t pair;
static uint64_t seed;

/* AIOPQ_TEST_SEED in the environment makes other runs than the usual ones. */
static uint64_t chosen_seed(uint64_t usual)
{
    const char *given = getenv("AIOPQ_TEST_SEED");
    return given != NULL ? strtoull(given, NULL, 10) * 1000003 + usual : usual;
}

static uint64_t pick(uint64_t count)
{
    return test_random(&seed) % count;
}

static peer_t *pick_open_peer(endpoint_t *endpoint)
{
    peer_t *found = NULL;
    uint64_t seen = 0;
    for (peer_t *peer = endpoint->peers; peer != NULL; peer = peer->next) {
        if (!peer->is_closed && pick(++seen) == 0) {
            found = peer;
        }
    }
    return found;
}

static flow_t *pick_flow(endpoint_t *endpoint)
{
    /* Those of closed connections and released ones too: late commands are part of it. */
    flow_t *found = NULL;
    uint64_t seen = 0;
    for (flow_t *flow = endpoint->flows; flow != NULL && seen < 40; flow = flow->next) {
        if (pick(++seen) == 0) {
            found = flow;
        }
    }
    return found;
}

static uint64_t opened_by(const peer_t *peer)
{
    uint64_t count = 0;
    for (const flow_t *flow = peer->endpoint->flows; flow != NULL; flow = flow->next) {
        bool from_client = (aiopq_stream_id(flow->stream) & 1) == 0;
        count += flow->peer == peer && from_client == aiopq_conn_is_client(peer->conn);
    }
    return count;
}

static void open_stream(peer_t *peer)
{
    uint64_t number = opened_by(peer);
    if (number < STREAMS_PER_CONNECTION) {
        /* Numbers are shared by both kinds, so each id is new; RFC 9000 section 2.1 allows gaps. */
        uint64_t kind = (aiopq_conn_is_client(peer->conn) ? 0u : 1u) + (pick(2) == 0 ? 2u : 0u);
        flow_t *flow = flow_open(peer, 4 * number + kind);
        flow_send(flow, pick(20000), pick(4) == 0);
    }
}

static void act_on_stream(flow_t *flow)
{
    aiopq_stream_t *stream = flow->stream;
    bool will_tell;
    switch (pick(11)) {
    case 0:
        (void)aiopq_stream_reset(stream, pick(1000), pick(1000));
        break;
    case 1:
        (void)aiopq_stream_stop(stream, pick(1000));
        break;
    case 2:
        (void)aiopq_stream_set_priority(stream, (uint8_t)pick(256));
        (void)aiopq_stream_set_path(stream, pick(3));
        break;
    case 3:
        (void)aiopq_stream_want_writable(stream);
        break;
    case 4:
        flow->holds = !flow->holds;
        flow_consume(flow);
        break;
    case 5:
        (void)aiopq_stream_want_acked(stream, &will_tell);
        break;
    default:
        if (aiopq_stream_send_state(stream) == AIOPQ_OK) {
            flow_send(flow, pick(50000), pick(6) == 0);
        } else {
            CHECK(aiopq_stream_write(stream, (const uint8_t *)"x", 1, false) != AIOPQ_OK);
        }
        break;
    }
}

static void act_on_datagrams(peer_t *peer)
{
    switch (pick(10)) {
    case 0:
        (void)aiopq_conn_want_datagrams_writable(peer->conn);
        break;
    case 1:
        peer->holds_datagrams = !peer->holds_datagrams;
        datagrams_take(peer);
        break;
    default:
        for (uint64_t i = pick(12); i > 0; i--) {
            (void)datagram_send(peer, pick(3) == 0 ? pick(40) : pick(1300), pick(2) == 0);
        }
        break;
    }
}

/* Clients try, and servers are refused. */
static void act_on_paths(peer_t *peer)
{
    static uint64_t request;
    aiopq_path_request_t wanted = {
        .request = ++request, .wish = (aiopq_path_wish_t)pick(AIOPQ_PATH_WATCH + 1), .id = pick(3)};
    if (wanted.wish == AIOPQ_PATH_CANCEL) {
        wanted.id = request - pick(8);
    }
    wanted.rtt_change_us = pick(1000);
    (void)aiopq_conn_request_path(peer->conn, &wanted);
}

static void act(endpoint_t *endpoint)
{
    peer_t *peer = pick_open_peer(endpoint);
    flow_t *flow = pick_flow(endpoint);
    uint64_t choice = pick(100);
    if (choice < 2 && peer != NULL) {
        if (pick(2) == 0) {
            (void)aiopq_conn_close(peer->conn, pick(1000), "enough", pick(7));
        } else {
            (void)aiopq_conn_close_transport(peer->conn, 1 + pick(1000), pick(64), "enough", pick(7));
        }
    } else if (choice < 5 && peer != NULL) {
        (void)aiopq_conn_request_stats(peer->conn, choice);
    } else if (choice < 7 && peer != NULL) {
        (void)aiopq_conn_ping(peer->conn, choice);
    } else if (choice < 8 && peer != NULL) {
        (void)aiopq_conn_export_secret(peer->conn, choice, "races", (aiopq_bytes_t){0}, 1 + pick(100));
        (void)aiopq_conn_update_keys(peer->conn, choice);
    } else if (choice < 9 && peer != NULL) {
        (void)aiopq_conn_want_streams(peer->conn, pick(100), pick(100));
    } else if (choice < 11 && peer != NULL) {
        act_on_paths(peer);
    } else if (choice < 25 && peer != NULL) {
        open_stream(peer);
    } else if (choice < 40 && peer != NULL) {
        act_on_datagrams(peer);
    } else if (flow != NULL) {
        act_on_stream(flow);
    }
}

static uint64_t open_count(const endpoint_t *endpoint)
{
    uint64_t count = 0;
    for (const peer_t *peer = endpoint->peers; peer != NULL; peer = peer->next) {
        count += !peer->is_closed;
    }
    return count;
}

/* The records of flows and connections that are over go, and with them the references that keep them. */
static void forget_closed(endpoint_t *endpoint)
{
    for (flow_t **link = &endpoint->flows; *link != NULL;) {
        flow_t *flow = *link;
        if (flow->peer->is_closed) {
            *link = flow->next;
            aiopq_stream_unref(flow->stream);
            free(flow);
        } else {
            link = &flow->next;
        }
    }
    for (peer_t **link = &endpoint->peers; *link != NULL;) {
        peer_t *peer = *link;
        if (peer->is_closed) {
            *link = peer->next;
            aiopq_conn_unref(peer->conn);
            free((void *)(uintptr_t)peer->peer_certificates.data);
            free(peer);
        } else {
            link = &peer->next;
        }
    }
}

static uint64_t run_for(uint64_t duration_us, uint64_t first_seed)
{
    seed = chosen_seed(first_seed);
    pair_prepare(&pair);
    pair_start(&pair);
    uint64_t end = test_now_us() + duration_us, made = 0;
    while (test_now_us() < end) {
        while (open_count(&pair.client) < CONNECTIONS) {
            (void)pair_open(&pair, "localhost", ALPN);
            made++;
        }
        for (uint64_t i = pick(20); i > 0; i--) {
            act(&pair.client);
            act(&pair.server);
        }
        endpoint_drain(&pair.client);
        endpoint_drain(&pair.server);
        if (pick(50) == 0) {
            (void)harness_turn(&pair.client, &pair.server, UINT64_MAX);
            forget_closed(&pair.client);
            forget_closed(&pair.server);
        }
    }
    CHECK(made >= CONNECTIONS);
    pair_dispose(&pair);
    return made;
}

static void random_commands_leave_nothing(void)
{
    CHECK(run_for(2000000, 1) > CONNECTIONS);
}

static void short_lives_leave_nothing(void)
{
    for (uint64_t round = 0; round < 10; round++) {
        (void)run_for(100000, 100 + round);
    }
}

/* Engines that end while everything is under way, in either order and without a word. */
static void engines_that_vanish_leave_nothing(void)
{
    seed = chosen_seed(7);
    for (int round = 0; round < 10; round++) {
        pair_prepare(&pair);
        pair.client.config.max_paths = pair.server.config.max_paths = (uint8_t)(1 + round % 3);
        pair.client.config.use_portable_loop = round % 4 >= 2;
        pair.server.config.use_portable_loop = round % 4 == 1 || round % 4 == 2;
        pair_start(&pair);
        (void)pair_connect(&pair);
        uint64_t turns = pick(300);
        for (uint64_t i = 0; i < turns; i++) {
            act(&pair.client);
            act(&pair.server);
            endpoint_drain(&pair.client);
            endpoint_drain(&pair.server);
        }
        if (round % 2 == 0) {
            endpoint_stop(&pair.client);
        }
        endpoint_dispose(round % 3 == 0 ? &pair.server : &pair.client);
        endpoint_dispose(round % 3 == 0 ? &pair.client : &pair.server);
        CHECK_NOTHING_ALIVE();
    }
}

static const test_case_t cases[] = {
    TEST(random_commands_leave_nothing),
    TEST(short_lives_leave_nothing),
    TEST(engines_that_vanish_leave_nothing),
};
TEST_MAIN(cases)
