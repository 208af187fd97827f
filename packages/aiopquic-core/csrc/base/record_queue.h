/* A queue of records of any length between one producer thread and one consumer thread.
 *
 * Lock-free. A record lies in one piece in a block of memory, is written there by the producer and read
 * there by the consumer: no allocation and no copy of its own. The queue grows by linking blocks; whoever
 * needs a bound checks aiopq_record_queue_bytes() before it reserves. It holds no memory until the first
 * record, and one emptied block is kept for reuse. */
#ifndef AIOPQ_BASE_RECORD_QUEUE_H
#define AIOPQ_BASE_RECORD_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a block: ten records of a packet's size, and an idle queue that was used holds two at most. */
#define AIOPQ_RECORD_BLOCK_BYTES 16384u

/* In front of each record, and what records are aligned to. */
#define AIOPQ_RECORD_HEADER_BYTES 8u

/* The largest record: one that fills a block. */
#define AIOPQ_RECORD_MAX (AIOPQ_RECORD_BLOCK_BYTES - AIOPQ_RECORD_HEADER_BYTES)

typedef struct aiopq_record_block aiopq_record_block_t;

typedef struct aiopq_record_queue {
    /* producer */
    aiopq_record_block_t *tail;            /* NULL until the first record */
    uint32_t tail_used;                    /* bytes of committed records in it */
    uint32_t reserved;                     /* bytes of the record that is being written */
    _Atomic(aiopq_record_block_t *) first; /* set once; the consumer starts there */
    _Atomic uint64_t pushed, pushed_bytes; /* the consumer reads them */

    /* consumer */
    aiopq_record_block_t *head; /* NULL until `first` was seen */
    uint32_t head_used;
    _Atomic uint64_t popped, popped_bytes; /* the producer reads them */

    /* the consumer puts an emptied block here, the producer takes it */
    _Atomic(aiopq_record_block_t *) spare;
} aiopq_record_queue_t;

void aiopq_record_queue_init(aiopq_record_queue_t *queue);

/* Frees the blocks; records that are left are forgotten. Both threads must be done with the queue. */
void aiopq_record_queue_dispose(aiopq_record_queue_t *queue);

/* What a record of `size` bytes counts for in aiopq_record_queue_bytes(). */
static inline uint64_t aiopq_record_bytes(size_t size)
{
    return (AIOPQ_RECORD_HEADER_BYTES + (uint64_t)size + 7) & ~(uint64_t)7;
}

/* Producer: room for a record of `size` bytes, aligned to 8, which the consumer does not see before
 * aiopq_record_queue_commit(). A second call replaces the first. NULL when there is no memory, or when the
 * record is larger than AIOPQ_RECORD_MAX. */
void *aiopq_record_queue_reserve(aiopq_record_queue_t *queue, size_t size);

/* Producer: hands over the record that was reserved. */
void aiopq_record_queue_commit(aiopq_record_queue_t *queue);

/* Consumer: the oldest record, valid until aiopq_record_queue_pop(); NULL when the queue is empty. */
const void *aiopq_record_queue_peek(aiopq_record_queue_t *queue, size_t *size);

/* Consumer: removes the record that aiopq_record_queue_peek() gave. */
void aiopq_record_queue_pop(aiopq_record_queue_t *queue);

/* Consumer: drops every record that is there now. */
void aiopq_record_queue_discard(aiopq_record_queue_t *queue);

/* Either thread: records that wait, and the bytes that they count for. Exact for the caller's own side, at
 * worst late for the other's; and the newest is counted an instant before aiopq_record_queue_peek() gives it. */
uint64_t aiopq_record_queue_size(const aiopq_record_queue_t *queue);
uint64_t aiopq_record_queue_bytes(const aiopq_record_queue_t *queue);

#endif
