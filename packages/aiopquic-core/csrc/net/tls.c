#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <picoquic_internal.h>
#include <picotls.h>
#include <picotls/openssl.h>
#include <stdlib.h>
#include <string.h>

#include "net/callbacks.h"
#include "net/key_exchange.h"
#include "net/pinning.h"

struct aiopq_tls {
    ptls_openssl_override_verify_certificate_t on_verified; /* picotls calls it with the verifier's result */
    bool verifies;                   /* the chain; false: whoever answers is accepted */
    aiopq_pins_t certificate_hashes; /* if there are some, one of them decides alone */
    aiopq_pins_t pinned_keys;        /* if there are some, one of them is needed, too */
    bool accepts_none;               /* a peer without a certificate is accepted */
    ptls_key_exchange_algorithm_t *key_exchanges[AIOPQ_KEY_EXCHANGE_MAX + 1];
};

/* Adds one certificate to what the connection will tell of its peer. Without memory it is left out. */
static void keep_certificate(aiopq_conn_t *conn, X509 *certificate)
{
    unsigned char *der = NULL;
    int length = i2d_X509(certificate, &der);
    size_t size = conn->peer_certificates_length;
    uint8_t *grown = length > 0 ? realloc(conn->peer_certificates, size + 4 + (size_t)length) : NULL;
    if (grown != NULL) {
        for (int i = 0; i < 4; i++) {
            grown[size + (size_t)i] = (uint8_t)((uint32_t)length >> (8 * (3 - i)));
        }
        memcpy(grown + size + 4, der, (size_t)length);
        conn->peer_certificates = grown;
        conn->peer_certificates_length = size + 4 + (size_t)length;
    }
    OPENSSL_free(der);
}

/* What the pins say of a certificate: 0, or why it is refused. */
static int32_t check_pins(const aiopq_tls_t *settings, X509 *certificate, uint8_t *hash)
{
    int32_t error = 0;
    if (settings->certificate_hashes.count > 0) {
        error = aiopq_check_certificate_hash(&settings->certificate_hashes, certificate, hash);
    }
    if (error == 0 && settings->pinned_keys.count > 0) {
        error = aiopq_check_key_hash(&settings->pinned_keys, certificate, hash);
    }
    return error;
}

/* An unknown hash is told, so that it can be compared with what was expected. */
static char *hash_text(int32_t error, const uint8_t *hash)
{
    static const char text[] = "its SHA-256 is ";
    if (error != AIOPQ_VERIFY_UNKNOWN_HASH && error != AIOPQ_VERIFY_UNKNOWN_KEY) {
        return NULL;
    }
    char *detail = malloc(sizeof(text) + 2 * AIOPQ_HASH_LENGTH);
    if (detail != NULL) {
        memcpy(detail, text, sizeof(text));
        ptls_hexdump(detail + sizeof(text) - 1, hash, AIOPQ_HASH_LENGTH);
    }
    return detail;
}

/* picotls asks here after it checked the peer's chain. The chain is kept, and so is the reason of a refusal.
 * Without verifying every chain is accepted; picotls then still checks that the peer has the key. */
static int on_verified(ptls_openssl_override_verify_certificate_t *self, ptls_t *tls, int result,
                       int x509_error, X509 *certificate, STACK_OF(X509) * chain)
{
    const aiopq_tls_t *settings = (const aiopq_tls_t *)self; /* its first member */
    aiopq_conn_t *conn = aiopq_conn_of(*ptls_get_data_ptr(tls));
    bool is_missing = certificate == NULL && result == PTLS_ALERT_CERTIFICATE_REQUIRED;
    if (!settings->verifies || (is_missing && settings->accepts_none)) {
        result = 0;
    }
    char *detail = NULL;
    if (result == 0 && certificate != NULL) {
        uint8_t hash[AIOPQ_HASH_LENGTH] = {0};
        x509_error = check_pins(settings, certificate, hash);
        result = x509_error != 0 ? PTLS_ALERT_BAD_CERTIFICATE : 0;
        detail = hash_text(x509_error, hash);
    }
    if (conn != NULL && result != 0) {
        aiopq_conn_failing(conn, x509_error, detail);
        detail = NULL;
    } else if (conn != NULL && certificate != NULL) {
        keep_certificate(conn, certificate);
        for (int i = 0; i < sk_X509_num(chain); i++) {
            keep_certificate(conn, sk_X509_value(chain, i));
        }
    }
    free(detail);
    return result;
}

