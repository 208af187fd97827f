#include "certificate.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

#define HOUR_S 3600

static aiopq_bytes_t copy_bytes(const void *data, size_t length)
{
    uint8_t *copy = malloc(length);
    CHECK(copy != NULL);
    memcpy(copy, data, length);
    return (aiopq_bytes_t){.data = copy, .length = length};
}

static aiopq_bytes_t take_text(BIO *bio)
{
    char *text;
    long length = BIO_get_mem_data(bio, &text);
    CHECK(length > 0);
    aiopq_bytes_t bytes = copy_bytes(text, (size_t)length);
    BIO_free(bio);
    return bytes;
}

static void add_extension(X509 *x509, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    CHECK(extension != NULL);
    CHECK(X509_add_ext(x509, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static X509 *make_x509(EVP_PKEY *key, const certificate_wish_t *wish)
{
    /* Names and serial numbers differ, so that one certificate can't stand in for another. */
    static long serial;
    char common_name[64];
    (void)snprintf(common_name, sizeof(common_name), "aiopquic test %ld", ++serial);
    X509 *x509 = X509_new();
    CHECK(x509 != NULL);
    CHECK(X509_set_version(x509, X509_VERSION_3) == 1);
    CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x509), serial) == 1);
    CHECK(X509_gmtime_adj(X509_getm_notBefore(x509), -24L * HOUR_S) != NULL);
    CHECK(X509_gmtime_adj(X509_getm_notAfter(x509), wish->is_expired ? -HOUR_S : 24L * HOUR_S) != NULL);
    X509_NAME *name = X509_get_subject_name(x509);
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1,
                                     0) == 1);
    CHECK(X509_set_issuer_name(x509, name) == 1);
    CHECK(X509_set_pubkey(x509, key) == 1);
    add_extension(x509, NID_subject_alt_name, wish->names != NULL ? wish->names : LOOPBACK_NAMES);
    CHECK(X509_sign(x509, key, EVP_sha256()) > 0);
    return x509;
}

certificate_t certificate_make(const certificate_wish_t *wish)
{
    static const certificate_wish_t defaults;
    const certificate_wish_t *wanted = wish != NULL ? wish : &defaults;
    certificate_t certificate;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    CHECK(key != NULL);
    X509 *x509 = make_x509(key, wanted);

    BIO *chain = BIO_new(BIO_s_mem());
    CHECK(chain != NULL && PEM_write_bio_X509(chain, x509) == 1);
    certificate.chain_pem = take_text(chain);

    const EVP_CIPHER *cipher = wanted->key_password != NULL ? EVP_aes_128_cbc() : NULL;
    BIO *private_key = BIO_new(BIO_s_mem());
    CHECK(private_key != NULL);
    CHECK(PEM_write_bio_PKCS8PrivateKey(private_key, key, cipher, wanted->key_password,
                                        wanted->key_password != NULL ? (int)strlen(wanted->key_password) : 0,
                                        NULL, NULL) == 1);
    certificate.key_pem = take_text(private_key);

    unsigned char *der = NULL;
    int der_length = i2d_X509(x509, &der);
    CHECK(der_length > 0);
    certificate.der = copy_bytes(der, (size_t)der_length);
    OPENSSL_free(der);
    X509_free(x509);
    EVP_PKEY_free(key);
    return certificate;
}

static void free_bytes(aiopq_bytes_t *bytes)
{
    free((void *)(uintptr_t)bytes->data);
    bytes->data = NULL;
    bytes->length = 0;
}

void certificate_dispose(certificate_t *certificate)
{
    free_bytes(&certificate->chain_pem);
    free_bytes(&certificate->key_pem);
    free_bytes(&certificate->der);
}
