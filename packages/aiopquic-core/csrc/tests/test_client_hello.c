/* SNI and ALPN from Initial packets: the RFCs' own packets, every order and split, and whatever a stranger may
 * send. robustness.md, "hostile input". */
#include <stdlib.h>
#include <string.h>

#include "initial_maker.h"
#include "net/client_hello.h"
#include "test.h"

/* RFC 9001 appendix A.2: the CRYPTO frame of the client's first packet. */
static const char rfc_frame[] =
    "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413011302010000"
    "c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c706e000500"
    "050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003"
    "020304000d0010000e0403050306030203080408050806002d00020101001c00024001003900320408ffffffffffffffff050480"
    "00ffff07048000ffff0801100104800075300901100f088394c8f03e51570806048000ffff";

static const uint8_t two_names[] = "\x05"
                                   "first"
                                   "\x02h3";
#define TWO_NAMES two_names, sizeof(two_names) - 1

static aiopq_client_hello_t hello;

static aiopq_hello_state_t read_one(const uint8_t *datagram, size_t length)
{
    aiopq_bytes_t bytes = {.data = datagram, .length = length};
    return aiopq_read_client_hello(&bytes, 1, &hello);
}

static bool is_empty(void)
{
    static const aiopq_client_hello_t nothing;
    return memcmp(&hello, &nothing, sizeof(hello)) == 0;
}

/* A datagram with these frames, of its least size or of what they need. */
static size_t seal(maker_t *made, const uint8_t *frames, size_t length, uint8_t *datagram)
{
    return maker_seal(made, frames, length, datagram, MAKER_DATAGRAM);
}

static aiopq_hello_state_t read_frames(const uint8_t *frames, size_t length)
{
    maker_t made = maker();
    uint8_t datagram[MAKER_DATAGRAM];
    return read_one(datagram, seal(&made, frames, length, datagram));
}

static aiopq_hello_state_t read_message(const uint8_t *message, size_t length)
{
    uint8_t frames[MAKER_DATAGRAM];
    return read_frames(frames, maker_crypto(frames, 0, message, length));
}

/* ---- the RFCs' packets ---- */

/* The packet is sealed here from the RFC's plain text; its first bytes and its tag, which covers all of it, are
 * compared with the RFC's. */
static void check_vector(uint32_t version, const char *head, const char *tag)
{
    maker_t made = maker();
    uint8_t frame[256], packet[MAKER_DATAGRAM], expected[64];
    made.version = version;
    made.packet_number = 2;
    size_t length = maker_hex(frame, rfc_frame);
    CHECK_EQUAL(length, 245);
    (void)seal(&made, frame, length, packet);
    size_t head_length = maker_hex(expected, head);
    CHECK(memcmp(packet, expected, head_length) == 0);
    CHECK_EQUAL(maker_hex(expected, tag), 16);
    CHECK(memcmp(packet + sizeof(packet) - 16, expected, 16) == 0);

    aiopq_long_header_t header;
    uint8_t payload[AIOPQ_INITIAL_PACKET_MAX];
    uint32_t packet_number;
    CHECK(aiopq_read_long_header(packet, sizeof(packet), &header));
    CHECK_EQUAL(header.version, version);
    CHECK_EQUAL(header.type, AIOPQ_LONG_INITIAL);
    CHECK_EQUAL(header.length, sizeof(packet));
    CHECK_EQUAL(aiopq_open_initial(&header, packet, payload, &packet_number), 1162);
    CHECK_EQUAL(packet_number, 2);
    CHECK(memcmp(payload, frame, length) == 0);

    CHECK_EQUAL(read_one(packet, sizeof(packet)), AIOPQ_HELLO_WHOLE);
    CHECK(strcmp(hello.server_name, "example.com") == 0);
    CHECK_EQUAL(hello.server_name_length, 11);
    CHECK_EQUAL(hello.alpn_length, 5);
    CHECK(memcmp(hello.alpn,
                 "\x04"
                 "alpn",
                 5) == 0);
}

