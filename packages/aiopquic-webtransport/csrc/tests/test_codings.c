/* QPACK, SETTINGS, messages and integers, each by itself. */
#include <string.h>

#include "message.h"
#include "qpack.h"
#include "settings.h"
#include "stage.h"
#include "tlv.h"

/* ---- QPACK ---- */

static h3_decoded_t decode(const void *data, size_t length, wt_bytes_t *list)
{
    list->length = 0;
    return h3_qpack_decode(data, length, list);
}

static bool has(const wt_bytes_t *list, size_t at, const char *name, const char *value)
{
    wt_reader_t reader = {.at = list->data, .left = list->length};
    uint16_t count = h3_fields_begin(&reader);
    CHECK(at < count);
    h3_field_t field = h3_fields_next(&reader);
    for (size_t i = 0; i < at; i++) {
        field = h3_fields_next(&reader);
    }
    return !reader.is_short && h3_field_is(&field, name) && h3_value_is(&field, value);
}

/* Examples of RFC 9204 appendix B.1 and RFC 7541 appendix C.4. */
static void sections_of_the_rfcs(void)
{
    wt_bytes_t list = {0};
    static const uint8_t named[] = "\x00\x00\x51\x0b/index.html";
    CHECK_EQUAL(decode(named, sizeof(named) - 1, &list), H3_DECODED);
    CHECK(has(&list, 0, ":path", "/index.html"));
    static const uint8_t huffman[] = {0x00, 0x00, 0x50, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5,
                                      0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff};
    CHECK_EQUAL(decode(huffman, sizeof(huffman), &list), H3_DECODED);
    CHECK(has(&list, 0, ":authority", "www.example.com"));
    static const uint8_t literal[] = {0x00, 0x00, 0x2f, 0x01, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d,
                                      0x7f, 0x89, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf};
    CHECK_EQUAL(decode(literal, sizeof(literal), &list), H3_DECODED);
    CHECK(has(&list, 0, "custom-key", "custom-value"));
    static const uint8_t indexed[] = {0x00, 0x00, 0xcf, 0xd7, 0xff, 0x23};
    CHECK_EQUAL(decode(indexed, sizeof(indexed), &list), H3_DECODED);
    CHECK(has(&list, 0, ":method", "CONNECT") && has(&list, 1, ":scheme", "https") &&
          has(&list, 2, "x-frame-options", "sameorigin"));
    wt_bytes_free(&list);
}

static void sections_that_are_none(void)
{
    static const struct {
        const char *data;
        size_t length;
    } bad[] = {
        {"", 0},
        {"\x00", 1},
        {"\x01\x00", 2},             /* an insert count, and there is no table */
        {"\x00\x00\x80", 3},         /* the dynamic table */
        {"\x00\x00\xff\x24", 4},     /* index 99 */
        {"\x00\x00\x40\x00", 4},     /* a name of the dynamic table */
        {"\x00\x00\x5f\x54\x00", 5}, /* name 99 */
        {"\x00\x00\x10", 3},         /* behind the base */
        {"\x00\x00\x50\x05"
         "abc",
         7},                         /* a value that is cut */
        {"\x00\x00\x27", 3},         /* a length that is cut */
        {"\x00\x00\x50\x81\x00", 5}, /* Huffman: padding that is not ones */
        {"\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 14}, /* an integer without end */
    };
    wt_bytes_t list = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_EQUAL(decode(bad[i].data, bad[i].length, &list), H3_DECODE_FAILED);
    }
    wt_bytes_free(&list);
}

/* A long value, in the Huffman code: "0" takes 5 bits. */
static void a_long_value(void)
{
    static uint8_t section[2 + 1 + 3 + 5000] = {0x00, 0x00, 0x50,
                                                0xff, 0x89, 0x26}; /* 127 + 9 + 38 * 128 = 5000 */
    wt_bytes_t list = {0};
    CHECK_EQUAL(decode(section, sizeof(section), &list), H3_DECODED);
    CHECK_EQUAL(list.length, 2 + 2 + 10 + 4 + 8000);
    CHECK_EQUAL(list.data[list.length - 1], '0');
    wt_bytes_free(&list);
}

