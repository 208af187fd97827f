#include "net/identities.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <picotls/openssl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CHAIN_MAX 16 /* certificates in a chain; real ones have two to four */

typedef struct identity {
    char *server_name; /* NULL: for every name that no other is for */
    ptls_iovec_t chain[CHAIN_MAX];
    size_t chain_length;
    ptls_openssl_sign_certificate_t signer;
    bool has_signer;
} identity_t;

struct aiopq_identities {
    size_t count;
    identity_t list[];
};

/* ---- reading ---- */

static bool is_pem(aiopq_bytes_t bytes)
{
    static const char begin[] = "-----BEGIN ";
    size_t length = sizeof(begin) - 1;
    for (size_t i = 0; i + length <= bytes.length; i++) {
        if (memcmp(bytes.data + i, begin, length) == 0) {
            return true;
        }
    }
    return false;
}

typedef struct password {
    const char *text; /* NULL: none was given */
    bool was_asked_for;
} password_t;

/* Without a password this refuses, and OpenSSL never asks on the terminal. */
static int give_password(char *buffer, int size, int is_write, void *asked)
{
    (void)is_write;
    password_t *password = asked;
    size_t length = password->text != NULL ? strlen(password->text) : 0;
    password->was_asked_for = true;
    if (length == 0 || length > (size_t)size) {
        return -1;
    }
    memcpy(buffer, password->text, length);
    return (int)length;
}

/* The next certificate of PEM text or of DER, NULL at the end. */
static X509 *next_certificate(BIO *bio, bool pem)
{
    return pem ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : d2i_X509_bio(bio, NULL);
}

