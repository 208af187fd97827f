/* What AES-GCM keys take of memory, and that their contexts are right at every length (picotls-0001). */
#include <malloc.h>
#include <picotls.h>
#include <string.h>

#include "test.h"

#ifndef PTLS_WITHOUT_FUSION
#include <picotls/fusion.h>
#include <picotls/openssl.h>

enum {
    CONTEXTS = 64,
    SHORT = 200,
    LONG = 1400,
    LONGEST = 1700,
    LONG_RECORDS = 4,
    TAG = 16
};

static const uint8_t key[32] = "a key of thirty-two bytes in all";
static const uint8_t iv[16] = "an IV of twelve";
static const uint8_t header[21] = "header of a packet";
static uint8_t text[LONGEST], sealed[LONGEST + TAG], expected[LONGEST + TAG], opened[LONGEST + TAG];

static ptls_aead_context_t *make(ptls_aead_algorithm_t *algorithm, ptls_hash_algorithm_t *hash, int is_enc)
{
    ptls_aead_context_t *context = ptls_aead_new(algorithm, hash, is_enc, key, "quic ");
    CHECK(context != NULL);
    ptls_aead_set_iv(context, iv);
    return context;
}

static void seal(ptls_aead_context_t *context, size_t length)
{
    CHECK_EQUAL(ptls_aead_encrypt(context, sealed, text, length, length, header, sizeof(header)),
                length + TAG);
}

/* Bytes that each of the contexts takes. With a sanitizer's malloc there is no such figure: 0. */
static size_t each(struct mallinfo2 before)
{
    return (mallinfo2().uordblks - before.uordblks) / CONTEXTS;
}

static void contexts_of_idle_connections_are_small(void)
{
    ptls_aead_context_t *contexts[CONTEXTS];
    ptls_aead_free(
        make(&ptls_fusion_aes128gcm, &ptls_openssl_sha256, 1)); /* OpenSSL keeps something of its first */
    struct mallinfo2 before = mallinfo2();
    for (size_t i = 0; i < CONTEXTS; i++) {
        contexts[i] = make(&ptls_fusion_aes128gcm, &ptls_openssl_sha256, (int)(i % 2));
    }
    CHECK(each(before) < 1500);
    for (size_t i = 1; i < CONTEXTS; i += 2) {
        seal(contexts[i], SHORT);
        for (int probe = 0; probe < LONG_RECORDS; probe++) {
            seal(contexts[i], LONG);
        }
    }
    CHECK(each(before) < 1500);
    for (size_t i = 0; i < CONTEXTS; i += 2) {
        for (int probe = 0; probe < LONG_RECORDS; probe++) {
            CHECK_EQUAL(
                ptls_aead_decrypt(contexts[i], opened, sealed, LONG + TAG, LONG, header, sizeof(header)),
                LONG);
        }
    }
    CHECK(each(before) < 1500);
    for (size_t i = 0; i < CONTEXTS; i++) {
        ptls_aead_free(contexts[i]);
    }
    CHECK(each(before) < 100); /* what malloc keeps at hand of small blocks counts as taken */
}

static void agrees_with_openssl(ptls_aead_algorithm_t *fusion, ptls_aead_algorithm_t *openssl,
                                ptls_hash_algorithm_t *hash)
{
    test_fill(text, sizeof(text), 7, 0);
    ptls_aead_context_t *theirs = make(openssl, hash, 1);
    /* One key for all lengths, which grows, and one for each, which is at its first record. */
    ptls_aead_context_t *sealing = make(fusion, hash, 1), *opening = make(fusion, hash, 0);
    for (size_t length = 0; length <= LONGEST; length++) {
        CHECK_EQUAL(ptls_aead_encrypt(theirs, expected, text, length, length, header, sizeof(header)),
                    length + TAG);
        seal(sealing, length);
        CHECK(memcmp(sealed, expected, length + TAG) == 0);
        ptls_aead_context_t *fresh = make(fusion, hash, 1);
        memset(sealed, 0, sizeof(sealed));
        seal(fresh, length);
        CHECK(memcmp(sealed, expected, length + TAG) == 0);
        ptls_aead_free(fresh);
        fresh = make(fusion, hash, 0);
        CHECK_EQUAL(ptls_aead_decrypt(opening, opened, sealed, length + TAG, length, header, sizeof(header)),
                    length);
        CHECK(memcmp(opened, text, length) == 0);
        sealed[length] ^= 1;
        CHECK(ptls_aead_decrypt(fresh, opened, sealed, length + TAG, length, header, sizeof(header)) ==
              SIZE_MAX);
        ptls_aead_free(fresh);
    }
    ptls_aead_free(theirs);
    ptls_aead_free(sealing);
    ptls_aead_free(opening);
}

static void every_length_agrees_with_openssl(void)
{
    agrees_with_openssl(&ptls_fusion_aes128gcm, &ptls_openssl_aes128gcm, &ptls_openssl_sha256);
    agrees_with_openssl(&ptls_fusion_aes256gcm, &ptls_openssl_aes256gcm, &ptls_openssl_sha384);
}

static const test_case_t cases[] = {
    TEST(contexts_of_idle_connections_are_small),
    TEST(every_length_agrees_with_openssl),
};

int main(int argc, char **argv)
{
    if (!ptls_fusion_is_supported_by_cpu()) {
        return 0;
    }
    return test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}

#else

/* The variants with assertions, and other processors, take OpenSSL's ciphers. */
int main(void)
{
    return 0;
}

#endif
