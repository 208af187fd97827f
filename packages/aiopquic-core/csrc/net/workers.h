/* What the workers of one port share: descriptors, counts of connections, and a queue into each worker for datagrams that
 * arrived elsewhere. */
#ifndef AIOPQ_NET_WORKERS_H
#define AIOPQ_NET_WORKERS_H

#include <pthread.h>
#include <stdatomic.h>

#include "aiopquic/workers.h"
#include "base/waker.h"
#include "net/incoming.h"

/* Bytes of datagrams that may wait for one worker; what there is no room for is lost, as on any network. */
#define AIOPQ_HANDED_BYTES (4u << 20)

/* Addresses that are bound and those that are preferred, of both families. */
#define AIOPQ_WORKER_PLACES (2 * AIOPQ_BIND_ADDRESS_MAX)

/* A datagram on its way to its worker; malloc'd by the one that received it, freed by the one that takes it. */
typedef struct aiopq_handed {
    struct aiopq_handed *next;
    struct sockaddr_storage from, to;
    int interface_index;
    uint8_t ecn;
    size_t length;
    uint8_t bytes[];
} aiopq_handed_t;

typedef struct aiopq_worker_entry {
    /* Open connections, and one more while a datagram is looked at that may begin one. Its network thread writes, the
     * others read. */
    _Atomic uint32_t connections;
    _Atomic bool
        has_handed;       /* written under the lock; read without it, to look whether the lock is worth it */
    aiopq_waker_t waker;  /* whoever hands over signals, the worker's network thread clears */
    pthread_mutex_t lock; /* for what follows; any network thread takes it */
    bool is_open;         /* a network thread runs */
    aiopq_handed_t *first, **last; /* owned */
    size_t byte_count;
} aiopq_worker_entry_t;

struct aiopq_workers {
    _Atomic uint32_t refs;
    /* Written by aiopq_workers_open() alone. */
    uint32_t count;
    bool is_steered;
    size_t place_count;
    struct sockaddr_storage places[AIOPQ_WORKER_PLACES]; /* with their ports; the bound ones first */
    int *fds; /* owned, open as long as the group: by place, then by worker; -1 before it is opened */
    aiopq_worker_entry_t entries[]; /* by worker */
};

/* A group with one reference and no socket. NULL without memory or descriptors; errno tells. */
aiopq_workers_t *aiopq_workers_new(uint32_t count) AIOPQ_LOOP;

/* The worker that a datagram is for: the rule of the program in the kernel. `length` is at least 1. */
static inline uint32_t aiopq_worker_of(uint32_t count, const uint8_t *bytes, size_t length)
{
    /* RFC 8999 sections 5.1 and 5.2: where the destination connection id begins. */
    size_t offset = (bytes[0] & 0x80) != 0 ? 6 : 1;
    return length > offset ? bytes[offset] % count : 0;
}

/* Before and behind a datagram that may begin a connection: lets picoquic accept one more as long as all workers have no
 * more than `max_connections` together. Two workers that look at the same moment may both find the last place taken. */
void aiopq_workers_reserve(aiopq_engine_t *engine) AIOPQ_NET;
void aiopq_workers_settle(aiopq_engine_t *engine) AIOPQ_NET;

/* A worker's network thread begins to take, and ends: what waits for it then, and comes later, is lost. */
void aiopq_workers_join(aiopq_workers_t *workers, uint32_t worker) AIOPQ_NET;
void aiopq_workers_leave(aiopq_workers_t *workers, uint32_t worker) AIOPQ_NET;

/* Copies a datagram into a worker's queue and wakes it. False when it is lost. */
bool aiopq_workers_hand_over(aiopq_workers_t *workers, uint32_t worker,
                             const aiopq_datagram_t *datagram) AIOPQ_NET;

/* Takes everything that waits for a worker, in order; the caller frees each. NULL when nothing does. */
aiopq_handed_t *aiopq_workers_take(aiopq_workers_t *workers, uint32_t worker) AIOPQ_NET;

#endif
