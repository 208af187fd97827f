/* How streams, connections and engines end. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "test.h"

static pair_t pair;

static flow_t *at_server(uint64_t stream_id)
{
    return flow_find(&pair.server, stream_id);
}

/* ---- streams ---- */

/* A bidirectional stream of the client on which both sides have sent something. */
static flow_t *open_both_ways(uint64_t stream_id)
{
    flow_t *flow = flow_open(pair.client.peers, stream_id);
    flow_send(flow, 100, false);
    WAIT(&pair, at_server(stream_id) != NULL && at_server(stream_id)->received == 100);
    flow_send(at_server(stream_id), 100, false);
    WAIT(&pair, flow->received == 100);
    return flow;
}

static void check_reset(flow_t *sender, flow_t *receiver, uint64_t code)
{
    CHECK_EQUAL(aiopq_stream_reset(sender->stream, code, 0), AIOPQ_OK);
    CHECK_EQUAL(aiopq_stream_send_state(sender->stream), AIOPQ_STREAM_FINISHED);
    CHECK_EQUAL(aiopq_stream_write(sender->stream, (const uint8_t *)"x", 1, false), AIOPQ_STREAM_FINISHED);
    WAIT(&pair, receiver->is_reset);
    CHECK_EQUAL(receiver->reset_code, code);
    CHECK(!receiver->is_fin_received && !sender->is_stopped && !receiver->is_stopped);
}

static void reset_reaches_the_peer_with_its_code(void)
{
    (void)pair_begin(&pair);
    flow_t *flow = open_both_ways(0);
    check_reset(flow, at_server(0), 0x1234567890);
    check_reset(at_server(0), flow, 7);
    WAIT(&pair, flow->is_released && at_server(0)->is_released);
    pair_dispose(&pair);
}

static void check_stop(flow_t *receiver, flow_t *sender, uint64_t code)
{
    CHECK_EQUAL(aiopq_stream_stop(receiver->stream, code), AIOPQ_OK);
    WAIT(&pair, sender->is_stopped);
    CHECK_EQUAL(sender->stop_code, code);
    CHECK_EQUAL(aiopq_stream_send_state(sender->stream), AIOPQ_STREAM_STOPPED);
    CHECK_EQUAL(aiopq_stream_write(sender->stream, (const uint8_t *)"x", 1, false), AIOPQ_STREAM_STOPPED);
}

static void stop_reaches_the_peer_with_its_code(void)
{
    (void)pair_begin(&pair);
    flow_t *flow = open_both_ways(0);
    check_stop(flow, at_server(0), 0x3fffffff);
    check_stop(at_server(0), flow, 0);
    WAIT(&pair, flow->is_released && at_server(0)->is_released);
    pair_dispose(&pair);
}

static void reset_drops_what_waits(void)
{
    peer_t *client = pair_begin(&pair);
    flow_t *flow = open_both_ways(0);
    at_server(0)->holds = true;
    flow_send(flow, 1024u * 1024, false);
    WAIT(&pair, at_server(0)->received >= HARNESS_WINDOW);
    CHECK(aiopq_conn_send_queued(client->conn) > 0);
    check_reset(flow, at_server(0), 5);
    CHECK_EQUAL(aiopq_stream_send_queued(flow->stream), 0);
    CHECK_EQUAL(aiopq_conn_send_queued(client->conn), 0);
    pair_dispose(&pair);
}

/* A sender that waits for room must not wait for ever when the peer takes no more. */
static void stop_wakes_a_waiting_sender(void)
{
    peer_t *client = pair_begin(&pair);
    flow_t *flow = open_both_ways(0);
    at_server(0)->holds = true;
    flow_send(flow, 1024u * 1024, false);
    WAIT(&pair, at_server(0)->received >= HARNESS_WINDOW);
    uint64_t before = flow->writable_count;
    check_stop(at_server(0), flow, 9);
    WAIT(&pair, flow->writable_count > before);
    CHECK_EQUAL(aiopq_conn_send_queued(client->conn), 0);
    pair_dispose(&pair);
}

