/* Lent bytes in a byte queue: between copied ones, dropped, and across two threads. */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/byte_queue.h"
#include "base/lent.h"
#include "base/live.h"
#include "lending.h"
#include "test.h"

#define SEED 43

/* Largest lent run of these tests. */
#define LENT_MAX 100000

typedef struct fixture {
    aiopq_returns_t returns;
    aiopq_byte_queue_t queue;
} fixture_t;

static void begin(fixture_t *fixture)
{
    aiopq_returns_init(&fixture->returns);
    aiopq_byte_queue_init(&fixture->queue);
}

static void end(fixture_t *fixture)
{
    aiopq_byte_queue_dispose(&fixture->queue);
    aiopq_returns_release(&fixture->returns);
    CHECK(!aiopq_returns_wait(&fixture->returns));
    CHECK_EQUAL(lending_count(), 0);
    CHECK_NOTHING_ALIVE();
}

static void lend(fixture_t *fixture, uint64_t offset, size_t length)
{
    aiopq_lent_t lent = lending_make(length);
    test_fill((uint8_t *)(uintptr_t)lent.bytes, length, SEED, offset);
    CHECK(aiopq_byte_queue_lend(&fixture->queue, &lent, &fixture->returns));
}

static void copy(fixture_t *fixture, uint64_t offset, size_t length)
{
    uint8_t bytes[4096];
    CHECK(length <= sizeof(bytes));
    test_fill(bytes, length, SEED, offset);
    CHECK(aiopq_byte_queue_write(&fixture->queue, bytes, length, false));
}

static void read_and_check(fixture_t *fixture, uint64_t offset, size_t length)
{
    static uint8_t bytes[2 * LENT_MAX];
    CHECK(length <= sizeof(bytes));
    CHECK(aiopq_byte_queue_gather(&fixture->queue, length) >= length);
    aiopq_byte_queue_read(&fixture->queue, bytes, length);
    CHECK(test_matches(bytes, length, SEED, offset));
}

static void lent_bytes_come_back_when_the_last_is_read(void)
{
    fixture_t fixture;
    begin(&fixture);
    lend(&fixture, 0, 1000);
    read_and_check(&fixture, 0, 999);
    CHECK(!aiopq_returns_wait(&fixture.returns));
    read_and_check(&fixture, 999, 1);
    CHECK(aiopq_returns_wait(&fixture.returns));
    CHECK_EQUAL(lending_count(), 1); /* nobody is told before the lender's thread asks */
    aiopq_returns_release(&fixture.returns);
    CHECK_EQUAL(lending_count(), 0);
    CHECK_EQUAL(aiopq_live_get(AIOPQ_LIVE_CHUNK), 0);
    aiopq_returns_release(&fixture.returns); /* harmless */
    end(&fixture);
}

static void small_writes_behind_lent_bytes_share_a_small_chunk(void)
{
    fixture_t fixture;
    begin(&fixture);
    copy(&fixture, 0, 10);
    lend(&fixture, 10, LENT_MAX);
    for (uint64_t i = 0; i < 100; i++) {
        copy(&fixture, 10 + LENT_MAX + 10 * i, 10);
    }
    CHECK_EQUAL(aiopq_live_get(AIOPQ_LIVE_CHUNK), 3);
    aiopq_chunk_t *list = aiopq_byte_queue_take(&fixture.queue);
    CHECK(list->next->is_lent && list->last == list->next->next);
    CHECK_EQUAL(list->last->capacity, AIOPQ_CHUNK_MIN);
    aiopq_chunk_free_list(list);
    end(&fixture);
}

