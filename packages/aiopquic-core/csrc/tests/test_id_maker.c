/* The connection ids of workers and of QUIC-LB: the worker in the first byte, the server id where it belongs, and the
 * encryption of the draft. */
#include <stdlib.h>
#include <string.h>
#include <tls_api.h>

#include "aiopquic/engine.h"
#include "net/id_maker.h"
#include "net/workers.h"
#include "test.h"

static const uint8_t key[AIOPQ_QUIC_LB_KEY_LENGTH] = {0x8f, 0x95, 0xf0, 0x92, 0x45, 0x76, 0x5f, 0x80,
                                                      0x25, 0x69, 0x34, 0xe5, 0x0c, 0x66, 0x20, 0x7f};

static aiopq_id_maker_t *maker_for(const aiopq_config_t *config)
{
    aiopq_id_maker_t *maker;
    CHECK_EQUAL(aiopq_id_maker_new(config, &maker), AIOPQ_OK);
    CHECK(maker != NULL);
    return maker;
}

/* What picoquic does: random bytes of the length, then the callback. */
static picoquic_connection_id_t make(aiopq_id_maker_t *maker, uint8_t length, uint64_t *random)
{
    picoquic_connection_id_t id = {.id_len = length};
    for (uint8_t i = 0; i < length; i++) {
        id.id[i] = (uint8_t)test_random(random);
    }
    aiopq_make_id(NULL, id, id, maker, &id);
    CHECK_EQUAL(id.id_len, length);
    return id;
}

static void first_bytes_name_their_worker_and_take_every_value(void)
{
    static const uint32_t counts[] = {2, 3, 7, 32, 200, 256};
    uint64_t random = 1;
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        aiopq_config_t config = {.workers = aiopq_workers_new(counts[c])};
        bool is_seen[256] = {false};
        for (config.worker = 0; config.worker < counts[c]; config.worker++) {
            aiopq_id_maker_t *maker = maker_for(&config);
            for (int i = 0; i < 4096; i++) {
                picoquic_connection_id_t id = make(maker, 8, &random);
                CHECK_EQUAL(id.id[0] % counts[c], config.worker);
                is_seen[id.id[0]] = true;
            }
            aiopq_id_maker_free(maker);
        }
        for (int value = 0; value < 256; value++) {
            CHECK(is_seen[value]);
        }
        aiopq_workers_unref(config.workers);
    }
}

static size_t from_hex(const char *hex, uint8_t *bytes)
{
    size_t length = strlen(hex) / 2;
    for (size_t i = 0; i < length; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return length;
}

/* draft-ietf-quic-load-balancers, the appendix of test vectors: the ids, and server id and nonce that are in them. */
static void encryption_gives_the_ids_of_the_draft(void)
{
    static const char *vectors[][2] = {
        {"0720b1d07b359d3c", "ed793aee080dbf"},
        {"2fcc381bc74cb4fbad2823a3d1f8fed2", "ed793a51d49b8f5fab65ee080dbf48"},
        {"504dd2d05a7b0de9b2b9907afb5ecf8cc3", "ed793a51d49b8f5fee080dbf48c0d1e5"},
        {"125779c9cc86beb3a3a4a3ca96fce4bfe0cdbc", "ed793a51d49b8f5fabee080dbf48c0d1e55d"},
    };
    void *cipher = picoquic_aes128_ecb_create(1, key);
    CHECK(cipher != NULL);
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        uint8_t expected[20], block[20];
        size_t length = from_hex(vectors[i][0], expected) - 1;
        CHECK_EQUAL(from_hex(vectors[i][1], block), length);
        aiopq_quic_lb_encrypt(cipher, block, length);
        CHECK(memcmp(block, expected + 1, length) == 0);
    }
    picoquic_aes128_ecb_free(cipher);
}

static aiopq_config_t lb_config(uint8_t server_id_length, uint8_t nonce_length, bool has_key)
{
    aiopq_config_t config = {.connection_id_length = 8};
    config.quic_lb.rotation = 5;
    config.quic_lb.server_id_length = server_id_length;
    config.quic_lb.nonce_length = nonce_length;
    config.quic_lb.has_key = has_key;
    for (uint8_t i = 0; i < server_id_length; i++) {
        config.quic_lb.server_id[i] = (uint8_t)(0xa0 + i);
    }
    memcpy(config.quic_lb.key, key, sizeof(key));
    return config;
}

static void server_ids_in_the_clear_stand_behind_the_first_octet(void)
{
    uint64_t random = 2;
    aiopq_config_t config = lb_config(3, 6, false);
    CHECK_EQUAL(aiopq_id_length(&config), 10);
    aiopq_id_maker_t *maker = maker_for(&config);
    uint8_t bits = 0;
    for (int i = 0; i < 100; i++) {
        picoquic_connection_id_t id = make(maker, 10, &random);
        CHECK_EQUAL(id.id[0] >> 5, 5);
        bits |= id.id[0] & 0x1f;
        CHECK(memcmp(id.id + 1, "\xa0\xa1\xa2", 3) == 0);
    }
    CHECK_EQUAL(bits, 0x1f); /* they are random */
    aiopq_id_maker_free(maker);
    config.quic_lb.encodes_length = true;
    maker = maker_for(&config);
    CHECK_EQUAL(make(maker, 10, &random).id[0], 5 << 5 | 9);
    aiopq_id_maker_free(maker);
}