/* Bytes written before the peer's STOP_SENDING was read of must not stay in the connection's budget. */
static void writes_that_cross_a_stop_are_not_counted_for_ever(void)
{
    peer_t *client = pair_begin(&pair);
    for (uint64_t i = 0; i < TEST_SCALE(200u, 50u); i++) {
        flow_t *flow = flow_open(client, 4 * i + 2);
        flow_send(flow, 100, false);
        WAIT(&pair, at_server(4 * i + 2) != NULL);
        CHECK_EQUAL(aiopq_stream_stop(at_server(4 * i + 2)->stream, 1), AIOPQ_OK);
        /* The client's events stay unread meanwhile: it writes as if nothing had happened. */
        uint64_t deadline = test_now_us() + 3000;
        while (test_now_us() < deadline) {
            if (flow->written == flow->wanted) {
                flow_send(flow, 1000, false);
            }
        }
        WAIT(&pair, flow->is_stopped);
    }
    WAIT(&pair, aiopq_conn_send_queued(client->conn) == 0);
    pair_dispose(&pair);
}

/* ---- connections ---- */

static void check_close(peer_t *closer, peer_t *other, uint64_t code, const char *reason)
{
    size_t length = strlen(reason);
    CHECK_EQUAL(aiopq_conn_close(closer->conn, code, reason, length), AIOPQ_OK);
    CHECK_EQUAL(aiopq_conn_close(closer->conn, code + 1, "another", 7), AIOPQ_OK); /* ignored */
    WAIT(&pair, closer->is_closed && other->is_closed);
    CHECK(!closer->close.is_remote && other->close.is_remote);
    for (int i = 0; i < 2; i++) {
        const aiopq_close_info_t *info = i == 0 ? &closer->close : &other->close;
        CHECK_EQUAL(info->kind, AIOPQ_CLOSE_APPLICATION);
        CHECK_EQUAL(info->error_code, code);
        CHECK_EQUAL(info->reason_length, length);
        CHECK(memcmp(info->reason, reason, length) == 0);
        CHECK_EQUAL(info->verify_error, 0);
    }
    CHECK_EQUAL(aiopq_conn_close(closer->conn, 1, NULL, 0), AIOPQ_OK);
    CHECK_EQUAL(aiopq_conn_close(other->conn, 1, NULL, 0), AIOPQ_OK);
}

static void close_reaches_the_peer_with_code_and_reason(void)
{
    for (int from_server = 0; from_server < 2; from_server++) {
        peer_t *client = pair_begin(&pair);
        peer_t *server = pair.server.peers;
        (void)open_both_ways(0);
        check_close(from_server ? server : client, from_server ? client : server, 0x42, "that is all");
        /* The next connection of the same engines: whatever came late would meet the harness's checks. */
        client = pair_connect(&pair);
        server = pair.server.peers;
        check_close(from_server ? server : client, from_server ? client : server, 0, "");
        CHECK_EQUAL(pair.client.closed_count, 2);
        CHECK_EQUAL(pair.server.closed_count, 2);
        pair_dispose(&pair);
    }
}

static void transport_close_names_the_frame(void)
{
    peer_t *client = pair_begin(&pair);
    peer_t *server = pair.server.peers;
    aiopq_conn_t *conn = client->conn;
    CHECK_EQUAL(aiopq_conn_close_transport(conn, 0, 0, NULL, 0), AIOPQ_INVALID);
    CHECK_EQUAL(aiopq_conn_close_transport(conn, AIOPQ_TRANSPORT_ERROR_MAX + 1, 0, NULL, 0), AIOPQ_INVALID);
    CHECK_EQUAL(aiopq_conn_close_transport(conn, 1, 1ull << 62, NULL, 0), AIOPQ_INVALID);
    CHECK_EQUAL(aiopq_conn_close_transport(conn, 0xa, 0x1e, "too early", 9), AIOPQ_OK);
    WAIT(&pair, client->is_closed && server->is_closed);
    CHECK_EQUAL(client->close.kind, AIOPQ_CLOSE_TRANSPORT);
    CHECK_EQUAL(client->close.frame_type, 0x1e);
    CHECK(!client->close.is_remote);
    CHECK_EQUAL(server->close.kind, AIOPQ_CLOSE_TRANSPORT);
    CHECK_EQUAL(server->close.error_code, 0xa);
    CHECK(server->close.is_remote);
    CHECK_EQUAL(server->close.reason_length, 9);
    CHECK(memcmp(server->close.reason, "too early", 9) == 0);
    CHECK_EQUAL(aiopq_conn_close_transport(conn, 1, 0, NULL, 0), AIOPQ_OK); /* ignored: closed */
    /* Without a reason, and before the handshake is over. */
    peer_t *early = pair_open(&pair, "localhost", ALPN);
    CHECK_EQUAL(aiopq_conn_close_transport(early->conn, 0xc, 0, NULL, 0), AIOPQ_OK);
    WAIT(&pair, early->is_closed);
    CHECK_EQUAL(early->close.kind, AIOPQ_CLOSE_TRANSPORT);
    pair_dispose(&pair);
}

