#include "base/spsc_queue.h"

#include <stdlib.h>
#include <string.h>

struct aiopq_spsc_block {
    _Atomic(aiopq_spsc_block_t *) next; /* set once by the producer when it starts the next block */
    _Atomic uint32_t filled;            /* entries that the consumer may read */
    _Alignas(max_align_t) uint8_t entries[];
};

static aiopq_spsc_block_t *block_new(const aiopq_spsc_queue_t *queue)
{
    aiopq_spsc_block_t *block = malloc(sizeof(*block) + queue->entry_bytes * queue->block_entries);
    if (block != NULL) {
        atomic_init(&block->next, NULL);
        atomic_init(&block->filled, 0);
    }
    return block;
}

bool aiopq_spsc_init(aiopq_spsc_queue_t *queue, size_t entry_bytes, uint32_t block_entries)
{
    memset(queue, 0, sizeof(*queue));
    queue->entry_bytes = entry_bytes;
    queue->block_entries = block_entries;
    atomic_init(&queue->pushed, 0);
    atomic_init(&queue->popped, 0);
    atomic_init(&queue->spare, NULL);
    queue->tail = queue->head = block_new(queue);
    return queue->head != NULL;
}

void aiopq_spsc_dispose(aiopq_spsc_queue_t *queue)
{
    aiopq_spsc_block_t *block = queue->head;
    while (block != NULL) {
        aiopq_spsc_block_t *next = atomic_load_explicit(&block->next, memory_order_relaxed);
        free(block);
        block = next;
    }
    free(atomic_load_explicit(&queue->spare, memory_order_relaxed));
    memset(queue, 0, sizeof(*queue));
}

/* Producer: a fresh block behind the full one. */
static bool append_block(aiopq_spsc_queue_t *queue)
{
    /* Acquire: pairs with the release in retire_head(); the consumer is done with the block. */
    aiopq_spsc_block_t *block = atomic_exchange_explicit(&queue->spare, NULL, memory_order_acquire);
    if (block == NULL) {
        block = block_new(queue);
        if (block == NULL) {
            return false;
        }
    } else {
        atomic_store_explicit(&block->next, NULL, memory_order_relaxed);
        atomic_store_explicit(&block->filled, 0, memory_order_relaxed);
    }
    /* Release: pairs with the acquire in next_block(); the consumer must see an initialised block. */
    atomic_store_explicit(&queue->tail->next, block, memory_order_release);
    queue->tail = block;
    queue->tail_used = 0;
    return true;
}

bool aiopq_spsc_push(aiopq_spsc_queue_t *queue, const void *entry)
{
    if (queue->tail_used == queue->block_entries && !append_block(queue)) {
        return false;
    }
    memcpy(queue->tail->entries + queue->entry_bytes * queue->tail_used, entry, queue->entry_bytes);
    queue->tail_used++;
    /* Before the entry can be taken, or `popped` would overtake it. */
    uint64_t pushed = atomic_load_explicit(&queue->pushed, memory_order_relaxed);
    atomic_store_explicit(&queue->pushed, pushed + 1, memory_order_release);
    /* Release: pairs with the acquire in head_has_entry(); the entry before its count. */
    atomic_store_explicit(&queue->tail->filled, queue->tail_used, memory_order_release);
    return true;
}

static bool head_has_entry(const aiopq_spsc_queue_t *queue)
{
    return queue->head_used < atomic_load_explicit(&queue->head->filled, memory_order_acquire);
}

static aiopq_spsc_block_t *next_block(const aiopq_spsc_queue_t *queue)
{
    if (queue->head_used < queue->block_entries) {
        return NULL;
    }
    return atomic_load_explicit(&queue->head->next, memory_order_acquire);
}

/* Consumer: moves on to `next` and leaves the emptied block to the producer, or frees it when one waits
 * there already. */
static void retire_head(aiopq_spsc_queue_t *queue, aiopq_spsc_block_t *next)
{
    aiopq_spsc_block_t *emptied = queue->head;
    queue->head = next;
    queue->head_used = 0;
    /* Release: pairs with the acquire in append_block(). */
    free(atomic_exchange_explicit(&queue->spare, emptied, memory_order_acq_rel));
}

bool aiopq_spsc_has_entry(const aiopq_spsc_queue_t *queue)
{
    /* A block is linked before its first entry is counted, so an empty new block means an empty queue. */
    aiopq_spsc_block_t *next = next_block(queue);
    if (next != NULL) {
        return atomic_load_explicit(&next->filled, memory_order_acquire) > 0;
    }
    return head_has_entry(queue);
}

bool aiopq_spsc_pop(aiopq_spsc_queue_t *queue, void *entry)
{
    aiopq_spsc_block_t *next = next_block(queue);
    if (next != NULL) {
        retire_head(queue, next);
    }
    if (!head_has_entry(queue)) {
        return false;
    }
    memcpy(entry, queue->head->entries + queue->entry_bytes * queue->head_used, queue->entry_bytes);
    queue->head_used++;
    uint64_t popped = atomic_load_explicit(&queue->popped, memory_order_relaxed);
    atomic_store_explicit(&queue->popped, popped + 1, memory_order_release);
    return true;
}

uint64_t aiopq_spsc_size(const aiopq_spsc_queue_t *queue)
{
    /* `popped` first: it never overtakes a `pushed` that is read after it. */
    uint64_t popped = atomic_load_explicit(&queue->popped, memory_order_acquire);
    uint64_t pushed = atomic_load_explicit(&queue->pushed, memory_order_acquire);
    return pushed - popped;
}
