#include "stage.h"

#include <string.h>

#include "protocol.h"
#include "qpack.h"

stage_t stage;
int64_t stage_objects;

/* ---- what core does for the protocol ---- */

bool aiopq_protocol_is_client(const aiopq_conn_t *conn)
{
    (void)conn;
    return stage.is_client;
}

void aiopq_protocol_parameters(aiopq_conn_t *conn, bool ours, aiopq_transport_parameters_t *parameters)
{
    (void)conn;
    *parameters = ours ? stage.ours : stage.theirs;
}

stage_stream_t *stage_stream(uint64_t stream_id)
{
    for (size_t i = 0; i < stage.stream_count; i++) {
        if (stage.streams[i].id == stream_id) {
            return &stage.streams[i];
        }
    }
    CHECK(stage.stream_count < STAGE_STREAMS);
    stage_stream_t *stream = &stage.streams[stage.stream_count++];
    memset(stream, 0, sizeof(*stream));
    stream->id = stream_id;
    stream->reset_code = stream->stop_code = NO_CODE;
    return stream;
}

aiopq_status_t aiopq_protocol_send(aiopq_conn_t *conn, uint64_t stream_id, const uint8_t *bytes,
                                   size_t length, bool fin)
{
    (void)conn;
    stage_stream_t *stream = stage_stream(stream_id);
    CHECK(!stream->is_fin_sent && stream->reset_code == NO_CODE);
    size_t room = sizeof(stream->sent) - stream->sent_length;
    if (length > 0) {
        memcpy(stream->sent + stream->sent_length, bytes, length < room ? length : room);
    }
    stream->sent_length += length < room ? length : room;
    stream->is_fin_sent = fin;
    return AIOPQ_OK;
}

void aiopq_protocol_reset(aiopq_conn_t *conn, uint64_t stream_id, uint64_t error_code)
{
    (void)conn;
    stage_stream(stream_id)->reset_code = error_code;
}

void aiopq_protocol_stop(aiopq_conn_t *conn, uint64_t stream_id, uint64_t error_code)
{
    (void)conn;
    stage_stream(stream_id)->stop_code = error_code;
}

bool aiopq_protocol_is_stream_over(aiopq_conn_t *conn, uint64_t stream_id)
{
    (void)conn;
    (void)stream_id;
    return stage.are_streams_over;
}

void aiopq_protocol_open_scope(aiopq_conn_t *conn, uint64_t scope)
{
    uint64_t code;
    (void)conn;
    CHECK(aiopq_wt_protocol.is_scope_open(stage.state, scope, &code));
    stage.opened_scope = scope;
}

void aiopq_protocol_end_scope(aiopq_conn_t *conn, uint64_t scope, uint64_t error_code)
{
    uint64_t code;
    (void)conn;
    CHECK(!aiopq_wt_protocol.is_scope_open(stage.state, scope, &code));
    stage.ended_scope = scope;
    stage.ended_code = error_code;
}

void aiopq_protocol_close(aiopq_conn_t *conn, uint64_t error_code, const char *reason)
{
    (void)conn;
    CHECK(reason != NULL && strlen(reason) > 0);
    CHECK(stage.close_code == NO_CODE);
    stage.close_code = error_code;
}

void aiopq_protocol_tell(aiopq_conn_t *conn, int32_t kind, uint64_t uid, const uint8_t *data, size_t length)
{
    (void)conn;
    stage_event_t *event = &stage.events[stage.event_count % STAGE_EVENTS];
    stage.event_count++;
    event->kind = kind;
    event->uid = uid;
    event->length = length;
    if (length > 0) {
        memcpy(event->data, data, length < sizeof(event->data) ? length : sizeof(event->data));
    }
}

void aiopq_protocol_count_objects(int64_t change)
{
    stage_objects += change;
}

/* ---- for the tests ---- */

void stage_begin(bool is_client)
{
    memset(&stage, 0, sizeof(stage));
    stage.is_client = is_client;
    stage.close_code = stage.opened_scope = stage.ended_scope = NO_CODE;
    stage.ours.max_datagram_frame_size = stage.theirs.max_datagram_frame_size = 65536;
    stage.ours.reset_stream_at = stage.theirs.reset_stream_at = true;
    static int conn; /* core's, which nobody here looks into */
    stage.state = aiopq_wt_protocol.begin((aiopq_conn_t *)&conn);
    CHECK(stage.state != NULL);
}

void stage_end(void)
{
    aiopq_wt_protocol.end(stage.state);
    CHECK_EQUAL(stage_objects, 0);
}