static void sections_have_a_limit(void)
{
    wt_bytes_t section = {0}, list = {0};
    static uint8_t value[H3_FIELD_SECTION_MAX];
    memset(value, 'x', sizeof(value));
    h3_qpack_begin(&section);
    h3_qpack_add(&section, (const uint8_t *)"n", 1, value, H3_FIELD_SECTION_MAX - 33);
    CHECK_EQUAL(decode(section.data, section.length, &list), H3_DECODED);
    section.length = 0;
    h3_qpack_begin(&section);
    h3_qpack_add(&section, (const uint8_t *)"n", 1, value, H3_FIELD_SECTION_MAX - 32);
    CHECK_EQUAL(decode(section.data, section.length, &list), H3_DECODE_TOO_LARGE);
    section.length = 0;
    h3_qpack_begin(&section);
    for (size_t i = 0; i <= H3_FIELDS_MAX; i++) { /* a byte each: what a bomb is made of */
        h3_qpack_add(&section, (const uint8_t *)":path", 5, (const uint8_t *)"/", 1);
    }
    CHECK(section.length < H3_FIELDS_MAX + 8);
    CHECK_EQUAL(decode(section.data, section.length, &list), H3_DECODE_TOO_LARGE);
    wt_bytes_free(&section);
    wt_bytes_free(&list);
    CHECK_EQUAL(stage_objects, 0);
}

/* What we code we decode, and random bytes break nothing. */
static void sections_at_random(void)
{
    uint64_t state = 1;
    wt_bytes_t section = {0}, list = {0};
    for (int round = 0; round < TEST_SCALE(20000, 4000); round++) {
        uint8_t bytes[64];
        size_t length = test_random(&state) % sizeof(bytes);
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (uint8_t)test_random(&state);
        }
        if (length >= 2 && round % 4 != 0) {
            bytes[0] = bytes[1] = 0;
        }
        (void)decode(bytes, length, &list);
        char name[16] = "n", value[300] = "";
        size_t name_length = 1 + test_random(&state) % 14, value_length = test_random(&state) % 299;
        memset(name, 'a' + (int)(test_random(&state) % 26), name_length);
        memset(value, 'a' + (int)(test_random(&state) % 26), value_length);
        name[name_length] = value[value_length] = 0;
        section.length = 0;
        h3_qpack_begin(&section);
        h3_qpack_add(&section, (const uint8_t *)name, name_length, (const uint8_t *)value, value_length);
        CHECK_EQUAL(decode(section.data, section.length, &list), H3_DECODED);
        CHECK(has(&list, 0, name, value));
    }
    wt_bytes_free(&section);
    wt_bytes_free(&list);
}

/* ---- messages ---- */

static h3_kind_t judge(const char *const *fields)
{
    wt_bytes_t list = {0};
    uint16_t count = 0;
    for (const char *const *at = fields; at[0] != NULL; at += 2) {
        count++;
    }
    wt_put_u16(&list, count);
    for (; fields[0] != NULL; fields += 2) {
        wt_put_u16(&list, (uint16_t)strlen(fields[0]));
        wt_put(&list, fields[0], strlen(fields[0]));
        wt_put_u32(&list, (uint32_t)strlen(fields[1]));
        wt_put(&list, fields[1], strlen(fields[1]));
    }
    h3_kind_t kind = h3_judge_request(list.data, list.length);
    if (count == 1 && strcmp((fields - 2)[0], ":status") == 0) { /* a response */
        kind = (h3_kind_t)h3_judge_response(list.data, list.length);
    }
    wt_bytes_free(&list);
    return kind;
}

#define CONNECT_OF(token)                                                                                    \
    ":method", "CONNECT", ":protocol", token, ":scheme", "https", ":authority", "h", ":path", "/"
#define JUDGE(...) judge((const char *const[]){__VA_ARGS__, NULL})

