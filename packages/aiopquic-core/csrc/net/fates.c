#include "net/fates.h"

#include <stdlib.h>
#include <string.h>

#include "base/live.h"

struct aiopq_fate_entry {
    aiopq_fate_entry_t *next, *previous;        /* in its list, by age */
    aiopq_fate_entry_t *next_in_bucket, **link; /* what points to it there */
    uint64_t number, sent_us, digest;
    bool is_lost;
};

/* Buckets at first, when the first datagram is tracked; they double as long as they hold more than one each. */
#define BUCKETS_MIN 64u

/* Of datagrams that are equal but for their time, so many are looked at for the one of that very time. */
#define EQUALS_MAX 64u

/* Sixteen bits of the length and 48 of the content (FNV-1a, 64 bits, folded). A collision would exchange two
 * fates, nothing else. */
static uint64_t digest_of(const uint8_t *content, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ content[i]) * 0x100000001b3u;
    }
    return (hash ^ (hash >> 48)) << 16 | (length & 0xffff);
}

static aiopq_fate_entry_t **bucket_of(const aiopq_fates_t *fates, uint64_t digest)
{
    return &fates->buckets[(digest >> 16 ^ digest) & (fates->bucket_count - 1)];
}

static void put_into_bucket(const aiopq_fates_t *fates, aiopq_fate_entry_t *entry)
{
    entry->link = bucket_of(fates, entry->digest);
    entry->next_in_bucket = *entry->link;
    if (entry->next_in_bucket != NULL) {
        entry->next_in_bucket->link = &entry->next_in_bucket;
    }
    *entry->link = entry;
}

static void append(aiopq_fate_list_t *list, aiopq_fate_entry_t *entry)
{
    entry->next = NULL;
    entry->previous = list->last;
    if (list->last != NULL) {
        list->last->next = entry;
    } else {
        list->first = entry;
    }
    list->last = entry;
    list->count++;
}

static void take_out(aiopq_fate_list_t *list, aiopq_fate_entry_t *entry)
{
    if (entry->previous != NULL) {
        entry->previous->next = entry->next;
    } else {
        list->first = entry->next;
    }
    if (entry->next != NULL) {
        entry->next->previous = entry->previous;
    } else {
        list->last = entry->previous;
    }
    list->count--;
}

static void forget(aiopq_fates_t *fates, aiopq_fate_entry_t *entry)
{
    *entry->link = entry->next_in_bucket;
    if (entry->next_in_bucket != NULL) {
        entry->next_in_bucket->link = entry->link;
    }
    take_out(entry->is_lost ? &fates->lost : &fates->in_flight, entry);
    free(entry);
    aiopq_live_add(AIOPQ_LIVE_BLOCK, -1);
}

void aiopq_fates_dispose(aiopq_fates_t *fates)
{
    while (fates->in_flight.first != NULL) {
        forget(fates, fates->in_flight.first);
    }
    while (fates->lost.first != NULL) {
        forget(fates, fates->lost.first);
    }
    free(fates->buckets);
    memset(fates, 0, sizeof(*fates));
}

/* False only when there are no buckets at all. */
static bool make_buckets(aiopq_fates_t *fates)
{
    uint32_t count = fates->in_flight.count + fates->lost.count;
    if (fates->buckets != NULL && count < fates->bucket_count) {
        return true;
    }
    uint32_t doubled = fates->buckets != NULL ? 2 * fates->bucket_count : BUCKETS_MIN;
    aiopq_fate_entry_t **buckets = calloc(doubled, sizeof(aiopq_fate_entry_t *));
    if (buckets == NULL) {
        return fates->buckets != NULL;
    }
    free(fates->buckets);
    fates->buckets = buckets;
    fates->bucket_count = doubled;
    for (int i = 0; i < 2; i++) {
        aiopq_fate_entry_t *entry = i == 0 ? fates->lost.first : fates->in_flight.first;
        for (; entry != NULL; entry = entry->next) {
            put_into_bucket(fates, entry);
        }
    }
    return true;
}

uint64_t aiopq_fates_add(aiopq_fates_t *fates, uint64_t number, uint64_t sent_us, const uint8_t *content,
                         size_t length)
{
    uint64_t given_up = 0;
    if (fates->in_flight.count + fates->lost.count >= AIOPQ_FATES_MAX) {
        if (fates->lost.first != NULL) {
            forget(fates, fates->lost.first); /* its sender was told */
        } else {
            given_up = fates->in_flight.first->number;
            forget(fates, fates->in_flight.first);
        }
    }
    aiopq_fate_entry_t *entry = make_buckets(fates) ? malloc(sizeof(*entry)) : NULL;
    if (entry == NULL) {
        return number;
    }
    aiopq_live_add(AIOPQ_LIVE_BLOCK, 1);
    entry->number = number;
    entry->sent_us = sent_us;
    entry->digest = digest_of(content, length);
    entry->is_lost = false;
    put_into_bucket(fates, entry);
    append(&fates->in_flight, entry);
    return given_up;
}

/* The one of that very time; else an older one that looks the same, of those in flight first. */
static aiopq_fate_entry_t *find(const aiopq_fates_t *fates, uint64_t digest, uint64_t sent_us,
                                bool may_be_lost)
{
    aiopq_fate_entry_t *in_flight = NULL, *lost = NULL;
    aiopq_fate_entry_t *entry = *bucket_of(fates, digest);
    for (uint32_t seen = 0; entry != NULL && seen < EQUALS_MAX; entry = entry->next_in_bucket) {
        if (entry->digest != digest) {
            continue;
        }
        seen++;
        if (entry->sent_us == sent_us && (may_be_lost || !entry->is_lost)) {
            return entry;
        }
        *(entry->is_lost ? &lost : &in_flight) = entry;
    }
    return in_flight == NULL && may_be_lost ? lost : in_flight;
}

uint64_t aiopq_fates_acked(aiopq_fates_t *fates, uint64_t sent_us, const uint8_t *content, size_t length,
                           bool *was_lost)
{
    *was_lost = false;
    aiopq_fate_entry_t *entry =
        fates->buckets != NULL ? find(fates, digest_of(content, length), sent_us, true) : NULL;
    if (entry == NULL) {
        return 0;
    }
    uint64_t number = entry->number;
    *was_lost = entry->is_lost;
    forget(fates, entry);
    return number;
}

uint64_t aiopq_fates_lost(aiopq_fates_t *fates, uint64_t sent_us, const uint8_t *content, size_t length)
{
    aiopq_fate_entry_t *entry =
        fates->buckets != NULL ? find(fates, digest_of(content, length), sent_us, false) : NULL;
    if (entry == NULL) {
        return 0;
    }
    take_out(&fates->in_flight, entry);
    entry->is_lost = true;
    append(&fates->lost, entry);
    uint64_t number = entry->number;
    if (fates->lost.count > AIOPQ_FATES_LOST_MAX) {
        forget(fates, fates->lost.first);
    }
    return number;
}
