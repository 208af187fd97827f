#include "base/byte_queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/lent.h"
#include "base/live.h"

aiopq_chunk_t *aiopq_chunk_new(uint32_t capacity)
{
    aiopq_chunk_t *chunk = malloc(sizeof(*chunk) + capacity);
    if (chunk != NULL) {
        chunk->next = NULL;
        chunk->last = chunk;
        chunk->capacity = capacity;
        chunk->filled = 0;
        chunk->read = 0;
        chunk->is_lent = 0;
        aiopq_live_add(AIOPQ_LIVE_CHUNK, 1);
    }
    return chunk;
}

void aiopq_chunk_free(aiopq_chunk_t *chunk)
{
    if (chunk == NULL) {
        return;
    }
    if (chunk->is_lent != 0) {
        aiopq_chunk_return(chunk);
    } else {
        aiopq_live_add(AIOPQ_LIVE_CHUNK, -1);
        free(chunk);
    }
}

void aiopq_chunk_free_list(aiopq_chunk_t *first)
{
    while (first != NULL) {
        aiopq_chunk_t *next = first->next;
        aiopq_chunk_free(first);
        first = next;
    }
}

void aiopq_byte_queue_init(aiopq_byte_queue_t *queue)
{
    atomic_init(&queue->waiting, NULL);
    queue->list_bytes = 0;
    queue->current = NULL;
    queue->current_bytes = 0;
}

void aiopq_byte_queue_dispose(aiopq_byte_queue_t *queue)
{
    aiopq_byte_queue_discard(queue);
}

static size_t append(aiopq_chunk_t *chunk, const uint8_t *data, size_t length)
{
    size_t room = chunk->capacity - chunk->filled;
    size_t copied = length < room ? length : room;
    memcpy(chunk->data + chunk->filled, data, copied);
    chunk->filled += (uint32_t)copied;
    return copied;
}

/* The chunk for `length` bytes that do not fit behind those that wait. */
static aiopq_chunk_t *next_chunk(const aiopq_byte_queue_t *queue, size_t length, bool is_last)
{
    size_t capacity = is_last ? length : 2 * queue->list_bytes;
    if (capacity < AIOPQ_CHUNK_MIN && !is_last) {
        capacity = AIOPQ_CHUNK_MIN;
    }
    if (capacity < length) {
        capacity = length;
    }
    return aiopq_chunk_new((uint32_t)(capacity < AIOPQ_CHUNK_MAX ? capacity : AIOPQ_CHUNK_MAX));
}

/* Producer: the list that waits, which the consumer does not see meanwhile; NULL when there is none. */
static aiopq_chunk_t *take_back(aiopq_byte_queue_t *queue)
{
    /* Acquire: pairs with our own release in put(), so this thread goes on where it stopped. */
    return atomic_exchange_explicit(&queue->waiting, NULL, memory_order_acquire);
}

/* Producer: hands over the list and, behind it, what was added; either may be empty. */
static void put(aiopq_byte_queue_t *queue, aiopq_chunk_t *list, aiopq_chunk_t *added,
                aiopq_chunk_t *added_last)
{
    if (list == NULL) {
        list = added;
    } else if (added != NULL) {
        list->last->next = added;
    }
    if (added != NULL) {
        list->last = added_last;
    }
    /* Release: pairs with the acquire in aiopq_byte_queue_take(); the bytes before the list. */
    if (list != NULL) {
        atomic_store_explicit(&queue->waiting, list, memory_order_release);
    }
}

bool aiopq_byte_queue_write(aiopq_byte_queue_t *queue, const uint8_t *data, size_t length, bool is_last)
{
    if (length == 0) {
        return true;
    }
    aiopq_chunk_t *list = take_back(queue);
    size_t room = list != NULL ? list->last->capacity - list->last->filled : 0;
    size_t spill = length > room ? length - room : 0;

    /* Every chunk first, so that nothing has been appended when memory runs out. */
    aiopq_chunk_t *added = NULL, *added_last = NULL;
    bool complete = true;
    for (size_t covered = 0; covered < spill && complete;) {
        aiopq_chunk_t *chunk = next_chunk(queue, spill - covered, is_last);
        if (chunk == NULL) {
            complete = false;
        } else {
            covered += chunk->capacity;
            if (added == NULL) {
                added = chunk;
            } else {
                added_last->next = chunk;
            }
            added_last = chunk;
        }
    }
    if (!complete) {
        aiopq_chunk_free_list(added);
        added = NULL;
    } else {
        queue->list_bytes = list != NULL ? queue->list_bytes + length : length;
        if (room > 0) {
            size_t copied = append(list->last, data, length);
            data += copied;
            length -= copied;
        }
        for (aiopq_chunk_t *chunk = added; chunk != NULL; chunk = chunk->next) {
            size_t copied = append(chunk, data, length);
            data += copied;
            length -= copied;
        }
    }
    put(queue, list, added, added_last);
    return complete;
}

bool aiopq_byte_queue_lend(aiopq_byte_queue_t *queue, const aiopq_lent_t *lent, aiopq_returns_t *returns)
{
    aiopq_chunk_t *chunk = aiopq_chunk_lend(lent, returns);
    if (chunk != NULL) {
        aiopq_chunk_t *list = take_back(queue);
        /* Not counted: what a small write behind it needs says what was copied, not how much was lent. */
        queue->list_bytes = list != NULL ? queue->list_bytes : 0;
        put(queue, list, chunk, chunk);
    }
    return chunk != NULL;
}

aiopq_chunk_t *aiopq_byte_queue_take(aiopq_byte_queue_t *queue)
{
    if (atomic_load_explicit(&queue->waiting, memory_order_relaxed) == NULL) {
        return NULL;
    }
    return atomic_exchange_explicit(&queue->waiting, NULL, memory_order_acquire);
}

size_t aiopq_byte_queue_gather(aiopq_byte_queue_t *queue, size_t wanted)
{
    if (queue->current_bytes < wanted) {
        aiopq_chunk_t *list = aiopq_byte_queue_take(queue);
        if (list != NULL) {
            for (aiopq_chunk_t *chunk = list; chunk != NULL; chunk = chunk->next) {
                queue->current_bytes += chunk->filled;
            }
            if (queue->current == NULL) {
                queue->current = list;
            } else {
                queue->current->last->next = list;
                queue->current->last = list->last;
            }
        }
    }
    return queue->current_bytes;
}

void aiopq_byte_queue_read(aiopq_byte_queue_t *queue, uint8_t *data, size_t length)
{
    queue->current_bytes -= length;
    while (length > 0) {
        aiopq_chunk_t *chunk = queue->current;
        size_t run = chunk->filled - chunk->read;
        if (run > length) {
            run = length;
        }
        memcpy(data, aiopq_chunk_bytes(chunk) + chunk->read, run);
        chunk->read += (uint32_t)run;
        data += run;
        length -= run;
        if (chunk->read == chunk->filled) {
            queue->current = chunk->next;
            if (chunk->next != NULL) {
                chunk->next->last = chunk->last;
            }
            aiopq_chunk_free(chunk);
        }
    }
}

void aiopq_byte_queue_discard(aiopq_byte_queue_t *queue)
{
    aiopq_chunk_free_list(queue->current);
    queue->current = NULL;
    queue->current_bytes = 0;
    aiopq_chunk_free_list(aiopq_byte_queue_take(queue));
}
