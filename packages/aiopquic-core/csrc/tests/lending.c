#include "lending.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

typedef struct block {
    pthread_t lender;
    size_t length;
    uint8_t bytes[];
} block_t;

static _Atomic int64_t lent;

static void release(void *owner)
{
    block_t *block = owner;
    CHECK(pthread_equal(block->lender, pthread_self()));
    memset(block->bytes, 0xee, block->length);
    free(block);
    CHECK(atomic_fetch_sub(&lent, 1) > 0);
}

aiopq_lent_t lending_make(size_t length)
{
    block_t *block = malloc(sizeof(*block) + length);
    CHECK(block != NULL);
    block->lender = pthread_self();
    block->length = length;
    atomic_fetch_add(&lent, 1);
    return (aiopq_lent_t){.bytes = block->bytes, .length = length, .owner = block, .release = release};
}

int64_t lending_count(void)
{
    return atomic_load(&lent);
}
