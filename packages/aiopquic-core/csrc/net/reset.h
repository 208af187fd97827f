/* The ends of a stream's directions that we bring about. */
#ifndef AIOPQ_NET_RESET_H
#define AIOPQ_NET_RESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiopquic/engine.h"

/* A reset that waits until the bytes that must arrive are in packets; network thread only. */
typedef struct aiopq_pending_reset {
    aiopq_stream_t *next; /* the engine's list, which holds a reference */
    bool is_due, is_listed;
    uint64_t error_code, size; /* `size` bytes go out first */
} aiopq_pending_reset_t;

/* Resets the sending side; the first `reliable` bytes arrive if the peer knows RESET_STREAM_AT. */
void aiopq_reset_sending(aiopq_stream_t *stream, uint64_t error_code, uint64_t reliable) AIOPQ_NET;

/* Asks the peer to stop (STOP_SENDING), and takes no more. */
void aiopq_stop_receiving(aiopq_stream_t *stream, uint64_t error_code) AIOPQ_NET;

/* picoquic's callback for a stream whose reset waits. */
int aiopq_reset_prepare(aiopq_stream_t *stream, void *context, size_t space) AIOPQ_NET;

/* Sends the resets whose bytes are in packets: not possible from inside picoquic's callback. */
void aiopq_resets_finish(aiopq_engine_t *engine) AIOPQ_NET;

#endif
