#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <picoquic_internal.h>
#include <picotls.h>
#include <picotls/openssl.h>
#include <stdlib.h>
#include <string.h>

#include "net/callbacks.h"
#include "net/ech.h"
#include "net/identities.h"
#include "net/key_exchange.h"
#include "net/pinning.h"

struct aiopq_tls {
    ptls_openssl_override_verify_certificate_t on_verified; /* picotls calls it with the verifier's result */
    bool verifies;                   /* the chain; false: whoever answers is accepted */
    aiopq_pins_t certificate_hashes; /* if there are some, one of them decides alone */
    aiopq_pins_t pinned_keys;        /* if there are some, one of them is needed, too */
    bool accepts_none;               /* a peer without a certificate is accepted */
    aiopq_presenter_t presenter;     /* of the identities that it has */
    aiopq_ech_keys_t *ech_keys;      /* server: NULL without */
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
    if (result == 0 && certificate != NULL && settings->verifies &&
        !aiopq_ech_is_known(conn, tls, certificate)) {
        x509_error = X509_V_ERR_HOSTNAME_MISMATCH;
        result = PTLS_ALERT_BAD_CERTIFICATE;
    } else if (result == 0 && certificate != NULL) {
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
    if (status == AIOPQ_OK && config->ech_key_count > 0) {
        status = aiopq_ech_keys_read(config->ech_keys, config->ech_key_count, &engine->tls->ech_keys);
    }
    if (status != AIOPQ_OK) {
        return status;
    }
    if (config->uses_ech || engine->tls->ech_keys != NULL) {
        aiopq_ech_setup(context, engine->tls->ech_keys);
    }
    context->key_exchanges = engine->tls->key_exchanges;
    context->use_exporter = 1;
    if (!config->is_client || config->certificate_chain.length > 0) {
        aiopq_identities_t *identities;
        status = aiopq_identities_read(config, &identities);
        aiopq_presenter_init(&engine->tls->presenter, identities);
        context->emit_certificate = &engine->tls->presenter.emit;
        context->sign_certificate = &engine->tls->presenter.sign;
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

aiopq_identities_t *aiopq_tls_set_identities(aiopq_engine_t *engine, aiopq_identities_t *identities)
{
    aiopq_identities_t *before = engine->tls->presenter.current;
    engine->tls->presenter.current = identities;
    return before;
}

void aiopq_tls_release(aiopq_engine_t *engine)
{
    ptls_context_t *context = engine->quic->tls_master_ctx;
    context->sign_certificate = NULL;
    context->ech.server.create_opener = NULL;
}

void aiopq_tls_free(aiopq_tls_t *tls)
{
    if (tls != NULL) {
        aiopq_identities_free(tls->presenter.current);
        aiopq_ech_keys_free(tls->ech_keys);
        aiopq_pins_dispose(&tls->certificate_hashes);
        aiopq_pins_dispose(&tls->pinned_keys);
        free(tls);
    }
}