static void packet_of_rfc_9001(void)
{
    check_vector(AIOPQ_VERSION_1, "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11",
                 "e221af44860018ab0856972e194cd934");
}

static void packet_of_rfc_9369(void)
{
    check_vector(AIOPQ_VERSION_2, "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485",
                 "a18b2faa745b6fe189cf772a9f84cbfc");
}

/* ---- pieces ---- */

static void over_two_datagrams_in_any_order(void)
{
    maker_t made = maker();
    uint8_t message[4096], frames[2][MAKER_DATAGRAM], datagrams[2][MAKER_DATAGRAM];
    size_t length = maker_hello(message, "two.example", TWO_NAMES, 1200);
    size_t half = length / 2;
    (void)seal(&made, frames[0], maker_crypto(frames[0], 0, message, half), datagrams[0]);
    (void)seal(&made, frames[1], maker_crypto(frames[1], half, message, length - half), datagrams[1]);
    for (int first = 0; first < 2; first++) {
        aiopq_bytes_t bytes[2] = {{datagrams[first], MAKER_DATAGRAM}, {datagrams[1 - first], MAKER_DATAGRAM}};
        CHECK_EQUAL(aiopq_read_client_hello(bytes, 1, &hello), AIOPQ_HELLO_PART);
        CHECK(is_empty());
        CHECK_EQUAL(aiopq_read_client_hello(bytes, 2, &hello), AIOPQ_HELLO_WHOLE);
        CHECK(strcmp(hello.server_name, "two.example") == 0);
        CHECK_EQUAL(hello.alpn_length, sizeof(two_names) - 1);
    }
}

/* Small pieces, backwards, with PING, PADDING and acknowledgements between them: as browsers do. */
static void in_small_pieces_with_other_frames(void)
{
    uint8_t message[512], frames[MAKER_DATAGRAM];
    size_t length = maker_hello(message, "pieces.example", TWO_NAMES, 10), used = 0;
    static const uint8_t acks[] = {0x02, 0, 0, 1, 0, 0, 0, 0x03, 0, 0, 0, 0, 1, 2, 3};
    for (size_t end = length; end > 0;) {
        size_t size = end < 7 ? end : 7;
        used += maker_crypto(frames + used, end - size, message, size);
        frames[used++] = 0x01;
        frames[used++] = 0x00;
        end -= size;
    }
    memcpy(frames + used, acks, sizeof(acks));
    CHECK_EQUAL(read_frames(frames, used + sizeof(acks)), AIOPQ_HELLO_WHOLE);
    CHECK(strcmp(hello.server_name, "pieces.example") == 0);
}

/* Two Initial packets in one datagram, and one of another connection behind them, which counts for nothing. */
static void coalesced_packets(void)
{
    maker_t made = maker(), stranger = maker();
    uint8_t message[512], frames[512], datagram[MAKER_DATAGRAM];
    size_t length = maker_hello(message, "one.example", TWO_NAMES, 0);
    size_t at = maker_seal(&made, frames, maker_crypto(frames, 0, message, 20), datagram, 300);
    stranger.destination[0] ^= 1;
    size_t all = maker_crypto(frames, 0, message, length);
    (void)maker_seal(&stranger, frames, all, datagram + at, 500);
    CHECK_EQUAL(read_one(datagram, at + 500), AIOPQ_HELLO_PART);
    size_t rest = maker_crypto(frames, 20, message, length - 20);
    (void)maker_seal(&made, frames, rest, datagram + at, 500);
    CHECK_EQUAL(read_one(datagram, at + 500), AIOPQ_HELLO_WHOLE);
    CHECK(strcmp(hello.server_name, "one.example") == 0);
}

