#include "net/pinning.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S (24 * 60 * 60)
#define VALIDITY_MAX_S (14 * DAY_S)

aiopq_status_t aiopq_pins_copy(aiopq_pins_t *pins, aiopq_bytes_t hashes)
{
    *pins = (aiopq_pins_t){.hashes = NULL};
    if (hashes.length % AIOPQ_HASH_LENGTH != 0) {
        return AIOPQ_INVALID;
    }
    if (hashes.length > 0) {
        pins->hashes = malloc(hashes.length);
        if (pins->hashes == NULL) {
            return AIOPQ_NO_MEMORY;
        }
        memcpy(pins->hashes, hashes.data, hashes.length);
        pins->count = hashes.length / AIOPQ_HASH_LENGTH;
    }
    return AIOPQ_OK;
}

void aiopq_pins_dispose(aiopq_pins_t *pins)
{
    free(pins->hashes);
    *pins = (aiopq_pins_t){.hashes = NULL};
}

static bool has_pin(const aiopq_pins_t *pins, const uint8_t *hash)
{
    for (size_t i = 0; i < pins->count; i++) {
        if (memcmp(pins->hashes + i * AIOPQ_HASH_LENGTH, hash, AIOPQ_HASH_LENGTH) == 0) {
            return true;
        }
    }
    return false;
}

int32_t aiopq_check_certificate_hash(const aiopq_pins_t *pins, X509 *certificate, uint8_t *hash)
{
    unsigned length = 0;
    if (X509_digest(certificate, EVP_sha256(), hash, &length) != 1 || !has_pin(pins, hash)) {
        return AIOPQ_VERIFY_UNKNOWN_HASH;
    }
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    int type = key != NULL ? EVP_PKEY_get_base_id(key) : EVP_PKEY_RSA;
    if (type == EVP_PKEY_RSA || type == EVP_PKEY_RSA_PSS || X509_get_version(certificate) != X509_VERSION_3) {
        return AIOPQ_VERIFY_HASHED_KIND;
    }
    const ASN1_TIME *start = X509_get0_notBefore(certificate), *end = X509_get0_notAfter(certificate);
    int days = 0, seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, start, end) != 1 ||
        (int64_t)days * DAY_S + seconds > VALIDITY_MAX_S) {
        return AIOPQ_VERIFY_HASHED_FOR_LONG;
    }
    if (X509_cmp_current_time(start) >= 0) {
        return X509_V_ERR_CERT_NOT_YET_VALID;
    }
    return X509_cmp_current_time(end) <= 0 ? X509_V_ERR_CERT_HAS_EXPIRED : 0;
}

int32_t aiopq_check_key_hash(const aiopq_pins_t *pins, X509 *certificate, uint8_t *hash)
{
    unsigned char *der = NULL;
    int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    bool is_known = length > 0 && EVP_Digest(der, (size_t)length, hash, NULL, EVP_sha256(), NULL) == 1 &&
                    has_pin(pins, hash);
    OPENSSL_free(der);
    return is_known ? 0 : AIOPQ_VERIFY_UNKNOWN_KEY;
}