static void both_sides_close_at_once(void)
{
    peer_t *client = pair_begin(&pair);
    CHECK_EQUAL(aiopq_conn_close(client->conn, 1, "client", 6), AIOPQ_OK);
    CHECK_EQUAL(aiopq_conn_close(pair.server.peers->conn, 2, "server", 6), AIOPQ_OK);
    WAIT(&pair, client->is_closed && pair.server.peers->is_closed);
    pair_dispose(&pair);
}

static void close_arguments_are_checked(void)
{
    static char reason[AIOPQ_REASON_MAX + 1];
    peer_t *client = pair_begin(&pair);
    memset(reason, 'r', sizeof(reason));
    CHECK_EQUAL(aiopq_conn_close(client->conn, 1ull << 62, NULL, 0), AIOPQ_INVALID);
    CHECK_EQUAL(aiopq_conn_close(client->conn, 0, reason, AIOPQ_REASON_MAX + 1), AIOPQ_INVALID);
    CHECK_EQUAL(aiopq_conn_close(client->conn, 3, reason, AIOPQ_REASON_MAX), AIOPQ_OK);
    WAIT(&pair, client->is_closed && pair.server.peers->is_closed);
    CHECK_EQUAL(client->close.reason_length, AIOPQ_REASON_MAX);
    CHECK_EQUAL(pair.server.peers->close.error_code, 3);
    pair_dispose(&pair);
}

static void close_before_the_handshake_is_over(void)
{
    pair_prepare(&pair);
    pair_start(&pair);
    peer_t *client = pair_open(&pair, "localhost", ALPN);
    CHECK_EQUAL(aiopq_conn_close(client->conn, 4, "never mind", 10), AIOPQ_OK);
    WAIT(&pair, client->is_closed);
    CHECK(!client->is_ready);
    CHECK_EQUAL(client->close.error_code, 4);
    pair_dispose(&pair);
}

static void commands_after_the_close_do_no_harm(void)
{
    peer_t *client = pair_begin(&pair);
    flow_t *flow = open_both_ways(0), *fresh = flow_open(client, 4);
    /* Posted behind the close, before its event is seen. */
    CHECK_EQUAL(aiopq_conn_close(client->conn, 0, NULL, 0), AIOPQ_OK);
    for (int round = 0; round < 2; round++) {
        aiopq_status_t expected = round == 0 ? AIOPQ_OK : AIOPQ_CLOSED;
        aiopq_status_t status = aiopq_stream_write(flow->stream, (const uint8_t *)"late", 4, round == 0);
        CHECK(status == expected || status == AIOPQ_CLOSED);
        status = aiopq_stream_reset(flow->stream, 1, 0);
        CHECK(status == expected || status == AIOPQ_CLOSED);
        status = aiopq_stream_stop(flow->stream, 1);
        CHECK(status == expected || status == AIOPQ_CLOSED);
        status = aiopq_stream_write(fresh->stream, (const uint8_t *)"late", 4, false);
        CHECK(status == expected || status == AIOPQ_CLOSED);
        status = aiopq_stream_set_priority(fresh->stream, 1);
        CHECK(status == expected || status == AIOPQ_CLOSED);
        status = aiopq_conn_request_stats(client->conn, 1);
        CHECK(status == expected || status == AIOPQ_CLOSED);
        aiopq_stream_consume(flow->stream, 1);
        (void)aiopq_stream_want_writable(flow->stream);
        (void)aiopq_conn_want_writable(client->conn);
        bool fin;
        CHECK(aiopq_stream_take(flow->stream, &fin) == NULL);
        WAIT(&pair, client->is_closed && pair.server.peers->is_closed);
    }
    flow_t *late = flow_open(client, 8); /* making one is no error, using it is */
    CHECK_EQUAL(aiopq_stream_write(late->stream, (const uint8_t *)"late", 4, true), AIOPQ_CLOSED);
    CHECK_EQUAL(aiopq_stream_reset(late->stream, 1, 0), AIOPQ_CLOSED);
    CHECK_EQUAL(aiopq_stream_stop(late->stream, 1), AIOPQ_CLOSED);
    pair_dispose(&pair);
}

