/* Sessions between two engines: over sockets, and over a simulated network with loss. */
#include <string.h>

#include "codes.h"
#include "harness.h"
#include "protocol.h"
#include "qpack.h"

static pair_t pair;
static peer_t *client, *server;

static void begin(const aiopq_link_config_t *link)
{
    pair_prepare(&pair);
    aiopq_config_t *configs[] = {&pair.server.config, &pair.client.config};
    for (size_t i = 0; i < 2; i++) {
        configs[i]->protocols[0] = &aiopq_wt_protocol;
        configs[i]->max_datagram_frame_size = 65535;
    }
    pair.server.config.alpn[0] = "h3";
    if (link != NULL) {
        pair_simulate(&pair, 7, link);
    }
    pair_start(&pair);
    client = pair_open(&pair, "localhost", "h3");
    WAIT(&pair, client->is_ready && client->message_kind == WT_EVENT_SETTINGS);
    WAIT(&pair, pair.server.peers != NULL);
    server = pair.server.peers;
    WAIT(&pair, server->is_ready && server->message_kind == WT_EVENT_SETTINGS);
}

static void command(peer_t *peer, int32_t kind, uint64_t uid, const void *data, size_t length)
{
    CHECK_EQUAL(aiopq_conn_protocol_command(peer->conn, kind, uid, data, length), AIOPQ_OK);
}

static void open_session(uint64_t stream_id)
{
    static const char *const fields[][2] = {{":method", "CONNECT"},
                                            {":protocol", "webtransport-h3"},
                                            {":scheme", "https"},
                                            {":authority", "localhost"},
                                            {":path", "/somewhere"}};
    wt_bytes_t list = {0};
    wt_put_u16(&list, 5);
    for (size_t i = 0; i < 5; i++) {
        wt_put_u16(&list, (uint16_t)strlen(fields[i][0]));
        wt_put(&list, fields[i][0], strlen(fields[i][0]));
        wt_put_u32(&list, (uint32_t)strlen(fields[i][1]));
        wt_put(&list, fields[i][1], strlen(fields[i][1]));
    }
    command(client, WT_COMMAND_CONNECT, stream_id, list.data, list.length);
    wt_bytes_free(&list);
    WAIT(&pair, server->message_kind == WT_EVENT_REQUEST && server->message_uid == stream_id);
    command(server, WT_COMMAND_RESPOND, stream_id, "\0\310\0\0", 4);
    WAIT(&pair, client->message_kind == WT_EVENT_RESPONSE && client->message_uid == stream_id);
    CHECK_EQUAL(client->message[1], 200);
}

static flow_t *open_in(peer_t *peer, uint64_t stream_id, uint8_t session)
{
    uint8_t preface[] = {0x40, stream_id & 2 ? WT_STREAM_UNI : WT_STREAM_BIDI, session};
    return flow_open_scoped(peer, stream_id, session, (aiopq_bytes_t){preface, sizeof(preface)});
}

static flow_t *wait_for(endpoint_t *endpoint, uint64_t stream_id)
{
    WAIT(&pair, flow_find(endpoint, stream_id) != NULL);
    return flow_find(endpoint, stream_id);
}

static void move_bytes(void)
{
    open_session(0);
    flow_t *flows[] = {open_in(client, 4, 0), open_in(client, 14, 0), open_in(server, 1, 0),
                       open_in(server, 15, 0)};
    for (size_t i = 0; i < 4; i++) {
        flow_send(flows[i], 200000, true);
    }
    flow_t *there[] = {wait_for(&pair.server, 4), wait_for(&pair.server, 14), wait_for(&pair.client, 1),
                       wait_for(&pair.client, 15)};
    flow_send(there[0], 100000, true);
    flow_send(there[2], 100000, true);
    for (size_t i = 0; i < 4; i++) {
        WAIT(&pair, there[i]->is_fin_received && there[i]->received == 200000);
        CHECK_EQUAL(aiopq_stream_scope(there[i]->stream), 0);
    }
    WAIT(&pair, flows[0]->received == 100000 && flows[2]->received == 100000);
}

static void sessions_move_bytes(void)
{
    begin(NULL);
    move_bytes();
    pair_dispose(&pair);
}

static void sessions_move_bytes_through_loss(void)
{
    const aiopq_link_config_t link = {.rate_bps = 20000000, .delay_us = 10000, .loss_ppm = 30000};
    begin(&link);
    move_bytes();
    pair_dispose(&pair);
}

