/* Certificates that are known by their hash. */
#include "net/pinning.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#include "test.h"

#define DAY_S (24L * 60 * 60)
#define HOUR_S (60L * 60)

/* A certificate, valid from `start` on for so many seconds. */
static X509 *make(EVP_PKEY *key, long version, long start, long seconds)
{
    X509 *certificate = X509_new();
    CHECK(certificate != NULL && X509_set_version(certificate, version) == 1);
    CHECK(X509_gmtime_adj(X509_getm_notBefore(certificate), start) != NULL);
    CHECK(X509_gmtime_adj(X509_getm_notAfter(certificate), start + seconds) != NULL);
    CHECK(X509_set_pubkey(certificate, key) == 1);
    CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
    return certificate;
}

/* What is said of a certificate by its own hash; frees both. */
static int32_t checked(EVP_PKEY *key, long version, long start, long seconds)
{
    X509 *certificate = make(key, version, start, seconds);
    uint8_t hash[AIOPQ_HASH_LENGTH], told[AIOPQ_HASH_LENGTH];
    unsigned length;
    aiopq_pins_t pins;
    CHECK(X509_digest(certificate, EVP_sha256(), hash, &length) == 1);
    CHECK_EQUAL(aiopq_pins_copy(&pins, (aiopq_bytes_t){hash, sizeof(hash)}), AIOPQ_OK);
    int32_t error = aiopq_check_certificate_hash(&pins, certificate, told);
    CHECK(memcmp(hash, told, sizeof(hash)) == 0);
    aiopq_pins_dispose(&pins);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return error;
}

static void a_short_life_is_enough(void)
{
    CHECK_EQUAL(checked(EVP_EC_gen("P-256"), X509_VERSION_3, -HOUR_S, 14 * DAY_S), 0);
    CHECK_EQUAL(checked(EVP_EC_gen("P-256"), X509_VERSION_3, -HOUR_S, 14 * DAY_S + 1),
                AIOPQ_VERIFY_HASHED_FOR_LONG);
    CHECK_EQUAL(checked(EVP_EC_gen("P-256"), X509_VERSION_3, -2 * HOUR_S, HOUR_S),
                X509_V_ERR_CERT_HAS_EXPIRED);
    CHECK_EQUAL(checked(EVP_EC_gen("P-256"), X509_VERSION_3, HOUR_S, HOUR_S), X509_V_ERR_CERT_NOT_YET_VALID);
}

static void old_kinds_are_refused(void)
{
    CHECK_EQUAL(checked(EVP_RSA_gen(2048), X509_VERSION_3, -HOUR_S, DAY_S), AIOPQ_VERIFY_HASHED_KIND);
    CHECK_EQUAL(checked(EVP_EC_gen("P-256"), X509_VERSION_1, -HOUR_S, DAY_S), AIOPQ_VERIFY_HASHED_KIND);
}

static void one_of_many_is_found(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = make(key, X509_VERSION_3, -HOUR_S, DAY_S);
    uint8_t hashes[3 * AIOPQ_HASH_LENGTH] = {0}, told[AIOPQ_HASH_LENGTH];
    aiopq_pins_t pins;
    CHECK_EQUAL(aiopq_pins_copy(&pins, (aiopq_bytes_t){hashes, sizeof(hashes)}), AIOPQ_OK);
    CHECK_EQUAL(aiopq_check_key_hash(&pins, certificate, told), AIOPQ_VERIFY_UNKNOWN_KEY);
    aiopq_pins_dispose(&pins);
    memcpy(hashes + sizeof(hashes) - AIOPQ_HASH_LENGTH, told, sizeof(told));
    CHECK_EQUAL(aiopq_pins_copy(&pins, (aiopq_bytes_t){hashes, sizeof(hashes)}), AIOPQ_OK);
    CHECK_EQUAL(aiopq_check_key_hash(&pins, certificate, told), 0);
    CHECK_EQUAL(aiopq_check_certificate_hash(&pins, certificate, told), AIOPQ_VERIFY_UNKNOWN_HASH);
    aiopq_pins_dispose(&pins);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void hashes_have_one_length(void)
{
    uint8_t hash[AIOPQ_HASH_LENGTH] = {0};
    aiopq_pins_t pins;
    CHECK_EQUAL(aiopq_pins_copy(&pins, (aiopq_bytes_t){hash, sizeof(hash) - 1}), AIOPQ_INVALID);
    CHECK_EQUAL(aiopq_pins_copy(&pins, (aiopq_bytes_t){NULL, 0}), AIOPQ_OK);
    CHECK_EQUAL(pins.count, 0);
    aiopq_pins_dispose(&pins);
}

static const test_case_t cases[] = {
    TEST(a_short_life_is_enough),
    TEST(old_kinds_are_refused),
    TEST(one_of_many_is_found),
    TEST(hashes_have_one_length),
};
TEST_MAIN(cases)
