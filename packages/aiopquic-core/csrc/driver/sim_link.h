/* One direction of a simulated link: when a datagram arrives at the other end, if it does. Integers only, so that
 * every host gives the same answer. */
#ifndef AIOPQ_DRIVER_SIM_LINK_H
#define AIOPQ_DRIVER_SIM_LINK_H

#include <stddef.h>

#include "aiopquic/network.h"

/* A datagram may arrive twice. */
#define AIOPQ_SIM_COPIES_MAX 2

typedef struct aiopq_sim_link {
    aiopq_link_config_t config;
    aiopq_link_counters_t counters;
    uint64_t random;          /* state of this link's own sequence of random numbers */
    uint64_t busy_until_ns;   /* when the last bit of what was accepted leaves */
    uint64_t last_arrival_us; /* of a link that keeps the order */
    uint32_t pattern_position;
    bool is_in_burst;
} aiopq_sim_link_t;

/* What arrives of one datagram. */
typedef struct aiopq_sim_arrival {
    uint64_t time_us;
    uint8_t ecn;       /* the two bits of RFC 3168 */
    bool is_corrupted; /* then the bit of this number is flipped */
    uint64_t corrupted_bit;
} aiopq_sim_arrival_t;

void aiopq_sim_link_init(aiopq_sim_link_t *link, const aiopq_link_config_t *config, uint64_t seed);

/* Takes a datagram of `length` bytes at `now_us`. Returns how many copies arrive: 0, 1 or 2. */
size_t aiopq_sim_link_send(aiopq_sim_link_t *link, uint64_t now_us, size_t length, uint8_t ecn,
                           aiopq_sim_arrival_t arrivals[AIOPQ_SIM_COPIES_MAX]);

/* Bytes that wait for the link's rate. */
uint64_t aiopq_sim_link_waiting(const aiopq_sim_link_t *link, uint64_t now_us);

/* The next number of the sequence that *state stands in (splitmix64). */
uint64_t aiopq_sim_random(uint64_t *state);

#endif
