#if defined(__linux__)
#include "driver/spin.h"

#include <sched.h>
#include <string.h>

static uint32_t at_most(uint32_t value, uint32_t limit)
{
    return value < limit ? value : limit;
}

void aiopq_spin_init(aiopq_spin_t *spin, uint32_t longest_us)
{
    cpu_set_t cores;
    memset(spin, 0, sizeof(*spin));
    /* More cores than the set has room for are many. */
    bool is_alone = sched_getaffinity(0, sizeof(cores), &cores) == 0 && CPU_COUNT(&cores) == 1;
    spin->longest_us = is_alone ? 0 : longest_us;
    spin->duration_us = at_most(AIOPQ_SPIN_FIRST_US, spin->longest_us);
}

/* The look that was asked for begins at `now_us`. */
static void begin_look(aiopq_spin_t *spin, uint64_t now_us)
{
    if (spin->is_looking && now_us - spin->looked_us > AIOPQ_SPIN_SLICE_US) {
        spin->duration_us = 0;
        spin->rest_until_us = now_us + AIOPQ_SPIN_REST_US;
    }
    spin->is_looking = false;
}

void aiopq_spin_found(aiopq_spin_t *spin, uint64_t now_us)
{
    uint64_t waited_us = now_us - spin->since_us;
    begin_look(spin, now_us);
    if (!spin->is_waiting) {
        return;
    }
    spin->is_waiting = false;
    if (waited_us <= spin->duration_us || now_us < spin->rest_until_us) {
        return;
    }
    if (waited_us <= spin->longest_us) {
        uint32_t next_us = spin->duration_us == 0 ? AIOPQ_SPIN_FIRST_US : 2 * spin->duration_us;
        spin->duration_us = at_most(next_us, spin->longest_us);
    } else {
        spin->duration_us /= 2;
        if (spin->duration_us < AIOPQ_SPIN_FIRST_US) {
            spin->duration_us = 0;
        }
    }
}

bool aiopq_spin_again(aiopq_spin_t *spin, uint64_t now_us)
{
    begin_look(spin, now_us);
    if (!spin->is_waiting) {
        spin->is_waiting = true;
        spin->since_us = now_us;
    }
    spin->looked_us = now_us;
    spin->is_looking = now_us - spin->since_us < spin->duration_us;
    return spin->is_looking;
}
#endif