static void silence_ends_in_an_idle_timeout(void)
{
    pair_prepare(&pair);
    pair.client.config.idle_timeout_ms = 300;
    pair_start(&pair);
    peer_t *client = pair_connect(&pair);
    uint64_t start = pair_now_us(&pair);
    WAIT(&pair, client->is_closed && pair.server.peers->is_closed);
    CHECK(pair_now_us(&pair) - start >= 200000);
    CHECK_EQUAL(client->close.kind, AIOPQ_CLOSE_IDLE_TIMEOUT);
    CHECK_EQUAL(pair.server.peers->close.kind, AIOPQ_CLOSE_IDLE_TIMEOUT);
    CHECK(!client->close.is_remote);
    pair_dispose(&pair);
}

static void keep_alive_outlives_the_idle_timeout(void)
{
    pair_prepare(&pair);
    pair.client.config.idle_timeout_ms = 1000; /* five keep-alives: a busy machine may be late with some */
    pair.client.config.keep_alive_us = 200000;
    pair_start(&pair);
    peer_t *client = pair_connect(&pair);
    uint64_t start = pair_now_us(&pair);
    WAIT(&pair, pair_now_us(&pair) - start > 2000000);
    CHECK(!client->is_closed && !pair.server.peers->is_closed);
    pair_dispose(&pair);
}

/* ---- engines ---- */

static void stop_tells_the_peers(void)
{
    for (int from_server = 0; from_server < 2; from_server++) {
        (void)pair_begin(&pair);
        (void)pair_connect(&pair);
        endpoint_t *stopping = from_server ? &pair.server : &pair.client;
        endpoint_t *other = from_server ? &pair.client : &pair.server;
        uint64_t start = pair_now_us(&pair);
        endpoint_stop(stopping);
        endpoint_stop(stopping); /* twice does no harm */
        WAIT(&pair, stopping->is_stopped && other->closed_count == 2);
        CHECK(pair_now_us(&pair) - start < 2000000); /* the idle timeout is 30 s */
        CHECK_EQUAL(stopping->stop_error, 0);
        CHECK_EQUAL(other->peers->close.kind, AIOPQ_CLOSE_APPLICATION);
        CHECK(other->peers->close.is_remote);
        pair_dispose(&pair);
    }
}

static void close_just_before_stop_is_sent(void)
{
    peer_t *client = pair_begin(&pair);
    CHECK_EQUAL(aiopq_conn_close(client->conn, 99, "bye", 3), AIOPQ_OK);
    endpoint_stop(&pair.client);
    WAIT(&pair, pair.client.is_stopped && pair.server.closed_count == 1);
    CHECK_EQUAL(pair.server.peers->close.error_code, 99);
    CHECK_EQUAL(pair.server.peers->close.reason_length, 3);
    pair_dispose(&pair);
}

static void connection_opened_behind_stop_is_refused(void)
{
    pair_prepare(&pair);
    pair_start(&pair);
    const char *alpn[] = {"test", NULL};
    aiopq_connect_args_t args = {.address = {.ss_family = AF_INET}, .alpn = alpn};
    aiopq_conn_t *conn;
    endpoint_stop(&pair.client);
    CHECK_EQUAL(aiopq_conn_open(pair.client.engine, &args, &conn), AIOPQ_CLOSED);
    CHECK(conn == NULL);
    WAIT(&pair, pair.client.is_stopped);
    CHECK_EQUAL(aiopq_conn_open(pair.client.engine, &args, &conn), AIOPQ_CLOSED);
    pair_dispose(&pair);
}

