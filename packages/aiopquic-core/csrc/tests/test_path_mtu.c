/* Paths that lose everything for a while, or everything large, on a simulated network. */
#include <string.h>

#include "harness.h"
#include "test.h"

static pair_t pair;

/* Two engines, with a link between them that the test changes. */
static peer_t *begin(uint64_t seed, aiopq_link_config_t *link)
{
    pair_prepare(&pair);
    pair_simulate(&pair, seed, link);
    pair_start(&pair);
    return pair_connect(&pair);
}

static void change(const aiopq_link_config_t *link)
{
    const struct sockaddr_storage *host = &pair.server.config.bind_addresses[0];
    CHECK_EQUAL(aiopq_network_set_link(pair.network, host, host, link), AIOPQ_OK);
}

static aiopq_link_counters_t counters(void)
{
    aiopq_link_counters_t result;
    struct sockaddr_storage host = pair.server.config.bind_addresses[0];
    ((struct sockaddr_in *)&host)->sin_port = 0;
    aiopq_network_get_counters(pair.network, &host, &host, &result);
    return result;
}

static void run_for(uint64_t us)
{
    uint64_t end = pair_now_us(&pair) + us;
    while (pair_now_us(&pair) < end) {
        (void)aiopq_network_run(pair.network, end);
        endpoint_drain(&pair.client);
        endpoint_drain(&pair.server);
    }
}

/* The server has all of that stream. */
static bool is_whole(uint64_t stream_id)
{
    const flow_t *flow = flow_find(&pair.server, stream_id);
    return flow != NULL && flow->is_fin_received;
}

/* All that the congestion window holds leaves in one batch, for with long round trips pacing begins with as much,
 * and is lost; nothing arrives that would wake the sender. */
static void a_window_that_is_lost_is_sent_again(void)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        aiopq_link_config_t link = {.rate_bps = 1000000000, .delay_us = 30000 + 5000 * seed};
        peer_t *client = begin(seed, &link);
        run_for(
            2000000); /* whatever belongs to the handshake, and the probes of the path, are acknowledged */
        link.is_down = true;
        change(&link);
        uint64_t lost = counters().lost;
        flow_send(flow_open(client, 0), 300000, true);
        WAIT(&pair, counters().lost >= lost + 10);
        link.is_down = false;
        change(&link);
        uint64_t start = pair_now_us(&pair);
        WAIT(&pair, is_whole(0));
        CHECK(pair_now_us(&pair) - start < 5000000); /* the idle timeout is many times that */
        pair_dispose(&pair);
    }
}

static aiopq_datagram_stats_t stats_of(const peer_t *peer)
{
    aiopq_datagram_stats_t stats;
    aiopq_conn_get_datagram_stats(peer->conn, &stats);
    return stats;
}

/* What picoquic takes the MTU of every IPv4 path for, until a probe of its own arrives. */
#define MTU_AT_FIRST 1252

/* The path shrinks under datagrams that fitted when they were queued: they are dropped and counted, and those
 * behind them go. Large ones are lost until picoquic sees that the path has shrunk. */
static void a_path_that_shrinks_holds_nothing_up(void)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        aiopq_link_config_t link = {.rate_bps = 1000000000, .delay_us = 5000 * seed};
        peer_t *client = begin(seed, &link);
        CHECK_EQUAL(datagram_send(client, 1, true), AIOPQ_OK);
        run_for(2000000);
        uint32_t large = aiopq_conn_max_datagram(client->conn);
        CHECK(large > MTU_AT_FIRST);
        link.mtu = MTU_AT_FIRST;
        change(&link);
        /* Alone for one half, beside a stream for the other. */
        if (seed % 2 == 0) {
            flow_send(flow_open(client, 0), 100000, true);
        }
        while (datagram_send(client, large, true) == AIOPQ_OK) {
        }
        WAIT(&pair, aiopq_conn_max_datagram(client->conn) < MTU_AT_FIRST && stats_of(client).queued == 0);
        CHECK_EQUAL(datagram_send(client, large, true), AIOPQ_TOO_LARGE);
        uint64_t arrived = pair.server.peers->datagram_count;
        CHECK_EQUAL(datagram_send(client, 100, true), AIOPQ_OK);
        WAIT(&pair, client->fates[client->last_number] == FATE_ACKED);
        CHECK_EQUAL(pair.server.peers->datagram_count, arrived + 1);
        WAIT(&pair, seed % 2 != 0 || is_whole(0));
        WAIT(&pair, client->fate_count[FATE_LOST] + client->fate_count[FATE_ACKED] == client->last_number);
        CHECK_EQUAL(client->fate_count[FATE_LOST], client->last_number - 2);
        CHECK(counters().too_large > 0);
        pair_dispose(&pair);
    }
}

static const test_case_t cases[] = {
    TEST(a_window_that_is_lost_is_sent_again),
    TEST(a_path_that_shrinks_holds_nothing_up),
};
TEST_MAIN(cases)
