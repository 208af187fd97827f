/* Sessions of WebTransport: how they begin, whose streams are, capsules, and every way in which they end. */
#include <string.h>

#include "protocol.h"
#include "request.h"
#include "stage.h"

static void open_session(uint64_t stream_id, const char *token)
{
    stage_connect(stream_id, token);
    CHECK_EQUAL(stage_told(WT_EVENT_REQUEST)->uid, stream_id);
    stage_respond(stream_id, 200);
    CHECK_EQUAL(stage.opened_scope, stream_id);
}

/* A server with an open session on stream 0. */
static void begin_open(void)
{
    stage_begin(false);
    stage_settings();
    open_session(0, WT_TOKEN);
}

static bool is_closed_by(enum wt_end how, uint32_t code, const char *reason)
{
    const stage_event_t *told = stage_told(WT_EVENT_SESSION_CLOSED);
    const uint8_t head[] = {(uint8_t)how, (uint8_t)(code >> 24), (uint8_t)(code >> 16), (uint8_t)(code >> 8),
                            (uint8_t)code};
    return told != NULL && stage_count(WT_EVENT_SESSION_CLOSED) == 1 && told->length == 5 + strlen(reason) &&
           memcmp(told->data, head, 5) == 0 && memcmp(told->data + 5, reason, strlen(reason)) == 0;
}

static aiopq_claim_t claim_of(uint64_t stream_id, const char *bytes, size_t length)
{
    return aiopq_wt_protocol.claim(stage.state, stream_id, (const uint8_t *)bytes, length, false);
}

static void command(int32_t kind, uint64_t uid, const void *data, size_t length)
{
    aiopq_wt_protocol.command(stage.state, kind, uid, data, length);
}

/* ---- beginning ---- */

static void both_tokens_are_sessions(void)
{
    static const char *const tokens[] = {WT_TOKEN, WT_TOKEN_OLD};
    for (size_t i = 0; i < 2; i++) {
        stage_begin(false);
        stage_settings();
        open_session(0, tokens[i]);
        CHECK(!stage_stream(0)->is_fin_sent);
        CHECK_EQUAL(stage_stream(0)->sent[4], 0xc0 | 25); /* :status 200 */
        stage_end();
    }
}

static void a_session_waits_for_settings(void)
{
    stage_begin(false);
    stage_connect(0, WT_TOKEN);
    stage_connect(4, WT_TOKEN);
    CHECK_EQUAL(stage_count(WT_EVENT_REQUEST), 0);
    stage_settings();
    CHECK_EQUAL(stage_count(WT_EVENT_REQUEST), 1);
    CHECK_EQUAL(stage_told(WT_EVENT_REQUEST)->uid, 0);
    CHECK_EQUAL(stage_stream(4)->reset_code, H3_REQUEST_REJECTED);
    stage_end();
}

static void a_second_session_where_it_is_not_allowed(void)
{
    begin_open();
    stage_connect(4, WT_TOKEN);
    CHECK_EQUAL(stage_stream(4)->reset_code, H3_REQUEST_REJECTED);
    CHECK_EQUAL(stage_stream(4)->stop_code, H3_REQUEST_REJECTED);
    CHECK_EQUAL(stage_count(WT_EVENT_REQUEST), 1);
    stage_capsule(0, WT_CAPSULE_CLOSE, "\0\0\0\0", 4, true);
    open_session(8, WT_TOKEN); /* one behind the other */
    stage_end();
}

static void several_sessions_of_older_drafts(void)
{
    stage_begin(false);
    stage_settings();
    for (uint64_t i = 0; i < WT_SESSIONS_MAX; i++) {
        open_session(4 * i, WT_TOKEN_OLD);
    }
    stage_connect(4 * WT_SESSIONS_MAX, WT_TOKEN_OLD);
    CHECK_EQUAL(stage_stream(4 * WT_SESSIONS_MAX)->reset_code, H3_REQUEST_REJECTED);
    aiopq_wt_protocol.reset(stage.state, 4, 0);
    open_session(4 * WT_SESSIONS_MAX + 4, WT_TOKEN_OLD);
    stage_end();
}

