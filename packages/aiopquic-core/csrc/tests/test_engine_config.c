#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "test.h"

static pair_t pair;

/* What aiopq_engine_new() makes of a configuration; nothing is left either way. */
static aiopq_status_t try_config(const aiopq_config_t *config)
{
    aiopq_engine_t *engine = (aiopq_engine_t *)&pair; /* anything but NULL */
    aiopq_status_t status = aiopq_engine_new(config, &engine);
    CHECK_EQUAL(engine != NULL, status == AIOPQ_OK);
    aiopq_engine_free(engine);
    CHECK_NOTHING_ALIVE();
    return status;
}

static void begin(void)
{
    pair_prepare(&pair);
}

static void end(void)
{
    certificate_dispose(&pair.server.certificate);
    certificate_dispose(&pair.client.certificate);
}

static aiopq_bytes_t text(const char *string)
{
    return (aiopq_bytes_t){.data = (const uint8_t *)string, .length = strlen(string)};
}

static void defaults_are_accepted(void)
{
    begin();
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_OK);
    CHECK_EQUAL(try_config(&pair.client.config), AIOPQ_OK);
    aiopq_engine_free(NULL);
    end();
}

static void congestion_control_must_be_known(void)
{
    static const char *const names[] = {"newreno", "cubic", "bbr", "bbr1", "dcubic", "fast", "prague"};
    begin();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        CHECK_EQUAL(aiopq_check_congestion_control(names[i]), AIOPQ_OK);
        pair.client.config.congestion_control = names[i];
        CHECK_EQUAL(try_config(&pair.client.config), AIOPQ_OK);
    }
    pair.client.config.congestion_control = NULL; /* picoquic's default */
    CHECK_EQUAL(try_config(&pair.client.config), AIOPQ_OK);
    pair.client.config.congestion_control = "tahoe";
    CHECK_EQUAL(try_config(&pair.client.config), AIOPQ_UNKNOWN_ALGORITHM);
    pair.client.config.congestion_control = "";
    CHECK_EQUAL(try_config(&pair.client.config), AIOPQ_UNKNOWN_ALGORITHM);
    CHECK_EQUAL(aiopq_check_congestion_control("tahoe"), AIOPQ_UNKNOWN_ALGORITHM);
    end();
}

static void cipher_suite_must_be_known(void)
{
    static const uint32_t suites[] = {0x1301, 0x1302, 0x1303};
    begin();
    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
        pair.client.config.cipher_suite = suites[i];
        CHECK_EQUAL(try_config(&pair.client.config), AIOPQ_OK);
    }
    pair.client.config.cipher_suite = 0x00ff;
    CHECK_EQUAL(try_config(&pair.client.config), AIOPQ_UNKNOWN_ALGORITHM);
    end();
}

static void certificate_must_parse(void)
{
    static const char *const texts[] = {
        "",
        "not PEM",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n",
    };
    begin();
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        pair.server.config.certificate_chain = text(texts[i]);
        CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_BAD_CERTIFICATE);
    }
    pair.server.config.certificate_chain = (aiopq_bytes_t){.data = NULL, .length = 0};
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_BAD_CERTIFICATE);
    pair.server.config.certificate_chain = pair.server.certificate.key_pem;
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_BAD_CERTIFICATE);
    pair.server.config.certificate_chain = pair.server.certificate.chain_pem;
    pair.server.config.certificate_chain.length /= 2;
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_BAD_CERTIFICATE);
    end();
}

static void key_must_parse_and_belong(void)
{
    begin();
    pair.server.config.private_key = text("not PEM");
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_BAD_KEY);
    pair.server.config.private_key = (aiopq_bytes_t){.data = NULL, .length = 0};
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_BAD_KEY);
    pair.server.config.private_key = pair.server.certificate.chain_pem;
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_BAD_KEY);
    pair.client.certificate = certificate_make(NULL);
    pair.server.config.private_key = pair.client.certificate.key_pem;
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_KEY_MISMATCH);
    end();
}

static void encrypted_key_needs_its_password(void)
{
    begin();
    pair.client.certificate = certificate_make(&(certificate_wish_t){.key_password = "correct horse"});
    pair.server.config.certificate_chain = pair.client.certificate.chain_pem;
    pair.server.config.private_key = pair.client.certificate.key_pem;
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_NO_PASSWORD);
    pair.server.config.private_key_password = "battery staple";
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_WRONG_PASSWORD);
    pair.server.config.private_key_password = "";
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_NO_PASSWORD);
    pair.server.config.private_key_password = "correct horse";
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_OK);
    /* A password for a key that needs none does no harm. */
    pair.server.config.certificate_chain = pair.server.certificate.chain_pem;
    pair.server.config.private_key = pair.server.certificate.key_pem;
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_OK);
    end();
}

