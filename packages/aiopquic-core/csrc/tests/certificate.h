/* Self-signed certificates, made when a test runs, so that none can expire in the repository. */
#ifndef AIOPQ_TESTS_CERTIFICATE_H
#define AIOPQ_TESTS_CERTIFICATE_H

#include "aiopquic/config.h"

#define LOOPBACK_NAMES "DNS:localhost,IP:127.0.0.1,IP:::1"

typedef struct certificate_wish {
    const char *names;        /* subjectAltName as OpenSSL writes it; NULL: LOOPBACK_NAMES */
    bool is_expired;          /* ended an hour ago */
    const char *key_password; /* encrypts the private key; NULL: in the clear */
} certificate_wish_t;

/* All three are the owner's; PEM texts carry no terminating NUL. */
typedef struct certificate {
    aiopq_bytes_t chain_pem, key_pem, der;
} certificate_t;

/* A fresh P-256 key and its certificate. NULL as a wish: the defaults. */
certificate_t certificate_make(const certificate_wish_t *wish);
void certificate_dispose(certificate_t *certificate);

#endif