static void requests(void)
{
    CHECK_EQUAL(JUDGE(CONNECT_OF("webtransport-h3")), H3_WEBTRANSPORT);
    CHECK_EQUAL(JUDGE(CONNECT_OF("webtransport"), "origin", "https://h"), H3_WEBTRANSPORT_OLD);
    CHECK_EQUAL(JUDGE(CONNECT_OF("connect-udp")), H3_CONNECT);
    CHECK_EQUAL(JUDGE(":method", "CONNECT", ":authority", "h:443"), H3_CONNECT);
    CHECK_EQUAL(JUDGE(":method", "GET", ":scheme", "https", ":authority", "h", ":path", "/"), H3_PLAIN);
    CHECK_EQUAL(JUDGE(":method", "GET", ":scheme", "https", ":path", "/", "host", "h"), H3_PLAIN);
    CHECK_EQUAL(JUDGE(CONNECT_OF("webtransport"), "te", "trailers"), H3_WEBTRANSPORT_OLD);

    CHECK_EQUAL(JUDGE(":scheme", "https", ":authority", "h", ":path", "/"), H3_MALFORMED);
    CHECK_EQUAL(JUDGE(":method", "GET", ":scheme", "https", ":authority", "h"), H3_MALFORMED);
    CHECK_EQUAL(JUDGE(":method", "GET", ":scheme", "https", ":path", "/"), H3_MALFORMED);
    CHECK_EQUAL(JUDGE(":method", "GET", ":scheme", "https", ":authority", "h", ":path", ""), H3_MALFORMED);
    CHECK_EQUAL(JUDGE(":method", "CONNECT", ":authority", "h", ":path", "/"), H3_MALFORMED);
    CHECK_EQUAL(JUDGE(":method", "CONNECT", ":protocol", "webtransport", ":scheme", "https", ":path", "/"),
                H3_MALFORMED);
    CHECK_EQUAL(JUDGE(":method", "GET", ":protocol", "webtransport", ":scheme", "https", ":authority", "h",
                      ":path", "/"),
                H3_MALFORMED);
    CHECK_EQUAL(JUDGE(CONNECT_OF("webtransport"), ":path", "/again"), H3_MALFORMED);
    CHECK_EQUAL(JUDGE(CONNECT_OF("webtransport"), "a", "1", ":other", "2"), H3_MALFORMED);
    CHECK_EQUAL(JUDGE(CONNECT_OF("webtransport"), ":status", "200"), H3_MALFORMED);
    CHECK_EQUAL(JUDGE(CONNECT_OF("webtransport"), "Upper", "1"), H3_MALFORMED);
    CHECK_EQUAL(JUDGE(CONNECT_OF("webtransport"), "", "1"), H3_MALFORMED);
    CHECK_EQUAL(JUDGE(CONNECT_OF("webtransport"), "a b", "1"), H3_MALFORMED);
    CHECK_EQUAL(JUDGE(CONNECT_OF("webtransport"), "a", "x\r\ny"), H3_MALFORMED);
    CHECK_EQUAL(JUDGE(CONNECT_OF("webtransport"), "a", " x"), H3_MALFORMED);
    CHECK_EQUAL(JUDGE(CONNECT_OF("webtransport"), "a", "x\t"), H3_MALFORMED);
    CHECK_EQUAL(JUDGE(CONNECT_OF("webtransport"), "connection", "close"), H3_MALFORMED);
    CHECK_EQUAL(JUDGE(CONNECT_OF("webtransport"), "te", "gzip"), H3_MALFORMED);
}

static void responses(void)
{
    CHECK_EQUAL(JUDGE(":status", "200"), 200);
    CHECK_EQUAL(JUDGE(":status", "599"), 599);
    CHECK_EQUAL(JUDGE(":status", "099"), 0);
    CHECK_EQUAL(JUDGE(":status", "600"), 0);
    CHECK_EQUAL(JUDGE(":status", "20"), 0);
    CHECK_EQUAL(JUDGE(":status", "2000"), 0);
    CHECK_EQUAL(JUDGE(":status", "2x0"), 0);
}

/* ---- SETTINGS ---- */

static h3_settings_t settings;

static uint64_t read_pairs(const uint64_t *pairs, size_t count)
{
    wt_bytes_t payload = {0};
    for (size_t i = 0; i < count; i++) {
        wt_put_varint(&payload, pairs[i]);
    }
    uint64_t error = h3_settings_read(&settings, payload.data, payload.length);
    wt_bytes_free(&payload);
    return error;
}

