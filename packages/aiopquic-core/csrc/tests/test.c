#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/live.h"

#if defined(__SANITIZE_THREAD__)
/* picoquic's flag for ending a network thread is a plain int; a byte in the wake-up pipe follows it, so the
 * thread sees it. It serves only when an engine is joined that was not stopped. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:picoquic_delete_network_thread\n";
}
#endif

static const char *current_name = "";

_Noreturn void test_fail(const char *file, int line, const char *expression)
{
    fprintf(stderr, "%s:%d: %s: failed: %s\n", file, line, current_name, expression);
    fflush(NULL);
    /* Neither exit handlers nor leak reports: they would bury the message. */
    _Exit(1);
}

void test_check_equal(int64_t actual, int64_t expected, const char *file, int line, const char *actual_text,
                      const char *expected_text)
{
    if (actual != expected) {
        char text[512];
        (void)snprintf(text, sizeof(text), "%s == %s (%lld, expected %lld)", actual_text, expected_text,
                       (long long)actual, (long long)expected);
        test_fail(file, line, text);
    }
}

void test_check_nothing_alive(const char *file, int line)
{
    static const char *const names[AIOPQ_LIVE_COUNT] = {"engines", "connections", "streams", "chunks",
                                                        "events",  "attempts",    "blocks",  "protocols"};
    char text[256] = "nothing alive:";
    bool is_clean = true;
    for (int kind = 0; kind < AIOPQ_LIVE_COUNT; kind++) {
        int64_t count = aiopq_live_get((aiopq_live_kind_t)kind);
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof(text) - used, " %lld %s", (long long)count, names[kind]);
        is_clean = is_clean && count == 0;
    }
    if (!is_clean) {
        test_fail(file, line, text);
    }
}

uint64_t test_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint64_t test_random(uint64_t *state)
{
    uint64_t mixed = *state += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

void test_fill(uint8_t *bytes, size_t length, uint64_t seed, uint64_t offset)
{
    for (size_t i = 0; i < length; i++) {
        bytes[i] = test_byte(seed, offset + i);
    }
}

bool test_matches(const uint8_t *bytes, size_t length, uint64_t seed, uint64_t offset)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != test_byte(seed, offset + i)) {
            return false;
        }
    }
    return true;
}

/* Only what a signal handler may call. */
static void on_alarm(int number)
{
    static const char text[] = ": took too long\n";
    (void)number;
    (void)!write(STDERR_FILENO, current_name, strlen(current_name));
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(1);
}

static bool is_wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(name, argv[i]) == 0) {
            return true;
        }
    }
    return argc <= 1;
}

int test_main(int argc, char **argv, const test_case_t *cases, size_t count)
{
    (void)signal(SIGALRM, on_alarm);
    (void)signal(SIGPIPE, SIG_IGN);
    size_t run = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_wanted(cases[i].name, argc, argv)) {
            current_name = cases[i].name;
            printf("%s ...", current_name);
            fflush(stdout);
            uint64_t start = test_now_us();
            (void)alarm(TEST_LIMIT_SECONDS);
            cases[i].run();
            (void)alarm(0);
            printf(" ok, %.3f s\n", (double)(test_now_us() - start) / 1e6);
            fflush(stdout);
            run++;
        }
    }
    printf("%zu passed\n", run);
    return run > 0 ? 0 : 1;
}
