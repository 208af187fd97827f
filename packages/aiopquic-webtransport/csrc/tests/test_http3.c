/* HTTP/3's streams and frames: what is taken, and the codes that answer what is not (RFC 9114 section 8.1). */
#include <string.h>

#include "protocol.h"
#include "request.h"
#include "stage.h"

/* Closed with a code by what comes on a stream, however it is cut. */
static void closes(bool is_client, bool has_settings, uint64_t stream_id, const char *bytes, size_t length,
                   bool fin, uint64_t code)
{
    for (size_t piece = 0; piece < 3; piece++) {
        stage_begin(is_client);
        if (has_settings) {
            stage_settings();
        }
        stage_data(stream_id, bytes, length, fin, piece);
        CHECK_EQUAL(stage.close_code, code);
        stage_end();
    }
}

#define SERVER_CLOSES(id, bytes, code) closes(false, false, id, bytes, sizeof(bytes) - 1, false, code)
#define CLIENT_CLOSES(id, bytes, code) closes(true, false, id, bytes, sizeof(bytes) - 1, false, code)

static void our_own_streams(void)
{
    stage_begin(false);
    CHECK_EQUAL(stage_stream(3)->sent[0], H3_STREAM_CONTROL);
    CHECK_EQUAL(stage_stream(3)->sent[1], H3_FRAME_SETTINGS);
    CHECK(stage_stream(7)->sent_length == 1 && stage_stream(7)->sent[0] == H3_STREAM_QPACK_ENCODER);
    CHECK(stage_stream(11)->sent_length == 1 && stage_stream(11)->sent[0] == H3_STREAM_QPACK_DECODER);
    stage_end();
    stage_begin(true);
    CHECK_EQUAL(stage_stream(2)->sent[0], H3_STREAM_CONTROL);
    CHECK_EQUAL(stage_stream(6)->sent[0], H3_STREAM_QPACK_ENCODER);
    CHECK_EQUAL(stage_stream(10)->sent[0], H3_STREAM_QPACK_DECODER);
    stage_end();
}

static void control_streams(void)
{
    SERVER_CLOSES(2, "\x00\x04\x02\x33\x02", H3_SETTINGS_ERROR);
    SERVER_CLOSES(2, "\x00\x04\x01\x33", H3_FRAME_ERROR);
    SERVER_CLOSES(2, "\x00\x07\x01\x00", H3_MISSING_SETTINGS);
    SERVER_CLOSES(2, "\x00\x04\x00\x04\x00", H3_FRAME_UNEXPECTED); /* a second SETTINGS */
    SERVER_CLOSES(2, "\x00\x04\x00\x00\x00", H3_FRAME_UNEXPECTED); /* DATA */
    SERVER_CLOSES(2, "\x00\x04\x00\x01\x00", H3_FRAME_UNEXPECTED); /* HEADERS */
    SERVER_CLOSES(2, "\x00\x04\x00\x05\x00", H3_FRAME_UNEXPECTED); /* PUSH_PROMISE */
    SERVER_CLOSES(2, "\x00\x04\x00\x06\x00", H3_FRAME_UNEXPECTED); /* HTTP/2's PING */
    SERVER_CLOSES(2, "\x00\x04\x00\x03\x01\x00", H3_ID_ERROR);     /* CANCEL_PUSH */
    SERVER_CLOSES(2, "\x00\x04\x48\x00", H3_EXCESSIVE_LOAD);
    SERVER_CLOSES(2, "\x00\x04\x00\x07\x02\x00\x00", H3_FRAME_ERROR);
    CLIENT_CLOSES(3, "\x00\x04\x00\x0d\x01\x00", H3_FRAME_UNEXPECTED); /* MAX_PUSH_ID */
    CLIENT_CLOSES(3, "\x00\x04\x00\x07\x01\x03", H3_ID_ERROR);         /* no request's id */
    CLIENT_CLOSES(3, "\x00\x04\x00\x07\x01\x04\x07\x01\x08", H3_ID_ERROR);
    closes(false, true, 2, "", 0, true, H3_CLOSED_CRITICAL_STREAM);
    closes(false, true, 6, "\x00", 1, false, H3_STREAM_CREATION_ERROR);
    closes(true, false, 7, "\x02", 1, true, H3_CLOSED_CRITICAL_STREAM);
}

