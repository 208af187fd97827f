/* A run of stream bytes that one thread owns at a time. */
#ifndef AIOPQUIC_CHUNK_H
#define AIOPQUIC_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "aiopquic/abi.h"

typedef struct aiopq_chunk aiopq_chunk_t;
struct aiopq_chunk {
    aiopq_chunk_t *next; /* the bytes behind these; NULL at the end of the list */
    aiopq_chunk_t *last; /* end of the list; meaningful in its first chunk only */
    uint32_t capacity;
    uint32_t filled;  /* bytes written from the start of `data` */
    uint32_t read;    /* bytes of those that the consumer is done with */
    uint32_t is_lent; /* 1 in send queues: the bytes are where `data` says (base/lent.h) */
    uint8_t data[];
};

/* An empty chunk, NULL when there is no memory. The caller owns it. */
AIOPQ_API aiopq_chunk_t *aiopq_chunk_new(uint32_t capacity);
AIOPQ_API void aiopq_chunk_free(aiopq_chunk_t *chunk);
AIOPQ_API void aiopq_chunk_free_list(aiopq_chunk_t *first);

#endif
