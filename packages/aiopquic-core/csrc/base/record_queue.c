#include "base/record_queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/live.h"

struct aiopq_record_block {
    _Atomic(aiopq_record_block_t *) next; /* set once by the producer when it starts the next block */
    _Atomic uint32_t filled;              /* bytes of records that the consumer may read */
    _Alignas(AIOPQ_RECORD_HEADER_BYTES) uint8_t bytes[AIOPQ_RECORD_BLOCK_BYTES];
};

/* In front of each record. */
typedef struct header {
    uint32_t size; /* of the record; the next header follows it, aligned */
} header_t;

_Static_assert(sizeof(header_t) <= AIOPQ_RECORD_HEADER_BYTES, "a header fits in front of its record");

static aiopq_record_block_t *block_new(void)
{
    aiopq_record_block_t *block = malloc(sizeof(*block));
    if (block != NULL) {
        aiopq_live_add(AIOPQ_LIVE_BLOCK, 1);
    }
    return block;
}

static void block_free(aiopq_record_block_t *block)
{
    if (block != NULL) {
        aiopq_live_add(AIOPQ_LIVE_BLOCK, -1);
        free(block);
    }
}

void aiopq_record_queue_init(aiopq_record_queue_t *queue)
{
    memset(queue, 0, sizeof(*queue));
}

void aiopq_record_queue_dispose(aiopq_record_queue_t *queue)
{
    /* A consumer that never looked has no head yet. */
    aiopq_record_block_t *block =
        queue->head != NULL ? queue->head : atomic_load_explicit(&queue->first, memory_order_relaxed);
    while (block != NULL) {
        aiopq_record_block_t *next = atomic_load_explicit(&block->next, memory_order_relaxed);
        block_free(block);
        block = next;
    }
    block_free(atomic_load_explicit(&queue->spare, memory_order_relaxed));
    memset(queue, 0, sizeof(*queue));
}

/* Producer: a fresh block behind the one that has no room. */
static bool append_block(aiopq_record_queue_t *queue)
{
    /* Acquire: pairs with the release in retire_head(); the consumer is done with the block. */
    aiopq_record_block_t *block = atomic_exchange_explicit(&queue->spare, NULL, memory_order_acquire);
    if (block == NULL && (block = block_new()) == NULL) {
        return false;
    }
    atomic_init(&block->next, NULL);
    atomic_init(&block->filled, 0);
    /* Release: pairs with the acquires in see_head() and next_block(); the consumer must see an initialised
     * block. */
    if (queue->tail == NULL) {
        atomic_store_explicit(&queue->first, block, memory_order_release);
    } else {
        atomic_store_explicit(&queue->tail->next, block, memory_order_release);
    }
    queue->tail = block;
    queue->tail_used = 0;
    return true;
}

void *aiopq_record_queue_reserve(aiopq_record_queue_t *queue, size_t size)
{
    if (size > AIOPQ_RECORD_MAX) {
        return NULL;
    }
    uint32_t needed = (uint32_t)aiopq_record_bytes(size);
    if ((queue->tail == NULL || needed > AIOPQ_RECORD_BLOCK_BYTES - queue->tail_used) &&
        !append_block(queue)) {
        return NULL;
    }
    uint8_t *start = queue->tail->bytes + queue->tail_used;
    ((header_t *)start)->size = (uint32_t)size;
    queue->reserved = needed;
    return start + AIOPQ_RECORD_HEADER_BYTES;
}

void aiopq_record_queue_commit(aiopq_record_queue_t *queue)
{
    queue->tail_used += queue->reserved;
    /* Before the record can be taken, or the popped ones would overtake these. */
    uint64_t pushed = atomic_load_explicit(&queue->pushed, memory_order_relaxed);
    uint64_t pushed_bytes = atomic_load_explicit(&queue->pushed_bytes, memory_order_relaxed);
    atomic_store_explicit(&queue->pushed, pushed + 1, memory_order_release);
    atomic_store_explicit(&queue->pushed_bytes, pushed_bytes + queue->reserved, memory_order_release);
    queue->reserved = 0;
    /* Release: pairs with the acquire in head_has_record(); the record before its count. */
    atomic_store_explicit(&queue->tail->filled, queue->tail_used, memory_order_release);
}

static bool see_head(aiopq_record_queue_t *queue)
{
    if (queue->head == NULL) {
        queue->head = atomic_load_explicit(&queue->first, memory_order_acquire);
    }
    return queue->head != NULL;
}

static bool head_has_record(const aiopq_record_queue_t *queue)
{
    return queue->head_used < atomic_load_explicit(&queue->head->filled, memory_order_acquire);
}

/* Consumer: leaves the emptied block to the producer, or frees one when another waits there already. */
static void retire_head(aiopq_record_queue_t *queue, aiopq_record_block_t *next)
{
    aiopq_record_block_t *emptied = queue->head;
    queue->head = next;
    queue->head_used = 0;
    /* Release: pairs with the acquire in append_block(). */
    block_free(atomic_exchange_explicit(&queue->spare, emptied, memory_order_acq_rel));
}

const void *aiopq_record_queue_peek(aiopq_record_queue_t *queue, size_t *size)
{
    *size = 0;
    if (!see_head(queue)) {
        return NULL;
    }
    if (!head_has_record(queue)) {
        /* The producer links a block when it needs one, and fills the older one no further: what it put there
         * before is seen now, if it was not a moment ago. */
        aiopq_record_block_t *next = atomic_load_explicit(&queue->head->next, memory_order_acquire);
        if (next != NULL && !head_has_record(queue)) {
            retire_head(queue, next);
        }
        if (!head_has_record(queue)) {
            return NULL;
        }
    }
    const uint8_t *start = queue->head->bytes + queue->head_used;
    *size = ((const header_t *)start)->size;
    return start + AIOPQ_RECORD_HEADER_BYTES;
}

void aiopq_record_queue_pop(aiopq_record_queue_t *queue)
{
    const header_t *header = (const header_t *)(queue->head->bytes + queue->head_used);
    uint32_t length = (uint32_t)aiopq_record_bytes(header->size);
    queue->head_used += length;
    uint64_t popped = atomic_load_explicit(&queue->popped, memory_order_relaxed);
    uint64_t popped_bytes = atomic_load_explicit(&queue->popped_bytes, memory_order_relaxed);
    atomic_store_explicit(&queue->popped, popped + 1, memory_order_release);
    /* Sequentially consistent, as the load in aiopq_record_queue_bytes(): whoever raises a flag and then reads
     * the bytes crosses whoever pops and then reads the flag. */
    atomic_store(&queue->popped_bytes, popped_bytes + length);
}

void aiopq_record_queue_discard(aiopq_record_queue_t *queue)
{
    size_t size;
    while (aiopq_record_queue_peek(queue, &size) != NULL) {
        aiopq_record_queue_pop(queue);
    }
}

uint64_t aiopq_record_queue_size(const aiopq_record_queue_t *queue)
{
    /* `popped` first: it never overtakes a `pushed` that is read after it. */
    uint64_t popped = atomic_load_explicit(&queue->popped, memory_order_acquire);
    return atomic_load_explicit(&queue->pushed, memory_order_acquire) - popped;
}

uint64_t aiopq_record_queue_bytes(const aiopq_record_queue_t *queue)
{
    uint64_t popped = atomic_load(&queue->popped_bytes);
    return atomic_load_explicit(&queue->pushed_bytes, memory_order_acquire) - popped;
}
