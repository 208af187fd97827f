/* Datagrams that picoquic has prepared and the kernel has not taken yet.
 *
 * What one connection sends to one place in equal sizes leaves by one system call, whichever calls of picoquic
 * prepared it: picoquic itself makes batches of full packets alone, and with DATAGRAM frames no packet is full. picoquic counts what it has
 * prepared as sent, so whatever the kernel has no room for is kept. */
#ifndef AIOPQ_DRIVER_OUTGOING_H
#define AIOPQ_DRIVER_OUTGOING_H

#include <picoquic.h>

#include "driver/udp_socket.h"

/* Datagrams of `segment` bytes each, the last one maybe shorter, that leave together. */
typedef struct aiopq_run {
    size_t offset; /* in the buffer */
    size_t length;
    size_t segment;
    struct sockaddr_storage to, from;
    int interface_index;
    picoquic_cnx_t
        *cnx; /* whose they are; it may be gone before the run is. NULL: nobody's (Retry and the like) */
} aiopq_run_t;

/* The runs that can wait: one, and what could not go with it. */
#define AIOPQ_RUNS_MAX 2

/* Everything in it belongs to the thread that runs the driver. */
typedef struct aiopq_outgoing {
    uint8_t *buffer;                      /* AIOPQ_SEND_MAX bytes, owned */
    aiopq_run_t runs[AIOPQ_RUNS_MAX + 1]; /* oldest first, and behind them the one that is being prepared */
    size_t count;                         /* runs that wait */
    bool is_joining;                      /* set once */
} aiopq_outgoing_t;

/* Without `is_joining` each call of picoquic is a run of its own. Allocates the buffer; false without memory. aiopq_outgoing_dispose() frees it in either case. */
bool aiopq_outgoing_init(aiopq_outgoing_t *outgoing, bool is_joining);
void aiopq_outgoing_dispose(aiopq_outgoing_t *outgoing);

/* The run to prepare next, with its offset set and `room` bytes from there; NULL when one must leave first. */
aiopq_run_t *aiopq_outgoing_next(aiopq_outgoing_t *outgoing, size_t *room);

/* That run is prepared, with a `segment` of 0 for a single datagram. */
void aiopq_outgoing_add(aiopq_outgoing_t *outgoing);

/* The oldest run has left. */
void aiopq_outgoing_pop(aiopq_outgoing_t *outgoing);

#endif