static void check_busy_port(bool use_portable_loop)
{
    int busy = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    CHECK(bind(busy, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(getsockname(busy, (struct sockaddr *)&address, &length) == 0);
    pair_prepare(&pair);
    pair.server.config.local_port = ntohs(address.sin_port);
    pair.server.config.use_portable_loop = use_portable_loop;
    pair.server.config.network = NULL; /* the port is the host's */
    pair.server.config.simulated_time_us = NULL;
    endpoint_start(&pair.server);
    WAIT(&pair, pair.server.is_stopped);
    CHECK(!pair.server.is_ready);
    CHECK_EQUAL(pair.server.stop_error, EADDRINUSE);
    aiopq_engine_stop(pair.server.engine); /* nobody is there to do it */
    aiopq_engine_join(pair.server.engine);
    aiopq_engine_join(pair.server.engine);
    pair_dispose(&pair);
    close(busy);
}

static void busy_port_stops_the_engine(void)
{
    check_busy_port(false);
    check_busy_port(true);
}

static void engine_that_never_ran_is_freed(void)
{
    pair_prepare(&pair);
    CHECK_EQUAL(aiopq_engine_new(&pair.client.config, &pair.client.engine), AIOPQ_OK);
    peer_t *peer = pair_open(&pair, "localhost", ALPN); /* waits for a driver that never comes */
    flow_send(flow_open(peer, 0), 1000, true);
    aiopq_engine_stop(pair.client.engine);
    endpoint_dispose(&pair.client);
    endpoint_dispose(&pair.server);
    CHECK_NOTHING_ALIVE();
}

static void engine_is_freed_without_a_stop(void)
{
    (void)pair_begin(&pair);
    flow_send(flow_open(pair.client.peers, 0), 100000, false);
    endpoint_dispose(&pair.client); /* its events are dropped with what they hold */
    endpoint_dispose(&pair.server);
    CHECK_NOTHING_ALIVE();
}

static void commands_wait_for_a_start(void)
{
    pair_prepare(&pair);
    endpoint_start(&pair.server);
    WAIT(&pair, pair.server.is_ready);
    CHECK_EQUAL(aiopq_engine_new(&pair.client.config, &pair.client.engine), AIOPQ_OK);
    peer_t *peer = pair_open(&pair, "localhost", ALPN);
    flow_send(flow_open(peer, 0), 1000, true);
    CHECK_EQUAL(aiopq_engine_commands_waiting(pair.client.engine), 2);
    CHECK_EQUAL(aiopq_engine_start(pair.client.engine), AIOPQ_OK);
    WAIT(&pair, at_server(0) != NULL && at_server(0)->is_fin_received);
    pair_dispose(&pair);
}

static const test_case_t cases[] = {
    TEST(reset_reaches_the_peer_with_its_code),
    TEST(stop_reaches_the_peer_with_its_code),
    TEST(reset_drops_what_waits),
    TEST(stop_wakes_a_waiting_sender),
    TEST(writes_that_cross_a_stop_are_not_counted_for_ever),
    TEST(close_reaches_the_peer_with_code_and_reason),
    TEST(transport_close_names_the_frame),
    TEST(both_sides_close_at_once),
    TEST(close_arguments_are_checked),
    TEST(close_before_the_handshake_is_over),
    TEST(commands_after_the_close_do_no_harm),
    TEST(silence_ends_in_an_idle_timeout),
    TEST(keep_alive_outlives_the_idle_timeout),
    TEST(stop_tells_the_peers),
    TEST(close_just_before_stop_is_sent),
    TEST(connection_opened_behind_stop_is_refused),
    TEST(busy_port_stops_the_engine),
    TEST(engine_that_never_ran_is_freed),
    TEST(engine_is_freed_without_a_stop),
    TEST(commands_wait_for_a_start),
};
TEST_MAIN(cases)
