/* Which datagrams are in flight whose sender wants to know what became of them.
 *
 * picoquic tells what it acknowledged or lost by content and sending time, so that is what finds the number
 * that the sender gave. Of datagrams with the same content and time any stands for any. A lost one is
 * remembered for a while: it may have been only late. All of it belongs to the network thread. */
#ifndef AIOPQ_NET_FATES_H
#define AIOPQ_NET_FATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiopquic/threads.h"

/* Remembered at once. More than a window of 16 MiB holds of packets of 1 KiB; the memory stays below 1 MiB. */
#define AIOPQ_FATES_MAX 16384u
/* Of those, lost ones: picoquic recognises a late acknowledgement for a second. */
#define AIOPQ_FATES_LOST_MAX 1024u

typedef struct aiopq_fate_entry aiopq_fate_entry_t;

/* The oldest first. */
typedef struct aiopq_fate_list {
    aiopq_fate_entry_t *first, *last;
    uint32_t count;
} aiopq_fate_list_t;

typedef struct aiopq_fates {
    aiopq_fate_entry_t **buckets; /* NULL until the first one */
    uint32_t bucket_count;        /* a power of two */
    aiopq_fate_list_t in_flight, lost;
} aiopq_fates_t;

/* Starts empty: all zero. Frees everything; empty again. */
void aiopq_fates_dispose(aiopq_fates_t *fates) AIOPQ_NET;

/* Remembers a datagram that goes into a packet at `sent_us`. The number is not 0. Answers the number of one
 * that is given up for it, 0 when there is none: the oldest beyond AIOPQ_FATES_MAX, or this one when there is
 * no memory. */
uint64_t aiopq_fates_add(aiopq_fates_t *fates, uint64_t number, uint64_t sent_us, const uint8_t *content,
                         size_t length) AIOPQ_NET;

/* A datagram was acknowledged: its number, 0 when nobody asked, and whether it counted as lost before. It is
 * forgotten. */
uint64_t aiopq_fates_acked(aiopq_fates_t *fates, uint64_t sent_us, const uint8_t *content, size_t length,
                           bool *was_lost) AIOPQ_NET;

/* A datagram counts as lost: its number, 0 when nobody asked. */
uint64_t aiopq_fates_lost(aiopq_fates_t *fates, uint64_t sent_us, const uint8_t *content,
                          size_t length) AIOPQ_NET;

#endif