/* The load balancer's side: four passes backwards, by the same step as forwards. */
static void decrypt_four_passes(uint8_t *block, size_t length)
{
    void *cipher = picoquic_aes128_ecb_create(1, key);
    size_t half = (length + 1) / 2;
    bool is_odd = length % 2 != 0;
    uint8_t halves[2][16] = {{0}, {0}}; /* left, right */
    memcpy(halves[0], block, half);
    memcpy(halves[1], block + length - half, half);
    if (is_odd) {
        halves[0][half - 1] &= 0xf0;
        halves[1][0] &= 0x0f;
    }
    for (uint8_t number = 4; number >= 1; number--) {
        int changed = number % 2; /* the even ones change the left half */
        uint8_t input[16] = {0};
        memcpy(input, halves[1 - changed], half);
        input[14] = (uint8_t)length;
        input[15] = number;
        picoquic_aes128_ecb_encrypt(cipher, input, input, 16);
        for (size_t i = 0; i < half; i++) {
            halves[changed][i] ^= input[i];
        }
        if (is_odd) {
            halves[0][half - 1] &= 0xf0;
            halves[1][0] &= 0x0f;
        }
    }
    memcpy(block + length - half, halves[1], half);
    if (is_odd) {
        halves[0][half - 1] |= halves[1][0];
    }
    memcpy(block, halves[0], half);
    picoquic_aes128_ecb_free(cipher);
}

static int compare_nonces(const void *one, const void *other)
{
    return memcmp(one, other, 4);
}

/* Workers have one server id: the balancer finds it in the ids of each, their nonces differ, and the kernel finds the
 * worker. */
static void workers_share_a_server_id_and_no_nonce(void)
{
    enum {
        COUNT = 3,
        EACH = 2000
    };
    static uint8_t nonces[COUNT * EACH][4];
    uint64_t random = 3;
    aiopq_config_t config = lb_config(3, 4, true);
    config.workers = aiopq_workers_new(COUNT);
    for (config.worker = 0; config.worker < COUNT; config.worker++) {
        aiopq_id_maker_t *maker = maker_for(&config);
        for (int i = 0; i < EACH; i++) {
            picoquic_connection_id_t id = make(maker, 8, &random);
            CHECK_EQUAL(id.id[0] >> 5, 5);
            CHECK_EQUAL(id.id[0] % COUNT, config.worker);
            decrypt_four_passes(id.id + 1, 7);
            CHECK(memcmp(id.id + 1, "\xa0\xa1\xa2", 3) == 0);
            memcpy(nonces[config.worker * EACH + (uint32_t)i], id.id + 4, 4);
        }
        aiopq_id_maker_free(maker);
    }
    aiopq_workers_unref(config.workers);
    qsort(nonces, COUNT * EACH, sizeof(nonces[0]), compare_nonces);
    for (int i = 1; i < COUNT * EACH; i++) {
        CHECK(compare_nonces(nonces[i - 1], nonces[i]) != 0);
    }
}

static void check_refused(const aiopq_config_t *config)
{
    aiopq_id_maker_t *maker;
    CHECK_EQUAL(aiopq_id_maker_new(config, &maker), AIOPQ_INVALID);
    CHECK(maker == NULL);
}

static void settings_that_cannot_be_are_refused(void)
{
    aiopq_config_t config = lb_config(3, 3, false);
    check_refused(&config); /* a short nonce */
    config = lb_config(15, 5, true);
    check_refused(&config); /* too long in all */
    config = lb_config(15, 4, true);
    aiopq_id_maker_free(maker_for(&config));
    config.quic_lb.rotation = 7;
    check_refused(&config);
    config = lb_config(3, 4, false);
    config.is_client = true;
    check_refused(&config);
    config = lb_config(3, 4, false);
    config.workers = aiopq_workers_new(33);
    check_refused(&config); /* more than five bits have */
    aiopq_workers_unref(config.workers);
    config.workers = aiopq_workers_new(2);
    aiopq_id_maker_free(maker_for(&config));
    config.worker = 2;
    check_refused(&config);
    config.worker = 1;
    config.quic_lb.encodes_length = true;
    check_refused(&config);
    aiopq_workers_unref(config.workers);
}

static void random_ids_need_no_maker(void)
{
    aiopq_config_t config = {.connection_id_length = 12};
    aiopq_id_maker_t *maker;
    CHECK_EQUAL(aiopq_id_maker_new(&config, &maker), AIOPQ_OK);
    CHECK(maker == NULL);
    CHECK_EQUAL(aiopq_id_length(&config), 12);
    aiopq_id_maker_free(maker);
}

int main(int argc, char **argv)
{
    /* Its cryptography is ready with the first context. */
    CHECK_EQUAL(aiopq_check_congestion_control("newreno"), AIOPQ_OK);
    static const test_case_t cases[] = {
        TEST(first_bytes_name_their_worker_and_take_every_value),
        TEST(encryption_gives_the_ids_of_the_draft),
        TEST(server_ids_in_the_clear_stand_behind_the_first_octet),
        TEST(workers_share_a_server_id_and_no_nonce),
        TEST(settings_that_cannot_be_are_refused),
        TEST(random_ids_need_no_maker),
    };
    return test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