static void a_close_ends_everything(void)
{
    begin(NULL);
    for (uint8_t round = 0; round < 3; round++) {
        uint8_t session = (uint8_t)(8 * round);
        open_session(session);
        flow_t *bidi = open_in(client, session + 4u, session);
        flow_t *uni = open_in(server, 15 + 4u * round, session);
        flow_send(bidi, 1000000, false);
        flow_send(uni, 1000000, false);
        flow_t *there = wait_for(&pair.server, session + 4u),
               *incoming = wait_for(&pair.client, 15 + 4u * round);
        peer_t *closing = round % 2 ? server : client, *other = round % 2 ? client : server;
        command(closing, WT_COMMAND_CLOSE_SESSION, session, "\0\0\0\5over", 8);
        WAIT(&pair, other->message_kind == WT_EVENT_SESSION_CLOSED && other->message_uid == session);
        CHECK_EQUAL(other->message_length, 9);
        CHECK(memcmp(other->message, "\0\0\0\0\5over", 9) == 0);
        WAIT(&pair, closing->message_kind == WT_EVENT_SESSION_CLOSED);
        CHECK(memcmp(closing->message, "\4\0\0\0\5over", 9) == 0);
        WAIT(&pair, bidi->is_stopped && bidi->is_reset && there->is_stopped && there->is_reset);
        WAIT(&pair, uni->is_stopped && incoming->is_reset);
        CHECK(bidi->stop_code == WT_SESSION_GONE && incoming->reset_code == WT_SESSION_GONE);
        WAIT(&pair, bidi->is_released && there->is_released && uni->is_released && incoming->is_released);
        flow_t *late = open_in(server, 1 + 4u * round, session);
        WAIT(&pair, late->is_stopped && late->stop_code == WT_SESSION_GONE);
        aiopq_live_counts_t counts;
        aiopq_get_live_counts(&counts);
        CHECK(counts.protocols <= 6); /* two connections, and at most this session's two ends */
    }
    pair_dispose(&pair);
}

static void datagrams_of_a_session(void)
{
    begin(NULL);
    open_session(0);
    server->holds_datagrams = true;
    const uint8_t prefix[] = {0};
    CHECK_EQUAL(aiopq_conn_send_datagram(client->conn, (aiopq_bytes_t){prefix, 1},
                                         (aiopq_bytes_t){(const uint8_t *)"payload", 7}, 0),
                AIOPQ_OK);
    WAIT(&pair, server->datagram_readable_count == 1);
    CHECK_EQUAL(aiopq_conn_datagrams_arrived(server->conn), 1);
    size_t length;
    const uint8_t *bytes = aiopq_conn_first_datagram(server->conn, &length);
    CHECK(bytes != NULL && length == 8 && memcmp(bytes, "\0payload", 8) == 0);
    aiopq_conn_drop_first_datagram(server->conn);
    pair_dispose(&pair);
}

static void a_violation_closes_with_its_code(void)
{
    begin(NULL);
    flow_t *control = flow_open(client, 14); /* a second control stream */
    CHECK_EQUAL(aiopq_stream_write(control->stream, (const uint8_t *)"\x00\x04\x00", 3, false), AIOPQ_OK);
    WAIT(&pair, client->is_closed);
    CHECK_EQUAL(client->close.kind, AIOPQ_CLOSE_APPLICATION);
    CHECK_EQUAL(client->close.error_code, H3_STREAM_CREATION_ERROR);
    CHECK(client->close.reason_length > 0);
    pair_dispose(&pair);
}

static void the_end_of_a_connection_frees_everything(void)
{
    begin(NULL);
    open_session(0);
    flow_send(open_in(client, 4, 0), 100000, false);
    flow_send(open_in(client, 14, 8), 100, false);      /* waits for a session that never comes */
    command(client, WT_COMMAND_CONNECT, 12, "\0\0", 2); /* is none */
    WAIT(&pair, client->message_kind == WT_EVENT_RESPONSE && client->message_uid == 12);
    CHECK_EQUAL(aiopq_conn_close(client->conn, H3_NO_ERROR, NULL, 0), AIOPQ_OK);
    WAIT(&pair, client->is_closed && server->is_closed);
    pair_dispose(&pair);
}

int main(int argc, char **argv)
{
    static const test_case_t cases[] = {
        TEST(sessions_move_bytes),
        TEST(sessions_move_bytes_through_loss),
        TEST(a_close_ends_everything),
        TEST(datagrams_of_a_session),
        TEST(a_violation_closes_with_its_code),
        TEST(the_end_of_a_connection_frees_everything),
    };
    return test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
