/* Who we are: certificates with their keys, one for everybody and others for names that clients ask for. */
#ifndef AIOPQ_NET_IDENTITIES_H
#define AIOPQ_NET_IDENTITIES_H

#include <picotls.h>

#include "aiopquic/engine.h"

typedef struct aiopq_identities aiopq_identities_t;

/* Reads the certificates of a configuration; AIOPQ_BAD_CERTIFICATE when there is none. *result is for
 * aiopq_identities_free(), NULL after an error. */
aiopq_status_t aiopq_identities_read(const aiopq_config_t *config, aiopq_identities_t **result);

/* NULL is allowed. */
void aiopq_identities_free(aiopq_identities_t *identities);

/* Sends and signs with the one that fits the name of the connection: picotls's callbacks, over the list in `*current`, which
 * may be another one for each handshake. */
typedef struct aiopq_presenter {
    ptls_emit_certificate_t emit;
    ptls_sign_certificate_t sign;
    aiopq_identities_t *current;
} aiopq_presenter_t;
void aiopq_presenter_init(aiopq_presenter_t *presenter, aiopq_identities_t *identities);

#endif
