#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/byte_queue.h"
#include "base/live.h"
#include "test.h"

#define SEED 42

/* Largest single write of these tests: more than one chunk of the largest size. */
#define WRITE_MAX (2 * AIOPQ_CHUNK_MAX + 1000)

static void write_bytes(aiopq_byte_queue_t *queue, uint64_t offset, size_t length, bool is_last)
{
    uint8_t *bytes = malloc(length > 0 ? length : 1);
    CHECK(bytes != NULL);
    test_fill(bytes, length, SEED, offset);
    CHECK(aiopq_byte_queue_write(queue, bytes, length, is_last));
    free(bytes);
}

/* Checks a list's structure and bytes, frees it, and returns how many bytes it had. */
static size_t check_list(aiopq_chunk_t *first, uint64_t offset)
{
    size_t length = 0;
    aiopq_chunk_t *end = first;
    for (aiopq_chunk_t *chunk = first; chunk != NULL; chunk = chunk->next) {
        CHECK(chunk->filled > 0);
        CHECK(chunk->filled <= chunk->capacity);
        CHECK(chunk->capacity <= AIOPQ_CHUNK_MAX);
        CHECK_EQUAL(chunk->read, 0);
        CHECK(test_matches(chunk->data, chunk->filled, SEED, offset + length));
        length += chunk->filled;
        end = chunk;
    }
    CHECK(first == NULL || first->last == end);
    aiopq_chunk_free_list(first);
    return length;
}

static size_t random_size(uint64_t *seed)
{
    /* Mostly packets, now and then one byte or several chunks. */
    switch (test_random(seed) % 8) {
    case 0:
        return 1 + test_random(seed) % 3;
    case 1:
        return 1 + test_random(seed) % WRITE_MAX;
    default:
        return 1 + test_random(seed) % 3000;
    }
}

static void taken_bytes_are_exact(void)
{
    aiopq_byte_queue_t queue;
    aiopq_byte_queue_init(&queue);
    uint64_t seed = 1, written = 0, taken = 0;
    for (int round = 0; round < 400; round++) {
        size_t length = random_size(&seed);
        write_bytes(&queue, written, length, false);
        written += length;
        if (test_random(&seed) % 3 == 0) {
            taken += check_list(aiopq_byte_queue_take(&queue), taken);
            CHECK_EQUAL(taken, written);
            CHECK(aiopq_byte_queue_take(&queue) == NULL);
        }
    }
    aiopq_byte_queue_dispose(&queue);
    CHECK_NOTHING_ALIVE();
}

static void read_bytes_are_exact(void)
{
    aiopq_byte_queue_t queue;
    aiopq_byte_queue_init(&queue);
    static uint8_t bytes[WRITE_MAX];
    uint64_t seed = 2, written = 0, read = 0;
    for (int round = 0; round < 1000; round++) {
        size_t length = random_size(&seed);
        write_bytes(&queue, written, length, false);
        written += length;
        for (uint64_t reads = test_random(&seed) % 4; reads > 0; reads--) {
            size_t wanted = random_size(&seed);
            size_t ready = aiopq_byte_queue_gather(&queue, wanted);
            CHECK(ready >= wanted || ready == written - read);
            size_t taken = ready < wanted ? ready : wanted;
            aiopq_byte_queue_read(&queue, bytes, taken);
            CHECK(test_matches(bytes, taken, SEED, read));
            read += taken;
        }
    }
    CHECK_EQUAL(aiopq_byte_queue_gather(&queue, SIZE_MAX), written - read);
    aiopq_byte_queue_dispose(&queue);
    CHECK_NOTHING_ALIVE();
}

static void last_write_is_sized_to_fit(void)
{
    aiopq_byte_queue_t queue;
    aiopq_byte_queue_init(&queue);
    write_bytes(&queue, 0, 17, true);
    aiopq_chunk_t *chunk = aiopq_byte_queue_take(&queue);
    CHECK(chunk != NULL);
    CHECK_EQUAL(chunk->capacity, 17);
    CHECK_EQUAL(check_list(chunk, 0), 17);

    write_bytes(&queue, 0, 17, false);
    chunk = aiopq_byte_queue_take(&queue);
    CHECK(chunk != NULL);
    CHECK_EQUAL(chunk->capacity, AIOPQ_CHUNK_MIN);
    CHECK_EQUAL(check_list(chunk, 0), 17);

    /* What fits behind the bytes that wait makes no chunk. */
    write_bytes(&queue, 0, 100, false);
    write_bytes(&queue, 100, AIOPQ_CHUNK_MIN - 100, true);
    chunk = aiopq_byte_queue_take(&queue);
    CHECK(chunk->next == NULL);
    CHECK_EQUAL(check_list(chunk, 0), AIOPQ_CHUNK_MIN);

    /* What does not fit adds one of the size of the rest. The old queue has learnt to make larger ones. */
    aiopq_byte_queue_dispose(&queue);
    aiopq_byte_queue_init(&queue);
    write_bytes(&queue, 0, AIOPQ_CHUNK_MIN - 1, false);
    write_bytes(&queue, AIOPQ_CHUNK_MIN - 1, 6, true);
    chunk = aiopq_byte_queue_take(&queue);
    CHECK(chunk->next != NULL && chunk->next->next == NULL);
    CHECK_EQUAL(chunk->next->capacity, 5);
    CHECK_EQUAL(check_list(chunk, 0), AIOPQ_CHUNK_MIN + 5);
    aiopq_byte_queue_dispose(&queue);
    CHECK_NOTHING_ALIVE();
}

