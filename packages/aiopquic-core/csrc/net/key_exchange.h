/* The groups for the key exchange (RFC 8446 section 4.2.7), in a list of each engine's own: picoquic's is
 * shared by the whole process. */
#ifndef AIOPQ_NET_KEY_EXCHANGE_H
#define AIOPQ_NET_KEY_EXCHANGE_H

#include <picotls.h>

#include "aiopquic/config.h"
#include "aiopquic/status.h"

/* Fills `chosen`, room for AIOPQ_KEY_EXCHANGE_MAX and a NULL behind the last, with what `groups` names, 0 behind
 * its last; with all that there are, classic ones first, when it names none. AIOPQ_UNKNOWN_ALGORITHM for a group
 * that there is not. */
aiopq_status_t aiopq_choose_key_exchanges(const uint16_t *groups, ptls_key_exchange_algorithm_t **chosen);

#endif