static int give_password(char *buffer, int size, int is_write, void *password)
{
    (void)is_write;
    size_t length = password != NULL ? strlen(password) : 0;
    if (length == 0 || length > (size_t)size) {
        return -1;
    }
    memcpy(buffer, password, length);
    return (int)length;
}

static void free_chain(ptls_iovec_t *chain, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(chain[i].base);
    }
    free(chain);
}

#define CHAIN_MAX 16 /* certificates in a chain; real ones have two to four */

/* Reads every certificate of the PEM text. *leaf is the first one, the caller's. */
static aiopq_status_t read_chain(aiopq_bytes_t pem, ptls_iovec_t **chain, size_t *count, X509 **leaf)
{
    if (pem.length == 0) {
        return AIOPQ_BAD_CERTIFICATE;
    }
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.length);
    *chain = calloc(CHAIN_MAX, sizeof(**chain));
    *count = 0;
    *leaf = NULL;
    if (bio == NULL || *chain == NULL) {
        BIO_free(bio);
        free(*chain);
        return AIOPQ_NO_MEMORY;
    }
    X509 *certificate;
    while (*count < CHAIN_MAX && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        unsigned char *der = NULL;
        int length = i2d_X509(certificate, &der);
        if (length > 0 && ((*chain)[*count].base = malloc((size_t)length)) != NULL) {
            memcpy((*chain)[*count].base, der, (size_t)length);
            (*chain)[*count].len = (size_t)length;
            (*count)++;
        }
        OPENSSL_free(der);
        if (*leaf == NULL) {
            *leaf = certificate;
        } else {
            X509_free(certificate);
        }
    }
    BIO_free(bio);
    ERR_clear_error(); /* the end of the text is an error to OpenSSL */
    if (*count == 0) {
        X509_free(*leaf);
        free_chain(*chain, 0);
        return AIOPQ_BAD_CERTIFICATE;
    }
    return AIOPQ_OK;
}

static aiopq_status_t read_key(aiopq_bytes_t pem, const char *password, EVP_PKEY **key)
{
    if (pem.length == 0) {
        return AIOPQ_BAD_KEY;
    }
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.length);
    if (bio == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    /* Without a password the callback refuses, and OpenSSL never asks on the terminal. */
    *key = PEM_read_bio_PrivateKey(bio, NULL, give_password, (void *)(uintptr_t)password);
    BIO_free(bio);
    ERR_clear_error();
    return *key != NULL ? AIOPQ_OK : AIOPQ_BAD_KEY;
}

static aiopq_status_t set_certificate(aiopq_engine_t *engine, const aiopq_config_t *config)
{
    ptls_context_t *context = engine->quic->tls_master_ctx;
    ptls_iovec_t *chain;
    size_t count;
    X509 *leaf;
    EVP_PKEY *key;
    aiopq_status_t status = read_chain(config->certificate_chain, &chain, &count, &leaf);
    if (status != AIOPQ_OK) {
        return status;
    }
    status = read_key(config->private_key, config->private_key_password, &key);
    if (status == AIOPQ_OK && X509_check_private_key(leaf, key) != 1) {
        ERR_clear_error();
        EVP_PKEY_free(key);
        status = AIOPQ_KEY_MISMATCH;
    }
    X509_free(leaf);
    if (status != AIOPQ_OK) {
        free_chain(chain, count);
        return status;
    }
    ptls_openssl_sign_certificate_t *signer = malloc(sizeof(*signer));
    if (signer == NULL || ptls_openssl_init_sign_certificate(signer, key) != 0) {
        free(signer);
        EVP_PKEY_free(key);
        free_chain(chain, count);
        return signer == NULL ? AIOPQ_NO_MEMORY : AIOPQ_BAD_KEY;
    }
    EVP_PKEY_free(key);                         /* the signer has a reference of its own */
    context->sign_certificate = &signer->super; /* picoquic disposes and frees it */
    picoquic_set_tls_certificate_chain(engine->quic, chain, count); /* picoquic owns the chain */
    return AIOPQ_OK;
}

