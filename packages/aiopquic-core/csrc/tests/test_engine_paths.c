/* Paths: migration, what fails and leaves the connection where it was, several paths. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "harness.h"

static pair_t pair;
static uint64_t last_request;

static struct sockaddr_storage loopback(uint8_t last, uint16_t port)
{
    struct sockaddr_storage address;
    memset(&address, 0, sizeof(address));
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)&address;
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = htons(port);
    ipv4->sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + last);
    return address;
}

static uint32_t host_of(const struct sockaddr_storage *address)
{
    return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr);
}

static uint16_t port_of(const struct sockaddr_storage *address)
{
    return ntohs(((const struct sockaddr_in *)address)->sin_port);
}

static uint64_t ask(peer_t *peer, aiopq_path_request_t request)
{
    request.request = ++last_request;
    CHECK_EQUAL(aiopq_conn_request_path(peer->conn, &request), AIOPQ_OK);
    return request.request;
}

static aiopq_path_outcome_t answer(peer_t *peer, aiopq_path_request_t request)
{
    uint64_t number = ask(peer, request);
    WAIT(&pair, peer->path_answer.request == number);
    return peer->path_answer.outcome;
}

static aiopq_path_outcome_t migrate(peer_t *peer, struct sockaddr_storage local)
{
    return answer(peer, (aiopq_path_request_t){.wish = AIOPQ_PATH_MIGRATE, .local_address = local});
}

static void move_bytes(peer_t *client, uint64_t stream_id)
{
    flow_t *flow = flow_open(client, stream_id);
    flow_send(flow, 300000, true);
    WAIT(&pair, flow_find(&pair.server, stream_id) != NULL &&
                    flow_find(&pair.server, stream_id)->received == 300000);
}

static void client_moves_to_another_address(void)
{
    peer_t *client = pair_begin(&pair);
    peer_t *server = pair.server.peers;
    CHECK_EQUAL(migrate(client, loopback(2, 0)), AIOPQ_PATH_DONE);
    CHECK_EQUAL(host_of(&client->paths[0].local_address), INADDR_LOOPBACK + 1);
    CHECK(port_of(&client->paths[0].local_address) != pair.client.port);
    CHECK_EQUAL(client->path_changes[AIOPQ_PATH_AVAILABLE], 1);
    CHECK_EQUAL(host_of(&client->path.local_address), INADDR_LOOPBACK + 1);
    move_bytes(client, 0);
    WAIT(&pair, server->path_changes[AIOPQ_PATH_AVAILABLE] == 1);
    CHECK_EQUAL(host_of(&server->path.peer_address), INADDR_LOOPBACK + 1);
    CHECK_EQUAL(port_of(&server->path.peer_address), port_of(&client->paths[0].local_address));
    pair_dispose(&pair);
}

/* Each move lets go of the addresses before: the peer's connection ids last for any number. */
static void client_moves_again_and_again(void)
{
    peer_t *client = pair_begin(&pair);
    for (uint8_t i = 0; i < 20; i++) {
        CHECK_EQUAL(migrate(client, (struct sockaddr_storage){.ss_family = AF_UNSPEC}), AIOPQ_PATH_DONE);
        CHECK_EQUAL(host_of(&client->paths[0].local_address), INADDR_LOOPBACK);
        move_bytes(client, 4u * i);
        WAIT(&pair, pair.server.peers->retired_count > i);
    }
    pair_dispose(&pair);
}

