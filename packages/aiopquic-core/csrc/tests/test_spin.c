/* When a thread with nothing to do looks again, and when it sleeps. */
#include "driver/spin.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "test.h"

#define DURATION 50

static aiopq_spin_t spin_of(uint32_t duration_us)
{
    aiopq_spin_t spin;
    memset(&spin, 0, sizeof(spin));
    spin.duration_us = duration_us; /* as aiopq_spin_init() sets it where there are cores */
    return spin;
}

/* One spin from `now` on that finds nothing; true when there was one at all. */
static bool fail_once(aiopq_spin_t *spin, uint64_t now)
{
    if (!aiopq_spin_again(spin, true, now)) {
        return false;
    }
    CHECK(aiopq_spin_again(spin, false, now + DURATION - 1));
    CHECK(!aiopq_spin_again(spin, false, now + DURATION));
    return true;
}

static void spins_for_its_time_after_work(void)
{
    aiopq_spin_t spin = spin_of(DURATION);
    CHECK(aiopq_spin_again(&spin, true, 1000));
    CHECK(aiopq_spin_again(&spin, false, 1049));
    CHECK(!aiopq_spin_again(&spin, false, 1050));
}

static void work_begins_the_time_anew(void)
{
    aiopq_spin_t spin = spin_of(DURATION);
    CHECK(aiopq_spin_again(&spin, true, 1000));
    CHECK(aiopq_spin_again(&spin, true, 1040));
    CHECK(aiopq_spin_again(&spin, false, 1089));
    CHECK(!aiopq_spin_again(&spin, false, 1090));
}

static void rests_where_it_does_not_pay(void)
{
    aiopq_spin_t spin = spin_of(DURATION);
    uint64_t now = 0;
    for (int i = 0; i < AIOPQ_SPIN_FAILURES; i++, now += 10000) {
        CHECK(fail_once(&spin, now));
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < AIOPQ_SPIN_REST; i++, now += 10000) {
            CHECK(!fail_once(&spin, now));
        }
        CHECK(fail_once(&spin, now)); /* one try */
        now += 10000;
    }
}

static void work_that_is_found_forgives(void)
{
    aiopq_spin_t spin = spin_of(DURATION);
    uint64_t now = 0;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < AIOPQ_SPIN_FAILURES - 1; i++, now += 10000) {
            CHECK(fail_once(&spin, now));
        }
        CHECK(aiopq_spin_again(&spin, true, now));
        CHECK(aiopq_spin_again(&spin, true, now + 10)); /* found while it spun */
        CHECK(!aiopq_spin_again(&spin, false, now + 10 + DURATION));
        now += 10000;
        CHECK(fail_once(&spin, now));
        CHECK(aiopq_spin_again(&spin, true, now + 1000));
        CHECK(aiopq_spin_again(&spin, true, now + 1001));
        CHECK(!aiopq_spin_again(&spin, false, now + 1001 + DURATION));
        spin = spin_of(DURATION);
    }
}

static void work_after_a_sleep_forgives_nothing(void)
{
    aiopq_spin_t spin = spin_of(DURATION);
    int spins = 0;
    for (uint64_t now = 0; now < 100 * 10000; now += 10000) {
        spins += fail_once(&spin, now);
    }
    CHECK_EQUAL(spins, AIOPQ_SPIN_FAILURES + 1);
}

static void never_spins_when_it_must_not(void)
{
    aiopq_spin_t spin = spin_of(0);
    CHECK(!aiopq_spin_again(&spin, true, 1000));
    CHECK(!aiopq_spin_again(&spin, false, 1000));
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
    aiopq_spin_init(argument, DURATION);
    return NULL;
}

static void one_core_is_for_those_who_are_waited_for(void)
{
    aiopq_spin_t spin;
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, on_one_core, &spin), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(spin.duration_us, 0);
}

static const test_case_t cases[] = {
    TEST(spins_for_its_time_after_work),
    TEST(work_begins_the_time_anew),
    TEST(rests_where_it_does_not_pay),
    TEST(work_that_is_found_forgives),
    TEST(work_after_a_sleep_forgives_nothing),
    TEST(never_spins_when_it_must_not),
    TEST(one_core_is_for_those_who_are_waited_for),
};
TEST_MAIN(cases)