/* *leaf is the first one, the caller's. */
static aiopq_status_t read_chain(identity_t *identity, aiopq_bytes_t bytes, X509 **leaf)
{
    *leaf = NULL;
    BIO *bio = BIO_new_mem_buf(bytes.length > 0 ? bytes.data : (const uint8_t *)"", (int)bytes.length);
    if (bio == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    bool pem = is_pem(bytes);
    X509 *certificate;
    while (identity->chain_length < CHAIN_MAX && (certificate = next_certificate(bio, pem)) != NULL) {
        unsigned char *der = NULL;
        int length = i2d_X509(certificate, &der);
        ptls_iovec_t *entry = &identity->chain[identity->chain_length];
        if (length > 0 && (entry->base = malloc((size_t)length)) != NULL) {
            memcpy(entry->base, der, (size_t)length);
            entry->len = (size_t)length;
            identity->chain_length++;
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
    return identity->chain_length > 0 ? AIOPQ_OK : AIOPQ_BAD_CERTIFICATE;
}

static aiopq_status_t read_key(aiopq_bytes_t bytes, const char *text, EVP_PKEY **key)
{
    password_t password = {.text = text};
    *key = NULL;
    if (bytes.length == 0) {
        return AIOPQ_BAD_KEY;
    }
    BIO *bio = BIO_new_mem_buf(bytes.data, (int)bytes.length);
    if (bio == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    if (is_pem(bytes)) {
        *key = PEM_read_bio_PrivateKey(bio, NULL, give_password, &password);
    } else {
        *key = d2i_PKCS8PrivateKey_bio(bio, NULL, give_password, &password); /* encrypted */
        if (*key == NULL && !password.was_asked_for && BIO_reset(bio) >= 0) {
            *key = d2i_PrivateKey_bio(bio, NULL);
        }
    }
    BIO_free(bio);
    ERR_clear_error();
    if (*key != NULL) {
        return AIOPQ_OK;
    }
    if (password.was_asked_for) {
        return text != NULL && *text != 0 ? AIOPQ_WRONG_PASSWORD : AIOPQ_NO_PASSWORD;
    }
    return AIOPQ_BAD_KEY;
}

static aiopq_status_t read_identity(identity_t *identity, const aiopq_certificate_t *from)
{
    X509 *leaf;
    EVP_PKEY *key = NULL;
    aiopq_status_t status = read_chain(identity, from->chain, &leaf);
    if (status == AIOPQ_OK) {
        status = read_key(from->key, from->key_password, &key);
    }
    if (status == AIOPQ_OK && X509_check_private_key(leaf, key) != 1) {
        status = AIOPQ_KEY_MISMATCH;
    }
    if (status == AIOPQ_OK && ptls_openssl_init_sign_certificate(&identity->signer, key) != 0) {
        status = AIOPQ_BAD_KEY; /* of a kind that TLS 1.3 does not sign with */
    }
    identity->has_signer = status == AIOPQ_OK;
    if (status == AIOPQ_OK && from->server_name != NULL &&
        (identity->server_name = strdup(from->server_name)) == NULL) {
        status = AIOPQ_NO_MEMORY;
    }
    ERR_clear_error();
    EVP_PKEY_free(key); /* the signer has a reference of its own */
    X509_free(leaf);
    return status;
}

aiopq_status_t aiopq_identities_read(const aiopq_config_t *config, aiopq_identities_t **result)
{
    aiopq_certificate_t own = {.chain = config->certificate_chain,
                               .key = config->private_key,
                               .key_password = config->private_key_password};
    bool has_own = own.chain.length > 0;
    size_t count = config->certificate_count + (has_own ? 1 : 0);
    *result = NULL;
    if (count == 0) {
        return AIOPQ_BAD_CERTIFICATE;
    }
    aiopq_identities_t *identities = calloc(1, sizeof(*identities) + count * sizeof(identity_t));
    if (identities == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        const aiopq_certificate_t *from = i < config->certificate_count ? &config->certificates[i] : &own;
        aiopq_status_t status = read_identity(&identities->list[identities->count++], from);
        if (status != AIOPQ_OK) {
            aiopq_identities_free(identities);
            return status;
        }
    }
    *result = identities;
    return AIOPQ_OK;
}

static void identity_dispose(identity_t *identity)
{
    for (size_t i = 0; i < identity->chain_length; i++) {
        free(identity->chain[i].base);
    }
    if (identity->has_signer) {
        ptls_openssl_dispose_sign_certificate(&identity->signer);
    }
    free(identity->server_name);
}

void aiopq_identities_free(aiopq_identities_t *identities)
{
    for (size_t i = 0; identities != NULL && i < identities->count; i++) {
        identity_dispose(&identities->list[i]);
    }
    free(identities);
}

aiopq_status_t aiopq_check_certificate(const aiopq_certificate_t *certificate)
{
    identity_t identity = {.server_name = NULL};
    aiopq_status_t status = read_identity(&identity, certificate);
    identity_dispose(&identity);
    return status;
}

/* ---- choosing ---- */

/* RFC 9525 section 6.3: "*." stands for one label, and letters match in either case. */
static bool matches(const char *pattern, const char *name)
{
    if (strncmp(pattern, "*.", 2) == 0) {
        const char *dot = strchr(name, '.');
        return dot != NULL && dot != name && strcasecmp(pattern + 1, dot) == 0;
    }
    return strcasecmp(pattern, name) == 0;
}

/* An exact name goes before a pattern, and either before the one for everybody. */
static identity_t *find(const aiopq_presenter_t *presenter, ptls_t *tls)
{
    aiopq_identities_t *identities = presenter->current;
    const char *name = ptls_is_server(tls) ? ptls_get_server_name(tls) : NULL;
    identity_t *found = NULL;
    for (size_t i = 0; identities != NULL && i < identities->count; i++) {
        identity_t *identity = &identities->list[i];
        const char *pattern = identity->server_name;
        if (pattern == NULL) {
            found = found != NULL ? found : identity;
        } else if (name != NULL && matches(pattern, name)) {
            if (pattern[0] != '*') {
                return identity;
            }
            found = found != NULL && found->server_name != NULL ? found : identity;
        }
    }
    return found;
}

static int emit_certificate(ptls_emit_certificate_t *self, ptls_t *tls, ptls_message_emitter_t *emitter,
                            ptls_key_schedule_t *key_sched, ptls_iovec_t context, int push_status_request,
                            const uint16_t *compress_algos, size_t num_compress_algos)
{
    (void)push_status_request;
    (void)compress_algos;
    (void)num_compress_algos;
    const aiopq_presenter_t *presenter =
        (const aiopq_presenter_t *)((const char *)self - offsetof(aiopq_presenter_t, emit));
    identity_t *identity = find(presenter, tls);
    int ret;
    if (identity == NULL) {
        return PTLS_ALERT_UNRECOGNIZED_NAME;
    }
    ptls_push_message(emitter, key_sched, PTLS_HANDSHAKE_TYPE_CERTIFICATE, {
        ret = ptls_build_certificate_message(emitter->buf, context, identity->chain, identity->chain_length,
                                             ptls_iovec_init(NULL, 0));
        if (ret != 0) {
            goto Exit;
        }
    });
    ret = 0;
Exit:
    return ret;
}

static int sign_certificate(ptls_sign_certificate_t *self, ptls_t *tls, ptls_async_job_t **async,
                            uint16_t *selected_algorithm, ptls_buffer_t *output, ptls_iovec_t input,
                            const uint16_t *algorithms, size_t num_algorithms)
{
    const aiopq_presenter_t *presenter =
        (const aiopq_presenter_t *)((const char *)self - offsetof(aiopq_presenter_t, sign));
    identity_t *identity = find(presenter, tls); /* in the same call as the message before: the same one */
    if (identity == NULL) {
        return PTLS_ALERT_UNRECOGNIZED_NAME;
    }
    ptls_sign_certificate_t *signer = &identity->signer.super;
    return signer->cb(signer, tls, async, selected_algorithm, output, input, algorithms, num_algorithms);
}

void aiopq_presenter_init(aiopq_presenter_t *presenter, aiopq_identities_t *identities)
{
    presenter->emit.cb = emit_certificate;
    presenter->sign.cb = sign_certificate;
    presenter->current = identities;
}
