/* DATAGRAM frames (RFC 9221) between two engines: sizes, budgets, drops, fates, the end. */
#include <string.h>

#include "base/record_queue.h"
#include "harness.h"
#include "relay.h"
#include "test.h"

static pair_t pair;
static relay_t relay;

static aiopq_datagram_stats_t stats_of(const peer_t *peer)
{
    aiopq_datagram_stats_t stats;
    aiopq_conn_get_datagram_stats(peer->conn, &stats);
    return stats;
}

/* Sends one that must find room, at once or after the event. */
static void send_waiting(peer_t *peer, size_t length, bool is_tracked)
{
    aiopq_status_t status;
    while ((status = datagram_send(peer, length, is_tracked)) == AIOPQ_WOULD_BLOCK) {
        uint64_t before = peer->datagram_writable_count;
        if (aiopq_conn_want_datagrams_writable(peer->conn)) {
            WAIT(&pair, peer->datagram_writable_count > before);
        }
    }
    CHECK_EQUAL(status, AIOPQ_OK);
}

/* Tracked ones of which this side knows that they have arrived. On a busy machine an acknowledgement may come so
 * late that the datagram was declared lost before. */
static uint64_t told_arrived(const peer_t *peer)
{
    return peer->fate_count[FATE_ACKED] + peer->fate_count[FATE_SPURIOUS];
}

/* On a simulated network: a timer that runs out on a busy machine has picoquic look for the MTU anew. */
static void every_size_arrives_both_ways(void)
{
    pair_prepare(&pair);
    pair_simulate(&pair, 1, &(aiopq_link_config_t){.delay_us = 1000});
    pair_start(&pair);
    peer_t *client = pair_connect(&pair);
    peer_t *server = pair.server.peers;
    peer_t *both[] = {client, server};
    for (int i = 0; i < 2; i++) {
        peer_t *from = both[i], *to = both[1 - i];
        uint32_t max = aiopq_conn_max_datagram(from->conn);
        CHECK(max >= 1200 && max < 1500);
        for (size_t length = 0; length <= max; length++) {
            send_waiting(from, length, true);
            /* A few at a time, so that neither the receive budget nor the socket's overflows. */
            WAIT(&pair, to->datagram_count + 4 > from->datagrams_sent);
        }
        CHECK_EQUAL(datagram_send(from, 2000, false), AIOPQ_TOO_LARGE);
        WAIT(&pair, told_arrived(from) == (uint64_t)max + 1);
        WAIT(&pair, to->datagram_count == from->datagrams_sent);
        CHECK_EQUAL(stats_of(from).sent, from->datagrams_sent);
        CHECK_EQUAL(stats_of(from).acked + stats_of(from).spurious, from->datagrams_sent);
        CHECK_EQUAL(stats_of(from).lost, stats_of(from).spurious);
        CHECK_EQUAL(stats_of(from).queued_bytes, 0);
        CHECK_EQUAL(stats_of(to).received, to->datagram_count);
    }
    pair_dispose(&pair);
}

/* Many small ones ride in one packet, and one command starts them all. On a simulated network, where nothing takes
 * any before the last is queued, and where no socket overflows. */
static void a_burst_costs_few_events_and_commands(void)
{
    pair_prepare(&pair);
    pair_simulate(&pair, 1, &(aiopq_link_config_t){.delay_us = 1000});
    pair.client.config.datagram_queue_bytes = 1u << 20;
    pair.server.config.datagram_receive_bytes = 1u << 20;
    pair_start(&pair);
    peer_t *client = pair_connect(&pair);
    peer_t *server = pair.server.peers;
    aiopq_engine_counters_t before, after;
    aiopq_engine_get_counters(pair.client.engine, &before);
    for (int i = 0; i < 5000; i++) {
        CHECK_EQUAL(datagram_send(client, 40, false), AIOPQ_OK);
    }
    aiopq_engine_get_counters(pair.client.engine, &after);
    CHECK(after.commands_pushed - before.commands_pushed <= 1);
    WAIT(&pair, server->datagram_count == 5000);
    CHECK(server->datagram_readable_count < 2500);
    pair_dispose(&pair);
}

static void datagrams_and_streams_share_packets(void)
{
    peer_t *client = pair_begin(&pair);
    flow_t *flow = flow_open(client, 0);
    flow_send(flow, 2000000, true);
    for (int i = 0; i < 500; i++) {
        send_waiting(client, (size_t)(i * 7 % 1200), true);
        WAIT(&pair, pair.server.peers->datagram_count + 4 > client->datagrams_sent);
    }
    WAIT(&pair, flow_find(&pair.server, 0) != NULL && flow_find(&pair.server, 0)->is_fin_received);
    WAIT(&pair, told_arrived(client) == 500);
    pair_dispose(&pair);
}

