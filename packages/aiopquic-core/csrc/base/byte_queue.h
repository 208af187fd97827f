/* Stream bytes between one producer thread and one consumer thread, copied in once and owned by the
 * consumer from the moment it takes them.
 *
 * The bytes that wait hang on one atomic pointer, a list of chunks. The producer takes the list away,
 * appends to its last chunk or adds one, and puts it back; the consumer takes the list away for good. So
 * a slow consumer finds few large chunks, a fast one finds its bytes at once, and an idle queue holds no
 * memory at all.
 *
 * While the producer has the list the consumer sees an empty queue. Whoever puts bytes in must therefore
 * notify after the call, and the consumer must clear its notification before it takes. */
#ifndef AIOPQ_BASE_BYTE_QUEUE_H
#define AIOPQ_BASE_BYTE_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiopquic/chunk.h"
#include "aiopquic/lent.h"

/* Chunks are twice as large as what the consumer found the last time, up to this size: large enough that
 * the cost per chunk vanishes beside the copy, small enough for malloc to recycle it. */
#define AIOPQ_CHUNK_MAX 262144u
/* Smallest chunk of a stream that goes on: two packets' worth. */
#define AIOPQ_CHUNK_MIN 3072u

typedef struct aiopq_returns aiopq_returns_t;

typedef struct aiopq_byte_queue {
    _Atomic(aiopq_chunk_t *) waiting; /* either thread, by exchange only */
    size_t list_bytes;      /* producer: bytes copied into the list that waits, or into the last one taken */
    aiopq_chunk_t *current; /* consumer: taken by aiopq_byte_queue_gather() and not yet read to its end */
    size_t current_bytes;   /* consumer: unread bytes in there */
} aiopq_byte_queue_t;

void aiopq_byte_queue_init(aiopq_byte_queue_t *queue);

/* Frees the bytes that wait. Both threads must be done with the queue. */
void aiopq_byte_queue_dispose(aiopq_byte_queue_t *queue);

/* Producer: appends all bytes or, without memory, none. `is_last` sizes the chunk to fit, for no more
 * bytes will come. */
bool aiopq_byte_queue_write(aiopq_byte_queue_t *queue, const uint8_t *data, size_t length, bool is_last);

/* Producer: appends lent bytes without a copy; 1 to UINT32_MAX of them. False, and nothing was taken, without memory.
 * When the consumer is done with them, or drops them, they are in `returns` (base/lent.h). Not for queues that
 * aiopq_byte_queue_take() empties. */
bool aiopq_byte_queue_lend(aiopq_byte_queue_t *queue, const aiopq_lent_t *lent, aiopq_returns_t *returns);

/* Consumer: the list of chunks that wait, now the caller's; NULL when there is none. Not to be mixed with
 * aiopq_byte_queue_gather() on the same queue. */
aiopq_chunk_t *aiopq_byte_queue_take(aiopq_byte_queue_t *queue);

/* Consumer: makes up to `wanted` bytes ready for aiopq_byte_queue_read() and returns how many are, which can
 * be more. Fewer than were written while the producer is in the middle of a write. */
size_t aiopq_byte_queue_gather(aiopq_byte_queue_t *queue, size_t wanted);

/* Consumer: copies `length` bytes out and frees the chunks it empties. No more than were gathered. */
void aiopq_byte_queue_read(aiopq_byte_queue_t *queue, uint8_t *data, size_t length);

/* Consumer: drops every byte that is there now. */
void aiopq_byte_queue_discard(aiopq_byte_queue_t *queue);

#endif
