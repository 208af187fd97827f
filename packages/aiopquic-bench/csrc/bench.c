#include "bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

int bench_fail(int exit_code, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    printf("{\"problem\": \"%s\"}\n", text);
    return exit_code;
}

double bench_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

double bench_cpu(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

const uint8_t *bench_pattern(uint64_t position)
{
    static uint8_t bytes[BENCH_PERIOD + BENCH_PATTERN_SPAN];
    static bool is_made;
    if (!is_made) {
        uint64_t state = 1;
        for (size_t at = 0; at < sizeof(bytes); at++) {
            /* Knuth's constants for a linear congruence of 64 bits; the upper bits are the good ones. */
            state = state * 6364136223846793005u + 1442695040888963407u;
            bytes[at] = at < BENCH_PERIOD ? (uint8_t)(state >> 56) : bytes[at - BENCH_PERIOD];
        }
        is_made = true;
    }
    return bytes + position % BENCH_PERIOD;
}