static void free_verifier(ptls_verify_certificate_t *verifier)
{
    ptls_openssl_dispose_verify_certificate((ptls_openssl_verify_certificate_t *)verifier);
    free(verifier);
}

static aiopq_status_t set_verifier(aiopq_engine_t *engine, const aiopq_config_t *config)
{
    X509_STORE *store = X509_STORE_new();
    ptls_openssl_verify_certificate_t *verifier = malloc(sizeof(*verifier));
    size_t loaded = 0;
    for (size_t i = 0; store != NULL && i < config->trusted_root_count; i++) {
        const unsigned char *der = config->trusted_roots[i].data;
        X509 *root = d2i_X509(NULL, &der, (long)config->trusted_roots[i].length);
        if (root != NULL && X509_STORE_add_cert(store, root) == 1) {
            loaded++;
        }
        X509_free(root);
    }
    ERR_clear_error();
    bool has_roots = loaded > 0 || !config->verify_peer; /* nothing could be verified with an empty store */
    if (verifier == NULL || !has_roots || store == NULL ||
        ptls_openssl_init_verify_certificate(verifier, store) != 0) {
        X509_STORE_free(store);
        free(verifier);
        return verifier == NULL || store == NULL ? AIOPQ_NO_MEMORY : AIOPQ_BAD_TRUST_STORE;
    }
    X509_STORE_free(store); /* the verifier has a reference of its own */
    verifier->override_callback = &engine->tls->on_verified;
    picoquic_set_verify_certificate_callback(engine->quic, &verifier->super, free_verifier);
    picoquic_set_client_cert_verification_policy(engine->quic, 1);
    return AIOPQ_OK;
}

aiopq_status_t aiopq_tls_setup(aiopq_engine_t *engine, const aiopq_config_t *config)
{
    engine->tls = calloc(1, sizeof(*engine->tls));
    if (engine->tls == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    engine->tls->on_verified.cb = on_verified;
    engine->tls->verifies = config->verify_peer;
    engine->tls->accepts_none = config->is_peer_certificate_optional;
    ptls_context_t *context = engine->quic->tls_master_ctx;
    aiopq_status_t status =
        aiopq_choose_key_exchanges(config->key_exchange_groups, engine->tls->key_exchanges);
    if (status == AIOPQ_OK) {
        status = aiopq_pins_copy(&engine->tls->certificate_hashes, config->certificate_hashes);
    }
    if (status == AIOPQ_OK) {
        status = aiopq_pins_copy(&engine->tls->pinned_keys, config->pinned_keys);
    }
    if (status != AIOPQ_OK) {
        return status;
    }
    context->key_exchanges = engine->tls->key_exchanges;
    context->use_exporter = 1;
    if (!config->is_client || config->certificate_chain.length > 0) {
        status = set_certificate(engine, config);
    }
    if (status == AIOPQ_OK && (config->is_client || config->verify_peer)) {
        status = set_verifier(engine, config);
    }
    if (status != AIOPQ_OK) {
        return status;
    }
    picoquic_enforce_client_only(engine->quic, config->is_client);
    if (!config->is_client) {
        picoquic_set_client_authentication(engine->quic, config->verify_peer);
        if (!config->accepts_early_data) {
            context->max_early_data_size = 0; /* tickets say so, and early data of older ones is refused */
        }
    }
    return AIOPQ_OK;
}

void aiopq_tls_free(aiopq_tls_t *tls)
{
    if (tls != NULL) {
        aiopq_pins_dispose(&tls->certificate_hashes);
        aiopq_pins_dispose(&tls->pinned_keys);
        free(tls);
    }
}