static void control_streams_go_on_behind_what_is_unknown(void)
{
    stage_begin(true);
    stage_data(3, "\x00\x04\x00\x21\x03xyz\x40\x41\x00\x07\x01\x08", 14, false, 1);
    CHECK_EQUAL(stage.close_code, NO_CODE);
    CHECK(stage_told(WT_EVENT_GOAWAY) != NULL && stage_told(WT_EVENT_GOAWAY)->data[7] == 8);
    stage_end();
    stage_begin(false);
    stage_data(2, "\x00\x04\x00\x0d\x01\x00", 6, false, 0); /* MAX_PUSH_ID: no push will come */
    CHECK_EQUAL(stage.close_code, NO_CODE);
    stage_end();
}

static void critical_streams_of_either_side(void)
{
    stage_begin(false);
    stage_settings();
    aiopq_wt_protocol.reset(stage.state, 2, 0);
    CHECK_EQUAL(stage.close_code, H3_CLOSED_CRITICAL_STREAM);
    stage_end();
    stage_begin(false);
    aiopq_wt_protocol.stopped(stage.state, 3, 0);
    CHECK_EQUAL(stage.close_code, H3_CLOSED_CRITICAL_STREAM);
    stage_end();
    stage_begin(false);
    aiopq_wt_protocol.reset(stage.state, 14, 0); /* a stream that had no type yet */
    CHECK_EQUAL(stage.close_code, NO_CODE);
    stage_end();
}

static void datagrams_need_the_transport_parameter(void)
{
    stage_begin(false);
    stage.theirs.max_datagram_frame_size = 0;
    stage_data(2, "\x00\x04\x02\x33\x01", 5, false, 0);
    CHECK_EQUAL(stage.close_code, H3_SETTINGS_ERROR);
    stage_end();
}

static void settings_are_told_with_what_they_mean(void)
{
    stage_begin(true);
    stage_settings();
    stage_event_t *told = stage_told(WT_EVENT_SETTINGS);
    CHECK_EQUAL(told->data[0], 15);
    CHECK_EQUAL(told->data[1], 1);
    CHECK_EQUAL(told->data[5], 1); /* sessions */
    CHECK_EQUAL(told->data[7], 3); /* settings */
    CHECK_EQUAL(told->length, 8 + 3 * 16);
    stage_end();
    stage_begin(true);
    stage.theirs.reset_stream_at = false;
    stage_settings();
    CHECK_EQUAL(stage_told(WT_EVENT_SETTINGS)->data[1], 0);
    stage_end();
}

static void qpack_streams(void)
{
    SERVER_CLOSES(2, "\x02\x21", QPACK_ENCODER_STREAM_ERROR);     /* a capacity of 1 */
    SERVER_CLOSES(2, "\x02\xc0\x00", QPACK_ENCODER_STREAM_ERROR); /* an insertion */
    SERVER_CLOSES(2, "\x03\x80", QPACK_DECODER_STREAM_ERROR);     /* acknowledges a section */
    SERVER_CLOSES(2, "\x03\x01", QPACK_DECODER_STREAM_ERROR);     /* of one insertion */
    stage_begin(false);
    stage_data(2, "\x02\x20", 2, false, 0);
    stage_data(6, "\x03\x40\x7f\x81\x01\x44", 6, false, 1); /* streams are cancelled */
    CHECK_EQUAL(stage.close_code, NO_CODE);
    stage_end();
}

static void other_unidirectional_streams(void)
{
    SERVER_CLOSES(2, "\x01\x00", H3_STREAM_CREATION_ERROR); /* push */
    CLIENT_CLOSES(3, "\x01\x00", H3_ID_ERROR);
    stage_begin(false);
    stage_data(2, "\x21more", 5, false, 0);
    CHECK_EQUAL(stage_stream(2)->claim.kind, AIOPQ_CLAIM_REFUSE);
    CHECK_EQUAL(stage_stream(2)->claim.error_code, H3_STREAM_CREATION_ERROR);
    stage_data(6, "\x40", 1, true, 0); /* ends in its type */
    CHECK_EQUAL(stage.close_code, NO_CODE);
    stage_end();
}

