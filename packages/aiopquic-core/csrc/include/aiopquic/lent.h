/* Bytes of the application that are sent from where they are. */
#ifndef AIOPQUIC_LENT_H
#define AIOPQUIC_LENT_H

#include <stddef.h>
#include <stdint.h>

typedef struct aiopq_lent {
    const uint8_t *bytes; /* must stay, and stay as they are, until the release */
    size_t length;
    void *owner;
    void (*release)(void *owner); /* called once, on the loop thread */
} aiopq_lent_t;

#endif