static void lent_and_copied_bytes_keep_their_order(void)
{
    fixture_t fixture;
    begin(&fixture);
    uint64_t seed = 4, written = 0, read = 0;
    for (int round = 0; round < 3000; round++) {
        size_t length = 1 + test_random(&seed) % 4000;
        if (test_random(&seed) % 2 == 0) {
            length = test_random(&seed) % 8 == 0 ? 1 + test_random(&seed) % LENT_MAX : length;
            lend(&fixture, written, length);
        } else {
            copy(&fixture, written, length);
        }
        written += length;
        size_t ready = aiopq_byte_queue_gather(&fixture.queue, LENT_MAX);
        CHECK(ready == written - read || ready >= LENT_MAX);
        length = test_random(&seed) % (1 + (ready < LENT_MAX ? ready : LENT_MAX));
        read_and_check(&fixture, read, length);
        read += length;
        if (test_random(&seed) % 16 == 0) {
            aiopq_returns_release(&fixture.returns);
        }
    }
    CHECK_EQUAL(aiopq_byte_queue_gather(&fixture.queue, SIZE_MAX), written - read);
    end(&fixture);
}

static void dropped_bytes_come_back_too(void)
{
    fixture_t fixture;
    begin(&fixture);
    lend(&fixture, 0, 1000); /* read in part */
    lend(&fixture, 1000, 1000);
    copy(&fixture, 2000, 10);
    read_and_check(&fixture, 0, 500);
    lend(&fixture, 2010, 1000); /* not even gathered */
    aiopq_byte_queue_discard(&fixture.queue);
    CHECK_EQUAL(lending_count(), 3);
    aiopq_returns_release(&fixture.returns);
    CHECK_EQUAL(lending_count(), 0);
    CHECK_EQUAL(aiopq_live_get(AIOPQ_LIVE_CHUNK), 0);
    lend(&fixture, 0, 10); /* for the disposal */
    end(&fixture);
}

/* ---- two threads: one lends and releases, the other reads ---- */

typedef struct stress {
    fixture_t fixture;
    uint64_t total;
    _Atomic uint64_t read;
} stress_t;

static void *consume(void *argument)
{
    stress_t *stress = argument;
    uint8_t packet[1400];
    for (uint64_t read = 0; read < stress->total;) {
        size_t ready = aiopq_byte_queue_gather(&stress->fixture.queue, sizeof(packet));
        size_t length = ready < sizeof(packet) ? ready : sizeof(packet);
        if (length == 0) {
            (void)sched_yield();
            continue;
        }
        aiopq_byte_queue_read(&stress->fixture.queue, packet, length);
        CHECK(test_matches(packet, length, SEED, read));
        read += length;
        atomic_store_explicit(&stress->read, read, memory_order_relaxed);
    }
    return NULL;
}

static void lenders_thread_releases_what_the_other_read(void)
{
    static stress_t stress;
    memset(&stress, 0, sizeof(stress));
    begin(&stress.fixture);
    stress.total = TEST_SCALE(30000000u, 5000000u);
    pthread_t consumer;
    CHECK_EQUAL(pthread_create(&consumer, NULL, consume, &stress), 0);
    uint64_t seed = 6;
    for (uint64_t written = 0; written < stress.total;) {
        size_t length = 1 + test_random(&seed) % 4000;
        length = length < stress.total - written ? length : (size_t)(stress.total - written);
        if (test_random(&seed) % 4 == 0) {
            copy(&stress.fixture, written, length);
        } else {
            lend(&stress.fixture, written, length);
        }
        written += length;
        while (written - atomic_load_explicit(&stress.read, memory_order_relaxed) > 200000) {
            (void)sched_yield();
        }
        if (test_random(&seed) % 8 == 0) {
            aiopq_returns_release(&stress.fixture.returns);
        }
    }
    CHECK_EQUAL(pthread_join(consumer, NULL), 0);
    CHECK(lending_count() > 0 || !aiopq_returns_wait(&stress.fixture.returns));
    end(&stress.fixture);
}

static const test_case_t cases[] = {
    TEST(lent_bytes_come_back_when_the_last_is_read),
    TEST(small_writes_behind_lent_bytes_share_a_small_chunk),
    TEST(lent_and_copied_bytes_keep_their_order),
    TEST(dropped_bytes_come_back_too),
    TEST(lenders_thread_releases_what_the_other_read),
};
TEST_MAIN(cases)
