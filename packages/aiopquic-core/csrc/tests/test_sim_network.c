/* Engines on a simulated network: links with faults, a NAT that moves, runs that repeat. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "test.h"

static pair_t pair;

static const struct sockaddr_storage any = {.ss_family = AF_UNSPEC};

static struct sockaddr_storage address_of(uint16_t port)
{
    struct sockaddr_storage address = pair.server.config.bind_addresses[0];
    ((struct sockaddr_in *)&address)->sin_port = htons(port);
    return address;
}

/* Both engines on a network with that link; each connection of the run is made by the caller. */
static void begin(uint64_t seed, const aiopq_link_config_t *link)
{
    pair_prepare(&pair);
    pair_simulate(&pair, seed, link);
    pair_start(&pair);
}

static aiopq_link_counters_t counters(void)
{
    aiopq_link_counters_t result;
    struct sockaddr_storage host = address_of(0);
    aiopq_network_get_counters(pair.network, &host, &host, &result);
    return result;
}

/* Moves a megabyte and tells the virtual time it took. */
static uint64_t move_a_megabyte(void)
{
    uint64_t start = *aiopq_network_clock(pair.network);
    peer_t *client = pair_connect(&pair);
    flow_t *flow = flow_open(client, 0);
    flow_send(flow, 1000000, true);
    WAIT(&pair, flow_find(&pair.server, 0) != NULL && flow_find(&pair.server, 0)->received == 1000000);
    return *aiopq_network_clock(pair.network) - start;
}

static void rate_and_delay_decide_the_time(void)
{
    begin(1, &(aiopq_link_config_t){.rate_bps = 10000000, .delay_us = 10000, .queue_bytes = 100000});
    uint64_t took_us = move_a_megabyte();
    CHECK(took_us > 800000 && took_us < 1600000); /* 0.8 s is the bytes alone */
    CHECK(counters().delivered_bytes > 1000000);
    pair_dispose(&pair);
}

static void bytes_survive_every_fault(void)
{
    begin(3, &(aiopq_link_config_t){.rate_bps = 50000000,
                                    .delay_us = 5000,
                                    .jitter_us = 3000,
                                    .is_reordering = true,
                                    .queue_bytes = 200000,
                                    .mtu = 1400,
                                    .loss_ppm = 30000,
                                    .duplicate_ppm = 10000,
                                    .corrupt_ppm = 10000,
                                    .hold_ppm = 10000,
                                    .hold_us = 8000});
    (void)move_a_megabyte(); /* the harness compares every byte */
    aiopq_link_counters_t seen = counters();
    CHECK(seen.lost > 0 && seen.duplicated > 0 && seen.corrupted > 0);
    pair_dispose(&pair);
}

static void same_seed_gives_the_same_run(void)
{
    const aiopq_link_config_t link = {
        .rate_bps = 20000000, .delay_us = 20000, .jitter_us = 2000, .queue_bytes = 100000, .loss_ppm = 20000};
    uint64_t took_us[3];
    aiopq_link_counters_t seen[3];
    for (int run = 0; run < 3; run++) {
        begin(run < 2 ? 11 : 12, &link);
        took_us[run] = move_a_megabyte();
        seen[run] = counters();
        pair_dispose(&pair);
    }
    CHECK_EQUAL(took_us[0], took_us[1]);
    CHECK_EQUAL(seen[0].sent, seen[1].sent);
    CHECK_EQUAL(seen[0].lost, seen[1].lost);
    CHECK(took_us[2] != took_us[0]);
}

static void blackhole_is_survived(void)
{
    const aiopq_link_config_t link = {.rate_bps = 10000000, .delay_us = 10000};
    aiopq_link_config_t down = link;
    down.is_down = true;
    begin(5, &link);
    peer_t *client = pair_connect(&pair);
    struct sockaddr_storage host = address_of(0);
    CHECK_EQUAL(aiopq_network_set_link(pair.network, &host, &host, &down), AIOPQ_OK);
    flow_t *flow = flow_open(client, 0);
    flow_send(flow, 100000, true);
    uint64_t until_us = *aiopq_network_clock(pair.network) + 5000000;
    WAIT(&pair, *aiopq_network_clock(pair.network) >= until_us);
    CHECK(flow_find(&pair.server, 0) == NULL);
    CHECK_EQUAL(aiopq_network_set_link(pair.network, &host, &host, &link), AIOPQ_OK);
    WAIT(&pair, flow_find(&pair.server, 0) != NULL && flow_find(&pair.server, 0)->received == 100000);
    pair_dispose(&pair);
}

static void connection_survives_a_nat_that_moves(void)
{
    begin(6, &(aiopq_link_config_t){.delay_us = 10000});
    peer_t *client = pair_connect(&pair);
    flow_t *flow = flow_open(client, 0);
    flow_send(flow, 1000, false);
    WAIT(&pair, flow_find(&pair.server, 0) != NULL && flow_find(&pair.server, 0)->received == 1000);
    struct sockaddr_storage inside = address_of(pair.client.port), outside = address_of(9999);
    CHECK_EQUAL(aiopq_network_rebind(pair.network, &inside, &outside), AIOPQ_OK);
    flow_t *back = flow_find(&pair.server, 0);
    flow_send(flow, 50000, true);
    flow_send(back, 50000, true);
    WAIT(&pair, back->is_fin_received && flow->is_fin_received && back->received == 51000);
    pair_dispose(&pair);
}

static void port_that_is_taken_is_an_error(void)
{
    begin(1, &(aiopq_link_config_t){.delay_us = 100});
    endpoint_t second = {.config = pair.client.config};
    second.config.local_port = pair.server.port;
    endpoint_start(&second);
    endpoint_drain(&second);
    CHECK(second.is_stopped);
    CHECK_EQUAL(second.stop_error, EADDRINUSE);
    endpoint_dispose(&second);
    pair_dispose(&pair);
}

static void nobody_listens_there(void)
{
    begin(1, &(aiopq_link_config_t){.delay_us = 100});
    uint16_t port = pair.server.port;
    pair.server.port = 9; /* discard */
    pair.client.config.handshake_timeout_us = 1000000;
    peer_t *peer = pair_open(&pair, "localhost", ALPN);
    WAIT(&pair, aiopq_network_unreachable(pair.network) > 0);
    CHECK(!peer->is_ready);
    pair.server.port = port;
    pair_dispose(&pair);
}

static void network_without_work_stands_still(void)
{
    aiopq_network_t *network = aiopq_network_new(1, 1000000);
    CHECK_EQUAL(aiopq_network_next_us(network), UINT64_MAX);
    CHECK(!aiopq_network_run(network, UINT64_MAX));
    CHECK_EQUAL(*aiopq_network_clock(network), 1000000);
    CHECK(!aiopq_network_run(network, 5000000));
    CHECK_EQUAL(*aiopq_network_clock(network), 5000000);
    const aiopq_link_config_t wrong = {.loss_pattern_length = 65};
    CHECK_EQUAL(aiopq_network_set_link(network, &any, &any, &wrong), AIOPQ_INVALID);
    aiopq_network_free(network);
    aiopq_network_free(NULL);
}

static const test_case_t cases[] = {
    TEST(rate_and_delay_decide_the_time),
    TEST(bytes_survive_every_fault),
    TEST(same_seed_gives_the_same_run),
    TEST(blackhole_is_survived),
    TEST(connection_survives_a_nat_that_moves),
    TEST(port_that_is_taken_is_an_error),
    TEST(nobody_listens_there),
    TEST(network_without_work_stands_still),
};
TEST_MAIN(cases)
