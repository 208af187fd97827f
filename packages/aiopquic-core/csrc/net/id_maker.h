/* The connection ids that an engine issues (RFC 9000 section 5.1), where picoquic's random ones will not do: the first
 * byte names the worker of a shared port, and QUIC-LB ids name the server to a load balancer
 * (draft-ietf-quic-load-balancers). Everything here belongs to the network thread. */
#ifndef AIOPQ_NET_ID_MAKER_H
#define AIOPQ_NET_ID_MAKER_H

#include <picoquic.h>

#include "aiopquic/status.h"
#include "aiopquic/workers.h"

typedef struct aiopq_id_maker aiopq_id_maker_t;

/* The length of the ids that a configuration asks for: that of its QUIC-LB ids, else `connection_id_length`. */
uint8_t aiopq_id_length(const aiopq_config_t *config);

/* *maker is NULL when random ids will do. AIOPQ_INVALID for QUIC-LB settings that can't be, alone or with so many workers.
 * Owned by the caller, until aiopq_id_maker_free(). */
aiopq_status_t aiopq_id_maker_new(const aiopq_config_t *config, aiopq_id_maker_t **maker);

/* NULL is allowed. */
void aiopq_id_maker_free(aiopq_id_maker_t *maker);

/* picoquic's callback for ids; `maker` is the aiopq_id_maker_t. *id comes filled with random bytes of its length. */
void aiopq_make_id(picoquic_quic_t *quic, picoquic_connection_id_t local, picoquic_connection_id_t remote,
                   void *maker, picoquic_connection_id_t *id) AIOPQ_NET;

/* The algorithm of the draft's section on routing: encrypts server id and nonce, `length` bytes of 5 to 19, in place:
 * 16 bytes in one pass, others in four. `cipher` is picoquic's for AES-128-ECB. */
void aiopq_quic_lb_encrypt(void *cipher, uint8_t *block, size_t length);

#endif