static void chain_of_several_is_accepted(void)
{
    begin();
    pair.client.certificate = certificate_make(NULL);
    const aiopq_bytes_t first = pair.server.certificate.chain_pem, second = pair.client.certificate.chain_pem;
    uint8_t *both = malloc(first.length + second.length);
    CHECK(both != NULL);
    memcpy(both, first.data, first.length);
    memcpy(both + first.length, second.data, second.length);
    pair.server.config.certificate_chain =
        (aiopq_bytes_t){.data = both, .length = first.length + second.length};
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_OK);
    /* The first is the one that the key must belong to. */
    pair.server.config.private_key = pair.client.certificate.key_pem;
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_KEY_MISMATCH);
    free(both);
    end();
}

static void verifying_needs_a_root(void)
{
    begin();
    pair.client.config.trusted_root_count = 0;
    CHECK_EQUAL(try_config(&pair.client.config), AIOPQ_BAD_TRUST_STORE);
    pair.client.config.trusted_root_count = 1;
    pair.roots[0] = text("not DER");
    CHECK_EQUAL(try_config(&pair.client.config), AIOPQ_BAD_TRUST_STORE);
    pair.client.config.verify_peer = false; /* then none is asked for */
    CHECK_EQUAL(try_config(&pair.client.config), AIOPQ_OK);
    end();
}

static void alpn_has_a_length(void)
{
    char longest[AIOPQ_ALPN_MAX + 1], too_long[AIOPQ_ALPN_MAX + 2];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    memset(too_long, 'a', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = 0;
    begin();
    pair.server.config.alpn[1] = longest;
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_OK);
    pair.server.config.alpn[2] = too_long;
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_INVALID);
    for (size_t i = 0; i < AIOPQ_ALPN_COUNT_MAX; i++) {
        pair.server.config.alpn[i] = longest; /* a full list has no NULL at its end */
    }
    CHECK_EQUAL(try_config(&pair.server.config), AIOPQ_OK);
    end();
}

static void engine_keeps_no_pointer_of_the_configuration(void)
{
    begin();
    aiopq_config_t config = pair.server.config;
    char *alpn = strdup(ALPN), *congestion_control = strdup("cubic");
    certificate_t certificate = certificate_make(NULL);
    config.alpn[0] = alpn;
    config.congestion_control = congestion_control;
    config.certificate_chain = certificate.chain_pem;
    config.private_key = certificate.key_pem;
    aiopq_engine_t *engine;
    CHECK_EQUAL(aiopq_engine_new(&config, &engine), AIOPQ_OK);
    free(alpn);
    free(congestion_control);
    certificate_dispose(&certificate); /* a sanitizer would tell of a use behind this */
    CHECK_EQUAL(aiopq_engine_start(engine), AIOPQ_OK);
    aiopq_engine_stop(engine);
    aiopq_engine_join(engine);
    aiopq_engine_free(engine);
    CHECK_NOTHING_ALIVE();
    end();
}

static void connect_arguments_are_checked(void)
{
    begin();
    aiopq_engine_t *engine;
    aiopq_conn_t *conn = NULL;
    CHECK_EQUAL(aiopq_engine_new(&pair.client.config, &engine), AIOPQ_OK);
    const char *alpn[] = {ALPN, NULL, NULL};
    const char *const none[] = {NULL};
    char name[AIOPQ_SERVER_NAME_MAX + 2];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    aiopq_connect_args_t args = {.alpn = alpn};
    CHECK_EQUAL(aiopq_conn_open(engine, &args, &conn), AIOPQ_INVALID); /* no address */
    args.address.ss_family = AF_INET;
    args.alpn = none;
    CHECK_EQUAL(aiopq_conn_open(engine, &args, &conn), AIOPQ_INVALID);
    args.alpn = NULL;
    CHECK_EQUAL(aiopq_conn_open(engine, &args, &conn), AIOPQ_INVALID);
    args.alpn = alpn;
    alpn[1] = "";
    CHECK_EQUAL(aiopq_conn_open(engine, &args, &conn), AIOPQ_INVALID);
    alpn[1] = NULL;
    args.server_name = name;
    CHECK_EQUAL(aiopq_conn_open(engine, &args, &conn), AIOPQ_INVALID);
    CHECK(conn == NULL);
    aiopq_engine_free(engine);
    CHECK_NOTHING_ALIVE();
    end();
}

static const test_case_t cases[] = {
    TEST(defaults_are_accepted),
    TEST(congestion_control_must_be_known),
    TEST(cipher_suite_must_be_known),
    TEST(certificate_must_parse),
    TEST(key_must_parse_and_belong),
    TEST(encrypted_key_needs_its_password),
    TEST(chain_of_several_is_accepted),
    TEST(verifying_needs_a_root),
    TEST(alpn_has_a_length),
    TEST(engine_keeps_no_pointer_of_the_configuration),
    TEST(connect_arguments_are_checked),
};
TEST_MAIN(cases)
