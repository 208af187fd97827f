#if defined(__linux__)
#include "driver/spin.h"

#include <sched.h>
#include <string.h>

void aiopq_spin_init(aiopq_spin_t *spin, uint32_t duration_us)
{
    cpu_set_t cores;
    memset(spin, 0, sizeof(*spin));
    /* More cores than the set has room for are many. */
    bool is_alone = sched_getaffinity(0, sizeof(cores), &cores) == 0 && CPU_COUNT(&cores) == 1;
    spin->duration_us = is_alone ? 0 : duration_us;
}

bool aiopq_spin_again(aiopq_spin_t *spin, bool has_worked, uint64_t now_us)
{
    if (has_worked) {
        spin->failures = spin->is_on ? 0 : spin->failures;
        spin->is_on = false;
    }
    if (!spin->is_on) {
        if (spin->rest > 0) {
            spin->rest--;
            return false;
        }
        spin->is_on = spin->duration_us > 0;
        spin->until_us = now_us + spin->duration_us;
        return spin->is_on;
    }
    if (now_us < spin->until_us) {
        return true;
    }
    spin->is_on = false;
    if (++spin->failures >= AIOPQ_SPIN_FAILURES) {
        spin->failures = AIOPQ_SPIN_FAILURES - 1; /* after the rest, one try */
        spin->rest = AIOPQ_SPIN_REST;
    }
    return false;
}
#endif
