/* What an engine call can answer. The Cython layer turns each into one Python exception. */
#ifndef AIOPQUIC_STATUS_H
#define AIOPQUIC_STATUS_H

#include "aiopquic/abi.h"

typedef enum aiopq_status {
    AIOPQ_OK = 0,
    AIOPQ_WOULD_BLOCK,     /* the budget is used up; nothing was taken, retry after the WRITABLE event */
    AIOPQ_TOO_LARGE,       /* can never fit the budget, however long the caller waits */
    AIOPQ_CLOSED,          /* the connection or the engine is gone */
    AIOPQ_STREAM_FINISHED, /* FIN or reset was already sent on this stream */
    AIOPQ_STREAM_STOPPED,  /* the peer asked us to stop sending on this stream */
    AIOPQ_WRONG_DIRECTION, /* the stream does not flow that way */
    AIOPQ_NO_MEMORY,
    AIOPQ_INVALID,         /* an argument is out of range */
    AIOPQ_STARTED,         /* start was called before */
    AIOPQ_BAD_CERTIFICATE, /* the certificate chain can't be parsed */
    AIOPQ_BAD_KEY,     /* the private key can't be parsed, or is of a kind that TLS 1.3 does not sign with */
    AIOPQ_NO_PASSWORD, /* the private key is encrypted and no password was given */
    AIOPQ_WRONG_PASSWORD,    /* nor does the password that was given open it */
    AIOPQ_KEY_MISMATCH,      /* the private key does not belong to the certificate */
    AIOPQ_BAD_TRUST_STORE,   /* no usable root certificate was given */
    AIOPQ_UNKNOWN_ALGORITHM, /* no congestion control or cipher suite of that name */
    AIOPQ_BAD_ECH_KEY, /* the configuration can't be read, or its key is not the one that belongs to it */
    AIOPQ_FAILED       /* picoquic or the system refused; see the system error that comes with it */
} aiopq_status_t;

/* A short name for messages and logs; never NULL. */
AIOPQ_API const char *aiopq_status_name(aiopq_status_t status);

#endif
