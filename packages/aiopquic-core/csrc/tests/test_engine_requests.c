/* What a connection is asked and answers by a number. */
#include <string.h>

#include "harness.h"
#include "test.h"

static pair_t pair;

static aiopq_bytes_t text(const char *bytes)
{
    return (aiopq_bytes_t){.data = (const uint8_t *)bytes, .length = strlen(bytes)};
}

/* What one side makes of a label and a context. */
static void export(peer_t *peer, uint64_t request, const char *label, const char *context, size_t length)
{
    uint64_t before = peer->answer_count;
    CHECK_EQUAL(aiopq_conn_export_secret(peer->conn, request, label, text(context), length), AIOPQ_OK);
    WAIT(&pair, peer->answer_count > before);
    CHECK_EQUAL(peer->answer_request, request);
    CHECK(peer->is_answer_done);
    CHECK_EQUAL(peer->answer_length, length);
}

static void both_sides_export_the_same(void)
{
    peer_t *client = pair_begin(&pair), *server = pair.server.peers;
    export(client, 1, "EXPORTER-test", "one", 32);
    export(server, 2, "EXPORTER-test", "one", 32);
    CHECK(memcmp(client->answer, server->answer, 32) == 0);
    export(server, 3, "EXPORTER-test", "two", 32);
    CHECK(memcmp(client->answer, server->answer, 32) != 0);
    export(server, 4, "EXPORTER-other", "one", 32);
    CHECK(memcmp(client->answer, server->answer, 32) != 0);
    export(client, 5, "EXPORTER-test", "", AIOPQ_EXPORT_MAX);
    pair_dispose(&pair);
}

static void lengths_have_bounds(void)
{
    char label[AIOPQ_EXPORT_LABEL_MAX + 2];
    peer_t *client = pair_begin(&pair);
    memset(label, 'x', sizeof(label));
    label[sizeof(label) - 1] = 0;
    CHECK_EQUAL(aiopq_conn_export_secret(client->conn, 1, label, text(""), 1), AIOPQ_INVALID);
    CHECK_EQUAL(aiopq_conn_export_secret(client->conn, 1, "", text(""), 1), AIOPQ_INVALID);
    CHECK_EQUAL(aiopq_conn_export_secret(client->conn, 1, "x", text(""), 0), AIOPQ_INVALID);
    CHECK_EQUAL(aiopq_conn_export_secret(client->conn, 1, "x", text(""), AIOPQ_EXPORT_MAX + 1),
                AIOPQ_INVALID);
    export(client, 2, label + 1, "", 1);
    pair_dispose(&pair);
}

static void nothing_to_export_before_the_handshake(void)
{
    pair_prepare(&pair);
    pair_start(&pair);
    pair.server.port = 9; /* nobody is there */
    peer_t *client = pair_open(&pair, "localhost", ALPN);
    CHECK_EQUAL(aiopq_conn_export_secret(client->conn, 7, "early", text(""), 16), AIOPQ_OK);
    WAIT(&pair, client->answer_count == 1);
    CHECK(!client->is_answer_done);
    CHECK_EQUAL(client->answer_length, 0);
    pair_dispose(&pair);
}

static void nothing_is_answered_after_the_end(void)
{
    peer_t *client = pair_begin(&pair);
    CHECK_EQUAL(aiopq_conn_close(client->conn, 0, NULL, 0), AIOPQ_OK);
    CHECK_EQUAL(aiopq_conn_export_secret(client->conn, 7, "late", text(""), 16), AIOPQ_OK);
    WAIT(&pair, client->is_closed);
    CHECK_EQUAL(aiopq_conn_export_secret(client->conn, 8, "later", text(""), 16), AIOPQ_CLOSED);
    CHECK_EQUAL(client->answer_count, 0);
    pair_dispose(&pair);
}

static void keys_change_again_and_again(void)
{
    peer_t *client = pair_begin(&pair), *server = pair.server.peers;
    for (uint64_t i = 1; i <= 6; i++) {
        CHECK_EQUAL(aiopq_conn_update_keys(client->conn, i), AIOPQ_OK);
        CHECK_EQUAL(aiopq_conn_update_keys(server->conn, 100 + i), AIOPQ_OK);
        WAIT(&pair, client->answer_count == i && server->answer_count == i);
        CHECK(client->is_answer_done && server->is_answer_done);
        CHECK_EQUAL(client->answer_request, i);
        CHECK_EQUAL(aiopq_conn_ping(client->conn, i), AIOPQ_OK);
        WAIT(&pair, client->ping_uid == i);
    }
    CHECK(!client->is_closed && !server->is_closed);
    pair_dispose(&pair);
}

static void a_qlog_file_needs_a_folder_and_an_end(void)
{
    peer_t *client = pair_begin(&pair);
    CHECK_EQUAL(aiopq_conn_stop_qlog(client->conn, 1), AIOPQ_OK);
    WAIT(&pair, client->answer_count == 1);
    CHECK(!client->is_answer_done);
    CHECK_EQUAL(aiopq_conn_start_qlog(client->conn, 2, "/nowhere/at/all"), AIOPQ_OK);
    WAIT(&pair, client->answer_count == 2);
    CHECK(!client->is_answer_done);
    CHECK_EQUAL(client->answer_request, 2);
    pair_dispose(&pair);
}

static const test_case_t cases[] = {
    TEST(both_sides_export_the_same),
    TEST(lengths_have_bounds),
    TEST(nothing_to_export_before_the_handshake),
    TEST(nothing_is_answered_after_the_end),
    TEST(keys_change_again_and_again),
    TEST(a_qlog_file_needs_a_folder_and_an_end),
};
TEST_MAIN(cases)
