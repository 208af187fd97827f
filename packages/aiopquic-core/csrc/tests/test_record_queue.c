#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/live.h"
#include "base/record_queue.h"
#include "test.h"

/* The content of record `number` is bytes of this seed, from this offset on. */
#define SEED 11
#define OFFSET(number) ((number) * 7919)

static void push(aiopq_record_queue_t *queue, uint64_t number, size_t size)
{
    uint8_t *record = aiopq_record_queue_reserve(queue, size);
    CHECK(record != NULL);
    CHECK_EQUAL((uintptr_t)record % 8, 0);
    test_fill(record, size, SEED, OFFSET(number));
    aiopq_record_queue_commit(queue);
}

static void pop(aiopq_record_queue_t *queue, uint64_t number, size_t size)
{
    size_t found;
    const uint8_t *record = aiopq_record_queue_peek(queue, &found);
    CHECK(record != NULL);
    CHECK_EQUAL(found, size);
    CHECK(test_matches(record, size, SEED, OFFSET(number)));
    aiopq_record_queue_pop(queue);
}

static bool is_empty(aiopq_record_queue_t *queue)
{
    size_t size = 1;
    bool answer = aiopq_record_queue_peek(queue, &size) == NULL;
    CHECK(!answer || size == 0);
    return answer;
}

static void finish(aiopq_record_queue_t *queue)
{
    aiopq_record_queue_dispose(queue);
    CHECK_EQUAL(aiopq_live_get(AIOPQ_LIVE_BLOCK), 0);
}

static void unused_queue_holds_no_memory(void)
{
    aiopq_record_queue_t queue;
    aiopq_record_queue_init(&queue);
    CHECK(is_empty(&queue));
    CHECK_EQUAL(aiopq_record_queue_size(&queue), 0);
    CHECK_EQUAL(aiopq_record_queue_bytes(&queue), 0);
    CHECK_EQUAL(aiopq_live_get(AIOPQ_LIVE_BLOCK), 0);
    aiopq_record_queue_discard(&queue);
    finish(&queue);
}

static void every_length_comes_out_as_it_went_in(void)
{
    aiopq_record_queue_t queue;
    aiopq_record_queue_init(&queue);
    uint64_t bytes = 0;
    for (size_t size = 0; size < 600; size++) {
        push(&queue, size, size);
        bytes += aiopq_record_bytes(size);
        CHECK_EQUAL(aiopq_record_queue_size(&queue), size + 1);
        CHECK_EQUAL(aiopq_record_queue_bytes(&queue), bytes);
    }
    for (size_t size = 0; size < 600; size++) {
        pop(&queue, size, size);
        bytes -= aiopq_record_bytes(size);
        CHECK_EQUAL(aiopq_record_queue_bytes(&queue), bytes);
    }
    CHECK(is_empty(&queue));
    CHECK_EQUAL(bytes, 0);
    finish(&queue);
}

/* Records that fill a block to its end, that miss it by a little, and that take one of their own. */
static void no_record_spans_two_blocks(void)
{
    const size_t sizes[] = {
        0, 1, 7, 8, 9, 1200, 1499, 4088, 4096, 8184, 8192, AIOPQ_RECORD_MAX - 1, AIOPQ_RECORD_MAX};
    const size_t count = sizeof(sizes) / sizeof(sizes[0]);
    for (size_t first = 0; first < count; first++) {
        aiopq_record_queue_t queue;
        aiopq_record_queue_init(&queue);
        uint64_t pushed = 0, popped = 0;
        for (int round = 0; round < 200; round++) {
            push(&queue, pushed, sizes[(first + pushed * (first + 1)) % count]);
            pushed++;
            if (round % 3 != 0) {
                pop(&queue, popped, sizes[(first + popped * (first + 1)) % count]);
                popped++;
            }
        }
        while (popped < pushed) {
            pop(&queue, popped, sizes[(first + popped * (first + 1)) % count]);
            popped++;
        }
        CHECK(is_empty(&queue));
        finish(&queue);
    }
}

