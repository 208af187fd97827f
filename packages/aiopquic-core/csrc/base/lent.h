/* Bytes that a chunk refers to instead of holding them: their owner lends them, until the consumer is done with them.
 *
 * The consumer may not call the owner, who belongs to the producer's thread. It puts the chunk on a list of returned
 * ones, which the producer's thread takes as a whole. */
#ifndef AIOPQ_BASE_LENT_H
#define AIOPQ_BASE_LENT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "aiopquic/lent.h"
#include "base/byte_queue.h"

/* Chunks whose bytes nobody needs any more. Any thread puts one in, one thread takes all of them out. */
struct aiopq_returns {
    _Atomic(aiopq_chunk_t *) first; /* the others hang on `next` */
};

void aiopq_returns_init(aiopq_returns_t *returns);

/* Any thread, for a moment: true when there is something to release. */
bool aiopq_returns_wait(const aiopq_returns_t *returns);

/* The lender's thread: tells the owners and frees the chunks. */
void aiopq_returns_release(aiopq_returns_t *returns);

/* A full chunk that refers to lent bytes, at most UINT32_MAX of them, and comes back to `returns`, which must outlive it.
 * NULL when there is no memory. */
aiopq_chunk_t *aiopq_chunk_lend(const aiopq_lent_t *lent, aiopq_returns_t *returns);

/* Where the bytes of a chunk start. */
const uint8_t *aiopq_chunk_bytes(const aiopq_chunk_t *chunk);

/* The consumer is done with a lent chunk. */
void aiopq_chunk_return(aiopq_chunk_t *chunk);

#endif
