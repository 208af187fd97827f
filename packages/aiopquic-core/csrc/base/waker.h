/* Wakes a thread that waits on a descriptor: an eventfd where there is one, a pipe elsewhere. */
#ifndef AIOPQ_BASE_WAKER_H
#define AIOPQ_BASE_WAKER_H

#include <stdatomic.h>
#include <stdbool.h>

typedef struct aiopq_waker {
    int read_fd;  /* what the waiting thread polls */
    int write_fd; /* the same descriptor with eventfd */
    _Atomic bool
        is_signalled; /* set by the waking thread, cleared by the waiting one: one write for many wakes */
} aiopq_waker_t;

/* False when the system has no descriptor left; errno tells. */
bool aiopq_waker_init(aiopq_waker_t *waker, bool use_pipe);
void aiopq_waker_dispose(aiopq_waker_t *waker);

/* Any thread: makes the descriptor readable. True when that took a system call, false when it was
 * readable already. */
bool aiopq_waker_signal(aiopq_waker_t *waker);

/* Waiting thread: makes the descriptor quiet. What was produced before a signal() that returned false is
 * visible after this call. */
void aiopq_waker_clear(aiopq_waker_t *waker);

/* For a waiting thread that signals itself: while muted, signal() does nothing. Clear before, and look for what was
 * produced after. */
void aiopq_waker_mute(aiopq_waker_t *waker, bool is_muted);

#endif
