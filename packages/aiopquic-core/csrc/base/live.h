/* Counts of live objects, so that a test can prove that nothing was left behind. */
#ifndef AIOPQ_BASE_LIVE_H
#define AIOPQ_BASE_LIVE_H

#include <stdint.h>

typedef enum aiopq_live_kind {
    AIOPQ_LIVE_ENGINE = 0,
    AIOPQ_LIVE_CONN,
    AIOPQ_LIVE_STREAM,
    AIOPQ_LIVE_CHUNK,
    AIOPQ_LIVE_EVENT,
    AIOPQ_LIVE_ATTEMPT,  /* clients that wait for an answer to INCOMING */
    AIOPQ_LIVE_BLOCK,    /* of memory for datagrams */
    AIOPQ_LIVE_PROTOCOL, /* objects of protocols */
    AIOPQ_LIVE_COUNT
} aiopq_live_kind_t;

void aiopq_live_add(aiopq_live_kind_t kind, int64_t amount);
int64_t aiopq_live_get(aiopq_live_kind_t kind);

#endif
