/* Address tokens that servers gave to us (NEW_TOKEN, RFC 9000 section 8.1.3), each for one connection to come.
 *
 * picoquic keeps what comes by the server's name alone. A token goes to the server that made it and to nobody else: ours are
 * kept by name, port and address family, and taken from picoquic as soon as they are there. */
#ifndef AIOPQ_NET_TOKENS_H
#define AIOPQ_NET_TOKENS_H

#include "net/objects.h"

/* That an engine keeps; the oldest go. A server gives one in each connection. */
#define AIOPQ_TOKENS_MAX 256u

struct aiopq_token {
    aiopq_token_t *next;
    uint64_t valid_until_us; /* by picoquic's clock of TLS */
    uint16_t port;
    uint16_t family; /* 4 or 6: a token proves an address, which is of one of them */
    uint16_t name_length, length;
    uint8_t bytes[]; /* the server's name, then the token */
};

/* Behind each datagram: what came in it is kept for the server of `cnx`; with NULL it is dropped. */
void aiopq_tokens_collect(aiopq_engine_t *engine, picoquic_cnx_t *cnx) AIOPQ_NET;

/* Gives a connection that is about to begin the newest token for its server, if there is one. */
void aiopq_tokens_use(aiopq_engine_t *engine, const aiopq_conn_t *conn) AIOPQ_NET;

/* Adds a token of an earlier engine, behind those there are; copies name and bytes. False without memory. */
bool aiopq_tokens_add(aiopq_engine_t *engine, const aiopq_token_t *facts, const uint8_t *name,
                      const uint8_t *token) AIOPQ_NET;

void aiopq_tokens_free(aiopq_engine_t *engine);

/* Servers: what is remembered of used tokens, so that each counts once, stays bounded. */
void aiopq_tokens_bound_used(aiopq_engine_t *engine) AIOPQ_NET;

#endif