static void a_rejected_session(void)
{
    stage_begin(false);
    stage_settings();
    stage_connect(0, WT_TOKEN);
    CHECK_EQUAL(claim_of(14, "\x40\x54\x00", 3).kind, AIOPQ_CLAIM_WAIT);
    stage_respond(0, 403);
    CHECK(stage_stream(0)->is_fin_sent);
    CHECK_EQUAL(stage.ended_scope, 0);
    CHECK_EQUAL(stage.ended_code, WT_BUFFERED_STREAM_REJECTED);
    CHECK_EQUAL(claim_of(14, "\x40\x54\x00", 3).kind, AIOPQ_CLAIM_REFUSE);
    CHECK_EQUAL(stage_count(WT_EVENT_SESSION_CLOSED), 0);
    stage_connect(4, WT_TOKEN); /* it does not count */
    CHECK_EQUAL(stage_count(WT_EVENT_REQUEST), 2);
    stage_end();
}

static void a_client_that_gives_up(void)
{
    stage_begin(false);
    stage_settings();
    stage_connect(0, WT_TOKEN);
    aiopq_wt_protocol.reset(stage.state, 0, H3_REQUEST_CANCELLED);
    CHECK(is_closed_by(WT_END_RESET, 0, ""));
    CHECK_EQUAL(stage_stream(0)->reset_code, H3_REQUEST_CANCELLED);
    stage_respond(0, 200); /* too late */
    CHECK_EQUAL(stage.opened_scope, NO_CODE);
    stage_end();
    stage_begin(false);
    stage_settings();
    stage_connect(0, WT_TOKEN);
    stage_data(0, "", 0, true, 0);
    CHECK(is_closed_by(WT_END_FIN, 0, ""));
    CHECK_EQUAL(stage_stream(0)->reset_code, H3_REQUEST_CANCELLED);
    stage_end();
}

/* ---- the client's side ---- */

static void pack(uint8_t *list, size_t *length, const char *const *fields)
{
    wt_bytes_t packed = {0};
    uint16_t count = 0;
    for (const char *const *at = fields; at[0] != NULL; at += 2) {
        count++;
    }
    wt_put_u16(&packed, count);
    for (; fields[0] != NULL; fields += 2) {
        wt_put_u16(&packed, (uint16_t)strlen(fields[0]));
        wt_put(&packed, fields[0], strlen(fields[0]));
        wt_put_u32(&packed, (uint32_t)strlen(fields[1]));
        wt_put(&packed, fields[1], strlen(fields[1]));
    }
    memcpy(list, packed.data, packed.length);
    *length = packed.length;
    wt_bytes_free(&packed);
}

static void begin_asked(void)
{
    uint8_t list[512];
    size_t length;
    const char *const fields[] = {":method",    "CONNECT", ":protocol", WT_TOKEN, ":scheme", "https",
                                  ":authority", "host",    ":path",     "/",      NULL};
    stage_begin(true);
    stage_settings();
    pack(list, &length, fields);
    command(WT_COMMAND_CONNECT, 0, list, length);
    CHECK_EQUAL(stage_stream(0)->sent[0], H3_FRAME_HEADERS);
    CHECK(!stage_stream(0)->is_fin_sent);
}

static void answer(const char *const *fields, bool fin)
{
    uint8_t frame[512];
    stage_data(0, frame, stage_headers(frame, sizeof(frame), fields), fin, 1);
}

static uint16_t told_status(void)
{
    const stage_event_t *told = stage_told(WT_EVENT_RESPONSE);
    CHECK(told != NULL && told->uid == 0);
    return (uint16_t)(told->data[0] << 8 | told->data[1]);
}

static void a_response_accepts(void)
{
    begin_asked();
    CHECK_EQUAL(claim_of(3, "\x40\x54\x00", 3).kind, AIOPQ_CLAIM_WAIT); /* overtook the response */
    answer((const char *const[]){":status", "103", NULL}, false);
    CHECK_EQUAL(stage_count(WT_EVENT_RESPONSE), 0);
    answer((const char *const[]){":status", "200", "x", "y", NULL}, false);
    CHECK_EQUAL(told_status(), 200);
    CHECK(memcmp(stage_told(WT_EVENT_RESPONSE)->data + 2, "\0\1\0\1x\0\0\0\1y", 10) == 0);
    CHECK_EQUAL(stage.opened_scope, 0);
    CHECK_EQUAL(claim_of(3, "\x40\x54\x00", 3).kind, AIOPQ_CLAIM_APPLICATION);
    stage_end();
}

static void a_response_rejects(void)
{
    begin_asked();
    answer((const char *const[]){":status", "404", NULL}, true);
    CHECK_EQUAL(told_status(), 404);
    CHECK(stage_stream(0)->is_fin_sent);
    CHECK_EQUAL(stage_count(WT_EVENT_SESSION_CLOSED), 0);
    CHECK_EQUAL(claim_of(3, "\x40\x54\x00", 3).kind, AIOPQ_CLAIM_REFUSE);
    stage_end();
}