static void chunks_grow_with_what_was_found(void)
{
    aiopq_byte_queue_t queue;
    aiopq_byte_queue_init(&queue);
    uint32_t capacity = 0;
    for (int round = 0; round < 8; round++) {
        size_t length = capacity > 0 ? capacity : AIOPQ_CHUNK_MIN;
        write_bytes(&queue, 0, length, false);
        aiopq_chunk_t *chunk = aiopq_byte_queue_take(&queue);
        CHECK(chunk->capacity >= capacity);
        CHECK_EQUAL(check_list(chunk, 0), length);
        write_bytes(&queue, 0, 1, false);
        chunk = aiopq_byte_queue_take(&queue);
        size_t expected = 2 * length < AIOPQ_CHUNK_MAX ? 2 * length : AIOPQ_CHUNK_MAX;
        CHECK_EQUAL(chunk->capacity, expected);
        capacity = chunk->capacity;
        CHECK_EQUAL(check_list(chunk, 0), 1);
    }
    CHECK_EQUAL(capacity, AIOPQ_CHUNK_MAX);
    aiopq_byte_queue_dispose(&queue);
    CHECK_NOTHING_ALIVE();
}

static void large_write_makes_several_chunks(void)
{
    aiopq_byte_queue_t queue;
    aiopq_byte_queue_init(&queue);
    write_bytes(&queue, 0, 5, false);
    write_bytes(&queue, 5, WRITE_MAX, true);
    CHECK_EQUAL(check_list(aiopq_byte_queue_take(&queue), 0), WRITE_MAX + 5);
    aiopq_byte_queue_dispose(&queue);
    CHECK_NOTHING_ALIVE();
}

static void idle_queue_holds_no_chunk(void)
{
    aiopq_byte_queue_t queue;
    aiopq_byte_queue_init(&queue);
    CHECK(aiopq_byte_queue_write(&queue, NULL, 0, false));
    CHECK(aiopq_byte_queue_write(&queue, NULL, 0, true));
    CHECK(aiopq_byte_queue_take(&queue) == NULL);
    CHECK_EQUAL(aiopq_byte_queue_gather(&queue, 100), 0);
    CHECK_EQUAL(aiopq_live_get(AIOPQ_LIVE_CHUNK), 0);
    uint8_t bytes[5000];
    for (int round = 0; round < 10; round++) {
        write_bytes(&queue, 0, sizeof(bytes), false);
        CHECK(aiopq_live_get(AIOPQ_LIVE_CHUNK) > 0);
        CHECK_EQUAL(aiopq_byte_queue_gather(&queue, sizeof(bytes)), sizeof(bytes));
        aiopq_byte_queue_read(&queue, bytes, sizeof(bytes));
        CHECK_EQUAL(aiopq_live_get(AIOPQ_LIVE_CHUNK), 0);
    }
    aiopq_byte_queue_dispose(&queue);
}

static void discard_drops_gathered_and_waiting(void)
{
    aiopq_byte_queue_t queue;
    aiopq_byte_queue_init(&queue);
    uint8_t bytes[10];
    write_bytes(&queue, 0, 9000, false);
    CHECK_EQUAL(aiopq_byte_queue_gather(&queue, sizeof(bytes)), 9000);
    aiopq_byte_queue_read(&queue, bytes, sizeof(bytes));
    write_bytes(&queue, 9000, 9000, false);
    aiopq_byte_queue_discard(&queue);
    CHECK_EQUAL(aiopq_live_get(AIOPQ_LIVE_CHUNK), 0);
    CHECK_EQUAL(aiopq_byte_queue_gather(&queue, 1), 0);
    /* And goes on as if new. */
    write_bytes(&queue, 0, 10, false);
    CHECK_EQUAL(aiopq_byte_queue_gather(&queue, 10), 10);
    aiopq_byte_queue_read(&queue, bytes, 10);
    CHECK(test_matches(bytes, 10, SEED, 0));
    aiopq_byte_queue_dispose(&queue);
    CHECK_NOTHING_ALIVE();
}

