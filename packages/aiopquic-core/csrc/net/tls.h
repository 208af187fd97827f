/* Certificates, keys and the verifier: what picoquic's own loaders do from files, from memory. */
#ifndef AIOPQ_NET_TLS_H
#define AIOPQ_NET_TLS_H

#include "net/objects.h"

/* Sets the engine's certificate and key (server) and its verifier, before the driver runs. The engine
 * keeps the result until aiopq_tls_free(). */
aiopq_status_t aiopq_tls_setup(aiopq_engine_t *engine, const aiopq_config_t *config);

/* After picoquic_free(). NULL is allowed. */
void aiopq_tls_free(aiopq_tls_t *tls);

#endif
