/* A queue of fixed-size entries between one producer thread and one consumer thread.
 *
 * Lock-free. It grows by linking blocks instead of filling up, so a producer never waits and never drops;
 * whoever needs a bound checks aiopq_spsc_size() before it pushes. One emptied block is kept for reuse:
 * a queue that swings around a steady size allocates nothing. */
#ifndef AIOPQ_BASE_SPSC_QUEUE_H
#define AIOPQ_BASE_SPSC_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Keeps what the two threads write on different cache lines. */
#define AIOPQ_CACHE_LINE 64

typedef struct aiopq_spsc_block aiopq_spsc_block_t;

typedef struct aiopq_spsc_queue {
    /* written once by init */
    size_t entry_bytes;
    uint32_t block_entries;

    /* producer */
    _Alignas(AIOPQ_CACHE_LINE) aiopq_spsc_block_t *tail;
    uint32_t tail_used;
    _Atomic uint64_t pushed; /* the consumer reads it */

    /* consumer */
    _Alignas(AIOPQ_CACHE_LINE) aiopq_spsc_block_t *head;
    uint32_t head_used;
    _Atomic uint64_t popped; /* the producer reads it */

    /* the consumer puts an emptied block here, the producer takes it */
    _Alignas(AIOPQ_CACHE_LINE) _Atomic(aiopq_spsc_block_t *) spare;
} aiopq_spsc_queue_t;

/* False when there is no memory for the first block. */
bool aiopq_spsc_init(aiopq_spsc_queue_t *queue, size_t entry_bytes, uint32_t block_entries);

/* Frees the blocks; entries that are left are forgotten. Both threads must be done with the queue. */
void aiopq_spsc_dispose(aiopq_spsc_queue_t *queue);

/* Producer: copies one entry in. False when there is no memory for another block. */
bool aiopq_spsc_push(aiopq_spsc_queue_t *queue, const void *entry);

/* Consumer: copies the oldest entry out. False when the queue is empty. */
bool aiopq_spsc_pop(aiopq_spsc_queue_t *queue, void *entry);

/* Consumer: true when a pop would succeed. */
bool aiopq_spsc_has_entry(const aiopq_spsc_queue_t *queue);

/* Either thread: entries that wait. Exact for the caller's own side, at worst late for the other's. */
uint64_t aiopq_spsc_size(const aiopq_spsc_queue_t *queue);

#endif
