/* Who the peers are: sessions that go on in another engine, and clients with certificates. */
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "test.h"

static pair_t pair;

/* ---- session tickets ---- */

/* A byte each way and the end of both: whatever the server sends behind the handshake has come by then. */
static void exchange(flow_t *flow)
{
    uint64_t id = aiopq_stream_id(flow->stream);
    flow_send(flow, 1, true);
    WAIT(&pair, flow_find(&pair.server, id) != NULL && flow_find(&pair.server, id)->is_fin_received);
    flow_send(flow_find(&pair.server, id), 1, true);
    WAIT(&pair, flow->is_fin_received);
}

/* Ends the client's engine and gives what it learnt. The server goes on. */
static aiopq_bytes_t end_client(void)
{
    uint8_t *bytes;
    size_t length;
    endpoint_stop(&pair.client);
    WAIT(&pair, pair.client.is_stopped);
    aiopq_engine_join(pair.client.engine);
    CHECK_EQUAL(aiopq_engine_session_tickets(pair.client.engine, &bytes, &length), AIOPQ_OK);
    CHECK_EQUAL(bytes != NULL, length > 0);
    return (aiopq_bytes_t){.data = bytes, .length = length};
}

static void begin_client(aiopq_bytes_t tickets)
{
    aiopq_config_t config = pair.client.config;
    endpoint_dispose(&pair.client);
    memset(&pair.client, 0, sizeof(pair.client));
    pair.client.config = config;
    pair.client.config.session_tickets = tickets;
    endpoint_start(&pair.client);
    WAIT(&pair, pair.client.is_ready);
}

static void forget(aiopq_bytes_t bytes)
{
    free((void *)(uintptr_t)bytes.data);
}

static aiopq_bytes_t first_visit(bool keeps_sessions, bool accepts_early_data)
{
    pair_prepare(&pair);
    pair.client.config.keeps_sessions = keeps_sessions;
    pair.server.config.accepts_early_data = accepts_early_data;
    pair_start(&pair);
    peer_t *peer = pair_connect(&pair);
    CHECK(!peer->info.is_resumed);
    exchange(flow_open(peer, 0));
    return end_client();
}

static void tickets_outlive_their_engine(void)
{
    for (int accepts = 0; accepts <= 1; accepts++) {
        aiopq_bytes_t tickets = first_visit(true, accepts == 1);
        CHECK(tickets.length > 0);
        begin_client(tickets);
        forget(tickets);
        peer_t *peer = pair_open(&pair, "localhost", ALPN);
        flow_t *flow = flow_open(peer, 4); /* its bytes are there before the handshake */
        exchange(flow);
        WAIT(&pair, peer->is_ready); /* the answer may come before the handshake is confirmed */
        CHECK(peer->info.is_resumed);
        CHECK_EQUAL(peer->info.is_early_data_accepted, accepts == 1);
        CHECK_EQUAL(peer->peer_certificates.length, 0);
        pair_dispose(&pair);
    }
}

static void tickets_are_good_for_one_connection(void)
{
    aiopq_bytes_t tickets = first_visit(true, false);
    begin_client(tickets);
    forget(tickets);
    peer_t *peer = pair_connect(&pair);
    CHECK(peer->info.is_resumed);
    tickets = end_client();
    /* The one that was used is gone; the connection brought another, or ended before that. */
    begin_client(tickets);
    forget(tickets);
    CHECK_EQUAL(pair_connect(&pair)->info.is_resumed, tickets.length > 0);
    pair_dispose(&pair);
}

/* How long the record at `offset` is, with its length in front of it. */
static size_t record_length(aiopq_bytes_t records, size_t offset)
{
    const uint8_t *bytes = records.data + offset;
    CHECK(offset + 5 <= records.length);
    return 4 + (size_t)(bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3]);
}

static void no_session_is_kept_unasked(void)
{
    aiopq_bytes_t tickets = first_visit(false, true);
    CHECK_EQUAL(tickets.length, record_length(tickets, 0));
    CHECK_EQUAL(tickets.data[4], 2); /* an address token, no ticket */
    begin_client(tickets);
    forget(tickets);
    CHECK(!pair_connect(&pair)->info.is_resumed);
    pair_dispose(&pair);
}