static void request_streams(void)
{
    SERVER_CLOSES(0, "\x00\x00", H3_FRAME_UNEXPECTED);        /* DATA first */
    SERVER_CLOSES(0, "\x04\x00", H3_FRAME_UNEXPECTED);        /* SETTINGS */
    SERVER_CLOSES(0, "\x07\x00", H3_FRAME_UNEXPECTED);        /* GOAWAY */
    SERVER_CLOSES(0, "\x05\x00", H3_FRAME_UNEXPECTED);        /* PUSH_PROMISE */
    SERVER_CLOSES(0, "\x02\x00", H3_FRAME_UNEXPECTED);        /* HTTP/2's PRIORITY */
    SERVER_CLOSES(0, "\x21\x00\x40\x41\x00", H3_FRAME_ERROR); /* WebTransport's signal, too late */
    SERVER_CLOSES(0, "\x01\x02\x01\x00", QPACK_DECOMPRESSION_FAILED);
    closes(false, false, 0, "\x01\x09zz", 4, true, H3_FRAME_ERROR); /* ends in a frame */
    CLIENT_CLOSES(1, "\x01\x00", H3_STREAM_CREATION_ERROR);
}

static uint64_t reset_of(const char *const *fields, bool fin)
{
    uint8_t frame[512];
    stage_begin(false);
    stage_settings();
    stage_data(0, frame, stage_headers(frame, sizeof(frame), fields), fin, 1);
    CHECK_EQUAL(stage.close_code, NO_CODE);
    CHECK_EQUAL(stage_stream(0)->reset_code, stage_stream(0)->stop_code);
    uint64_t code = stage_stream(0)->reset_code;
    CHECK(code == NO_CODE || stage_count(WT_EVENT_REQUEST) == 0);
    stage_end();
    return code;
}

static void requests_that_are_malformed(void)
{
    CHECK_EQUAL(reset_of((const char *const[]){":method", "GET", NULL}, true), H3_MESSAGE_MALFORMED);
    CHECK_EQUAL(
        reset_of((const char *const[]){":method", "CONNECT", ":protocol", "webtransport", NULL}, false),
        H3_MESSAGE_MALFORMED);
    stage_begin(false);
    stage_data(0, "\x21\x00", 2, true, 0); /* ends without its fields */
    CHECK_EQUAL(stage_stream(0)->reset_code, H3_REQUEST_INCOMPLETE);
    stage_end();
    stage_begin(false);
    stage_data(0, "", 0, true, 0);
    CHECK_EQUAL(stage_stream(0)->reset_code, H3_REQUEST_INCOMPLETE);
    stage_end();
    stage_begin(false);
    aiopq_wt_protocol.reset(stage.state, 0, 5);
    CHECK_EQUAL(stage_stream(0)->reset_code, H3_REQUEST_CANCELLED);
    stage_end();
}

/* A request that is no CONNECT is told too; its body is dropped, and the answer ends the stream. */
static void plain_requests(void)
{
    uint8_t frame[512];
    const char *const fields[] = {":method", "GET",   ":scheme", "https", ":authority",
                                  "h",       ":path", "/x",      NULL};
    stage_begin(false);
    stage_data(0, frame, stage_headers(frame, sizeof(frame), fields), false, 1); /* before the SETTINGS */
    stage_data(0,
               "\x00\x03"
               "abc\x01\x03\x00\x00\xd1",
               10, true, 1); /* a body, and trailers */
    CHECK_EQUAL(stage_count(WT_EVENT_REQUEST), 1);
    CHECK_EQUAL(stage.close_code, NO_CODE);
    stage_respond(0, 404);
    CHECK(stage_stream(0)->is_fin_sent);
    CHECK_EQUAL(stage_stream(0)->sent[0], H3_FRAME_HEADERS);
    CHECK_EQUAL(stage_stream(0)->sent[4], 0xc0 | 27); /* :status 404 */
    CHECK_EQUAL(stage_count(WT_EVENT_SESSION_CLOSED), 0);
    stage_respond(0, 200); /* once is enough */
    stage_end();
}