static void names_may_be_missing(void)
{
    uint8_t message[512];
    CHECK_EQUAL(read_message(message, maker_hello(message, NULL, NULL, 0, 0)), AIOPQ_HELLO_WHOLE);
    CHECK(is_empty());
    CHECK_EQUAL(read_message(message, maker_hello(message, "a.example", NULL, 0, 0)), AIOPQ_HELLO_WHOLE);
    CHECK(strcmp(hello.server_name, "a.example") == 0);
    CHECK_EQUAL(hello.alpn_length, 0);
}

/* ---- what can't be read ---- */

static void longest_names(void)
{
    uint8_t message[2048], alpn[AIOPQ_INCOMING_ALPN_MAX + 2];
    char name[AIOPQ_SERVER_NAME_MAX + 2];
    memset(name, 'x', sizeof(name));
    name[AIOPQ_SERVER_NAME_MAX] = 0;
    CHECK_EQUAL(read_message(message, maker_hello(message, name, NULL, 0, 0)), AIOPQ_HELLO_WHOLE);
    CHECK_EQUAL(hello.server_name_length, AIOPQ_SERVER_NAME_MAX);
    CHECK(strcmp(hello.server_name, name) == 0);
    name[AIOPQ_SERVER_NAME_MAX] = 'x';
    name[AIOPQ_SERVER_NAME_MAX + 1] = 0;
    CHECK_EQUAL(read_message(message, maker_hello(message, name, NULL, 0, 0)), AIOPQ_HELLO_UNREADABLE);
    CHECK(is_empty());
    for (size_t i = 0; i < sizeof(alpn); i += 2) {
        alpn[i] = 1;
        alpn[i + 1] = 'x';
    }
    CHECK_EQUAL(read_message(message, maker_hello(message, NULL, alpn, AIOPQ_INCOMING_ALPN_MAX, 0)),
                AIOPQ_HELLO_WHOLE);
    CHECK_EQUAL(hello.alpn_length, AIOPQ_INCOMING_ALPN_MAX);
    CHECK_EQUAL(read_message(message, maker_hello(message, NULL, alpn, sizeof(alpn), 0)),
                AIOPQ_HELLO_UNREADABLE);
    CHECK(is_empty());
}

static void bad_names(void)
{
    uint8_t message[512];
    static const uint8_t too_long[] = {3, 'h', '3'}, empty_name[] = {2, 'h', '3', 0};
    CHECK_EQUAL(read_message(message, maker_hello(message, NULL, too_long, sizeof(too_long), 0)),
                AIOPQ_HELLO_UNREADABLE);
    CHECK_EQUAL(read_message(message, maker_hello(message, NULL, empty_name, sizeof(empty_name), 0)),
                AIOPQ_HELLO_UNREADABLE);
    CHECK_EQUAL(read_message(message, maker_hello(message, "", NULL, 0, 0)), AIOPQ_HELLO_UNREADABLE);
    size_t length = maker_hello(message, "zero.example", NULL, 0, 0);
    message[length - 3] = 0;
    CHECK_EQUAL(read_message(message, length), AIOPQ_HELLO_UNREADABLE);
    CHECK(is_empty());
}

/* Two extensions of a kind are an error (RFC 8446 section 4.2): which one would count? */
static void names_given_twice(void)
{
    static const uint8_t alpn[] = {2, 'h', '3'};
    uint8_t message[512], doubled[512];
    for (int with_alpn = 0; with_alpn < 2; with_alpn++) {
        size_t length = maker_hello(message, with_alpn ? NULL : "a.example", with_alpn ? alpn : NULL, 3, 0);
        size_t bare = maker_hello(doubled, NULL, NULL, 0, 0); /* what comes before the extension */
        size_t extension = length - bare;
        memcpy(doubled, message, length);
        memcpy(doubled + length, message + bare, extension);
        doubled[3] = (uint8_t)(doubled[3] + extension);
        doubled[bare - 5] =
            (uint8_t)(doubled[bare - 5] + extension); /* behind it an extension without a body */
        CHECK_EQUAL(read_message(message, length), AIOPQ_HELLO_WHOLE);
        CHECK_EQUAL(read_message(doubled, length + extension), AIOPQ_HELLO_UNREADABLE);
        CHECK(is_empty());
    }
}