/* ---- two threads, with the notification of each direction of a stream ---- */

typedef struct stress {
    aiopq_byte_queue_t queue;
    uint64_t total;
    _Atomic bool
        is_told; /* the producer sets it with a notification, the consumer clears it before it looks */
    _Atomic uint64_t told; /* notifications */
    _Atomic uint64_t taken;
} stress_t;

static void *produce(void *argument)
{
    stress_t *stress = argument;
    uint64_t seed = 5;
    for (uint64_t written = 0; written < stress->total;) {
        size_t length = random_size(&seed);
        if (length > stress->total - written) {
            length = (size_t)(stress->total - written);
        }
        while (written - atomic_load(&stress->taken) > 4 * WRITE_MAX) {
            (void)sched_yield();
        }
        write_bytes(&stress->queue, written, length, written + length == stress->total);
        written += length;
        if (!atomic_exchange_explicit(&stress->is_told, true, memory_order_acq_rel)) {
            atomic_fetch_add(&stress->told, 1);
        }
    }
    return NULL;
}

/* Waits for a notification that was not seen yet; the producer never waits for us with bytes untold. */
static void await_notification(stress_t *stress, uint64_t *seen)
{
    uint64_t deadline = test_now_us() + 20000000;
    while (atomic_load(&stress->told) == *seen) {
        (void)sched_yield();
        CHECK(test_now_us() < deadline); /* a lost wake-up */
    }
    (*seen)++;
}

/* As in aiopq_stream_take(). */
static size_t consume_by_take(stress_t *stress, uint64_t taken)
{
    atomic_exchange_explicit(&stress->is_told, false, memory_order_acq_rel);
    return check_list(aiopq_byte_queue_take(&stress->queue), taken);
}

/* As in aiopq_on_prepare_to_send(): packet by packet until dry, then the flag, then one look more. */
static size_t consume_by_read(stress_t *stress, uint64_t taken)
{
    uint8_t packet[1400];
    size_t total = 0;
    for (;;) {
        size_t ready = aiopq_byte_queue_gather(&stress->queue, sizeof(packet));
        if (ready == 0) {
            atomic_store(&stress->is_told, false);
            ready = aiopq_byte_queue_gather(&stress->queue, sizeof(packet));
            if (ready == 0) {
                return total;
            }
            if (!atomic_exchange(&stress->is_told, true)) {
                /* This thread goes on without a notification: the flag is as if it had come. */
            } else {
                /* The producer has told again, and that notification finds the bytes. */
                return total;
            }
        }
        size_t length = ready < sizeof(packet) ? ready : sizeof(packet);
        aiopq_byte_queue_read(&stress->queue, packet, length);
        CHECK(test_matches(packet, length, SEED, taken + total));
        total += length;
        atomic_store(&stress->taken, taken + total);
    }
}

static void check_two_threads(bool by_take)
{
    stress_t stress;
    memset(&stress, 0, sizeof(stress));
    aiopq_byte_queue_init(&stress.queue);
    stress.total = TEST_SCALE(50000000u, 10000000u);
    pthread_t producer;
    CHECK_EQUAL(pthread_create(&producer, NULL, produce, &stress), 0);
    uint64_t taken = 0, seen = 0;
    while (taken < stress.total) {
        await_notification(&stress, &seen);
        taken += by_take ? consume_by_take(&stress, taken) : consume_by_read(&stress, taken);
        atomic_store(&stress.taken, taken);
    }
    CHECK_EQUAL(taken, stress.total);
    CHECK_EQUAL(pthread_join(producer, NULL), 0);
    CHECK(aiopq_byte_queue_take(&stress.queue) == NULL);
    aiopq_byte_queue_dispose(&stress.queue);
    CHECK_NOTHING_ALIVE();
}

static void two_threads_taking(void)
{
    check_two_threads(true);
}

static void two_threads_reading(void)
{
    check_two_threads(false);
}

static const test_case_t cases[] = {
    TEST(taken_bytes_are_exact),
    TEST(read_bytes_are_exact),
    TEST(last_write_is_sized_to_fit),
    TEST(chunks_grow_with_what_was_found),
    TEST(large_write_makes_several_chunks),
    TEST(idle_queue_holds_no_chunk),
    TEST(discard_drops_gathered_and_waiting),
    TEST(two_threads_taking),
    TEST(two_threads_reading),
};
TEST_MAIN(cases)
