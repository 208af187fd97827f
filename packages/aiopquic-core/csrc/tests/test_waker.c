#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/waker.h"
#include "test.h"

static bool is_readable(const aiopq_waker_t *waker, int timeout_ms)
{
    struct pollfd wanted = {.fd = waker->read_fd, .events = POLLIN};
    int ready;
    do {
        ready = poll(&wanted, 1, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    CHECK(ready >= 0);
    return ready == 1 && (wanted.revents & POLLIN) != 0;
}

static void check_coalescing(bool use_pipe)
{
    aiopq_waker_t waker;
    CHECK(aiopq_waker_init(&waker, use_pipe));
    CHECK_EQUAL(waker.read_fd != waker.write_fd, use_pipe);
    CHECK((fcntl(waker.read_fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK((fcntl(waker.read_fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((fcntl(waker.write_fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK((fcntl(waker.write_fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(!is_readable(&waker, 0));
    for (int round = 0; round < 3; round++) {
        CHECK(aiopq_waker_signal(&waker));
        CHECK(is_readable(&waker, 0));
        for (int i = 0; i < 100000; i++) {
            CHECK(!aiopq_waker_signal(&waker)); /* a pipe would be full by now */
        }
        CHECK(is_readable(&waker, 0));
        aiopq_waker_clear(&waker);
        CHECK(!is_readable(&waker, 0));
    }
    aiopq_waker_clear(&waker); /* with nothing to clear */
    CHECK(!is_readable(&waker, 0));
    CHECK(aiopq_waker_signal(&waker));
    aiopq_waker_dispose(&waker);
    CHECK_EQUAL(waker.read_fd, -1);
    CHECK_EQUAL(waker.write_fd, -1);
    aiopq_waker_dispose(&waker); /* twice does no harm */
}

static void eventfd_coalesces(void)
{
#if defined(__linux__)
    check_coalescing(false);
#endif
}

static void pipe_coalesces(void)
{
    check_coalescing(true);
}

static void dispose_closes_descriptors(void)
{
    for (int form = 0; form < 2; form++) {
        aiopq_waker_t waker;
        CHECK(aiopq_waker_init(&waker, form == 1));
        int read_fd = waker.read_fd, write_fd = waker.write_fd;
        aiopq_waker_dispose(&waker);
        CHECK(fcntl(read_fd, F_GETFD) < 0);
        CHECK(fcntl(write_fd, F_GETFD) < 0);
    }
}

/* A counter stands for the work: it is raised before the signal and must be seen after the clear. */
typedef struct stress {
    aiopq_waker_t waker;
    _Atomic uint64_t produced, consumed;
    uint64_t rounds;
} stress_t;

static void *produce(void *argument)
{
    stress_t *stress = argument;
    uint64_t seed = 11;
    for (uint64_t i = 1; i <= stress->rounds; i++) {
        atomic_store_explicit(&stress->produced, i, memory_order_relaxed);
        (void)aiopq_waker_signal(&stress->waker);
        /* Now and then the consumer must go to sleep, or nothing is shown. */
        if (test_random(&seed) % 8 == 0) {
            while (atomic_load_explicit(&stress->consumed, memory_order_relaxed) < i) {
                (void)sched_yield();
            }
        }
    }
    return NULL;
}

static void check_no_wake_is_lost(bool use_pipe)
{
    stress_t stress;
    memset(&stress, 0, sizeof(stress));
    stress.rounds = TEST_SCALE(50000, 10000);
    CHECK(aiopq_waker_init(&stress.waker, use_pipe));
    pthread_t producer;
    CHECK_EQUAL(pthread_create(&producer, NULL, produce, &stress), 0);
    uint64_t seen = 0;
    while (seen < stress.rounds) {
        /* The producer waits for us or goes on at once: ten seconds of silence are a lost wake. */
        CHECK(is_readable(&stress.waker, 10000));
        aiopq_waker_clear(&stress.waker);
        uint64_t produced = atomic_load_explicit(&stress.produced, memory_order_relaxed);
        CHECK(produced >= seen);
        seen = produced;
        atomic_store_explicit(&stress.consumed, seen, memory_order_relaxed);
    }
    CHECK_EQUAL(pthread_join(producer, NULL), 0);
    aiopq_waker_dispose(&stress.waker);
}

static void eventfd_loses_no_wake(void)
{
    check_no_wake_is_lost(false);
}

static void pipe_loses_no_wake(void)
{
    check_no_wake_is_lost(true);
}

static const test_case_t cases[] = {
    TEST(eventfd_coalesces),     TEST(pipe_coalesces),     TEST(dispose_closes_descriptors),
    TEST(eventfd_loses_no_wake), TEST(pipe_loses_no_wake),
};
TEST_MAIN(cases)
