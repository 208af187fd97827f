/* Whether a thread that has nothing to do looks again at once or sleeps.
 *
 * To sleep and to be woken costs from a few to tens of microseconds, on a virtual machine most of all: more than most
 * of what a network thread waits for under load, which is the loop thread's answer, the next packets of a stream, a
 * moment of the pacer's. So a thread looks on for a while before it sleeps, and gives its core away between two looks
 * to whoever wants it.
 *
 * How long is learnt from the waits themselves, as hypervisors do before they halt a core: a wait that a longer look
 * would have caught doubles it, up to a bound, and one that is longer than the bound halves it. An idle engine soon
 * sleeps at once, and so does one whose packets come at long intervals.
 *
 * Who gives its core away to somebody that computes gets it back a time slice later, where one who sleeps is woken into
 * it. A look that took that long shows that no core is idle, and there is none for a while. */
#ifndef AIOPQ_DRIVER_SPIN_H
#define AIOPQ_DRIVER_SPIN_H

#include <stdbool.h>
#include <stdint.h>

/* The shortest look: about what a wake-up costs where it costs little. Below it there is none. */
#define AIOPQ_SPIN_FIRST_US 50

/* Two looks that lie further apart have a time slice of somebody else between them: longer than the loop thread takes
 * for a batch of events, shorter than the slices of Linux (1.4 ms and more on two cores). */
#define AIOPQ_SPIN_SLICE_US 1000

/* How long there are no looks then. */
#define AIOPQ_SPIN_REST_US 30000

/* Everything in it belongs to the thread that spins. */
typedef struct aiopq_spin {
    uint32_t longest_us;  /* set once; 0: no spinning */
    uint32_t duration_us; /* how long a look takes by now; 0: the next waits are sleeps at once */
    bool is_waiting;      /* nothing was found since `since_us` */
    uint64_t since_us;
    bool is_looking; /* the last answer, at `looked_us`, was to look again */
    uint64_t looked_us;
    uint64_t rest_until_us;
} aiopq_spin_t;

/* Spins last `longest_us` at most, if this thread may use more cores than one: whoever is waited for needs another. */
void aiopq_spin_init(aiopq_spin_t *spin, uint32_t longest_us);

/* There was something to do at `now_us`: a wait that was on is over, however it was spent. */
void aiopq_spin_found(aiopq_spin_t *spin, uint64_t now_us);

/* There is nothing to do at `now_us`: true when the thread should look again at once, false for a sleep. */
bool aiopq_spin_again(aiopq_spin_t *spin, uint64_t now_us);

#endif
