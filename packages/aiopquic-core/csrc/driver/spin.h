/* Whether a thread that has nothing to do looks again at once or sleeps.
 *
 * To sleep and to be woken costs tens of microseconds, more than most of what a network thread waits for under load:
 * the loop thread's answer, the next packets of a stream, a moment of the pacer's. So a thread looks on for a short
 * while before it sleeps, and gives its core away between two looks to whoever wants it. Where that does not pay, it
 * stops: an idle engine sleeps, and one whose packets come at long intervals soon does not spin for each. */
#ifndef AIOPQ_DRIVER_SPIN_H
#define AIOPQ_DRIVER_SPIN_H

#include <stdbool.h>
#include <stdint.h>

/* So many spins in a row that found nothing, and there is none for the next so many waits. */
#define AIOPQ_SPIN_FAILURES 4
#define AIOPQ_SPIN_REST 64

/* Everything in it belongs to the thread that spins. */
typedef struct aiopq_spin {
    uint32_t duration_us; /* set once; 0: no spinning */
    bool is_on;           /* in a spin */
    uint32_t failures;    /* spins in a row that found nothing */
    uint32_t rest;        /* waits to come that are sleeps at once */
    uint64_t until_us;    /* when the spin is over */
} aiopq_spin_t;

/* Spins last `duration_us`, if this thread may use more cores than one: whoever is waited for needs another. */
void aiopq_spin_init(aiopq_spin_t *spin, uint32_t duration_us);

/* After a turn, with whether it had anything to do: true when another should follow at once, false for a sleep. */
bool aiopq_spin_again(aiopq_spin_t *spin, bool has_worked, uint64_t now_us);

#endif
