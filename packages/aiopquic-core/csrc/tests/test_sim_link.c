#include "driver/sim_link.h"

#include <string.h>

#include "test.h"

#define START_US 1000000u
#define ROUNDS 100000u

static aiopq_sim_link_t link;
static aiopq_sim_arrival_t arrivals[AIOPQ_SIM_COPIES_MAX];

static void begin(const aiopq_link_config_t *config)
{
    aiopq_sim_link_init(&link, config, 7);
}

static size_t send_at(uint64_t now_us, size_t length)
{
    return aiopq_sim_link_send(&link, now_us, length, 0, arrivals);
}

static void plain_link_only_delays(void)
{
    begin(&(aiopq_link_config_t){.delay_us = 300});
    for (uint64_t i = 0; i < 100; i++) {
        CHECK_EQUAL(send_at(START_US + i, 1200), 1);
        CHECK_EQUAL(arrivals[0].time_us, START_US + i + 300);
        CHECK(!arrivals[0].is_corrupted);
    }
    CHECK_EQUAL(link.counters.sent, 100);
    CHECK_EQUAL(link.counters.delivered_bytes, 120000);
}

static void nothing_arrives_at_the_instant_it_leaves(void)
{
    begin(&(aiopq_link_config_t){0});
    CHECK_EQUAL(send_at(START_US, 1), 1);
    CHECK_EQUAL(arrivals[0].time_us, START_US + 1);
}

static void rate_spaces_datagrams(void)
{
    /* 1250 bytes at 10 Mbit/s take a millisecond. */
    begin(&(aiopq_link_config_t){.rate_bps = 10000000, .delay_us = 5000});
    for (uint64_t i = 1; i <= 10; i++) {
        CHECK_EQUAL(send_at(START_US, 1250), 1);
        CHECK_EQUAL(arrivals[0].time_us, START_US + 1000 * i + 5000);
    }
    CHECK_EQUAL(aiopq_sim_link_waiting(&link, START_US + 4000), 6 * 1250);
    CHECK_EQUAL(aiopq_sim_link_waiting(&link, START_US + 20000), 0);
    CHECK_EQUAL(send_at(START_US + 20000, 1250), 1);
    CHECK_EQUAL(arrivals[0].time_us, START_US + 20000 + 6000);
}

static void rate_above_a_datagram_a_microsecond_is_kept(void)
{
    /* 100 Gbit/s: 1250 bytes in a tenth of a microsecond. */
    begin(&(aiopq_link_config_t){.rate_bps = 100000000000, .delay_us = 10});
    for (int i = 0; i < 1000; i++) {
        CHECK_EQUAL(send_at(START_US, 1250), 1);
    }
    CHECK_EQUAL(arrivals[0].time_us, START_US + 100 + 10);
}

static void full_queue_drops(void)
{
    begin(&(aiopq_link_config_t){.rate_bps = 1000000, .queue_bytes = 3000, .mark_bytes = 1500});
    CHECK_EQUAL(aiopq_sim_link_send(&link, START_US, 1000, 2, arrivals), 1);
    CHECK_EQUAL(arrivals[0].ecn, 2);
    CHECK_EQUAL(aiopq_sim_link_send(&link, START_US, 1000, 2, arrivals), 1);
    CHECK_EQUAL(arrivals[0].ecn, 2);
    CHECK_EQUAL(aiopq_sim_link_send(&link, START_US, 1000, 2, arrivals), 1);
    CHECK_EQUAL(arrivals[0].ecn, 3); /* two wait: more than the mark */
    CHECK_EQUAL(send_at(START_US, 1), 0);
    CHECK_EQUAL(link.counters.overflowed, 1);
    CHECK_EQUAL(link.counters.marked, 1);
    CHECK_EQUAL(aiopq_sim_link_send(&link, START_US + 8000, 1000, 0, arrivals), 1);
    CHECK_EQUAL(arrivals[0].ecn, 0); /* not ECN-capable: never marked */
}

static void large_datagrams_do_not_fit(void)
{
    begin(&(aiopq_link_config_t){.mtu = 1400});
    CHECK_EQUAL(send_at(START_US, 1400), 1);
    CHECK_EQUAL(send_at(START_US, 1401), 0);
    CHECK_EQUAL(link.counters.too_large, 1);
}

static uint64_t count_lost(void)
{
    uint64_t lost = 0;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        lost += send_at(START_US + i, 100) == 0;
    }
    CHECK_EQUAL(lost, link.counters.lost);
    return lost;
}

