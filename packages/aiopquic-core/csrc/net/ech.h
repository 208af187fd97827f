/* Encrypted Client Hello (RFC 9849): the name that a client asks for, readable by its server alone. */
#ifndef AIOPQ_NET_ECH_H
#define AIOPQ_NET_ECH_H

#include <openssl/x509.h>
#include <picotls.h>

#include "net/objects.h"

typedef struct aiopq_ech_keys aiopq_ech_keys_t;

/* A server's keys. AIOPQ_BAD_ECH_KEY when a configuration can't be used, or its key is not the one that belongs to it.
 * *result is for aiopq_ech_keys_free(), NULL after an error. */
aiopq_status_t aiopq_ech_keys_read(const aiopq_ech_key_t *keys, size_t count, aiopq_ech_keys_t **result);

/* NULL is allowed. */
void aiopq_ech_keys_free(aiopq_ech_keys_t *keys);

/* Before the driver runs: a server opens what was sealed for one of `keys`, and tells others which there are; NULL for a
 * client. The context borrows the keys. */
void aiopq_ech_setup(ptls_context_t *context, const aiopq_ech_keys_t *keys);

/* The client's ClientHello is about to be made: it is sealed for one of the engine's configurations, or looks so (GREASE). */
bool aiopq_ech_use(const aiopq_conn_t *conn) AIOPQ_NET;

/* True unless the server has not opened what was sealed for it and its certificate is not that of the configuration's public
 * name (RFC 9849 section 6.1.6): picotls, which should ask for that, has forgotten the name by then. */
bool aiopq_ech_is_known(const aiopq_conn_t *conn, ptls_t *tls, X509 *certificate) AIOPQ_NET;

/* True when the server opened it, or this one did. */
bool aiopq_ech_is_accepted(picoquic_cnx_t *cnx) AIOPQ_NET;

/* What a server that refused sent in place of the configuration that was used; borrowed, empty when nothing. */
aiopq_bytes_t aiopq_ech_retry_configs(picoquic_cnx_t *cnx) AIOPQ_NET;

#endif