#define READ(...)                                                                                            \
    read_pairs((const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void dialects(void)
{
    CHECK_EQUAL(READ(H3_SETTING_H3_DATAGRAM, 1, H3_SETTING_ENABLE_CONNECT_PROTOCOL, 1), 0);
    CHECK_EQUAL(settings.dialect, WT_DIALECT_NONE);
    CHECK_EQUAL(settings.max_sessions, 0);
    CHECK(settings.h3_datagram && settings.enable_connect_protocol);
    CHECK_EQUAL(READ(WT_SETTING_ENABLE_WEBTRANSPORT, 1), 0);
    CHECK_EQUAL(settings.dialect, WT_DIALECT_02);
    CHECK_EQUAL(settings.max_sessions, WT_SESSIONS_MAX);
    CHECK_EQUAL(READ(WT_SETTING_MAX_SESSIONS_07, 5), 0);
    CHECK_EQUAL(settings.dialect, WT_DIALECT_07);
    CHECK_EQUAL(settings.max_sessions, 5);
    CHECK_EQUAL(READ(WT_SETTING_MAX_SESSIONS_13, 7), 0);
    CHECK_EQUAL(settings.dialect, WT_DIALECT_13);
    CHECK_EQUAL(settings.max_sessions, 1); /* more needs flow control */
    CHECK_EQUAL(READ(WT_SETTING_ENABLED, 1), 0);
    CHECK_EQUAL(settings.dialect, WT_DIALECT_15);
    CHECK_EQUAL(settings.max_sessions, 1);
    CHECK_EQUAL(READ(WT_SETTING_ENABLED, 0, 0x21, 99), 0);
    CHECK_EQUAL(settings.dialect, WT_DIALECT_NONE);
    CHECK_EQUAL(settings.count, 2);
}

static void settings_that_are_errors(void)
{
    CHECK_EQUAL(READ(WT_SETTING_ENABLED, 2), H3_SETTINGS_ERROR);
    CHECK_EQUAL(READ(H3_SETTING_H3_DATAGRAM, 2), H3_SETTINGS_ERROR);
    CHECK_EQUAL(READ(H3_SETTING_ENABLE_CONNECT_PROTOCOL, 7), H3_SETTINGS_ERROR);
    CHECK_EQUAL(READ(0x4, 1), H3_SETTINGS_ERROR);
    CHECK_EQUAL(READ(0x21, 1, 0x21, 1), H3_SETTINGS_ERROR);
    CHECK_EQUAL(READ(0x21), H3_FRAME_ERROR);
    uint64_t many[2 * H3_SETTINGS_COUNT_MAX + 2];
    for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
        many[i] = 0x100 + i;
    }
    CHECK_EQUAL(read_pairs(many, 2 * H3_SETTINGS_COUNT_MAX), 0);
    CHECK_EQUAL(read_pairs(many, 2 * H3_SETTINGS_COUNT_MAX + 2), H3_EXCESSIVE_LOAD);
}

/* Ours, as browsers look at them. */
static void our_settings(void)
{
    wt_bytes_t frame = {0};
    h3_settings_write(&frame, false, true);
    CHECK_EQUAL(frame.data[0], H3_FRAME_SETTINGS);
    wt_reader_t reader = {.at = frame.data + 1, .left = frame.length - 1};
    uint64_t length = wt_take_varint(&reader);
    CHECK_EQUAL(length, reader.left);
    CHECK_EQUAL(h3_settings_read(&settings, reader.at, reader.left), 0);
    CHECK(settings.enable_connect_protocol && settings.h3_datagram);
    CHECK_EQUAL(settings.dialect, WT_DIALECT_15);
    static const uint64_t wanted[][2] = {{0x2c7cf000, 1}, {0x14e9cd29, 1}, {0xc671706a, 16}, {0x2b603742, 1},
                                         {0x33, 1},       {0xffd277, 1},   {0x8, 1},         {0x1, 0},
                                         {0x7, 0},        {0x6, 16384}};
    CHECK_EQUAL(settings.count, sizeof(wanted) / sizeof(wanted[0]));
    for (size_t i = 0; i < settings.count; i++) {
        size_t at = 0;
        while (settings.pairs[2 * at] != wanted[i][0]) {
            CHECK(++at < settings.count);
        }
        CHECK_EQUAL(settings.pairs[2 * at + 1], wanted[i][1]);
    }
    frame.length = 0;
    h3_settings_write(&frame, true, false); /* without datagrams no WebTransport */
    CHECK_EQUAL(h3_settings_read(&settings, frame.data + 2, frame.length - 2), 0);
    CHECK_EQUAL(settings.dialect, WT_DIALECT_NONE);
    wt_bytes_free(&frame);
}

/* ---- integers ---- */

static void varints(void)
{
    static const uint64_t values[] = {0,     1,        63,         64,         16383,
                                      16384, 1u << 29, (1u << 30), 1ull << 40, (1ull << 62) - 1};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        wt_bytes_t bytes = {0};
        wt_put_varint(&bytes, values[i]);
        wt_reader_t reader = {.at = bytes.data, .left = bytes.length};
        CHECK_EQUAL(wt_take_varint(&reader), values[i]);
        CHECK(!reader.is_short && reader.left == 0);
        reader = (wt_reader_t){.at = bytes.data, .left = bytes.length - 1};
        (void)wt_take_varint(&reader);
        CHECK(reader.is_short);
        wt_bytes_free(&bytes);
    }
    CHECK_EQUAL(stage_objects, 0);
}

int main(int argc, char **argv)
{
    static const test_case_t cases[] = {
        TEST(sections_of_the_rfcs),
        TEST(sections_that_are_none),
        TEST(sections_have_a_limit),
        TEST(a_long_value),
        TEST(sections_at_random),
        TEST(requests),
        TEST(responses),
        TEST(dialects),
        TEST(settings_that_are_errors),
        TEST(our_settings),
        TEST(varints),
    };
    return test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
