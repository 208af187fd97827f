#include "net/ech.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <picotls/openssl.h>
#include <stdlib.h>
#include <string.h>

/* One ECHConfig (RFC 9849 section 4): version (2 bytes), length (2), then what the length counts: an id (1), the KEM (2),
 * the public key behind its length (2), and what is not needed here. */
#define VERSION 0xfe0du
#define ID 4
#define KEM 5
#define PUBLIC_KEY 7

typedef struct ech_key {
    ptls_iovec_t config; /* one ECHConfig, in the list's bytes */
    ptls_hpke_kem_t *kem;
    ptls_key_exchange_context_t *exchange; /* the private key */
} ech_key_t;

struct aiopq_ech_keys {
    ptls_ech_create_opener_t opener; /* picotls calls it with the first bytes of an encrypted ClientHello */
    uint8_t *list;                   /* all configurations, as an ECHConfigList; malloc'd */
    size_t list_length;
    size_t count;
    ech_key_t keys[];
};

static uint16_t number(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* The key exchange with the private key of a configuration begins: *sealed opens what the client sealed. */
static ptls_aead_context_t *open_with(const ech_key_t *key, ptls_hpke_cipher_suite_t *cipher,
                                      ptls_iovec_t enc, ptls_iovec_t prefix)
{
    ptls_aead_context_t *aead = NULL;
    uint8_t *info = malloc(prefix.len + key->config.len);
    if (info != NULL) {
        memcpy(info, prefix.base, prefix.len);
        memcpy(info + prefix.len, key->config.base, key->config.len);
        (void)ptls_hpke_setup_base_r(key->kem, cipher, key->exchange, &aead, enc,
                                     ptls_iovec_init(info, prefix.len + key->config.len));
        free(info);
    }
    return aead;
}

static ptls_aead_context_t *on_open(ptls_ech_create_opener_t *self, ptls_hpke_kem_t **kem,
                                    ptls_hpke_cipher_suite_t **cipher, ptls_t *tls, uint8_t config_id,
                                    ptls_hpke_cipher_suite_id_t wanted, ptls_iovec_t enc, ptls_iovec_t prefix)
{
    (void)tls;
    const aiopq_ech_keys_t *keys = (const aiopq_ech_keys_t *)self; /* its first member */
    size_t suite = 0;
    while (ptls_openssl_hpke_cipher_suites[suite] != NULL &&
           (ptls_openssl_hpke_cipher_suites[suite]->id.kdf != wanted.kdf ||
            ptls_openssl_hpke_cipher_suites[suite]->id.aead != wanted.aead)) {
        suite++;
    }
    *cipher = ptls_openssl_hpke_cipher_suites[suite];
    for (size_t i = 0; *cipher != NULL && i < keys->count; i++) {
        if (keys->keys[i].config.base[ID] == config_id) {
            *kem = keys->keys[i].kem;
            return open_with(&keys->keys[i], *cipher, enc, prefix);
        }
    }
    return NULL;
}

/* ---- reading ---- */

static bool is_list_of_one(aiopq_bytes_t list)
{
    return list.length > 2 + PUBLIC_KEY + 2 && number(list.data) == list.length - 2 &&
           number(list.data + 2) == VERSION && number(list.data + 4) == list.length - 6 &&
           2 + PUBLIC_KEY + 2 + (size_t)number(list.data + 2 + PUBLIC_KEY) <= list.length;
}

static aiopq_status_t read_one(ech_key_t *key, const aiopq_ech_key_t *given)
{
    const unsigned char *der = given->private_key.data;
    EVP_PKEY *private_key = d2i_AutoPrivateKey(NULL, &der, (long)given->private_key.length);
    uint16_t kem = number(key->config.base + KEM);
    ptls_iovec_t public_key =
        ptls_iovec_init(key->config.base + PUBLIC_KEY + 2, number(key->config.base + PUBLIC_KEY));
    bool is_usable =
        private_key != NULL && ptls_openssl_create_key_exchange(&key->exchange, private_key) == 0;
    EVP_PKEY_free(private_key);
    ERR_clear_error();
    for (size_t i = 0; is_usable && ptls_openssl_hpke_kems[i] != NULL; i++) {
        if (ptls_openssl_hpke_kems[i]->id == kem &&
            ptls_openssl_hpke_kems[i]->keyex->id == key->exchange->algo->id) {
            key->kem = ptls_openssl_hpke_kems[i];
        }
    }
    return key->kem != NULL && key->exchange->pubkey.len == public_key.len &&
                   memcmp(key->exchange->pubkey.base, public_key.base, public_key.len) == 0
               ? AIOPQ_OK
               : AIOPQ_BAD_ECH_KEY;
}

aiopq_status_t aiopq_ech_keys_read(const aiopq_ech_key_t *given, size_t count, aiopq_ech_keys_t **result)
{
    size_t length = 2;
    *result = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!is_list_of_one(given[i].config)) {
            return AIOPQ_BAD_ECH_KEY;
        }
        length += given[i].config.length - 2;
    }
    aiopq_ech_keys_t *keys =
        length - 2 <= UINT16_MAX ? calloc(1, sizeof(*keys) + count * sizeof(keys->keys[0])) : NULL;
    if (keys == NULL || (keys->list = malloc(length)) == NULL) {
        free(keys);
        return AIOPQ_NO_MEMORY;
    }
    keys->opener.cb = on_open;
    keys->list_length = length;
    keys->list[0] = (uint8_t)((length - 2) >> 8);
    keys->list[1] = (uint8_t)(length - 2);
    uint8_t *cursor = keys->list + 2;
    aiopq_status_t status = AIOPQ_OK;
    for (size_t i = 0; status == AIOPQ_OK && i < count; i++) {
        keys->keys[i].config = ptls_iovec_init(cursor, given[i].config.length - 2);
        memcpy(cursor, given[i].config.data + 2, given[i].config.length - 2);
        cursor += given[i].config.length - 2;
        keys->count++;
        status = read_one(&keys->keys[i], &given[i]);
    }
    if (status != AIOPQ_OK) {
        aiopq_ech_keys_free(keys);
        return status;
    }
    *result = keys;
    return AIOPQ_OK;
}