static void no_response(void)
{
    static const char cancelled[] = ":error\0\0\0\003267";
    begin_asked();
    aiopq_wt_protocol.reset(stage.state, 0, 267); /* H3_REQUEST_REJECTED */
    CHECK_EQUAL(told_status(), 0);
    CHECK(memcmp(stage_told(WT_EVENT_RESPONSE)->data + 6, cancelled, sizeof(cancelled) - 1) == 0);
    stage_end();
    begin_asked();
    stage_data(0, "", 0, true, 0);
    CHECK_EQUAL(told_status(), 0);
    CHECK_EQUAL(stage_stream(0)->reset_code, H3_MESSAGE_MALFORMED);
    stage_end();
    begin_asked();
    answer((const char *const[]){":status", "abc", NULL}, false);
    CHECK_EQUAL(told_status(), 0);
    CHECK_EQUAL(stage_stream(0)->reset_code, H3_MESSAGE_MALFORMED);
    stage_end();
    begin_asked();
    command(WT_COMMAND_CLOSE_SESSION, 0, "\0\0\0\0", 4); /* we give up */
    CHECK_EQUAL(stage_stream(0)->reset_code, H3_REQUEST_CANCELLED);
    CHECK_EQUAL(told_status(), 0);
    stage_end();
    stage_begin(true);
    stage_data(3, "\x00\x04\x00\x07\x01\x00", 6, false, 0); /* GOAWAY */
    command(WT_COMMAND_CONNECT, 0, "\0\0", 2);
    CHECK_EQUAL(told_status(), 0);
    stage_end();
}

/* ---- streams ---- */

static void whose_streams_are(void)
{
    begin_open();
    aiopq_claim_t claim = claim_of(14, "\x40\x54\x00hello", 8);
    CHECK_EQUAL(claim.kind, AIOPQ_CLAIM_APPLICATION);
    CHECK_EQUAL(claim.preface_length, 3);
    CHECK_EQUAL(claim.scope, 0);
    claim = claim_of(4, "\x40\x41\x40\x00", 4); /* a longer form of 0 */
    CHECK_EQUAL(claim.kind, AIOPQ_CLAIM_APPLICATION);
    CHECK_EQUAL(claim.preface_length, 4);
    static const char preface[] = "\x80\x00\x00\x54\xc0\x00\x00\x00\x00\x00\x00\x04";
    for (size_t length = 0; length < sizeof(preface) - 1; length++) {
        CHECK_EQUAL(claim_of(14, preface, length).kind, AIOPQ_CLAIM_MORE);
    }
    claim = claim_of(14, preface, sizeof(preface) - 1);
    CHECK_EQUAL(claim.kind, AIOPQ_CLAIM_WAIT); /* for a session that has not come */
    CHECK_EQUAL(claim.scope, 4);
    stage.are_streams_over = true;
    CHECK_EQUAL(claim_of(14, preface, sizeof(preface) - 1).error_code, WT_SESSION_GONE);
    CHECK_EQUAL(claim_of(14, "\x40\x54\x01", 3).kind, AIOPQ_CLAIM_REFUSE); /* no client's stream */
    CHECK_EQUAL(stage.close_code, H3_ID_ERROR);
    stage_end();
}

/* ---- capsules ---- */

static void close_with_code_and_reason(void)
{
    static char reason[WT_REASON_MAX + 1];
    memset(reason, 'r', WT_REASON_MAX);
    uint8_t value[4 + WT_REASON_MAX] = {0x12, 0x34, 0x56, 0x78};
    memcpy(value + 4, reason, WT_REASON_MAX);
    for (int fin = 0; fin < 2; fin++) {
        begin_open();
        stage_capsule(0, WT_CAPSULE_CLOSE, value, sizeof(value), fin);
        CHECK(is_closed_by(WT_END_CAPSULE, 0x12345678, reason));
        CHECK(stage_stream(0)->is_fin_sent);
        CHECK_EQUAL(stage.ended_code, WT_SESSION_GONE);
        CHECK_EQUAL(claim_of(14, "\x40\x54\x00", 3).kind, AIOPQ_CLAIM_REFUSE);
        if (!fin) {
            stage_data(0, "", 0, true, 0);
        }
        CHECK(is_closed_by(WT_END_CAPSULE, 0x12345678, reason));
        CHECK_EQUAL(stage_stream(0)->reset_code, NO_CODE);
        aiopq_wt_protocol.released(stage.state, 0);
        stage_end();
    }
}