static void fields_that_are_too_large(void)
{
    stage_begin(false);
    stage_data(0, "\x01\x80\x01\x00\x01", 5, false, 1); /* a HEADERS frame of 65537 bytes */
    CHECK_EQUAL(stage.close_code, NO_CODE);
    CHECK(stage_stream(0)->is_fin_sent);
    CHECK(memcmp(stage_stream(0)->sent + 4,
                 "\x5f\x09\x03"
                 "431",
                 6) == 0);
    CHECK_EQUAL(stage_stream(0)->stop_code, H3_NO_ERROR);
    stage_data(0, "what comes is dropped", 21, true, 0);
    stage_end();
}

static void goaway(void)
{
    uint8_t frame[512];
    const char *const fields[] = {":method", "GET",   ":scheme", "https", ":authority",
                                  "h",       ":path", "/x",      NULL};
    size_t length;
    stage_begin(false);
    length = stage_headers(frame, sizeof(frame), fields);
    stage_data(0, frame, length, true, 0);
    size_t before = stage_stream(3)->sent_length;
    aiopq_wt_protocol.command(stage.state, WT_COMMAND_GOAWAY, 0, NULL, 0);
    CHECK(memcmp(stage_stream(3)->sent + before, "\x07\x01\x04", 3) == 0);
    aiopq_wt_protocol.command(stage.state, WT_COMMAND_GOAWAY, 0, NULL, 0);
    CHECK_EQUAL(stage_stream(3)->sent_length, before + 3);
    stage_data(4, frame, length, true, 0);
    CHECK_EQUAL(stage_stream(4)->reset_code, H3_REQUEST_REJECTED);
    CHECK_EQUAL(stage_count(WT_EVENT_REQUEST), 1);
    stage_end();
}

static void datagrams(void)
{
    stage_begin(false);
    stage_settings();
    stage_connect(0, WT_TOKEN);
    CHECK(aiopq_wt_protocol.datagram(stage.state, (const uint8_t *)"\x00x", 2)); /* before it is accepted */
    CHECK(aiopq_wt_protocol.datagram(stage.state, (const uint8_t *)"\x01x", 2)); /* before it has come */
    stage_respond(0, 404);
    CHECK(!aiopq_wt_protocol.datagram(stage.state, (const uint8_t *)"\x00x", 2));
    stage.are_streams_over = true;
    CHECK(!aiopq_wt_protocol.datagram(stage.state, (const uint8_t *)"\x01x", 2));
    CHECK_EQUAL(stage.close_code, NO_CODE);
    CHECK(!aiopq_wt_protocol.datagram(stage.state, (const uint8_t *)"\x40", 1));
    CHECK_EQUAL(stage.close_code, H3_DATAGRAM_ERROR);
    stage_end();
    stage_begin(true);
    CHECK(!aiopq_wt_protocol.datagram(stage.state, (const uint8_t *)"\x00x", 2)); /* a client knows its own */
    CHECK(!aiopq_wt_protocol.datagram(stage.state, (const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff", 8));
    CHECK_EQUAL(stage.close_code, H3_DATAGRAM_ERROR); /* four times as much is no stream id */
    stage_end();
    stage_begin(true);
    CHECK(!aiopq_wt_protocol.datagram(stage.state, NULL, 0));
    CHECK_EQUAL(stage.close_code, H3_DATAGRAM_ERROR);
    stage_end();
}

int main(int argc, char **argv)
{
    static const test_case_t cases[] = {
        TEST(our_own_streams),
        TEST(control_streams),
        TEST(control_streams_go_on_behind_what_is_unknown),
        TEST(critical_streams_of_either_side),
        TEST(datagrams_need_the_transport_parameter),
        TEST(settings_are_told_with_what_they_mean),
        TEST(qpack_streams),
        TEST(other_unidirectional_streams),
        TEST(request_streams),
        TEST(requests_that_are_malformed),
        TEST(plain_requests),
        TEST(fields_that_are_too_large),
        TEST(goaway),
        TEST(datagrams),
    };
    return test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