static void give(stage_stream_t *stream, const uint8_t *bytes, size_t length, bool fin)
{
    const aiopq_protocol_t *protocol = &aiopq_wt_protocol;
    if (stream->claim.kind == AIOPQ_CLAIM_MORE) {
        size_t before = stream->head_length;
        size_t room = sizeof(stream->head) - before, shown = length < room ? length : room;
        if (shown > 0) {
            memcpy(stream->head + before, bytes, shown);
        }
        stream->head_length += shown;
        bool is_all = fin && shown == length;
        stream->claim = protocol->claim(stage.state, stream->id, stream->head, stream->head_length, is_all);
        if (stream->claim.kind == AIOPQ_CLAIM_MORE) {
            CHECK(stream->head_length < sizeof(stream->head));
            if (!is_all) {
                return;
            }
            stream->claim.kind = AIOPQ_CLAIM_OWN;
        }
        if (stream->claim.kind == AIOPQ_CLAIM_OWN && stage.close_code == NO_CODE && before > 0) {
            protocol->data(stage.state, stream->id, stream->head, before, false);
        }
    }
    if (stream->claim.kind == AIOPQ_CLAIM_OWN && stage.close_code == NO_CODE) {
        protocol->data(stage.state, stream->id, bytes, length, fin);
    }
}

void stage_data(uint64_t stream_id, const void *bytes, size_t length, bool fin, size_t piece)
{
    stage_stream_t *stream = stage_stream(stream_id);
    const uint8_t *at = bytes;
    bool is_ours = ((stream_id & 1) == 0) == stage.is_client;
    if (is_ours) {
        stream->claim.kind = AIOPQ_CLAIM_OWN;
    }
    piece = piece == 0 ? length : piece;
    while (length > piece && stage.close_code == NO_CODE) {
        give(stream, at, piece, false);
        at += piece;
        length -= piece;
    }
    if (stage.close_code == NO_CODE) {
        give(stream, at, length, fin);
    }
}

stage_event_t *stage_told(int32_t kind)
{
    for (size_t i = stage.event_count; i > 0 && stage.event_count - i < STAGE_EVENTS; i--) {
        if (stage.events[(i - 1) % STAGE_EVENTS].kind == kind) {
            return &stage.events[(i - 1) % STAGE_EVENTS];
        }
    }
    return NULL;
}

size_t stage_count(int32_t kind)
{
    size_t count = 0;
    for (size_t i = 0; i < stage.event_count && i < STAGE_EVENTS; i++) {
        count += stage.events[i].kind == kind;
    }
    return count;
}

void stage_settings(void)
{
    static const uint8_t control[] = {0x00, 0x04, 0x0b, 0x08, 0x01, 0x33, 0x01, 0xac, 0x7c, 0xf0, 0x00, 0x01};
    /* WT_ENABLED, 0x2c7cf000, is an integer of 4 bytes. */
    uint8_t bytes[sizeof(control)];
    memcpy(bytes, control, sizeof(control));
    bytes[2] = sizeof(control) - 3;
    stage_data(stage.is_client ? 3 : 2, bytes, sizeof(bytes), false, 0);
    CHECK_EQUAL(stage.close_code, NO_CODE);
    CHECK(stage_told(WT_EVENT_SETTINGS) != NULL);
}

size_t stage_headers(uint8_t *frame, size_t room, const char *const *fields)
{
    wt_bytes_t section = {0}, coded = {0};
    h3_qpack_begin(&section);
    for (; fields[0] != NULL; fields += 2) {
        h3_qpack_add(&section, (const uint8_t *)fields[0], strlen(fields[0]), (const uint8_t *)fields[1],
                     strlen(fields[1]));
    }
    wt_put_varint(&coded, H3_FRAME_HEADERS);
    wt_put_varint(&coded, section.length);
    wt_put(&coded, section.data, section.length);
    size_t length = coded.length;
    CHECK(length <= room);
    memcpy(frame, coded.data, length);
    wt_bytes_free(&section);
    wt_bytes_free(&coded);
    return length;
}

void stage_connect(uint64_t stream_id, const char *token)
{
    uint8_t frame[512];
    const char *const fields[] = {":method",    "CONNECT", ":protocol", token, ":scheme", "https",
                                  ":authority", "host",    ":path",     "/",   NULL};
    stage_data(stream_id, frame, stage_headers(frame, sizeof(frame), fields), false, 0);
}

void stage_respond(uint64_t stream_id, uint16_t status)
{
    const uint8_t data[] = {(uint8_t)(status >> 8), (uint8_t)status, 0, 0};
    aiopq_wt_protocol.command(stage.state, WT_COMMAND_RESPOND, stream_id, data, sizeof(data));
}

void stage_capsule(uint64_t stream_id, uint64_t type, const void *value, size_t length, bool fin)
{
    wt_bytes_t capsule = {0}, frame = {0};
    wt_put_varint(&capsule, type);
    wt_put_varint(&capsule, length);
    wt_put(&capsule, value, length);
    wt_put_varint(&frame, H3_FRAME_DATA);
    wt_put_varint(&frame, capsule.length);
    wt_put(&frame, capsule.data, capsule.length);
    stage_data(stream_id, frame.data, frame.length, fin, 3);
    wt_bytes_free(&capsule);
    wt_bytes_free(&frame);
}
