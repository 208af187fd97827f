#include "net/fates.h"

#include <string.h>

#include "base/live.h"
#include "test.h"

static aiopq_fates_t fates;

static void add(uint64_t number, uint64_t sent_us, const char *text)
{
    CHECK_EQUAL(aiopq_fates_add(&fates, number, sent_us, (const uint8_t *)text, strlen(text)), 0);
}

static uint64_t acked(uint64_t sent_us, const char *text, bool expects_lost)
{
    bool was_lost = !expects_lost;
    uint64_t number = aiopq_fates_acked(&fates, sent_us, (const uint8_t *)text, strlen(text), &was_lost);
    CHECK_EQUAL(was_lost, expects_lost);
    return number;
}

static uint64_t lost(uint64_t sent_us, const char *text)
{
    return aiopq_fates_lost(&fates, sent_us, (const uint8_t *)text, strlen(text));
}

static void finish(void)
{
    aiopq_fates_dispose(&fates);
    CHECK_EQUAL(fates.in_flight.count + fates.lost.count, 0);
    CHECK_EQUAL(aiopq_live_get(AIOPQ_LIVE_BLOCK), 0);
}

static void content_finds_the_number(void)
{
    CHECK_EQUAL(acked(1, "a", false), 0);
    CHECK_EQUAL(lost(1, "a"), 0);
    add(10, 1, "a");
    add(11, 1, "b");
    add(12, 1, "");
    add(13, 1, "aa");
    CHECK_EQUAL(acked(1, "c", false), 0);
    CHECK_EQUAL(acked(1, "aa", false), 13);
    CHECK_EQUAL(acked(1, "", false), 12);
    CHECK_EQUAL(acked(1, "a", false), 10);
    CHECK_EQUAL(acked(1, "a", false), 0); /* once */
    finish();
}

static void of_equal_ones_the_time_decides(void)
{
    for (uint64_t i = 1; i <= 5; i++) {
        add(i, 100 * i, "same");
    }
    CHECK_EQUAL(acked(300, "same", false), 3);
    CHECK_EQUAL(lost(200, "same"), 2);
    CHECK_EQUAL(acked(200, "same", true), 2);
    CHECK_EQUAL(acked(501, "same", false), 1); /* no such time: the oldest */
    CHECK_EQUAL(acked(400, "same", false), 4);
    CHECK_EQUAL(acked(500, "same", false), 5);
    finish();
}

static void late_ones_are_known_as_lost(void)
{
    add(1, 1, "x");
    CHECK_EQUAL(lost(1, "x"), 1);
    CHECK_EQUAL(lost(1, "x"), 0); /* told already */
    CHECK_EQUAL(acked(1, "x", true), 1);
    CHECK_EQUAL(acked(1, "x", false), 0);
    add(2, 5, "x");
    CHECK_EQUAL(lost(5, "x"), 2);
    add(3, 6, "x");
    CHECK_EQUAL(acked(6, "x", false), 3); /* not the lost one */
    CHECK_EQUAL(acked(5, "x", true), 2);
    finish();
}

static void text_of(char *text, uint64_t number)
{
    for (int i = 0; i < 8; i++) {
        text[i] = (char)('A' + (number >> (4 * i) & 15));
    }
    text[8] = 0;
}

static void both_lists_are_bounded(void)
{
    char text[9];
    for (uint64_t i = 1; i <= AIOPQ_FATES_MAX; i++) {
        text_of(text, i);
        add(i, i / 50, text);
    }
    for (uint64_t i = 1; i <= 2 * AIOPQ_FATES_LOST_MAX; i++) {
        text_of(text, i);
        CHECK_EQUAL(lost(i / 50, text), i);
        CHECK(fates.lost.count <= AIOPQ_FATES_LOST_MAX);
    }
    text_of(text, 1);
    CHECK_EQUAL(acked(0, text, false), 0); /* lost so long ago that it is forgotten */
    uint64_t next = AIOPQ_FATES_MAX + 1;
    while (fates.lost.count > 0 || fates.in_flight.count < AIOPQ_FATES_MAX) {
        text_of(text, next);
        add(next, next / 50, text);
        next++;
    }
    /* Now the oldest in flight is given up for each. */
    for (uint64_t i = 2 * AIOPQ_FATES_LOST_MAX + 1; i <= 3 * AIOPQ_FATES_LOST_MAX; i++) {
        text_of(text, next);
        CHECK_EQUAL(aiopq_fates_add(&fates, next, next / 50, (const uint8_t *)text, 8), i);
        next++;
    }
    CHECK_EQUAL(fates.in_flight.count, AIOPQ_FATES_MAX);
    for (uint64_t i = next - 1; fates.in_flight.count > 0; i--) { /* the newest first, as picoquic does */
        text_of(text, i);
        CHECK_EQUAL(acked(i / 50, text, false), i);
    }
    finish();
}

/* Without the limit on how many are looked at this takes minutes. */
static void many_equal_ones_stay_cheap(void)
{
    for (uint64_t i = 1; i <= AIOPQ_FATES_MAX; i++) {
        add(i, i, "beat");
    }
    for (uint64_t i = 1; i <= AIOPQ_FATES_MAX; i++) {
        CHECK(acked(i, "beat", false) != 0);
    }
    CHECK_EQUAL(fates.in_flight.count, 0);
    finish();
}

static const test_case_t cases[] = {
    TEST(content_finds_the_number), TEST(of_equal_ones_the_time_decides), TEST(late_ones_are_known_as_lost),
    TEST(both_lists_are_bounded),   TEST(many_equal_ones_stay_cheap),
};
TEST_MAIN(cases)
