#include "driver/sim_link.h"

#include <string.h>

#define ONE_MILLION 1000000u
#define NS_PER_US 1000u
#define NS_PER_SECOND 1000000000u

#define ECN_CAPABLE_MASK 3u /* RFC 3168: any of the two bits set */
#define ECN_CE 3u

uint64_t aiopq_sim_random(uint64_t *state)
{
    uint64_t mixed = (*state += 0x9e3779b97f4a7c15u);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

void aiopq_sim_link_init(aiopq_sim_link_t *link, const aiopq_link_config_t *config, uint64_t seed)
{
    memset(link, 0, sizeof(*link));
    link->config = *config;
    link->random = seed;
}

static bool happens(aiopq_sim_link_t *link, uint32_t chance_ppm)
{
    return chance_ppm != 0 && aiopq_sim_random(&link->random) % ONE_MILLION < chance_ppm;
}

/* All three kinds of loss are looked at for each datagram, so that each goes its own way whatever the others do. */
static bool is_lost(aiopq_sim_link_t *link)
{
    const aiopq_link_config_t *config = &link->config;
    bool lost = config->is_down;
    if (config->loss_pattern_length != 0) {
        lost |= (config->loss_pattern >> link->pattern_position & 1) != 0;
        link->pattern_position = (link->pattern_position + 1) % config->loss_pattern_length;
    }
    if (link->is_in_burst) {
        link->is_in_burst = !happens(link, config->burst_leave_ppm);
    } else {
        link->is_in_burst = happens(link, config->burst_enter_ppm);
    }
    lost |= link->is_in_burst;
    lost |= happens(link, config->loss_ppm);
    return lost;
}

/* A product of 64 bits by 64 bits is wider than 64: a queue of minutes at many Gbit/s must not overflow. */
static uint64_t scale(uint64_t value, uint64_t by, uint64_t over)
{
    return (uint64_t)((unsigned __int128)value * by / over);
}

uint64_t aiopq_sim_link_waiting(const aiopq_sim_link_t *link, uint64_t now_us)
{
    uint64_t now_ns = now_us * NS_PER_US;
    if (link->config.rate_bps == 0 || link->busy_until_ns <= now_ns) {
        return 0;
    }
    return scale(link->busy_until_ns - now_ns, link->config.rate_bps, 8ull * NS_PER_SECOND);
}

/* When the last bit has left, in microseconds. */
static uint64_t transmit(aiopq_sim_link_t *link, uint64_t now_us, size_t length)
{
    uint64_t now_ns = now_us * NS_PER_US;
    if (link->busy_until_ns < now_ns) {
        link->busy_until_ns = now_ns;
    }
    if (link->config.rate_bps != 0) {
        link->busy_until_ns += scale(length, 8ull * NS_PER_SECOND, link->config.rate_bps);
    }
    return (link->busy_until_ns + NS_PER_US - 1) / NS_PER_US;
}

static void arrive(aiopq_sim_link_t *link, uint64_t left_us, size_t length, uint8_t ecn,
                   aiopq_sim_arrival_t *arrival)
{
    const aiopq_link_config_t *config = &link->config;
    /* Nothing arrives at the instant it leaves: two sides that answer at once would stop the clock. */
    uint64_t time_us = left_us + (config->delay_us != 0 ? config->delay_us : 1);
    if (config->jitter_us != 0) {
        time_us += aiopq_sim_random(&link->random) % (config->jitter_us + 1);
    }
    if (!config->is_reordering && time_us < link->last_arrival_us) {
        time_us = link->last_arrival_us;
    }
    link->last_arrival_us = time_us;
    if (happens(link, config->hold_ppm)) {
        time_us += config->hold_us;
    }
    *arrival = (aiopq_sim_arrival_t){.time_us = time_us, .ecn = ecn};
    if (length > 0 && happens(link, config->corrupt_ppm)) {
        arrival->is_corrupted = true;
        arrival->corrupted_bit = aiopq_sim_random(&link->random) % (8 * (uint64_t)length);
        link->counters.corrupted++;
    }
    link->counters.delivered++;
    link->counters.delivered_bytes += length;
}

size_t aiopq_sim_link_send(aiopq_sim_link_t *link, uint64_t now_us, size_t length, uint8_t ecn,
                           aiopq_sim_arrival_t arrivals[AIOPQ_SIM_COPIES_MAX])
{
    const aiopq_link_config_t *config = &link->config;
    link->counters.sent++;
    link->counters.sent_bytes += length;
    bool lost = is_lost(link);
    if (config->mtu != 0 && length > config->mtu) {
        link->counters.too_large++;
        return 0;
    }
    if (lost) {
        link->counters.lost++;
        return 0;
    }
    uint64_t waiting = aiopq_sim_link_waiting(link, now_us);
    if (config->queue_bytes != 0 && waiting + length > config->queue_bytes) {
        link->counters.overflowed++;
        return 0;
    }
    if (config->mark_bytes != 0 && waiting > config->mark_bytes && (ecn & ECN_CAPABLE_MASK) != 0) {
        ecn = ECN_CE;
        link->counters.marked++;
    }
    uint64_t left_us = transmit(link, now_us, length);
    size_t copies = 1;
    if (happens(link, config->duplicate_ppm)) {
        copies = 2;
        link->counters.duplicated++;
    }
    for (size_t i = 0; i < copies; i++) {
        arrive(link, left_us, length, ecn, &arrivals[i]);
    }
    return copies;
}
