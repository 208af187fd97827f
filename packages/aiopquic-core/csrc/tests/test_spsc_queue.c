#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/spsc_queue.h"
#include "test.h"

/* Three words and an odd size, so that an entry that is copied by half shows. */
typedef struct entry {
    uint64_t number, inverse;
    uint8_t tail[5];
} entry_t;

static entry_t make_entry(uint64_t number)
{
    entry_t entry;
    memset(&entry, 0, sizeof(entry));
    entry.number = number;
    entry.inverse = ~number;
    test_fill(entry.tail, sizeof(entry.tail), 7, number);
    return entry;
}

static void check_entry(const entry_t *entry, uint64_t number)
{
    CHECK_EQUAL(entry->number, number);
    CHECK(entry->inverse == ~number);
    CHECK(test_matches(entry->tail, sizeof(entry->tail), 7, number));
}

static void push(aiopq_spsc_queue_t *queue, uint64_t number)
{
    entry_t entry = make_entry(number);
    CHECK(aiopq_spsc_push(queue, &entry));
}

static void pop(aiopq_spsc_queue_t *queue, uint64_t number)
{
    entry_t entry;
    CHECK(aiopq_spsc_pop(queue, &entry));
    check_entry(&entry, number);
}

static void empty_queue_gives_nothing(void)
{
    aiopq_spsc_queue_t queue;
    entry_t entry;
    CHECK(aiopq_spsc_init(&queue, sizeof(entry_t), 4));
    CHECK(!aiopq_spsc_has_entry(&queue));
    CHECK(!aiopq_spsc_pop(&queue, &entry));
    CHECK_EQUAL(aiopq_spsc_size(&queue), 0);
    aiopq_spsc_dispose(&queue);
}

static void order_holds_over_blocks(void)
{
    aiopq_spsc_queue_t queue;
    CHECK(aiopq_spsc_init(&queue, sizeof(entry_t), 4));
    for (uint64_t i = 0; i < 103; i++) {
        push(&queue, i);
        CHECK_EQUAL(aiopq_spsc_size(&queue), i + 1);
    }
    for (uint64_t i = 0; i < 103; i++) {
        CHECK(aiopq_spsc_has_entry(&queue));
        pop(&queue, i);
        CHECK_EQUAL(aiopq_spsc_size(&queue), 103 - i - 1);
    }
    CHECK(!aiopq_spsc_has_entry(&queue));
    aiopq_spsc_dispose(&queue);
}

/* Every fill level against every block boundary, with blocks of one entry among them. */
static void any_level_at_any_boundary(void)
{
    for (uint32_t block = 1; block <= 5; block++) {
        for (uint64_t level = 0; level <= 12; level++) {
            aiopq_spsc_queue_t queue;
            CHECK(aiopq_spsc_init(&queue, sizeof(entry_t), block));
            uint64_t pushed = 0, popped = 0;
            while (pushed < level) {
                push(&queue, pushed++);
            }
            for (int round = 0; round < 40; round++) {
                push(&queue, pushed++);
                CHECK(aiopq_spsc_has_entry(&queue));
                pop(&queue, popped++);
                CHECK_EQUAL(aiopq_spsc_size(&queue), level);
                CHECK_EQUAL(aiopq_spsc_has_entry(&queue), level > 0);
            }
            while (popped < pushed) {
                pop(&queue, popped++);
            }
            CHECK(!aiopq_spsc_has_entry(&queue));
            aiopq_spsc_dispose(&queue);
        }
    }
}

static void emptied_block_is_used_again(void)
{
    aiopq_spsc_queue_t queue;
    CHECK(aiopq_spsc_init(&queue, sizeof(entry_t), 2));
    aiopq_spsc_block_t *first = queue.head;
    uint64_t pushed = 0, popped = 0;
    push(&queue, pushed++);
    push(&queue, pushed++);
    push(&queue, pushed++); /* starts the second block */
    aiopq_spsc_block_t *second = queue.tail;
    CHECK(first != second);
    pop(&queue, popped++);
    pop(&queue, popped++);
    pop(&queue, popped++); /* leaves the first block */
    CHECK(atomic_load(&queue.spare) == first);
    push(&queue, pushed++);
    push(&queue, pushed++); /* the third block is the first one again */
    CHECK(queue.tail == first);
    CHECK(atomic_load(&queue.spare) == NULL);
    /* From here on two blocks take turns for ever. */
    for (int round = 0; round < 1000; round++) {
        pop(&queue, popped++);
        push(&queue, pushed++);
        CHECK(queue.tail == first || queue.tail == second);
    }
    aiopq_spsc_dispose(&queue);
}

/* Leak checkers see the blocks if one is forgotten. */
static void dispose_forgets_what_is_left(void)
{
    for (uint64_t left = 0; left < 20; left++) {
        aiopq_spsc_queue_t queue;
        CHECK(aiopq_spsc_init(&queue, sizeof(entry_t), 3));
        for (uint64_t i = 0; i < left; i++) {
            push(&queue, i);
        }
        for (uint64_t i = 0; i < left / 2; i++) {
            pop(&queue, i);
        }
        aiopq_spsc_dispose(&queue);
        CHECK(queue.head == NULL);
    }
}

#define STRESS_ENTRIES 300000u
#define STRESS_BOUND 5000u /* entries that may wait, so that memory stays small when a thread is held up */

static void *produce(void *argument)
{
    aiopq_spsc_queue_t *queue = argument;
    for (uint64_t i = 0; i < STRESS_ENTRIES; i++) {
        while (aiopq_spsc_size(queue) >= STRESS_BOUND) {
            (void)sched_yield();
        }
        push(queue, i);
    }
    return NULL;
}

static void two_threads_keep_order_and_content(void)
{
    aiopq_spsc_queue_t queue;
    CHECK(aiopq_spsc_init(&queue, sizeof(entry_t), 64));
    pthread_t producer;
    CHECK_EQUAL(pthread_create(&producer, NULL, produce, &queue), 0);
    for (uint64_t i = 0; i < STRESS_ENTRIES;) {
        bool had_entry = aiopq_spsc_has_entry(&queue);
        CHECK(aiopq_spsc_size(&queue) <= STRESS_BOUND);
        entry_t entry;
        if (aiopq_spsc_pop(&queue, &entry)) {
            check_entry(&entry, i++);
        } else {
            CHECK(!had_entry); /* what was announced is there */
            (void)sched_yield();
        }
    }
    CHECK_EQUAL(pthread_join(producer, NULL), 0);
    CHECK(!aiopq_spsc_has_entry(&queue));
    CHECK_EQUAL(aiopq_spsc_size(&queue), 0);
    aiopq_spsc_dispose(&queue);
}

static const test_case_t cases[] = {
    TEST(empty_queue_gives_nothing),    TEST(order_holds_over_blocks),
    TEST(any_level_at_any_boundary),    TEST(emptied_block_is_used_again),
    TEST(dispose_forgets_what_is_left), TEST(two_threads_keep_order_and_content),
};
TEST_MAIN(cases)
