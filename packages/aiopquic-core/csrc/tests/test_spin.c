/* When a thread with nothing to do looks again, and when it sleeps. */
#include "driver/spin.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "test.h"

#define FIRST AIOPQ_SPIN_FIRST_US
#define LONGEST 200

/* As aiopq_spin_init() leaves it where there are cores. */
static aiopq_spin_t spin_of(uint32_t longest_us)
{
    aiopq_spin_t spin;
    memset(&spin, 0, sizeof(spin));
    spin.longest_us = longest_us;
    spin.duration_us = longest_us < FIRST ? longest_us : FIRST;
    return spin;
}

/* A wait of so long; how much of it was spun: all of it, or what a look takes before the sleep. */
static uint64_t wait_for(aiopq_spin_t *spin, uint64_t duration_us)
{
    static uint64_t now_us = 1000000;
    uint64_t end_us = now_us + duration_us, spun_us = 0;
    while (now_us < end_us && aiopq_spin_again(spin, now_us)) {
        now_us++;
        spun_us++;
    }
    now_us = end_us;
    aiopq_spin_found(spin, now_us);
    return spun_us;
}

static void looks_for_its_time_and_sleeps(void)
{
    aiopq_spin_t spin = spin_of(LONGEST);
    CHECK(aiopq_spin_again(&spin, 1000));
    CHECK(aiopq_spin_again(&spin, 1049));
    CHECK(!aiopq_spin_again(&spin, 1050));
    CHECK(!aiopq_spin_again(&spin, 2000)); /* woken for nothing: the wait goes on */
    aiopq_spin_found(&spin, 2000);
}

static void work_begins_the_time_anew(void)
{
    aiopq_spin_t spin = spin_of(LONGEST);
    CHECK(aiopq_spin_again(&spin, 1000));
    aiopq_spin_found(&spin, 1040);
    CHECK(aiopq_spin_again(&spin, 1060));
    CHECK(aiopq_spin_again(&spin, 1109));
    CHECK(!aiopq_spin_again(&spin, 1110));
}

static void work_itself_is_no_wait(void)
{
    aiopq_spin_t spin = spin_of(LONGEST);
    aiopq_spin_found(&spin, 1000);
    aiopq_spin_found(&spin, 900000);
    CHECK_EQUAL(spin.duration_us, FIRST);
}

static void grows_where_a_longer_look_would_have_found_it(void)
{
    aiopq_spin_t spin = spin_of(LONGEST);
    CHECK_EQUAL(wait_for(&spin, 180), 50);
    CHECK_EQUAL(wait_for(&spin, 180), 100);
    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(wait_for(&spin, 180), 180);
    }
    CHECK_EQUAL(spin.duration_us, LONGEST);
}

static void grows_no_further_than_it_must(void)
{
    aiopq_spin_t spin = spin_of(LONGEST);
    for (int i = 0; i < 10; i++) {
        (void)wait_for(&spin, 80);
    }
    CHECK_EQUAL(spin.duration_us, 2 * FIRST);
}

static void stops_where_waits_are_long(void)
{
    aiopq_spin_t spin = spin_of(LONGEST);
    (void)wait_for(&spin, LONGEST);
    (void)wait_for(&spin, LONGEST);
    uint64_t spun_us = 0;
    for (int i = 0; i < 1000; i++) {
        spun_us += wait_for(&spin, LONGEST + 1);
    }
    CHECK_EQUAL(spun_us, 200 + 100 + 50);
}

static void begins_again_when_waits_are_short(void)
{
    aiopq_spin_t spin = spin_of(LONGEST);
    CHECK_EQUAL(wait_for(&spin, 1000), FIRST);
    CHECK_EQUAL(wait_for(&spin, 40), 0);
    CHECK_EQUAL(wait_for(&spin, 40), 40);
}

static void rests_when_somebody_else_had_the_core(void)
{
    for (int found = 0; found < 2; found++) {
        aiopq_spin_t spin = spin_of(LONGEST);
        uint64_t now_us = 1000;
        CHECK(aiopq_spin_again(&spin, now_us));
        now_us += AIOPQ_SPIN_SLICE_US + 1;
        if (found) {
            aiopq_spin_found(&spin, now_us);
        }
        CHECK(!aiopq_spin_again(&spin, now_us));
        for (uint64_t end_us = now_us + AIOPQ_SPIN_REST_US - 100; now_us < end_us; now_us += 100) {
            aiopq_spin_found(&spin, now_us);
            CHECK(!aiopq_spin_again(&spin, now_us));
        }
        aiopq_spin_found(&spin, now_us + 100);
        CHECK(aiopq_spin_again(&spin, now_us + 100)); /* once more, after a short wait */
    }
}

static void a_long_sleep_is_nobody_elses_slice(void)
{
    aiopq_spin_t spin = spin_of(LONGEST);
    CHECK(aiopq_spin_again(&spin, 1000));
    CHECK(!aiopq_spin_again(&spin, 1050));
    aiopq_spin_found(&spin, 1000000); /* which halves it, to nothing */
    CHECK_EQUAL(wait_for(&spin, 40), 0);
    CHECK_EQUAL(wait_for(&spin, 40), 40);
}

static void never_longer_than_it_may(void)
{
    aiopq_spin_t spin = spin_of(30);
    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(wait_for(&spin, 30), 30);
    }
    CHECK_EQUAL(wait_for(&spin, 31), 30);
    CHECK_EQUAL(wait_for(&spin, 30), 0);
    CHECK_EQUAL(wait_for(&spin, 30), 30);
}

static void never_spins_when_it_must_not(void)
{
    aiopq_spin_t spin = spin_of(0);
    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(wait_for(&spin, 1), 0);
    }
}

static void *on_one_core(void *argument)
{
    cpu_set_t all, one;
    CPU_ZERO(&one);
    CHECK_EQUAL(sched_getaffinity(0, sizeof(all), &all), 0);
    int core = 0;
    while (!CPU_ISSET(core, &all)) {
        core++;
    }
    CPU_SET(core, &one);
    CHECK_EQUAL(sched_setaffinity(0, sizeof(one), &one), 0);
    aiopq_spin_init(argument, LONGEST);
    return NULL;
}

static void one_core_is_for_those_who_are_waited_for(void)
{
    aiopq_spin_t spin;
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, on_one_core, &spin), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(spin.longest_us, 0);
    CHECK_EQUAL(spin.duration_us, 0);
}

static const test_case_t cases[] = {
    TEST(looks_for_its_time_and_sleeps),
    TEST(work_begins_the_time_anew),
    TEST(work_itself_is_no_wait),
    TEST(grows_where_a_longer_look_would_have_found_it),
    TEST(grows_no_further_than_it_must),
    TEST(stops_where_waits_are_long),
    TEST(begins_again_when_waits_are_short),
    TEST(rests_when_somebody_else_had_the_core),
    TEST(a_long_sleep_is_nobody_elses_slice),
    TEST(never_longer_than_it_may),
    TEST(never_spins_when_it_must_not),
    TEST(one_core_is_for_those_who_are_waited_for),
};
TEST_MAIN(cases)
