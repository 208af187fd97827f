#include <arpa/inet.h>
#include <errno.h>
#include <openssl/x509_vfy.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "test.h"

#define TLS_ALERT(number) (0x100u + (number)) /* RFC 9001 section 4.8 */

static pair_t pair;

static void check_same_ids(const uint8_t *one, uint8_t one_length, const uint8_t *other, uint8_t other_length)
{
    CHECK(one_length > 0);
    CHECK_EQUAL(one_length, other_length);
    CHECK(memcmp(one, other, one_length) == 0);
}

static void check_info(const peer_t *client, const peer_t *server)
{
    const aiopq_conn_info_t *ours = &client->info, *theirs = &server->info;
    CHECK(strcmp(ours->alpn, ALPN) == 0 && strcmp(theirs->alpn, ALPN) == 0);
    CHECK_EQUAL(ours->alpn_length, strlen(ALPN));
    CHECK_EQUAL(theirs->alpn_length, strlen(ALPN));
    CHECK(strcmp(ours->server_name, "localhost") == 0 && strcmp(theirs->server_name, "localhost") == 0);
    CHECK_EQUAL(ours->version, 1);
    CHECK_EQUAL(theirs->version, 1);
    CHECK(!ours->is_resumed && !theirs->is_resumed);
    CHECK_EQUAL(ours->peer_address.ss_family, AF_INET);
    CHECK_EQUAL(ntohs(((const struct sockaddr_in *)&ours->peer_address)->sin_port), pair.server.port);
    CHECK_EQUAL(ntohs(((const struct sockaddr_in *)&theirs->peer_address)->sin_port), pair.client.port);
    check_same_ids(ours->local_id, ours->local_id_length, theirs->remote_id, theirs->remote_id_length);
    check_same_ids(ours->remote_id, ours->remote_id_length, theirs->local_id, theirs->local_id_length);
    check_same_ids(ours->initial_id, ours->initial_id_length, theirs->initial_id, theirs->initial_id_length);
    CHECK_EQUAL(ours->local_parameters.initial_max_stream_data_uni, HARNESS_WINDOW);
    CHECK_EQUAL(ours->remote_parameters.initial_max_streams_bidi, pair.server.config.max_streams_bidi);
    CHECK_EQUAL(theirs->remote_parameters.initial_max_streams_uni, pair.client.config.max_streams_uni);
    CHECK_EQUAL(theirs->remote_parameters.max_idle_timeout_ms, pair.client.config.idle_timeout_ms);
}

static void check_handshake(bool use_pipe, bool use_portable_loop)
{
    pair_prepare(&pair);
    pair.server.config.use_pipe_waker = use_pipe;
    pair.client.config.use_pipe_waker = use_pipe;
    pair.server.config.use_portable_loop = use_portable_loop;
    pair.client.config.use_portable_loop = use_portable_loop;
    pair_start(&pair);
    peer_t *client = pair_connect(&pair);
    peer_t *server = pair.server.peers;
    check_info(client, server);
    CHECK(aiopq_conn_handle(client->conn) != aiopq_conn_handle(server->conn));
    flow_t *flow = flow_open(client, 0);
    flow_send(flow, 10, true);
    WAIT(&pair, flow_find(&pair.server, 0) != NULL && flow_find(&pair.server, 0)->is_fin_received);
    pair_dispose(&pair);
}

static void handshake_tells_what_was_settled(void)
{
    check_handshake(false, false);
}

static void handshake_with_pipe_wakers(void)
{
    check_handshake(true, false);
}

static void handshake_with_portable_loops(void)
{
    check_handshake(false, true);
    check_handshake(true, true);
}

/* The two sides' ids are distinct, and the one of the handshake is not told again. */
static void check_ids(const peer_t *peer)
{
    for (size_t i = 0; i < peer->issued_count; i++) {
        const aiopq_connection_id_t *id = &peer->issued[i];
        CHECK_EQUAL(id->length, peer->info.local_id_length);
        CHECK(memcmp(id->id, peer->info.local_id, id->length) != 0);
        for (size_t j = 0; j < i; j++) {
            CHECK(memcmp(id->id, peer->issued[j].id, id->length) != 0);
        }
    }
}

