/* A path between a client and a server of 127.0.0.1 that loses and delays what the client sends, on demand:
 * a thread with two sockets. */
#ifndef AIOPQ_TESTS_RELAY_H
#define AIOPQ_TESTS_RELAY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Packets of more bytes than this carry more than acknowledgements and pings. */
#define RELAY_SMALL 200

typedef enum relay_mode {
    RELAY_PASS = 0,
    RELAY_DROP, /* larger packets of the client are lost; acknowledgements pass */
    RELAY_HOLD  /* larger packets of the client wait for relay_release() */
} relay_mode_t;

typedef struct relay {
    uint16_t port; /* where the client connects to */
    pthread_t thread;
    int front, back; /* towards the client and the server */
    _Atomic int mode;
    _Atomic bool must_release, must_end;
    _Atomic uint64_t dropped, held, released; /* packets; the relay's thread counts */
} relay_t;

void relay_start(relay_t *relay, uint16_t server_port);
void relay_set(relay_t *relay, relay_mode_t mode);

/* Sends on what was held, and waits until that is done. */
void relay_release(relay_t *relay);
void relay_stop(relay_t *relay);

#endif