static void not_a_client_hello(void)
{
    uint8_t message[512], frames[MAKER_DATAGRAM];
    size_t length = maker_hello(message, "a.example", TWO_NAMES, 0);
    message[0] = 2;
    CHECK_EQUAL(read_message(message, length), AIOPQ_HELLO_UNREADABLE);
    message[0] = 1;
    message[1] = 1; /* 64 KiB and more */
    CHECK_EQUAL(read_message(message, length), AIOPQ_HELLO_UNREADABLE);
    static const uint8_t close[] = {0x1c, 0, 0, 0}, beyond[] = {0x06, 0x80, 0x01, 0, 0, 1, 'x'},
                         cut[] = {0x06, 0, 0x7f, 0xff};
    memset(frames, 1, 64);
    CHECK_EQUAL(read_frames(frames, 64), AIOPQ_HELLO_PART); /* PING alone */
    CHECK_EQUAL(read_frames(close, sizeof(close)), AIOPQ_HELLO_UNREADABLE);
    CHECK_EQUAL(read_frames(beyond, sizeof(beyond)), AIOPQ_HELLO_UNREADABLE);
    CHECK_EQUAL(read_frames(cut, sizeof(cut)), AIOPQ_HELLO_UNREADABLE);
    CHECK_EQUAL(aiopq_read_client_hello(NULL, 0, &hello), AIOPQ_HELLO_UNREADABLE);
}

/* A ClientHello whose length says less than there is: the end is found missing, wherever it is cut. */
static void message_cut_anywhere(void)
{
    uint8_t message[512];
    size_t length = maker_hello(message, "cut.example", TWO_NAMES, 3);
    for (size_t cut = 0; cut < length; cut++) {
        CHECK_EQUAL(read_message(message, cut), AIOPQ_HELLO_PART);
        if (cut >= 4) {
            uint8_t shorter[512];
            memcpy(shorter, message, cut);
            shorter[2] = (uint8_t)((cut - 4) >> 8);
            shorter[3] = (uint8_t)(cut - 4);
            CHECK_EQUAL(read_message(shorter, cut), AIOPQ_HELLO_UNREADABLE);
        }
        CHECK(is_empty());
    }
}

/* Every bit of a packet counts: the header is authenticated with the payload. Bytes are on the heap in their
 * exact size, so that reading one too many shows. */