static void failure_leaves_it_where_it_was(void)
{
    peer_t *client = pair_begin(&pair);
    uint16_t port = pair.client.port;
    /* No host of this network has that one; the simulated one lets anybody have any. */
    if (pair.network == NULL) {
        struct sockaddr_storage strange = loopback(1, 0);
        ((struct sockaddr_in *)&strange)->sin_addr.s_addr = htonl(0xc0000201);
        CHECK_EQUAL(migrate(client, strange), AIOPQ_PATH_NOT_BOUND);
        CHECK_EQUAL(client->path_answer.system_error, EADDRNOTAVAIL);
    }
    struct sockaddr_storage other_family = {.ss_family = AF_INET6};
    CHECK_EQUAL(migrate(client, other_family), AIOPQ_PATH_WRONG_FAMILY);
    CHECK_EQUAL(answer(client, (aiopq_path_request_t){.wish = AIOPQ_PATH_ADD}), AIOPQ_PATH_NO_MULTIPATH);
    CHECK_EQUAL(answer(client, (aiopq_path_request_t){.wish = AIOPQ_PATH_ABANDON}), AIOPQ_PATH_NO_MULTIPATH);
    CHECK_EQUAL(answer(client, (aiopq_path_request_t){.wish = AIOPQ_PATH_BACK_UP}), AIOPQ_PATH_NO_MULTIPATH);
    CHECK_EQUAL(answer(client, (aiopq_path_request_t){.wish = AIOPQ_PATH_LIST}), AIOPQ_PATH_DONE);
    CHECK_EQUAL(client->path_answer.path_count, 1);
    CHECK_EQUAL(port_of(&client->paths[0].local_address), port);
    move_bytes(client, 0);
    aiopq_path_request_t request = {.wish = AIOPQ_PATH_MIGRATE, .request = 999};
    CHECK_EQUAL(aiopq_conn_request_path(pair.server.peers->conn, &request), AIOPQ_INVALID);
    pair_dispose(&pair);
}

static void nobody_answers_there(void)
{
    const struct sockaddr_storage here = loopback(1, 0), there = loopback(2, 0);
    const aiopq_link_config_t down = {.is_down = true};
    pair_prepare(&pair);
    pair_simulate(&pair, 1, &(aiopq_link_config_t){.delay_us = 10000});
    pair_start(&pair);
    peer_t *client = pair_connect(&pair);
    CHECK_EQUAL(aiopq_network_set_link(pair.network, &there, &here, &down), AIOPQ_OK);
    uint64_t start_us = pair_now_us(&pair);
    CHECK_EQUAL(migrate(client, there), AIOPQ_PATH_NO_ANSWER);
    CHECK(pair_now_us(&pair) - start_us < 5000000);
    CHECK_EQUAL(client->path_changes[AIOPQ_PATH_AVAILABLE], 0);
    uint64_t number = ask(client, (aiopq_path_request_t){.wish = AIOPQ_PATH_MIGRATE, .local_address = there});
    CHECK_EQUAL(migrate(client, there), AIOPQ_PATH_BUSY);
    CHECK_EQUAL(answer(client, (aiopq_path_request_t){.wish = AIOPQ_PATH_CANCEL, .id = number}),
                AIOPQ_PATH_DONE);
    CHECK_EQUAL(client->path_answers, 4);
    CHECK_EQUAL(answer(client, (aiopq_path_request_t){.wish = AIOPQ_PATH_LIST}), AIOPQ_PATH_DONE);
    CHECK_EQUAL(host_of(&client->paths[0].local_address), INADDR_LOOPBACK);
    move_bytes(client, 0);
    pair_dispose(&pair);
}

static void closed_while_it_tries(void)
{
    peer_t *client = pair_begin(&pair);
    (void)ask(client, (aiopq_path_request_t){.wish = AIOPQ_PATH_MIGRATE, .local_address = loopback(2, 0)});
    CHECK_EQUAL(aiopq_conn_close(client->conn, 7, NULL, 0), AIOPQ_OK);
    WAIT(&pair, client->is_closed);
    aiopq_path_request_t request = {.wish = AIOPQ_PATH_LIST};
    CHECK_EQUAL(aiopq_conn_request_path(client->conn, &request), AIOPQ_CLOSED);
    pair_dispose(&pair);
}

static void server_follows_a_nat(void)
{
    pair_prepare(&pair);
    pair_simulate(&pair, 1, &(aiopq_link_config_t){.delay_us = 10000});
    pair_start(&pair);
    peer_t *client = pair_connect(&pair);
    peer_t *server = pair.server.peers;
    const struct sockaddr_storage inside = loopback(1, pair.client.port);
    for (uint16_t i = 0; i < 20; i++) {
        const struct sockaddr_storage outside = loopback(9, (uint16_t)(1000 + i));
        CHECK_EQUAL(aiopq_network_rebind(pair.network, &inside, &outside), AIOPQ_OK);
        move_bytes(client, 4u * i);
        WAIT(&pair, server->path_changes[AIOPQ_PATH_AVAILABLE] == i + 1u);
        CHECK_EQUAL(port_of(&server->path.peer_address), 1000 + i);
        uint64_t now_us = pair_now_us(&pair);
        WAIT(&pair, pair_now_us(&pair) > now_us + 1000000);
    }
    CHECK(!client->is_closed);
    pair_dispose(&pair);
}

