/* Servers that are known by the hash of their certificate or of its public key. */
#ifndef AIOPQ_NET_PINNING_H
#define AIOPQ_NET_PINNING_H

#include <openssl/x509.h>
#include <stdbool.h>

#include "aiopquic/config.h"
#include "aiopquic/event.h"
#include "aiopquic/status.h"

typedef struct aiopq_pins {
    uint8_t *hashes; /* malloc'd, AIOPQ_HASH_LENGTH bytes each */
    size_t count;
} aiopq_pins_t;

/* Copies hashes that stand one behind the other; the result is for aiopq_pins_dispose(). */
aiopq_status_t aiopq_pins_copy(aiopq_pins_t *pins, aiopq_bytes_t hashes);

/* Frees the copy; nothing if there is none. */
void aiopq_pins_dispose(aiopq_pins_t *pins);

/* Checks a certificate that is accepted by its hash alone, as browsers do (W3C WebTransport, section "Web PKI"): one of
 * `pins`, version 3, no RSA key, valid now, and for two weeks in all at most. 0, an X509_V_ERR_* or an AIOPQ_VERIFY_*.
 * `hash` gets the SHA-256 of its DER. */
int32_t aiopq_check_certificate_hash(const aiopq_pins_t *pins, X509 *certificate, uint8_t *hash);

/* Checks the public key of a certificate: 0, or AIOPQ_VERIFY_UNKNOWN_KEY. `hash` gets the SHA-256 of its
 * SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7). */
int32_t aiopq_check_key_hash(const aiopq_pins_t *pins, X509 *certificate, uint8_t *hash);

#endif
