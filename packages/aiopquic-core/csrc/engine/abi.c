#include "aiopquic/abi.h"

#include <openssl/crypto.h>
#include <openssl/x509_vfy.h>
#include <picoquic.h>

#include "aiopquic/event.h"
#include "aiopquic/status.h"

#ifndef AIOPQ_BUILD_ID
#error "the build defines AIOPQ_BUILD_ID"
#endif

int aiopq_abi_version(void)
{
    return AIOPQ_ABI_VERSION;
}

const char *aiopq_build_id(void)
{
    return AIOPQ_BUILD_ID;
}

const char *aiopq_picoquic_version(void)
{
    return PICOQUIC_VERSION;
}

const char *aiopq_openssl_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}

const char *aiopq_verify_error_text(int32_t verify_error)
{
    switch (verify_error) {
    case AIOPQ_VERIFY_UNKNOWN_HASH:
        return "its hash is none of server_certificate_hashes";
    case AIOPQ_VERIFY_HASHED_KIND:
        return "a certificate that is known by its hash is an X.509 version 3 one and has no RSA key";
    case AIOPQ_VERIFY_HASHED_FOR_LONG:
        return "a certificate that is known by its hash is valid for 14 days at most";
    case AIOPQ_VERIFY_UNKNOWN_KEY:
        return "its public key is none of pinned_keys";
    default:
        return X509_verify_cert_error_string(verify_error);
    }
}

const char *aiopq_status_name(aiopq_status_t status)
{
    switch (status) {
    case AIOPQ_OK:
        return "ok";
    case AIOPQ_WOULD_BLOCK:
        return "would block";
    case AIOPQ_TOO_LARGE:
        return "larger than the send budget";
    case AIOPQ_CLOSED:
        return "closed";
    case AIOPQ_STREAM_FINISHED:
        return "sending on this stream has ended";
    case AIOPQ_STREAM_STOPPED:
        return "the peer stopped this stream";
    case AIOPQ_WRONG_DIRECTION:
        return "the stream does not flow in this direction";
    case AIOPQ_NO_MEMORY:
        return "out of memory";
    case AIOPQ_INVALID:
        return "invalid argument";
    case AIOPQ_STARTED:
        return "already started";
    case AIOPQ_BAD_CERTIFICATE:
        return "no certificate could be read";
    case AIOPQ_BAD_ECH_KEY:
        return "an ECH configuration can't be used, or its private key is not the one that belongs to it";
    case AIOPQ_BAD_KEY:
        return "the private key could not be read";
    case AIOPQ_NO_PASSWORD:
        return "the private key is encrypted, and no password was given";
    case AIOPQ_WRONG_PASSWORD:
        return "the private key is encrypted with another password";
    case AIOPQ_KEY_MISMATCH:
        return "the private key does not belong to the certificate";
    case AIOPQ_BAD_TRUST_STORE:
        return "no usable trusted certificate";
    case AIOPQ_UNKNOWN_ALGORITHM:
        return "unknown algorithm";
    case AIOPQ_FAILED:
        return "failed";
    }
    return "unknown status";
}
