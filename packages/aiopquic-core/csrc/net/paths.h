/* The paths of a connection: tried on request, told of as they change. */
#ifndef AIOPQ_NET_PATHS_H
#define AIOPQ_NET_PATHS_H

#include <picoquic.h>
#include <stdbool.h>

#include "aiopquic/path.h"
#include "net/path_facts.h"

/* Network thread only. */
typedef struct aiopq_paths {
    aiopq_path_request_t *probe; /* the MIGRATE or ADD that is being tried, NULL for none; freed here */
    aiopq_probe_target_t target; /* of it; the local address is bound */
    bool is_probe_started;       /* picoquic has it */
    uint64_t start_deadline_us;  /* until then picoquic must have taken it */
    uint64_t drop_old_us;        /* when addresses that were moved away from are let go, 0 for none */
    bool is_watched; /* of a connection with multipath: addresses change without a word from picoquic */
    size_t known_count;
    aiopq_probe_target_t *known; /* addresses by path id, as told last; when is_watched */
    size_t local_count;
    struct sockaddr_storage *locals; /* addresses that the driver has opened for this connection */
} aiopq_paths_t;

/* Carries out a PATH command; the request is the connection's from here on. */
void aiopq_paths_request(aiopq_conn_t *conn, aiopq_path_request_t *request) AIOPQ_NET;

/* The handshake is complete. */
void aiopq_paths_ready(aiopq_conn_t *conn) AIOPQ_NET;

/* picoquic's callbacks about one path. */
void aiopq_on_path(aiopq_conn_t *conn, uint64_t path_id, aiopq_path_change_t change) AIOPQ_NET;

/* Looks for what picoquic does not tell. False when there is nothing to look for any more. */
bool aiopq_paths_look(aiopq_conn_t *conn) AIOPQ_NET;

/* The end is announced: nobody waits any more. */
void aiopq_paths_forget(aiopq_conn_t *conn) AIOPQ_NET;

/* picoquic is done with the connection: its local addresses are given back. */
void aiopq_paths_end(aiopq_conn_t *conn) AIOPQ_NET;

#endif
