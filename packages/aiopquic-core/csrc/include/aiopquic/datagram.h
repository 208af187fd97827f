/* Datagrams of a connection (RFC 9221) as the loop thread sends and takes them. */
#ifndef AIOPQUIC_DATAGRAM_H
#define AIOPQUIC_DATAGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "aiopquic/abi.h"
#include "aiopquic/config.h"
#include "aiopquic/event.h"
#include "aiopquic/status.h"
#include "aiopquic/threads.h"

/* What each datagram counts for beside its bytes at most, in `datagram_queue_bytes` and
 * `datagram_receive_bytes`: so empty ones are bounded too. */
#define AIOPQ_DATAGRAM_OVERHEAD 24u

/* The smallest of these budgets: the half that is free at DATAGRAMS_WRITABLE holds any one datagram. */
#define AIOPQ_DATAGRAM_BUDGET_MIN 4096u

/* Bytes of the largest datagram that can be sent now: what the peer takes, what fits a packet of the path, and
 * `datagram_max_payload`. 0 before the handshake is complete, and for good when the peer takes none. It is
 * brought up to date when datagrams come and go and with every snapshot. */
AIOPQ_API uint32_t aiopq_conn_max_datagram(const aiopq_conn_t *conn);

/* Queues a datagram: the prefix, which may be empty, and the data; both are copied. With `number` other than 0, one of
 * DATAGRAM_ACKED and DATAGRAM_LOST tells what became of it, unless the connection ends first. AIOPQ_TOO_LARGE: more
 * than aiopq_conn_max_datagram(). AIOPQ_WOULD_BLOCK: the queue has no room; nothing was taken. */
AIOPQ_API aiopq_status_t aiopq_conn_send_datagram(aiopq_conn_t *conn, aiopq_bytes_t prefix,
                                                  aiopq_bytes_t data, uint64_t number) AIOPQ_LOOP;

/* Asks for one DATAGRAMS_WRITABLE once at most half of the queue is used. False when that is so already: then
 * no event comes and the caller goes on at once. */
AIOPQ_API bool aiopq_conn_want_datagrams_writable(aiopq_conn_t *conn) AIOPQ_LOOP;

/* How many datagrams have arrived, to bound a round of taking them. The newest may be counted an instant before
 * aiopq_conn_first_datagram() gives it; the next DATAGRAMS_READABLE tells of it, and of later ones. */
AIOPQ_API uint64_t aiopq_conn_datagrams_arrived(aiopq_conn_t *conn) AIOPQ_LOOP;

/* The oldest of them, valid until it is dropped; NULL when there is none. Drop only what was given. */
AIOPQ_API const uint8_t *aiopq_conn_first_datagram(aiopq_conn_t *conn, size_t *length) AIOPQ_LOOP;
AIOPQ_API void aiopq_conn_drop_first_datagram(aiopq_conn_t *conn) AIOPQ_LOOP;

typedef struct aiopq_datagram_stats {
    uint64_t queued;           /* waiting to be sent */
    uint64_t queued_bytes;     /* that these count for */
    uint64_t sent;             /* put into packets */
    uint64_t received;         /* arrived and kept for the application */
    uint64_t dropped_received; /* arrived while `datagram_receive_bytes` were waiting, and dropped */
    uint64_t acked;            /* arrived at the peer, but for the spurious ones */
    uint64_t lost;             /* declared lost, or too large for the path by the time they could go */
    uint64_t spurious;         /* declared lost and acknowledged after all */
} aiopq_datagram_stats_t;
AIOPQ_API void aiopq_conn_get_datagram_stats(const aiopq_conn_t *conn, aiopq_datagram_stats_t *stats);

#endif