static void damaged_tickets_are_refused(void)
{
    aiopq_bytes_t tickets = first_visit(true, false);
    aiopq_config_t config = pair.client.config;
    aiopq_engine_t *engine;
    size_t whole = 0; /* bytes of the records before */
    for (size_t length = 0; length <= tickets.length; length++) {
        bool is_whole = length == whole;
        if (is_whole && length < tickets.length) {
            whole += record_length(tickets, length);
        }
        uint8_t *copy = malloc(length + 1); /* its own block: a sanitizer tells of a byte behind it */
        CHECK(copy != NULL);
        memcpy(copy, tickets.data, length);
        config.session_tickets = (aiopq_bytes_t){.data = copy, .length = length};
        CHECK_EQUAL(aiopq_engine_new(&config, &engine), is_whole ? AIOPQ_OK : AIOPQ_INVALID);
        aiopq_engine_free(engine);
        free(copy);
    }
    forget(tickets);
    pair_dispose(&pair);
}

/* ---- key exchange ---- */

static void key_exchange_groups_must_be_known(void)
{
    uint16_t groups[AIOPQ_KEY_EXCHANGE_MAX];
    aiopq_engine_t *engine;
    size_t count = aiopq_key_exchange_groups(groups);
    CHECK(count >= 2);
    CHECK_EQUAL(groups[0], 0x1d);
    pair_prepare(&pair);
    memcpy(pair.client.config.key_exchange_groups, groups, count * sizeof(groups[0]));
    CHECK_EQUAL(aiopq_engine_new(&pair.client.config, &engine), AIOPQ_OK);
    aiopq_engine_free(engine);
    pair.client.config.key_exchange_groups[1] = 5;
    CHECK_EQUAL(aiopq_engine_new(&pair.client.config, &engine), AIOPQ_UNKNOWN_ALGORITHM);
    certificate_dispose(&pair.server.certificate);
}

/* ---- client certificates ---- */

#define TLS_ALERT(number) (0x100u + (number))

/* A server that trusts the client's own certificate, shown or not. */
static void prepare_server_that_asks(void)
{
    static aiopq_bytes_t roots[1];
    pair_prepare(&pair);
    pair.client.certificate = certificate_make(NULL);
    roots[0] = pair.client.certificate.der;
    pair.server.config.trusted_roots = roots;
    pair.server.config.trusted_root_count = 1;
    pair.server.config.verify_peer = true;
}

static void show(const certificate_t *certificate)
{
    pair.client.config.certificate_chain = certificate->chain_pem;
    pair.client.config.private_key = certificate->key_pem;
}

static void client_with_a_certificate_is_known(void)
{
    prepare_server_that_asks();
    show(&pair.client.certificate);
    pair_start(&pair);
    (void)pair_connect(&pair);
    const peer_t *server = pair.server.peers;
    CHECK_EQUAL(server->peer_certificates.length, 4 + pair.client.certificate.der.length);
    pair_dispose(&pair);
}

static void check_refused(uint64_t error_code, int verify_error)
{
    pair_start(&pair);
    peer_t *client = pair_open(&pair, "localhost", ALPN);
    WAIT(&pair, client->is_closed && pair.server.closed_count == 1);
    const peer_t *server = pair.server.peers;
    CHECK(!server->is_ready);
    CHECK(!server->close.is_remote && client->close.is_remote);
    CHECK_EQUAL(server->close.error_code, error_code);
    CHECK_EQUAL(client->close.error_code, error_code);
    CHECK_EQUAL(server->close.verify_error, verify_error);
    CHECK_EQUAL(client->close.verify_error, 0);
    pair_dispose(&pair);
}

static void client_without_a_certificate_is_refused(void)
{
    prepare_server_that_asks();
    check_refused(TLS_ALERT(116), 0);
}

static void client_without_a_certificate_may_be_accepted(void)
{
    prepare_server_that_asks();
    pair.server.config.is_peer_certificate_optional = true;
    pair_start(&pair);
    (void)pair_connect(&pair);
    CHECK_EQUAL(pair.server.peers->peer_certificates.length, 0);
    pair_dispose(&pair);
}

static void untrusted_client_is_refused(void)
{
    for (int optional = 0; optional <= 1; optional++) {
        prepare_server_that_asks();
        pair.server.config.is_peer_certificate_optional = optional == 1;
        show(&pair.server.certificate);
        check_refused(TLS_ALERT(46), X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
    }
}

static const test_case_t cases[] = {
    TEST(tickets_outlive_their_engine),
    TEST(tickets_are_good_for_one_connection),
    TEST(no_session_is_kept_unasked),
    TEST(damaged_tickets_are_refused),
    TEST(key_exchange_groups_must_be_known),
    TEST(client_with_a_certificate_is_known),
    TEST(client_without_a_certificate_is_refused),
    TEST(client_without_a_certificate_may_be_accepted),
    TEST(untrusted_client_is_refused),
};
TEST_MAIN(cases)