static void connection_ids_are_told(void)
{
    peer_t *client = pair_begin(&pair);
    peer_t *server = pair.server.peers;
    WAIT(&pair, client->issued_count > 1 && server->issued_count > 1);
    check_ids(client);
    check_ids(server);
    CHECK_EQUAL(client->retired_count + server->retired_count, 0);
    pair_dispose(&pair);
}

/* One certificate as aiopq_conn_info_t gives it. */
static void check_certificate(const peer_t *peer, const certificate_t *certificate)
{
    const uint8_t *bytes = peer->peer_certificates.data;
    size_t length = certificate->der.length;
    CHECK_EQUAL(peer->peer_certificates.length, 4 + length);
    CHECK(bytes[0] == 0 && bytes[1] == 0 && bytes[2] == length >> 8 && bytes[3] == (length & 0xff));
    CHECK(memcmp(bytes + 4, certificate->der.data, length) == 0);
}

static void certificate_of_the_server_is_told(void)
{
    for (int verifies = 0; verifies <= 1; verifies++) {
        pair_prepare(&pair);
        pair.client.config.verify_peer = verifies == 1;
        pair_start(&pair);
        const peer_t *client = pair_connect(&pair);
        check_certificate(client, &pair.server.certificate);
        CHECK_EQUAL(pair.server.peers->peer_certificates.length, 0);
        CHECK(!client->info.is_early_data_accepted && !pair.server.peers->info.is_early_data_accepted);
        pair_dispose(&pair);
    }
}

static void server_prefers_its_own_alpn(void)
{
    pair_prepare(&pair);
    pair.server.config.alpn[0] = "second";
    pair.server.config.alpn[1] = "first";
    pair_start(&pair);
    const char *const offered[] = {"other", "first", "second", NULL};
    peer_t *peer = pair_offer(&pair, "localhost", offered);
    WAIT(&pair, peer->is_ready);
    CHECK(strcmp(peer->info.alpn, "second") == 0);
    pair_dispose(&pair);
}

/* A handshake that must fail at once: the client is told, and stays alone with it. */
static peer_t *refused(const char *server_name, const char *alpn)
{
    uint64_t start = pair_now_us(&pair);
    pair_start(&pair);
    peer_t *peer = pair_open(&pair, server_name, alpn);
    WAIT(&pair, peer->is_closed);
    CHECK(pair_now_us(&pair) - start < 2000000);
    CHECK(!peer->is_ready);
    CHECK_EQUAL(peer->close.kind, AIOPQ_CLOSE_TRANSPORT);
    return peer;
}

static void no_common_alpn_fails_at_once(void)
{
    pair_prepare(&pair);
    peer_t *peer = refused("localhost", "something-else");
    CHECK_EQUAL(peer->close.error_code, TLS_ALERT(120));
    CHECK(peer->close.is_remote);
    CHECK_EQUAL(peer->close.verify_error, 0);
    WAIT(&pair, pair.server.closed_count == 1);
    CHECK_EQUAL(pair.server.peers->close.error_code, TLS_ALERT(120));
    CHECK(!pair.server.peers->close.is_remote);
    pair_dispose(&pair);
}

static void check_certificate_refused(const certificate_wish_t *wish, const char *server_name,
                                      bool is_trusted, int verify_error)
{
    pair_prepare(&pair);
    certificate_t certificate = certificate_make(wish);
    pair.server.config.certificate_chain = certificate.chain_pem;
    pair.server.config.private_key = certificate.key_pem;
    if (is_trusted) {
        pair.roots[0] = certificate.der;
    }
    peer_t *peer = refused(server_name, ALPN);
    CHECK_EQUAL(peer->close.verify_error, verify_error);
    CHECK(!peer->close.is_remote);
    CHECK(peer->close.error_code > TLS_ALERT(0) && peer->close.error_code <= TLS_ALERT(255));
    WAIT(&pair, pair.server.closed_count == 1);
    CHECK_EQUAL(pair.server.peers->close.kind, AIOPQ_CLOSE_TRANSPORT);
    CHECK(pair.server.peers->close.is_remote);
    CHECK_EQUAL(pair.server.peers->close.error_code, peer->close.error_code);
    pair_dispose(&pair);
    certificate_dispose(&certificate);
}