static void datagram_cut_or_changed_anywhere(void)
{
    maker_t made = maker();
    uint8_t message[512], frames[512], packet[MAKER_DATAGRAM];
    size_t length = maker_hello(message, "a.example", TWO_NAMES, 0);
    (void)seal(&made, frames, maker_crypto(frames, 0, message, length), packet);
    for (size_t cut = 0; cut <= MAKER_DATAGRAM; cut += TEST_SCALE(1, 7)) {
        uint8_t *copy = malloc(cut + 1);
        CHECK(copy != NULL);
        memcpy(copy + 1, packet, cut);
        CHECK_EQUAL(read_one(copy + 1, cut),
                    cut == MAKER_DATAGRAM ? AIOPQ_HELLO_WHOLE : AIOPQ_HELLO_UNREADABLE);
        free(copy);
    }
    for (size_t bit = 0; bit < 8 * MAKER_DATAGRAM; bit += TEST_SCALE(3, 29)) {
        packet[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        CHECK(read_one(packet, sizeof(packet)) != AIOPQ_HELLO_WHOLE);
        CHECK(is_empty());
        packet[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

/* Random bytes as datagrams, as frames and as messages, and good ones with random damage. Nothing but reading is
 * expected of it: the sanitizers watch. */
static void random_bytes(void)
{
    uint64_t state = 20;
    maker_t made = maker();
    for (int round = 0; round < TEST_SCALE(6000, 1500); round++) {
        uint8_t bytes[900], datagram[MAKER_DATAGRAM];
        size_t length = 1 + test_random(&state) % sizeof(bytes);
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (uint8_t)test_random(&state);
        }
        uint8_t *copy = malloc(length);
        CHECK(copy != NULL);
        memcpy(copy, bytes, length);
        copy[0] |= 0xc0;
        (void)maker_hex(copy + 1, length > 8 ? "00000001" : "");
        (void)read_one(copy, length);
        free(copy);
        (void)read_frames(bytes, length);
        size_t hello_length = maker_hello(bytes, "damaged.example", TWO_NAMES, 20);
        for (uint64_t damage = 1 + test_random(&state) % 4; damage > 0; damage--) {
            bytes[test_random(&state) % hello_length] = (uint8_t)test_random(&state);
        }
        uint8_t frames[MAKER_DATAGRAM];
        (void)seal(&made, frames, maker_crypto(frames, 0, bytes, hello_length), datagram);
        aiopq_hello_state_t state_of_it = read_one(datagram, sizeof(datagram));
        CHECK(state_of_it == AIOPQ_HELLO_WHOLE || is_empty());
        CHECK_EQUAL(strlen(hello.server_name), hello.server_name_length);
    }
}

static void long_headers(void)
{
    aiopq_long_header_t header;
    uint8_t packet[64] = {0xc0, 0, 0, 0, 1, 8};
    CHECK(aiopq_read_long_header(packet, sizeof(packet), &header));
    CHECK_EQUAL(header.type, AIOPQ_LONG_INITIAL);
    packet[0] = 0xd0;
    CHECK(aiopq_read_long_header(packet, sizeof(packet), &header));
    CHECK_EQUAL(header.type, AIOPQ_LONG_0RTT);
    packet[0] = 0xf0; /* Retry has no length: it is not for servers anyway */
    CHECK(!aiopq_read_long_header(packet, sizeof(packet), &header));
    packet[0] = 0x40; /* a short header */
    CHECK(!aiopq_read_long_header(packet, sizeof(packet), &header));
    packet[0] = 0xc0;
    packet[5] = 21; /* too long a connection id */
    CHECK(!aiopq_read_long_header(packet, sizeof(packet), &header));
    packet[5] = 8;
    packet[4] = 3; /* an unknown version */
    CHECK(!aiopq_read_long_header(packet, sizeof(packet), &header));
    static const uint8_t v2[] = {0x6b, 0x33, 0x43, 0xcf};
    memcpy(packet + 1, v2, sizeof(v2));
    static const uint8_t first_bytes[] = {0xd0, 0xe0, 0xf0}; /* RFC 9369 section 3.2 */
    for (int type = AIOPQ_LONG_INITIAL; type <= AIOPQ_LONG_HANDSHAKE; type++) {
        packet[0] = first_bytes[type];
        CHECK(aiopq_read_long_header(packet, sizeof(packet), &header));
        CHECK_EQUAL(header.type, type);
    }
    packet[0] = 0xc0;
    CHECK(!aiopq_read_long_header(packet, sizeof(packet), &header));
}

static const test_case_t cases[] = {
    TEST(packet_of_rfc_9001),
    TEST(packet_of_rfc_9369),
    TEST(over_two_datagrams_in_any_order),
    TEST(in_small_pieces_with_other_frames),
    TEST(coalesced_packets),
    TEST(names_may_be_missing),
    TEST(longest_names),
    TEST(bad_names),
    TEST(names_given_twice),
    TEST(not_a_client_hello),
    TEST(message_cut_anywhere),
    TEST(datagram_cut_or_changed_anywhere),
    TEST(random_bytes),
    TEST(long_headers),
};

TEST_MAIN(cases)