static void loss_has_its_chance(void)
{
    begin(&(aiopq_link_config_t){.loss_ppm = 20000});
    uint64_t lost = count_lost();
    CHECK(lost > ROUNDS / 50 * 9 / 10 && lost < ROUNDS / 50 * 11 / 10);
    begin(&(aiopq_link_config_t){.loss_ppm = 20000});
    CHECK_EQUAL(count_lost(), lost); /* the same seed, the same losses */
    aiopq_sim_link_init(&link, &(aiopq_link_config_t){.loss_ppm = 20000}, 8);
    CHECK(count_lost() != lost);
    begin(&(aiopq_link_config_t){.loss_ppm = 1000000});
    CHECK_EQUAL(count_lost(), ROUNDS);
}

static void bursts_have_their_length(void)
{
    /* Begins once in 1000, ends once in 10: ten in a row, about one in a hundred. */
    begin(&(aiopq_link_config_t){.burst_enter_ppm = 1000, .burst_leave_ppm = 100000});
    uint64_t lost = count_lost();
    CHECK(lost > ROUNDS / 100 * 6 / 10 && lost < ROUNDS / 100 * 15 / 10);
}

static void pattern_repeats(void)
{
    begin(&(aiopq_link_config_t){.loss_pattern = 0x12, .loss_pattern_length = 5});
    for (uint64_t i = 0; i < 50; i++) {
        CHECK_EQUAL(send_at(START_US + i, 100), i % 5 == 1 || i % 5 == 4 ? 0 : 1);
    }
}

static void link_that_is_down_loses_everything(void)
{
    begin(&(aiopq_link_config_t){.is_down = true});
    CHECK_EQUAL(count_lost(), ROUNDS);
    link.config.is_down = false;
    CHECK_EQUAL(send_at(START_US + ROUNDS, 100), 1);
}

static void jitter_keeps_the_order_unless_asked(void)
{
    uint64_t last = 0, least = UINT64_MAX, most = 0;
    begin(&(aiopq_link_config_t){.delay_us = 1000, .jitter_us = 500});
    for (uint64_t i = 0; i < 1000; i++) {
        CHECK_EQUAL(send_at(START_US + 10 * i, 100), 1);
        CHECK(arrivals[0].time_us >= last);
        last = arrivals[0].time_us;
    }
    begin(&(aiopq_link_config_t){.delay_us = 1000, .jitter_us = 500, .is_reordering = true});
    bool is_overtaken = false;
    last = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        CHECK_EQUAL(send_at(START_US + 10 * i, 100), 1);
        uint64_t delay = arrivals[0].time_us - (START_US + 10 * i);
        least = delay < least ? delay : least;
        most = delay > most ? delay : most;
        is_overtaken |= arrivals[0].time_us < last;
        last = arrivals[0].time_us;
    }
    CHECK(is_overtaken);
    CHECK(least >= 1000 && least < 1050);
    CHECK(most <= 1500 && most > 1450);
}

static void held_back_datagrams_are_overtaken(void)
{
    begin(&(aiopq_link_config_t){.delay_us = 100, .hold_ppm = 500000, .hold_us = 2000});
    uint64_t held = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        CHECK_EQUAL(send_at(START_US + i, 100), 1);
        uint64_t delay = arrivals[0].time_us - (START_US + i);
        CHECK(delay == 100 || delay == 2100);
        held += delay == 2100;
    }
    CHECK(held > 400 && held < 600);
}

static void copies_and_flipped_bits_are_counted(void)
{
    begin(&(aiopq_link_config_t){.duplicate_ppm = 100000, .corrupt_ppm = 100000});
    uint64_t corrupted = 0, copies = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        size_t count = send_at(START_US + i, 100);
        CHECK(count == 1 || count == 2);
        copies += count;
        for (size_t n = 0; n < count; n++) {
            corrupted += arrivals[n].is_corrupted;
            CHECK(arrivals[n].corrupted_bit < 800);
        }
    }
    CHECK_EQUAL(link.counters.corrupted, corrupted);
    CHECK_EQUAL(link.counters.delivered, copies);
    CHECK_EQUAL(link.counters.duplicated, copies - 10000);
    CHECK(corrupted > 900 && corrupted < 1300);
    CHECK(copies > 10900 && copies < 11100);
}

static const test_case_t cases[] = {
    TEST(plain_link_only_delays),
    TEST(nothing_arrives_at_the_instant_it_leaves),
    TEST(rate_spaces_datagrams),
    TEST(rate_above_a_datagram_a_microsecond_is_kept),
    TEST(full_queue_drops),
    TEST(large_datagrams_do_not_fit),
    TEST(loss_has_its_chance),
    TEST(bursts_have_their_length),
    TEST(pattern_repeats),
    TEST(link_that_is_down_loses_everything),
    TEST(jitter_keeps_the_order_unless_asked),
    TEST(held_back_datagrams_are_overtaken),
    TEST(copies_and_flipped_bits_are_counted),
};
TEST_MAIN(cases)
