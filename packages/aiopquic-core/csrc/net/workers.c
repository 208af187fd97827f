#include "net/workers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void free_list(aiopq_handed_t *handed)
{
    while (handed != NULL) {
        aiopq_handed_t *next = handed->next;
        free(handed);
        handed = next;
    }
}

void aiopq_workers_close(aiopq_workers_t *workers)
{
    for (size_t i = 0; workers->fds != NULL && i < (size_t)workers->count * AIOPQ_WORKER_PLACES; i++) {
        if (workers->fds[i] >= 0) {
            close(workers->fds[i]);
            workers->fds[i] = -1;
        }
    }
    workers->place_count = 0;
}

static void free_group(aiopq_workers_t *workers, uint32_t entry_count)
{
    for (uint32_t i = 0; i < entry_count; i++) {
        aiopq_worker_entry_t *entry = &workers->entries[i];
        free_list(entry->first);
        aiopq_waker_dispose(&entry->waker);
        (void)pthread_mutex_destroy(&entry->lock);
    }
    aiopq_workers_close(workers);
    free(workers->fds);
    free(workers);
}

aiopq_workers_t *aiopq_workers_new(uint32_t count)
{
    aiopq_workers_t *workers = calloc(1, sizeof(*workers) + count * sizeof(workers->entries[0]));
    if (workers == NULL) {
        return NULL;
    }
    atomic_store_explicit(&workers->refs, 1, memory_order_relaxed);
    workers->count = count;
    size_t fd_count = (size_t)count * AIOPQ_WORKER_PLACES;
    workers->fds = malloc(fd_count * sizeof(workers->fds[0]));
    if (workers->fds == NULL) {
        free_group(workers, 0);
        errno = ENOMEM;
        return NULL;
    }
    memset(workers->fds, 0xff, fd_count * sizeof(workers->fds[0]));
    for (uint32_t i = 0; i < count; i++) {
        aiopq_worker_entry_t *entry = &workers->entries[i];
        entry->last = &entry->first;
        if (!aiopq_waker_init(&entry->waker, false)) {
            int error = errno;
            free_group(workers, i);
            errno = error;
            return NULL;
        }
        (void)pthread_mutex_init(&entry->lock, NULL);
    }
    return workers;
}

void aiopq_workers_ref(aiopq_workers_t *workers)
{
    atomic_fetch_add_explicit(&workers->refs, 1, memory_order_relaxed);
}

void aiopq_workers_unref(aiopq_workers_t *workers)
{
    if (workers != NULL && atomic_fetch_sub_explicit(&workers->refs, 1, memory_order_acq_rel) == 1) {
        free_group(workers, workers->count);
    }
}

uint16_t aiopq_workers_port(const aiopq_workers_t *workers)
{
    const struct sockaddr_storage *bound = &workers->places[0];
    return ntohs(bound->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)bound)->sin6_port
                                              : ((const struct sockaddr_in *)bound)->sin_port);
}

bool aiopq_workers_are_steered(const aiopq_workers_t *workers)
{
    return workers->is_steered;
}

/* ---- one limit for all ---- */

void aiopq_workers_reserve(aiopq_engine_t *engine)
{
    aiopq_workers_t *workers = engine->config.workers;
    uint32_t own = picoquic_current_number_connections(engine->quic);
    uint64_t all = 0;
    /* Sequentially consistent: of two workers that reserve at the same moment one at least sees the other. */
    atomic_store(&workers->entries[engine->config.worker].connections, own + 1);
    for (uint32_t i = 0; i < workers->count; i++) {
        all += atomic_load(&workers->entries[i].connections);
    }
    (void)picoquic_adjust_max_connections(engine->quic,
                                          all <= engine->config.max_connections ? own + 1 : own);
}

void aiopq_workers_settle(aiopq_engine_t *engine)
{
    _Atomic uint32_t *connections = &engine->config.workers->entries[engine->config.worker].connections;
    uint32_t own = picoquic_current_number_connections(engine->quic);
    if (atomic_load_explicit(connections, memory_order_relaxed) != own) {
        atomic_store(connections, own);
    }
}

/* ---- datagrams that arrived elsewhere ---- */

void aiopq_workers_join(aiopq_workers_t *workers, uint32_t worker)
{
    aiopq_worker_entry_t *entry = &workers->entries[worker];
    (void)pthread_mutex_lock(&entry->lock);
    entry->is_open = true;
    (void)pthread_mutex_unlock(&entry->lock);
}

void aiopq_workers_leave(aiopq_workers_t *workers, uint32_t worker)
{
    aiopq_worker_entry_t *entry = &workers->entries[worker];
    (void)pthread_mutex_lock(&entry->lock);
    entry->is_open = false;
    (void)pthread_mutex_unlock(&entry->lock);
    free_list(aiopq_workers_take(workers, worker));
    atomic_store(&entry->connections, 0);
}

bool aiopq_workers_hand_over(aiopq_workers_t *workers, uint32_t worker, const aiopq_datagram_t *datagram)
{
    aiopq_worker_entry_t *entry = &workers->entries[worker];
    aiopq_handed_t *handed = malloc(sizeof(*handed) + datagram->length);
    if (handed == NULL) {
        return false;
    }
    handed->next = NULL;
    handed->from = *datagram->from;
    handed->to = *datagram->to;
    handed->interface_index = datagram->interface_index;
    handed->ecn = datagram->ecn;
    handed->length = datagram->length;
    memcpy(handed->bytes, datagram->bytes, datagram->length);
    (void)pthread_mutex_lock(&entry->lock);
    bool has_room = entry->is_open && entry->byte_count + datagram->length <= AIOPQ_HANDED_BYTES;
    if (has_room) {
        *entry->last = handed;
        entry->last = &handed->next;
        entry->byte_count += datagram->length;
        atomic_store_explicit(&entry->has_handed, true, memory_order_relaxed);
    }
    (void)pthread_mutex_unlock(&entry->lock);
    if (has_room) {
        (void)aiopq_waker_signal(&entry->waker);
    } else {
        free(handed);
    }
    return has_room;
}

aiopq_handed_t *aiopq_workers_take(aiopq_workers_t *workers, uint32_t worker)
{
    aiopq_worker_entry_t *entry = &workers->entries[worker];
    if (!atomic_load_explicit(&entry->has_handed, memory_order_relaxed)) {
        return NULL; /* what is just being handed over wakes the worker once more */
    }
    (void)pthread_mutex_lock(&entry->lock);
    aiopq_handed_t *first = entry->first;
    entry->first = NULL;
    entry->last = &entry->first;
    entry->byte_count = 0;
    atomic_store_explicit(&entry->has_handed, false, memory_order_relaxed);
    (void)pthread_mutex_unlock(&entry->lock);
    return first;
}
