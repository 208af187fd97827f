/* What picoquic keeps to itself about paths. With one path it keeps pairs of addresses in a list, the one in use
 * first; with multipath each path has such a list. */
#ifndef AIOPQ_NET_PATH_FACTS_H
#define AIOPQ_NET_PATH_FACTS_H

#include <picoquic.h>
#include <stdbool.h>

#include "aiopquic/path.h"

typedef enum aiopq_probe_state {
    AIOPQ_PROBE_PENDING = 0,
    AIOPQ_PROBE_DONE,
    AIOPQ_PROBE_FAILED
} aiopq_probe_state_t;

/* Where a probe goes. */
typedef struct aiopq_probe_target {
    struct sockaddr_storage local_address, peer_address;
    bool is_path;     /* a path of its own; else another pair of addresses of the first one */
    uint64_t path_id; /* when is_path, from the start on */
} aiopq_probe_target_t;

size_t aiopq_path_count(picoquic_cnx_t *cnx) AIOPQ_NET;

/* The path at that place of the list, the preferred one first. */
void aiopq_path_at(picoquic_cnx_t *cnx, size_t index, aiopq_path_info_t *info) AIOPQ_NET;

/* False when there is none of that id. */
bool aiopq_path_by_id(picoquic_cnx_t *cnx, uint64_t id, aiopq_path_info_t *info) AIOPQ_NET;

bool aiopq_has_multipath(picoquic_cnx_t *cnx) AIOPQ_NET;

/* Starts a path validation (RFC 9000 section 8.2). Returns 0 or one of picoquic's errors. */
int aiopq_probe_start(picoquic_cnx_t *cnx, aiopq_probe_target_t *target, uint64_t now_us) AIOPQ_NET;
aiopq_probe_state_t aiopq_probe_state(picoquic_cnx_t *cnx, const aiopq_probe_target_t *target) AIOPQ_NET;
void aiopq_probe_drop(picoquic_cnx_t *cnx, const aiopq_probe_target_t *target, uint64_t now_us) AIOPQ_NET;

/* The first path has just changed its addresses: what was learnt about another host's network is forgotten (RFC
 * 9000 section 9.4). Returns in how many microseconds the old addresses can be let go, 0 when there are none. */
uint64_t aiopq_path_switched(picoquic_cnx_t *cnx, uint64_t now_us) AIOPQ_NET;

/* Lets go of the first path's validated addresses that are not in use, and retires their connection ids. */
void aiopq_drop_old_addresses(picoquic_cnx_t *cnx) AIOPQ_NET;

/* True while a path may send from that address. */
bool aiopq_uses_local_address(picoquic_cnx_t *cnx, const struct sockaddr_storage *address) AIOPQ_NET;

/* ECN marks (RFC 9000 section 13.4) on what the peer sent, and on what we sent, by what the peer reports. */
void aiopq_ecn_counts(picoquic_cnx_t *cnx, uint64_t received[3], uint64_t reported[3]) AIOPQ_NET;

#endif