void aiopq_ech_keys_free(aiopq_ech_keys_t *keys)
{
    for (size_t i = 0; keys != NULL && i < keys->count; i++) {
        if (keys->keys[i].exchange != NULL) {
            (void)keys->keys[i].exchange->on_exchange(&keys->keys[i].exchange, 1, NULL,
                                                      ptls_iovec_init(NULL, 0));
        }
    }
    if (keys != NULL) {
        free(keys->list);
        free(keys);
    }
}

/* ---- use ---- */

void aiopq_ech_setup(ptls_context_t *context, const aiopq_ech_keys_t *keys)
{
    if (keys == NULL) {
        context->ech.client.ciphers = ptls_openssl_hpke_cipher_suites;
        context->ech.client.kems = ptls_openssl_hpke_kems;
    } else {
        context->ech.server.create_opener = (ptls_ech_create_opener_t *)(uintptr_t)&keys->opener;
        context->ech.server.retry_configs = ptls_iovec_init(keys->list, keys->list_length);
    }
}

bool aiopq_ech_use(const aiopq_conn_t *conn)
{
    const aiopq_config_t *config = &conn->engine->config;
    return !config->uses_ech || picoquic_ech_configure_client(conn->cnx, config->ech_configs.data,
                                                              config->ech_configs.length) == 0;
}

bool aiopq_ech_is_known(const aiopq_conn_t *conn, ptls_t *tls, X509 *certificate)
{
    const char *name = conn != NULL ? conn->engine->config.ech_public_name : NULL;
    return name == NULL || ptls_is_ech_handshake(tls, NULL, NULL, NULL) != 0 ||
           X509_check_host(certificate, name, 0, 0, NULL) == 1;
}

bool aiopq_ech_is_accepted(picoquic_cnx_t *cnx)
{
    return picoquic_is_ech_handshake(cnx) != 0;
}

aiopq_bytes_t aiopq_ech_retry_configs(picoquic_cnx_t *cnx)
{
    uint8_t *configs = NULL;
    size_t length = 0;
    picoquic_ech_get_retry_config(cnx, &configs, &length);
    return (aiopq_bytes_t){.data = configs, .length = length};
}
