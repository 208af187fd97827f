/* Several engines on one UDP port, each with its network thread: sockets that share the port (SO_REUSEPORT), one per
 * engine and address, in an order that does not change while the group lives, and a program in the kernel that chooses
 * the socket by the first byte of the destination connection id.
 *
 * An engine of the group is a worker; its number is `worker` of its configuration. Every connection id that it issues
 * has a first byte that is its number modulo the count of workers, so that packets find it whatever address they come
 * from. What reaches another worker all the same is handed over to the right one. */
#ifndef AIOPQUIC_WORKERS_H
#define AIOPQUIC_WORKERS_H

#include "aiopquic/abi.h"
#include "aiopquic/config.h"
#include "aiopquic/status.h"
#include "aiopquic/threads.h"

typedef struct aiopq_workers aiopq_workers_t;

#define AIOPQ_WORKERS_MAX 256 /* values of a byte */
/* With QUIC-LB, whose configuration rotation leaves this many values to the byte. */
#define AIOPQ_WORKERS_MAX_QUIC_LB 32

/* Opens a socket per worker for each address that the configuration binds or prefers. With `is_steered` the kernel is
 * given the program; where it refuses that, the group works without, and aiopq_workers_are_steered() tells. On success
 * *workers is the caller's reference. AIOPQ_FAILED with an errno in *system_error when a socket can't be opened, which is
 * EADDRINUSE when anybody has the port, other groups included; AIOPQ_INVALID for a count that can't be, and on other
 * systems than Linux. */
AIOPQ_API aiopq_status_t aiopq_workers_open(const aiopq_config_t *config, uint32_t count, bool is_steered,
                                            aiopq_workers_t **workers, int *system_error) AIOPQ_LOOP;

AIOPQ_API void aiopq_workers_ref(aiopq_workers_t *workers);

/* Closes the sockets, and with them the port, when no engine of the group runs: their memory may live on. */
AIOPQ_API void aiopq_workers_close(aiopq_workers_t *workers) AIOPQ_LOOP;

/* The last reference does that too: engines hold one each. NULL is allowed. */
AIOPQ_API void aiopq_workers_unref(aiopq_workers_t *workers);

/* The UDP port of the addresses that are bound. */
AIOPQ_API uint16_t aiopq_workers_port(const aiopq_workers_t *workers);

/* False when every packet has to be sorted here: the kernel goes by addresses and ports. */
AIOPQ_API bool aiopq_workers_are_steered(const aiopq_workers_t *workers);

#endif