static void untrusted_certificate_is_refused(void)
{
    check_certificate_refused(NULL, "localhost", false, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
}

static void wrong_name_is_refused(void)
{
    check_certificate_refused(&(certificate_wish_t){.names = "DNS:elsewhere.example"}, "localhost", true,
                              X509_V_ERR_HOSTNAME_MISMATCH);
}

static void wrong_address_is_refused(void)
{
    check_certificate_refused(&(certificate_wish_t){.names = "DNS:localhost,IP:127.0.0.2"}, "127.0.0.1", true,
                              X509_V_ERR_IP_ADDRESS_MISMATCH);
}

static void expired_certificate_is_refused(void)
{
    check_certificate_refused(&(certificate_wish_t){.is_expired = true}, "localhost", true,
                              X509_V_ERR_CERT_HAS_EXPIRED);
}

static void address_in_the_certificate_is_accepted(void)
{
    pair_prepare(&pair);
    pair_start(&pair);
    peer_t *peer = pair_open(&pair, "127.0.0.1", ALPN);
    WAIT(&pair, peer->is_ready || peer->is_closed);
    CHECK(peer->is_ready);
    pair_dispose(&pair);
}

static void anything_is_accepted_without_verifying(void)
{
    pair_prepare(&pair);
    certificate_t certificate =
        certificate_make(&(certificate_wish_t){.names = "DNS:elsewhere", .is_expired = true});
    pair.server.config.certificate_chain = certificate.chain_pem;
    pair.server.config.private_key = certificate.key_pem;
    pair.client.config.verify_peer = false;
    pair_start(&pair);
    (void)pair_connect(&pair);
    pair_dispose(&pair);
    certificate_dispose(&certificate);
}

static void silent_server_ends_in_a_handshake_timeout(void)
{
    /* A socket that nobody reads: the port exists, so no ICMP error can end the attempt sooner. */
    int silent = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    CHECK(bind(silent, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(getsockname(silent, (struct sockaddr *)&address, &length) == 0);
    pair_prepare(&pair);
    pair.client.config.handshake_timeout_us = 500000;
    endpoint_start(&pair.client);
    WAIT(&pair, pair.client.is_ready);
    pair.server.port = ntohs(address.sin_port);
    uint64_t start = pair_now_us(&pair);
    peer_t *peer = pair_open(&pair, "localhost", ALPN);
    WAIT(&pair, peer->is_closed);
    CHECK_EQUAL(peer->close.kind, AIOPQ_CLOSE_HANDSHAKE_TIMEOUT);
    CHECK(pair_now_us(&pair) - start >= 400000);
    CHECK(pair_now_us(&pair) - start < 3000000);
    close(silent);
    pair_dispose(&pair);
}

static void many_connections_on_one_engine(void)
{
    enum {
        COUNT = 20
    };
    peer_t *peers[COUNT];
    pair_prepare(&pair);
    pair_start(&pair);
    for (int i = 0; i < COUNT; i++) {
        peers[i] = pair_open(&pair, "localhost", ALPN);
        flow_send(flow_open(peers[i], 0), 1000, true); /* before the handshake */
    }
    for (int i = 0; i < COUNT; i++) {
        WAIT(&pair, peers[i]->is_ready);
        CHECK_EQUAL(aiopq_conn_close(peers[i]->conn, 0, NULL, 0), AIOPQ_OK);
    }
    WAIT(&pair, pair.client.closed_count == COUNT && pair.server.closed_count == COUNT);
    pair_dispose(&pair);
}

static const test_case_t cases[] = {
    TEST(handshake_tells_what_was_settled),
    TEST(handshake_with_pipe_wakers),
    TEST(handshake_with_portable_loops),
    TEST(connection_ids_are_told),
    TEST(certificate_of_the_server_is_told),
    TEST(server_prefers_its_own_alpn),
    TEST(no_common_alpn_fails_at_once),
    TEST(untrusted_certificate_is_refused),
    TEST(wrong_name_is_refused),
    TEST(wrong_address_is_refused),
    TEST(expired_certificate_is_refused),
    TEST(address_in_the_certificate_is_accepted),
    TEST(anything_is_accepted_without_verifying),
    TEST(silent_server_ends_in_a_handshake_timeout),
    TEST(many_connections_on_one_engine),
};
TEST_MAIN(cases)
