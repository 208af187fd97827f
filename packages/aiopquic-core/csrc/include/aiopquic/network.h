/* A simulated network: hosts with addresses, links between them, one virtual clock. Engines whose configuration
 * names a network send and receive through it instead of sockets, and run on the loop thread while
 * aiopq_network_run() moves the clock: no thread, no system call, the same result for the same seed. */
#ifndef AIOPQUIC_NETWORK_H
#define AIOPQUIC_NETWORK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "aiopquic/abi.h"
#include "aiopquic/status.h"
#include "aiopquic/threads.h"

typedef struct aiopq_network aiopq_network_t;

/* What one direction of a link does to datagrams. Chances are parts per million of the datagrams; sizes count
 * UDP payload. Zero everywhere is a link without delay, limit or fault. */
typedef struct aiopq_link_config {
    uint64_t rate_bps;    /* bits per second; 0: no limit */
    uint64_t delay_us;    /* one way, behind the time the bits take */
    uint64_t jitter_us;   /* each datagram is late by up to this much more, all delays equally likely */
    bool is_reordering;   /* what jitter delays less overtakes; otherwise it waits for those before it */
    uint64_t queue_bytes; /* what waits for the rate at most, more is dropped; 0: no limit */
    uint64_t mark_bytes;  /* ECN-capable datagrams behind this many waiting bytes are marked CE; 0: none */
    uint32_t mtu;         /* larger datagrams are dropped; 0: none */

    uint32_t loss_ppm;
    uint32_t burst_enter_ppm, burst_leave_ppm; /* chance to begin, and to end, a run of losses; 0: no runs */
    uint64_t loss_pattern;                     /* bit n set: every nth datagram of a round is lost */
    uint32_t loss_pattern_length;              /* datagrams in a round, 64 at most; 0: no pattern */
    uint32_t duplicate_ppm;
    uint32_t corrupt_ppm; /* one bit is flipped */
    uint32_t hold_ppm;    /* chance to be held back by `hold_us`, so that later ones overtake */
    uint64_t hold_us;
    bool is_down; /* everything is lost */
} aiopq_link_config_t;

/* What became of the datagrams of one direction. */
typedef struct aiopq_link_counters {
    uint64_t sent, sent_bytes;           /* handed to the link */
    uint64_t delivered, delivered_bytes; /* copies included */
    uint64_t lost;                       /* by chance, pattern or while down */
    uint64_t overflowed, too_large;      /* dropped by the queue, by the MTU */
    uint64_t marked, duplicated, corrupted;
} aiopq_link_counters_t;

/* The clock starts at `start_us`, which is not 0. NULL without memory. */
AIOPQ_API aiopq_network_t *aiopq_network_new(uint64_t seed, uint64_t start_us) AIOPQ_LOOP;

/* Frees a network that no engine names any more. NULL is allowed. */
AIOPQ_API void aiopq_network_free(aiopq_network_t *network) AIOPQ_LOOP;

/* The virtual time in microseconds; what an engine's `simulated_time_us` points to. */
AIOPQ_API uint64_t *aiopq_network_clock(aiopq_network_t *network) AIOPQ_LOOP;

/* Sets what happens to datagrams from one address to another; ports don't count. With both of family AF_UNSPEC:
 * to those that no other call names. */
AIOPQ_API aiopq_status_t aiopq_network_set_link(aiopq_network_t *network, const struct sockaddr_storage *from,
                                                const struct sockaddr_storage *to,
                                                const aiopq_link_config_t *config) AIOPQ_LOOP;

/* Counters of that direction, all zero when nothing went there. */
AIOPQ_API void aiopq_network_get_counters(const aiopq_network_t *network, const struct sockaddr_storage *from,
                                          const struct sockaddr_storage *to,
                                          aiopq_link_counters_t *counters) AIOPQ_LOOP;

/* From now on others see `outside` where the socket `inside` sends, and only what they send there reaches it: a
 * NAT that chose another address or port. Both carry ports. */
AIOPQ_API aiopq_status_t aiopq_network_rebind(aiopq_network_t *network, const struct sockaddr_storage *inside,
                                              const struct sockaddr_storage *outside) AIOPQ_LOOP;

/* Lets the engines work and moves the clock on, to `deadline_us` at most. Returns true, at once, when an engine
 * has events for the loop thread. */
AIOPQ_API bool aiopq_network_run(aiopq_network_t *network, uint64_t deadline_us) AIOPQ_LOOP;

/* When something happens next by itself: a datagram arrives or an engine's timer runs out. UINT64_MAX: never. */
AIOPQ_API uint64_t aiopq_network_next_us(const aiopq_network_t *network) AIOPQ_LOOP;

/* Datagrams to an address and port where nobody listens. */
AIOPQ_API uint64_t aiopq_network_unreachable(const aiopq_network_t *network) AIOPQ_LOOP;

#endif