static void nothing_may_follow_a_close(void)
{
    begin_open();
    stage_capsule(0, WT_CAPSULE_CLOSE, "\0\0\0\1", 4, false);
    stage_data(0, "\x00\x01x", 3, false, 1);
    CHECK_EQUAL(stage_stream(0)->reset_code, H3_MESSAGE_MALFORMED);
    CHECK_EQUAL(stage_stream(0)->stop_code, H3_MESSAGE_MALFORMED);
    CHECK(is_closed_by(WT_END_CAPSULE, 1, ""));
    stage_end();
    begin_open();
    stage_data(0, "\x00\x09\x68\x43\x04\0\0\0\2\x17\x00", 11, false, 0); /* in the same frame */
    CHECK_EQUAL(stage_stream(0)->reset_code, H3_MESSAGE_MALFORMED);
    CHECK(is_closed_by(WT_END_CAPSULE, 2, ""));
    stage_end();
}

static void capsules_that_are_malformed(void)
{
    uint8_t value[4 + WT_REASON_MAX + 1] = {0};
    begin_open();
    stage_capsule(0, WT_CAPSULE_CLOSE, value, sizeof(value), false);
    CHECK_EQUAL(stage_stream(0)->reset_code, H3_MESSAGE_MALFORMED);
    CHECK(is_closed_by(WT_END_ERROR, 0, ""));
    stage_end();
    begin_open();
    stage_capsule(0, WT_CAPSULE_CLOSE, value, 3, false);
    CHECK_EQUAL(stage_stream(0)->reset_code, H3_MESSAGE_MALFORMED);
    stage_end();
    begin_open();
    stage_capsule(0, WT_CAPSULE_DRAIN, "x", 1, false);
    CHECK_EQUAL(stage_stream(0)->reset_code, H3_MESSAGE_MALFORMED);
    stage_end();
    begin_open();
    stage_data(0, "\x00\x03\x68\x43\x04", 5, true, 0); /* the stream ends in a capsule */
    CHECK_EQUAL(stage_stream(0)->reset_code, H3_MESSAGE_MALFORMED);
    CHECK(is_closed_by(WT_END_ERROR, 0, ""));
    stage_end();
    begin_open();
    stage_data(0, "\x01\x02\x00\x00", 4, false, 0); /* HEADERS on the stream of a CONNECT */
    CHECK_EQUAL(stage.close_code, H3_FRAME_UNEXPECTED);
    stage_end();
}

static void capsules_that_are_skipped(void)
{
    static uint8_t large[3000];
    begin_open();
    stage_capsule(0, 0x29 * 5 + 0x17, "grease", 6, false);
    stage_capsule(0, WT_CAPSULE_FLOW_FIRST, "\x01", 1, false);
    CHECK_EQUAL(stage_count(WT_EVENT_CAPSULE), 0);
    stage_capsule(0, 0x3333, "known to nobody", 15, false);
    CHECK_EQUAL(stage_count(WT_EVENT_CAPSULE), 1);
    CHECK_EQUAL(stage_told(WT_EVENT_CAPSULE)->length, 8 + 15);
    CHECK(memcmp(stage_told(WT_EVENT_CAPSULE)->data + 6, "\x33\x33known", 7) == 0);
    /* One that is too long to be kept is skipped, and what follows is not lost. */
    stage_data(0, "\x00\x80\x00\x17\x76\x73\x34\x80\x00\x17\x70", 11, false, 0);
    stage_data(0, large, sizeof(large), false, 100);
    stage_data(0, large, sizeof(large), false, 100);
    stage_data(0, "\x21\x04skip", 6, false, 1);
    CHECK_EQUAL(stage_count(WT_EVENT_CAPSULE), 1);
    stage_capsule(0, WT_CAPSULE_DRAIN, "", 0, false);
    CHECK_EQUAL(stage_count(WT_EVENT_SESSION_DRAINING), 1);
    CHECK_EQUAL(stage.close_code, NO_CODE);
    stage_end();
}

/* ---- ends ---- */