static const aiopq_path_info_t *path_of(const peer_t *peer, uint64_t id)
{
    for (size_t i = 0; i < peer->path_answer.path_count; i++) {
        if (peer->paths[i].id == id) {
            return &peer->paths[i];
        }
    }
    return NULL;
}

static void paths_come_and_go(void)
{
    pair_prepare(&pair);
    pair.server.config.max_paths = pair.client.config.max_paths = 2;
    pair_start(&pair);
    peer_t *client = pair_connect(&pair);
    peer_t *server = pair.server.peers;
    CHECK(client->info.has_multipath && server->info.has_multipath);
    CHECK_EQUAL(
        answer(client, (aiopq_path_request_t){.wish = AIOPQ_PATH_ADD, .local_address = loopback(2, 0)}),
        AIOPQ_PATH_DONE);
    uint64_t id = client->paths[0].id;
    CHECK(id != 0);
    flow_t *flow = flow_open(client, 0);
    CHECK_EQUAL(aiopq_stream_set_path(flow->stream, id), AIOPQ_OK);
    flow_send(flow, 300000, true);
    WAIT(&pair, flow_find(&pair.server, 0) != NULL && flow_find(&pair.server, 0)->received == 300000);
    CHECK_EQUAL(answer(client, (aiopq_path_request_t){.wish = AIOPQ_PATH_LIST}), AIOPQ_PATH_DONE);
    CHECK_EQUAL(client->path_answer.path_count, 2);
    CHECK(path_of(client, id)->bytes_sent > 300000);
    CHECK_EQUAL(host_of(&path_of(client, id)->local_address), INADDR_LOOPBACK + 1);
    CHECK_EQUAL(answer(client, (aiopq_path_request_t){.wish = AIOPQ_PATH_BACK_UP, .id = id}),
                AIOPQ_PATH_DONE);
    CHECK_EQUAL(answer(client, (aiopq_path_request_t){.wish = AIOPQ_PATH_USE, .id = 99}), AIOPQ_PATH_UNKNOWN);
    CHECK_EQUAL(answer(client, (aiopq_path_request_t){.wish = AIOPQ_PATH_ABANDON}), AIOPQ_PATH_DONE);
    CHECK_EQUAL(answer(client, (aiopq_path_request_t){.wish = AIOPQ_PATH_ABANDON, .id = id}),
                AIOPQ_PATH_LAST);
    WAIT(&pair,
         client->path_changes[AIOPQ_PATH_DELETED] == 1 && server->path_changes[AIOPQ_PATH_DELETED] == 1);
    move_bytes(client, 4);
    CHECK_EQUAL(aiopq_conn_ping(client->conn, 5), AIOPQ_OK);
    WAIT(&pair, client->ping_count == 1);
    pair_dispose(&pair);
}

static void the_server_prefers_another_address(void)
{
    pair_prepare(&pair);
    pair_simulate(&pair, 1, &(aiopq_link_config_t){.delay_us = 10000});
    pair.server.config.preferred_addresses[0] = loopback(7, 4433);
    pair_start(&pair);
    peer_t *client = pair_connect(&pair);
    WAIT(&pair, client->path_changes[AIOPQ_PATH_AVAILABLE] == 1);
    CHECK_EQUAL(host_of(&client->path.peer_address), INADDR_LOOPBACK + 6);
    CHECK_EQUAL(port_of(&client->path.peer_address), 4433);
    move_bytes(client, 0);
    pair_dispose(&pair);
}

static const test_case_t cases[] = {
    TEST(client_moves_to_another_address),
    TEST(client_moves_again_and_again),
    TEST(failure_leaves_it_where_it_was),
    TEST(nobody_answers_there),
    TEST(closed_while_it_tries),
    TEST(server_follows_a_nat),
    TEST(paths_come_and_go),
    TEST(the_server_prefers_another_address),
};
TEST_MAIN(cases)
