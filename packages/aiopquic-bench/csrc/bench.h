/* What the parts of the native program share: what is asked for, the pattern of bytes, clocks, and the answer. */
#ifndef AIOPQUIC_BENCH_H
#define AIOPQUIC_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The exit codes of the command aiopquic-bench, of which this program is a part. */
enum {
    BENCH_OK = 0,
    BENCH_FAILED = 1,
    BENCH_USAGE = 2,
    BENCH_STALLED = 4,
    BENCH_WRONG_BYTES = 5,
};

typedef struct {
    const char *certificate; /* PEM files of the simulated server */
    const char *key;
    const char *congestion_control;
    double rate_gbps;
    double loss; /* chance of each packet, 0 to 1 */
    double duration_s;
    double warm_up_s;
    double patience_s;
    uint64_t delay_us;
    uint64_t seed;
    uint64_t
        spoil; /* changes a bit of this byte of the stream, or of the datagrams from this one on; counts from 1 */
    size_t size; /* bytes of a UDP datagram */
    uint16_t port;
    bool uses_gso;
    bool uses_gro;
} bench_options_t;

int bench_sim_link(const bench_options_t *options);
int bench_udp_send(const bench_options_t *options);
int bench_udp_receive(const bench_options_t *options);

/* A line {"problem": "..."} on the standard output; returns the exit code. */
int bench_fail(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Seconds of CLOCK_MONOTONIC. */
double bench_now(void);

/* CPU seconds of this process, all threads, user and system. */
double bench_cpu(void);

/* The pattern repeats after a prime number of bytes, so that bytes which are missing or doubled show. */
#define BENCH_PERIOD 65521u
#define BENCH_PATTERN_SPAN 65536u /* as many bytes can be had at once */

/* The pattern from a position on: BENCH_PATTERN_SPAN bytes of it are in a row. */
const uint8_t *bench_pattern(uint64_t position);

#endif
