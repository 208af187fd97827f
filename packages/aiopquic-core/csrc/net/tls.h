/* Certificates, keys and the verifier of an engine. */
#ifndef AIOPQ_NET_TLS_H
#define AIOPQ_NET_TLS_H

#include "net/identities.h"
#include "net/objects.h"

/* Sets the engine's certificate and key (server) and its verifier, before the driver runs. The engine
 * keeps the result until aiopq_tls_free(). */
aiopq_status_t aiopq_tls_setup(aiopq_engine_t *engine, const aiopq_config_t *config);

/* From the next handshake on; returns those of before, the caller's. */
aiopq_identities_t *aiopq_tls_set_identities(aiopq_engine_t *engine,
                                             aiopq_identities_t *identities) AIOPQ_NET;

/* Before picoquic_free(): takes back what picoquic would free as its own. */
void aiopq_tls_release(aiopq_engine_t *engine);

/* After picoquic_free(). NULL is allowed. */
void aiopq_tls_free(aiopq_tls_t *tls);

#endif