static void not_negotiated_is_too_large(void)
{
    for (int side = 0; side < 2; side++) {
        pair_prepare(&pair);
        endpoint_t *without = side == 0 ? &pair.server : &pair.client;
        without->config.max_datagram_frame_size = 0;
        pair_start(&pair);
        peer_t *client = pair_connect(&pair);
        peer_t *with = side == 0 ? client : pair.server.peers,
               *other = side == 0 ? pair.server.peers : client;
        /* Who announces none is sent none, and may send all the same (RFC 9221 section 3). */
        CHECK_EQUAL(aiopq_conn_max_datagram(with->conn), 0);
        CHECK_EQUAL(datagram_send(with, 0, false), AIOPQ_TOO_LARGE);
        CHECK_EQUAL(with->info.remote_parameters.max_datagram_frame_size, 0);
        CHECK(aiopq_conn_max_datagram(other->conn) >= 1200);
        send_waiting(other, 100, true);
        WAIT(&pair, with->datagram_count == 1 && told_arrived(other) == 1);
        pair_dispose(&pair);
    }
}

static void limits_of_peer_and_program_hold(void)
{
    /* A length takes a byte, from 64 on two. */
    const struct {
        uint32_t frame_size, max_payload, expected;
    } cases[] = {{3, 0, 1},      {65, 0, 63},      {66, 0, 63}, {67, 0, 64},
                 {1000, 0, 997}, {1000, 500, 500}, {2, 0, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pair_prepare(&pair);
        pair.server.config.max_datagram_frame_size = cases[i].frame_size;
        pair.client.config.datagram_max_payload = cases[i].max_payload;
        pair_start(&pair);
        peer_t *client = pair_connect(&pair);
        uint32_t max = aiopq_conn_max_datagram(client->conn);
        CHECK_EQUAL(max, cases[i].expected);
        CHECK_EQUAL(datagram_send(client, max + 1, false), AIOPQ_TOO_LARGE);
        if (max > 0) {
            send_waiting(client, max, true);
            WAIT(&pair, told_arrived(client) == 1);
        }
        pair_dispose(&pair);
    }
}

/* What picoquic takes the MTU of every IPv4 path for, until a probe of its own arrives. */
#define MTU_AT_FIRST 1252

/* Keeps datagrams going until the MTU was probed. */
static void grow(peer_t *client)
{
    while (aiopq_conn_max_datagram(client->conn) < MTU_AT_FIRST) {
        send_waiting(client, 100, false);
        uint64_t sent = client->datagrams_sent;
        WAIT(&pair, stats_of(client).acked + stats_of(client).lost >= sent);
    }
}

static void max_grows_with_the_path(void)
{
    peer_t *client = pair_begin(&pair);
    grow(client);
    send_waiting(client, aiopq_conn_max_datagram(client->conn), true);
    WAIT(&pair, told_arrived(client) == 1);
    pair_dispose(&pair);
}

static void full_queue_tells_of_room_once(void)
{
    pair_prepare(&pair);
    pair_start(&pair);
    relay_start(&relay, pair.server.port);
    pair.server.port = relay.port;
    peer_t *client = pair_connect(&pair);
    CHECK(!aiopq_conn_want_datagrams_writable(client->conn)); /* there is room: no event */
    relay_set(&relay, RELAY_DROP);                            /* the window fills, then the queue */
    do {
        while (datagram_send(client, 1000, false) == AIOPQ_OK) {
            CHECK(stats_of(client).queued_bytes <= HARNESS_DATAGRAM_BUDGET);
        }
    } while (!aiopq_conn_want_datagrams_writable(client->conn));
    CHECK_EQUAL(client->datagram_writable_count, 0);
    relay_set(&relay, RELAY_PASS);
    WAIT(&pair, client->datagram_writable_count == 1);
    CHECK(stats_of(client).queued_bytes <= HARNESS_DATAGRAM_BUDGET / 2);
    CHECK_EQUAL(datagram_send(client, 1000, false), AIOPQ_OK);
    WAIT(&pair, stats_of(client).queued == 0);
    CHECK_EQUAL(client->datagram_writable_count, 1);
    pair_dispose(&pair);
    relay_stop(&relay);
}

/* Empty ones count too. */
static void a_reader_that_does_not_read_is_bounded(void)
{
    for (size_t length = 0; length <= 1000; length += 1000) {
        peer_t *client = pair_begin(&pair);
        peer_t *server = pair.server.peers;
        server->holds_datagrams = true;
        for (int i = 0; i < 3000; i++) {
            send_waiting(client, length, false);
        }
        WAIT(&pair, stats_of(client).acked + stats_of(client).lost == 3000);
        aiopq_datagram_stats_t stats = stats_of(server);
        CHECK(stats.dropped_received > 0);
        CHECK(stats.received * aiopq_record_bytes(length) <= HARNESS_DATAGRAM_BUDGET);
        CHECK((stats.received + 1) * aiopq_record_bytes(length) > HARNESS_DATAGRAM_BUDGET);
        CHECK_EQUAL(server->datagram_readable_count, 1);
        CHECK_EQUAL(server->datagram_count, 0);
        /* Who comes back gets the oldest, and the next one is told of again. */
        server->holds_datagrams = false;
        datagrams_take(server);
        CHECK_EQUAL(server->datagram_count, stats.received);
        send_waiting(client, length, false);
        WAIT(&pair, server->datagram_count == stats.received + 1);
        CHECK_EQUAL(server->datagram_readable_count, 2);
        pair_dispose(&pair);
    }
}

static peer_t *begin_with_relay(void)
{
    pair_prepare(&pair);
    pair_start(&pair);
    relay_start(&relay, pair.server.port);
    pair.server.port = relay.port;
    peer_t *client = pair_connect(&pair);
    /* Whatever belongs to the handshake is acknowledged. */
    send_waiting(client, 1, true);
    WAIT(&pair, told_arrived(client) == 1);
    return client;
}

/* Sends one that the relay keeps from its peer, then others that pass until the first is declared lost: losses
 * show by what arrives behind them. A packet that the relay caught may have been a probe of the path's MTU;
 * then once more. */
static uint64_t lose_one(peer_t *client, relay_mode_t mode, _Atomic uint64_t *caught, size_t length)
{
    uint64_t number;
    do {
        uint64_t before = atomic_load(caught);
        relay_set(&relay, mode);
        send_waiting(client, length, true);
        number = client->last_number;
        WAIT(&pair, atomic_load(caught) > before);
        relay_set(&relay, RELAY_PASS);
        while (client->fates[number] == FATE_OPEN) {
            send_waiting(client, length, true); /* the same bytes, at another time */
            uint64_t last = client->last_number;
            WAIT(&pair, client->fates[last] != FATE_OPEN);
        }
    } while (client->fates[number] != FATE_LOST);
    return number;
}

static void lost_ones_are_told(void)
{
    peer_t *client = begin_with_relay();
    for (size_t length = 300; length <= 1100; length += 200) {
        (void)lose_one(client, RELAY_DROP, &relay.dropped, length);
    }
    CHECK(client->fate_count[FATE_LOST] >= 5);
    CHECK_EQUAL(stats_of(client).lost, client->fate_count[FATE_LOST]); /* every one was tracked */
    WAIT(&pair, stats_of(client).acked + stats_of(client).lost == client->datagrams_sent);
    pair_dispose(&pair);
    relay_stop(&relay);
}

static void late_ones_are_spurious(void)
{
    peer_t *client = begin_with_relay();
    uint64_t number = lose_one(client, RELAY_HOLD, &relay.held, 300);
    relay_release(&relay);
    WAIT(&pair, client->fates[number] == FATE_SPURIOUS);
    CHECK(stats_of(client).spurious >= 1);
    WAIT(&pair, pair.server.peers->datagram_count == client->datagrams_sent);
    pair_dispose(&pair);
    relay_stop(&relay);
}

static void close_drops_what_is_queued(void)
{
    peer_t *client = begin_with_relay();
    relay_set(&relay, RELAY_DROP);
    while (datagram_send(client, 1000, true) == AIOPQ_OK) {
    }
    (void)aiopq_conn_want_datagrams_writable(client->conn);
    CHECK_EQUAL(aiopq_conn_close(client->conn, 0, "", 0), AIOPQ_OK);
    WAIT(&pair, client->is_closed);
    uint64_t told = client->fate_count[FATE_ACKED] + client->fate_count[FATE_LOST];
    CHECK(told < client->last_number); /* in flight and queued ones have no fate */
    CHECK_EQUAL(datagram_send(client, 10, false), AIOPQ_CLOSED);
    relay_set(&relay, RELAY_PASS);
    pair_dispose(&pair);
    relay_stop(&relay);
}

static void what_arrived_before_the_end_can_be_taken(void)
{
    peer_t *client = pair_begin(&pair);
    peer_t *server = pair.server.peers;
    server->holds_datagrams = true;
    send_waiting(client, 700, true);
    WAIT(&pair, told_arrived(client) == 1);
    CHECK_EQUAL(aiopq_conn_close(client->conn, 0, "", 0), AIOPQ_OK);
    WAIT(&pair, server->is_closed && server->datagram_readable_count == 1);
    datagrams_take(server);
    CHECK_EQUAL(server->datagram_count, 1);
    pair_dispose(&pair);
}

static const test_case_t cases[] = {
    TEST(every_size_arrives_both_ways),
    TEST(a_burst_costs_few_events_and_commands),
    TEST(datagrams_and_streams_share_packets),
    TEST(not_negotiated_is_too_large),
    TEST(limits_of_peer_and_program_hold),
    TEST(max_grows_with_the_path),
    TEST(full_queue_tells_of_room_once),
    TEST(a_reader_that_does_not_read_is_bounded),
    TEST(lost_ones_are_told),
    TEST(late_ones_are_spurious),
    TEST(close_drops_what_is_queued),
    TEST(what_arrived_before_the_end_can_be_taken),
};
TEST_MAIN(cases)