static void the_peer_ends_the_stream(void)
{
    begin_open();
    stage_data(0, "", 0, true, 0);
    CHECK(is_closed_by(WT_END_FIN, 0, ""));
    CHECK(stage_stream(0)->is_fin_sent);
    stage_end();
    begin_open();
    aiopq_wt_protocol.reset(stage.state, 0, 1);
    CHECK(is_closed_by(WT_END_RESET, 0, ""));
    CHECK_EQUAL(stage.ended_code, WT_SESSION_GONE);
    stage_end();
    begin_open();
    aiopq_wt_protocol.stopped(stage.state, 0, 1); /* which says nothing of its own side */
    CHECK_EQUAL(stage_count(WT_EVENT_SESSION_CLOSED), 0);
    stage_capsule(0, WT_CAPSULE_CLOSE, "\0\0\0\3", 4, true);
    CHECK(is_closed_by(WT_END_CAPSULE, 3, ""));
    stage_end();
    begin_open();
    aiopq_wt_protocol.stopped(stage.state, 0, 1);
    command(WT_COMMAND_CLOSE_SESSION, 0, "\0\0\0\4", 4); /* which can't be said any more */
    CHECK(is_closed_by(WT_END_OURS, 4, ""));
    CHECK_EQUAL(stage_stream(0)->stop_code, WT_SESSION_GONE);
    stage_end();
    begin_open();
    aiopq_wt_protocol.released(stage.state, 0);
    CHECK(is_closed_by(WT_END_RESET, 0, ""));
    stage_end();
}

static void we_close(void)
{
    begin_open();
    size_t before = stage_stream(0)->sent_length;
    command(WT_COMMAND_CLOSE_SESSION, 0, "\0\0\0\7bye", 7);
    CHECK(stage_stream(0)->is_fin_sent);
    CHECK(memcmp(stage_stream(0)->sent + before, "\x00\x0a\x68\x43\x07\0\0\0\7bye", 12) == 0);
    CHECK_EQUAL(stage.ended_code, WT_SESSION_GONE);
    CHECK_EQUAL(stage_count(WT_EVENT_SESSION_CLOSED), 0); /* the peer has not heard of it */
    command(WT_COMMAND_CLOSE_SESSION, 0, "\0\0\0\1", 4);
    command(WT_COMMAND_DRAIN_SESSION, 0, NULL, 0);
    aiopq_wt_protocol.stopped(stage.state, 0, WT_SESSION_GONE); /* it does not read what we send */
    CHECK_EQUAL(stage_count(WT_EVENT_SESSION_CLOSED), 0);
    stage_data(0, "", 0, true, 0);
    CHECK(is_closed_by(WT_END_OURS, 7, "bye"));
    stage_end();
    begin_open();
    command(WT_COMMAND_CLOSE_SESSION, 0, "\0\0\0\1", 4);
    stage_capsule(0, WT_CAPSULE_CLOSE, "\0\0\0\2", 4, true); /* both at once */
    CHECK(is_closed_by(WT_END_OURS, 1, ""));
    CHECK_EQUAL(stage_stream(0)->reset_code, NO_CODE);
    stage_end();
    begin_open();
    command(WT_COMMAND_CLOSE_SESSION, 0, "\0\0", 2); /* no code */
    CHECK(!stage_stream(0)->is_fin_sent);
    command(WT_COMMAND_DRAIN_SESSION, 0, NULL, 0);
    CHECK(memcmp(stage_stream(0)->sent + stage_stream(0)->sent_length - 7, "\x00\x05\x80\x00\x78\xae\x00",
                 7) == 0);
    stage_end();
}

static void commands_about_nothing(void)
{
    begin_open();
    command(WT_COMMAND_CLOSE_SESSION, 4, "\0\0\0\1", 4);
    command(WT_COMMAND_RESPOND, 4, "\0\0", 2);
    command(WT_COMMAND_RESPOND, 0, "\0\310\0\0", 4);
    command(WT_COMMAND_DRAIN_SESSION, 4, NULL, 0);
    command(WT_COMMAND_CONNECT, 4, "\0\0", 2); /* from a server */
    command(99, 0, NULL, 0);
    CHECK_EQUAL(stage.close_code, NO_CODE);
    stage_end();
}

int main(int argc, char **argv)
{
    static const test_case_t cases[] = {
        TEST(both_tokens_are_sessions),
        TEST(a_session_waits_for_settings),
        TEST(a_second_session_where_it_is_not_allowed),
        TEST(several_sessions_of_older_drafts),
        TEST(a_rejected_session),
        TEST(a_client_that_gives_up),
        TEST(a_response_accepts),
        TEST(a_response_rejects),
        TEST(no_response),
        TEST(whose_streams_are),
        TEST(close_with_code_and_reason),
        TEST(nothing_may_follow_a_close),
        TEST(capsules_that_are_malformed),
        TEST(capsules_that_are_skipped),
        TEST(the_peer_ends_the_stream),
        TEST(we_close),
        TEST(commands_about_nothing),
    };
    return test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
