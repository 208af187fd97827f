/* A server's certificates: by name, and others while it runs. */
#include <string.h>

#include "harness.h"
#include "test.h"

static pair_t pair;

/* Names of three certificates, which the client trusts all. */
static const char *const names[] = {"DNS:a.example", "DNS:*.b.example", "DNS:c.b.example"};
enum {
    COUNT = sizeof(names) / sizeof(names[0])
};
static certificate_t certificates[COUNT];
static aiopq_bytes_t roots[COUNT];
static aiopq_certificate_t named[COUNT];

static void begin(void)
{
    pair_prepare(&pair);
    for (size_t i = 0; i < COUNT; i++) {
        certificates[i] = certificate_make(&(certificate_wish_t){.names = names[i]});
        roots[i] = certificates[i].der;
        named[i] = (aiopq_certificate_t){.server_name = names[i] + strlen("DNS:"),
                                         .chain = certificates[i].chain_pem,
                                         .key = certificates[i].key_pem};
    }
    pair.client.config.trusted_roots = roots;
    pair.client.config.trusted_root_count = COUNT;
    pair.server.config.certificates = named;
    pair.server.config.certificate_count = COUNT;
}

static void end(void)
{
    pair_dispose(&pair);
    for (size_t i = 0; i < COUNT; i++) {
        certificate_dispose(&certificates[i]);
    }
}

/* The certificate that a client gets for a name, -1 when it is refused. */
static int shown(const char *name)
{
    peer_t *client = pair_open(&pair, name, ALPN);
    WAIT(&pair, client->is_ready || client->is_closed);
    for (int i = 0; client->is_ready && i < COUNT; i++) {
        const aiopq_bytes_t *told = &client->peer_certificates, *der = &certificates[i].der;
        if (told->length == 4 + der->length && memcmp(told->data + 4, der->data, der->length) == 0) {
            return i;
        }
    }
    return -1;
}

static void the_name_chooses(void)
{
    begin();
    pair_start(&pair);
    CHECK_EQUAL(shown("a.example"), 0);
    CHECK_EQUAL(shown("A.EXAMPLE"), 0);
    CHECK_EQUAL(shown("x.b.example"), 1);
    CHECK_EQUAL(shown("c.b.example"), 2);
    CHECK_EQUAL(shown("b.example"), -1);
    end();
}

static void unknown_names_are_refused_without_a_certificate_for_all(void)
{
    begin();
    pair.server.config.certificate_chain = pair.server.config.private_key = (aiopq_bytes_t){0};
    pair_start(&pair);
    CHECK_EQUAL(shown("b.example"), -1);
    CHECK_EQUAL(pair.client.peers->close.error_code, 0x100 + 112); /* unrecognized_name */
    CHECK(pair.client.peers->close.is_remote);
    CHECK_EQUAL(shown("a.example"), 0);
    end();
}

static void certificates_change_while_it_runs(void)
{
    begin();
    pair.server.config.certificate_count = 1;
    pair_start(&pair);
    CHECK_EQUAL(shown("c.b.example"), -1);
    pair.server.config.certificate_count = COUNT;
    CHECK_EQUAL(aiopq_engine_set_certificates(pair.server.engine, &pair.server.config, 7), AIOPQ_OK);
    WAIT(&pair, pair.server.certificates_request == 7);
    CHECK_EQUAL(shown("c.b.example"), 2);
    named[0].key = certificates[1].key_pem;
    CHECK_EQUAL(aiopq_engine_set_certificates(pair.server.engine, &pair.server.config, 8),
                AIOPQ_KEY_MISMATCH);
    CHECK_EQUAL(aiopq_check_certificate(&named[0]), AIOPQ_KEY_MISMATCH);
    CHECK_EQUAL(aiopq_check_certificate(&named[1]), AIOPQ_OK);
    CHECK_EQUAL(shown("a.example"), 0);
    end();
}

static void certificates_that_nobody_took_are_freed(void)
{
    begin();
    CHECK_EQUAL(aiopq_engine_new(&pair.server.config, &pair.server.engine), AIOPQ_OK);
    CHECK_EQUAL(aiopq_engine_set_certificates(pair.server.engine, &pair.server.config, 1), AIOPQ_OK);
    aiopq_engine_free(pair.server.engine);
    pair.server.engine = NULL;
    end();
}

static const test_case_t cases[] = {
    TEST(the_name_chooses),
    TEST(unknown_names_are_refused_without_a_certificate_for_all),
    TEST(certificates_change_while_it_runs),
    TEST(certificates_that_nobody_took_are_freed),
};
TEST_MAIN(cases)
