#include "base/lent.h"

#include <stdlib.h>

#include "base/live.h"

/* What stands in the `data` of a lent chunk. */
typedef struct aiopq_lending {
    aiopq_lent_t lent;
    aiopq_returns_t *returns; /* borrowed */
} aiopq_lending_t;

_Static_assert(offsetof(aiopq_chunk_t, data) % _Alignof(aiopq_lending_t) == 0,
               "the data of a chunk is not aligned");

static aiopq_lending_t *lending_of(const aiopq_chunk_t *chunk)
{
    return (aiopq_lending_t *)(void *)chunk->data;
}

void aiopq_returns_init(aiopq_returns_t *returns)
{
    atomic_init(&returns->first, NULL);
}

bool aiopq_returns_wait(const aiopq_returns_t *returns)
{
    return atomic_load_explicit(&returns->first, memory_order_relaxed) != NULL;
}

void aiopq_returns_release(aiopq_returns_t *returns)
{
    if (!aiopq_returns_wait(returns)) {
        return;
    }
    /* Acquire: pairs with the release in aiopq_chunk_return(); the consumer's last look at the bytes comes before. */
    aiopq_chunk_t *chunk = atomic_exchange_explicit(&returns->first, NULL, memory_order_acquire);
    while (chunk != NULL) {
        aiopq_chunk_t *next = chunk->next;
        aiopq_lent_t lent = lending_of(chunk)->lent;
        free(chunk);
        aiopq_live_add(AIOPQ_LIVE_CHUNK, -1);
        lent.release(lent.owner);
        chunk = next;
    }
}

aiopq_chunk_t *aiopq_chunk_lend(const aiopq_lent_t *lent, aiopq_returns_t *returns)
{
    aiopq_chunk_t *chunk = aiopq_chunk_new((uint32_t)sizeof(aiopq_lending_t));
    if (chunk != NULL) {
        *lending_of(chunk) = (aiopq_lending_t){.lent = *lent, .returns = returns};
        chunk->is_lent = 1;
        chunk->capacity = chunk->filled = (uint32_t)lent->length;
    }
    return chunk;
}

const uint8_t *aiopq_chunk_bytes(const aiopq_chunk_t *chunk)
{
    return chunk->is_lent != 0 ? lending_of(chunk)->lent.bytes : chunk->data;
}

void aiopq_chunk_return(aiopq_chunk_t *chunk)
{
    aiopq_returns_t *returns = lending_of(chunk)->returns;
    chunk->next = atomic_load_explicit(&returns->first, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&returns->first, &chunk->next, chunk, memory_order_release,
                                                  memory_order_relaxed)) {
    }
}
