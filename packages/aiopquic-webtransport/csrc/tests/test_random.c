/* Random bytes, and what is nearly right, on every kind of stream: nothing crashes, what is kept is bounded, and
 * nothing is left. A seed that fails is printed by the check; the sanitizers see the rest. */
#include <string.h>

#include "protocol.h"
#include "request.h"
#include "stage.h"

static uint64_t state;

static uint64_t pick(uint64_t below)
{
    return test_random(&state) % below;
}

/* Bytes that parsers like: types, short lengths, and anything else. */
static uint8_t pick_byte(void)
{
    static const uint8_t likely[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x07, 0x0d, 0x21, 0x33,
                                     0x40, 0x41, 0x54, 0x68, 0x43, 0x78, 0xae, 0xc0, 0xff, 0x80};
    return pick(3) == 0 ? (uint8_t)test_random(&state) : likely[pick(sizeof(likely))];
}

/* A run that begins well most of the time, and is spoilt in places. */
static size_t make(uint8_t *bytes, size_t room)
{
    static const char *const starts[] = {"\x00\x04\x04\x08\x01\x33\x01",
                                         "\x01",
                                         "\x00",
                                         "\x02\x20",
                                         "\x03\x44",
                                         "\x40\x54\x00",
                                         "\x40\x41\x00"};
    static const size_t lengths[] = {7, 1, 1, 2, 2, 3, 3};
    const char *const connect[] = {":method", "CONNECT", ":protocol",  pick(2) ? WT_TOKEN : WT_TOKEN_OLD,
                                   ":scheme", "https",   ":authority", "h",
                                   ":path",   "/",       NULL};
    size_t length = 0, which = pick(10);
    if (which < 7) {
        length = lengths[which];
        memcpy(bytes, starts[which], length);
    } else if (which < 9) {
        length = stage_headers(bytes, room, connect);
        if (pick(2)) {
            static const char close[] = "\x00\x0a\x68\x43\x07\0\0\0\7bye";
            memcpy(bytes + length, close, sizeof(close) - 1);
            length += sizeof(close) - 1;
        }
    }
    for (size_t more = pick(24); more > 0 && length < room; more--) {
        bytes[length++] = pick_byte();
    }
    for (size_t spoilt = pick(8) == 0 ? pick(4) : 0; spoilt > 0 && length > 0; spoilt--) {
        bytes[pick(length)] = pick_byte();
    }
    return length;
}

static void run_one(uint64_t seed)
{
    state = seed;
    stage_begin(pick(3) == 0);
    if (pick(2)) {
        stage_settings();
    }
    for (uint64_t steps = 1 + pick(12); steps > 0 && stage.close_code == NO_CODE; steps--) {
        uint8_t bytes[600], list[4] = {0};
        uint64_t stream_id = pick(12) * 4 + (pick(2) ? 0 : 2) + (stage.is_client ? 1 : 0);
        if (stage.is_client && pick(3) == 0) {
            stream_id = 4 * pick(3); /* its own */
        }
        switch (pick(10)) {
        case 0:
            aiopq_wt_protocol.reset(stage.state, stream_id, test_random(&state));
            break;
        case 1:
            stage_respond(stream_id, pick(2) ? 200 : (uint16_t)pick(700));
            break;
        case 2:
            aiopq_wt_protocol.command(stage.state, (int32_t)pick(7), stream_id, list, pick(5));
            break;
        case 3:
            (void)aiopq_wt_protocol.datagram(stage.state, bytes, make(bytes, sizeof(bytes)));
            break;
        default:
            stage_data(stream_id, bytes, make(bytes, sizeof(bytes)), pick(6) == 0, pick(4));
            break;
        }
    }
    stage_end();
}

static void streams_at_random(void)
{
    for (uint64_t seed = 1; seed <= TEST_SCALE(20000, 3000); seed++) {
        run_one(seed);
    }
}

int main(int argc, char **argv)
{
    static const test_case_t cases[] = {TEST(streams_at_random)};
    return test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
