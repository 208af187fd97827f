/* What every C test needs: checks, a runner with a time limit, a clock and seeded random numbers. */
#ifndef AIOPQ_TESTS_TEST_H
#define AIOPQ_TESTS_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A test that hangs ends here; all others end far before it, on a busy machine too. */
#define TEST_LIMIT_SECONDS 120

/* Sanitizers cost five to twenty times; loops that only add confidence are shorter there. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SCALE(full, sanitized) (sanitized)
#else
#define TEST_SCALE(full, sanitized) (full)
#endif

typedef struct test_case {
    const char *name;
    void (*run)(void);
} test_case_t;

#define TEST(function) {#function, function}

/* Runs all cases, or those named on the command line. The answer is main()'s. */
int test_main(int argc, char **argv, const test_case_t *cases, size_t count);

#define TEST_MAIN(cases)                                                                                     \
    int main(int argc, char **argv)                                                                          \
    {                                                                                                        \
        return test_main(argc, argv, cases, sizeof(cases) / sizeof((cases)[0]));                             \
    }

/* A check that fails ends the process: what comes behind it would say nothing. Any thread may check. */
#define CHECK(condition) ((condition) ? (void)0 : test_fail(__FILE__, __LINE__, #condition))

/* Compares integers of up to 64 bits and prints both when they differ. */
#define CHECK_EQUAL(actual, expected)                                                                        \
    test_check_equal((int64_t)(actual), (int64_t)(expected), __FILE__, __LINE__, #actual, #expected)

/* No engine, connection, stream, chunk, event or block is left in this process. */
#define CHECK_NOTHING_ALIVE() test_check_nothing_alive(__FILE__, __LINE__)

_Noreturn void test_fail(const char *file, int line, const char *expression);
void test_check_equal(int64_t actual, int64_t expected, const char *file, int line, const char *actual_text,
                      const char *expected_text);
void test_check_nothing_alive(const char *file, int line);

/* Monotonic. */
uint64_t test_now_us(void);

/* The next number of the sequence that *state stands in (splitmix64); the same seed gives the same run. */
uint64_t test_random(uint64_t *state);

/* The byte at `offset` of the stream of bytes that a seed names, for checks of content and order. */
static inline uint8_t test_byte(uint64_t seed, uint64_t offset)
{
    uint64_t mixed = (offset + seed) * 0x9e3779b97f4a7c15u;
    return (uint8_t)(mixed >> 56);
}

void test_fill(uint8_t *bytes, size_t length, uint64_t seed, uint64_t offset);
bool test_matches(const uint8_t *bytes, size_t length, uint64_t seed, uint64_t offset);

#endif
