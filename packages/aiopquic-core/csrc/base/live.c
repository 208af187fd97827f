#include "base/live.h"

#include <stdatomic.h>

/* Relaxed throughout: the counts are read when everything is quiet, they order nothing. */
static _Atomic int64_t counts[AIOPQ_LIVE_COUNT];

void aiopq_live_add(aiopq_live_kind_t kind, int64_t amount)
{
    atomic_fetch_add_explicit(&counts[kind], amount, memory_order_relaxed);
}

int64_t aiopq_live_get(aiopq_live_kind_t kind)
{
    return atomic_load_explicit(&counts[kind], memory_order_relaxed);
}