static void too_large_a_record_is_refused(void)
{
    aiopq_record_queue_t queue;
    aiopq_record_queue_init(&queue);
    CHECK(aiopq_record_queue_reserve(&queue, AIOPQ_RECORD_MAX + 1) == NULL);
    push(&queue, 0, AIOPQ_RECORD_MAX);
    pop(&queue, 0, AIOPQ_RECORD_MAX);
    finish(&queue);
}

static void what_is_not_committed_is_not_there(void)
{
    aiopq_record_queue_t queue;
    aiopq_record_queue_init(&queue);
    CHECK(aiopq_record_queue_reserve(&queue, 100) != NULL);
    CHECK(is_empty(&queue));
    CHECK_EQUAL(aiopq_record_queue_bytes(&queue), 0);
    push(&queue, 5, 30); /* in its place */
    pop(&queue, 5, 30);
    CHECK(is_empty(&queue));
    finish(&queue);
}

static void a_steady_queue_allocates_nothing(void)
{
    aiopq_record_queue_t queue;
    aiopq_record_queue_init(&queue);
    uint64_t pushed = 0, popped = 0;
    while (pushed < 8) {
        push(&queue, pushed++, 1200);
    }
    for (int round = 0; round < TEST_SCALE(10000, 1000); round++) {
        push(&queue, pushed++, 1200);
        pop(&queue, popped++, 1200);
        CHECK(aiopq_live_get(AIOPQ_LIVE_BLOCK) <= 3); /* two in use, one spare */
    }
    aiopq_record_queue_discard(&queue);
    CHECK(is_empty(&queue));
    CHECK_EQUAL(aiopq_record_queue_bytes(&queue), 0);
    CHECK(aiopq_live_get(AIOPQ_LIVE_BLOCK) <= 2);
    finish(&queue);
}

static void dispose_forgets_what_is_left(void)
{
    for (uint64_t left = 0; left < 40; left++) {
        aiopq_record_queue_t queue;
        aiopq_record_queue_init(&queue);
        for (uint64_t i = 0; i < left; i++) {
            push(&queue, i, 1500);
        }
        for (uint64_t i = 0; i < left / 2; i++) {
            pop(&queue, i, 1500);
        }
        finish(&queue);
    }
}

#define STRESS_RECORDS TEST_SCALE(50000u, 10000u)
#define STRESS_BOUND 65536u /* bytes that may wait */

static size_t stress_size(uint64_t number)
{
    return (size_t)(number * 2654435761u % 1501);
}

static void *produce(void *argument)
{
    aiopq_record_queue_t *queue = argument;
    for (uint64_t i = 0; i < STRESS_RECORDS; i++) {
        while (aiopq_record_queue_bytes(queue) >= STRESS_BOUND) {
            (void)sched_yield();
        }
        push(queue, i, stress_size(i));
    }
    return NULL;
}

static void two_threads_keep_order_and_content(void)
{
    aiopq_record_queue_t queue;
    aiopq_record_queue_init(&queue);
    pthread_t producer;
    CHECK_EQUAL(pthread_create(&producer, NULL, produce, &queue), 0);
    for (uint64_t i = 0; i < STRESS_RECORDS;) {
        CHECK(aiopq_record_queue_bytes(&queue) < STRESS_BOUND + 2048);
        if (!is_empty(&queue)) {
            pop(&queue, i, stress_size(i));
            i++;
        } else {
            (void)sched_yield();
        }
    }
    CHECK_EQUAL(pthread_join(producer, NULL), 0);
    CHECK(is_empty(&queue));
    CHECK_EQUAL(aiopq_record_queue_size(&queue), 0);
    CHECK_EQUAL(aiopq_record_queue_bytes(&queue), 0);
    finish(&queue);
}

static const test_case_t cases[] = {
    TEST(unused_queue_holds_no_memory),       TEST(every_length_comes_out_as_it_went_in),
    TEST(no_record_spans_two_blocks),         TEST(too_large_a_record_is_refused),
    TEST(what_is_not_committed_is_not_there), TEST(a_steady_queue_allocates_nothing),
    TEST(dispose_forgets_what_is_left),       TEST(two_threads_keep_order_and_content),
};
TEST_MAIN(cases)
