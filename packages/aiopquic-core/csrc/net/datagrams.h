/* The datagrams of one connection (RFC 9221) between the two threads. */
#ifndef AIOPQ_NET_DATAGRAMS_H
#define AIOPQ_NET_DATAGRAMS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "aiopquic/event.h"
#include "base/record_queue.h"
#include "net/fates.h"

typedef struct aiopq_datagrams {
    /* sending: the loop thread produces, the network thread consumes */
    aiopq_record_queue_t send; /* records of aiopq_queued_datagram_t */
    _Atomic bool is_active; /* set by whoever makes picoquic ask for datagrams, cleared when there are none */
    _Atomic bool wants_writable; /* loop thread sets, network thread clears and sends one event */
    _Atomic uint32_t max_bytes;  /* network thread; the largest that can be sent now */

    /* receiving: the network thread produces, the loop thread consumes */
    aiopq_record_queue_t receive;  /* records of bytes */
    _Atomic bool is_readable_told; /* network thread sets with the event, loop thread clears */

    /* network thread; any thread may read the counters */
    _Atomic uint64_t sent, received, dropped_received, acked, lost, spurious;
    aiopq_fates_t fates;
} aiopq_datagrams_t;

/* A datagram that waits to be sent. */
typedef struct aiopq_queued_datagram {
    uint64_t number; /* 0: nobody asks what becomes of it */
    uint8_t content[];
} aiopq_queued_datagram_t;

/* Frees everything. Both threads must be done with the connection. */
void aiopq_datagrams_dispose(aiopq_datagrams_t *datagrams);

/* Looks again at how large a datagram may be. */
void aiopq_datagrams_measure(aiopq_conn_t *conn) AIOPQ_NET;

/* The loop thread has queued some while picoquic was not asking: has it ask. */
void aiopq_datagrams_start(aiopq_conn_t *conn) AIOPQ_NET;

/* picoquic is done with the connection: drops what waits to be sent and forgets what is in flight. */
void aiopq_datagrams_end(aiopq_conn_t *conn) AIOPQ_NET;

/* picoquic's callbacks. */
int aiopq_on_datagram(aiopq_conn_t *conn, const uint8_t *bytes, size_t length) AIOPQ_NET;
int aiopq_on_prepare_datagram(aiopq_conn_t *conn, void *context, size_t space) AIOPQ_NET;
int aiopq_on_datagram_acked(aiopq_conn_t *conn, uint64_t sent_us, const uint8_t *bytes, size_t length,
                            bool was_lost) AIOPQ_NET;
int aiopq_on_datagram_lost(aiopq_conn_t *conn, uint64_t sent_us, const uint8_t *bytes,
                           size_t length) AIOPQ_NET;

#endif
