#include "connection.h"

#include <stdlib.h>

#include "qpack.h"
#include "request.h"

/* Frames of HTTP/2 whose numbers mean nothing here (RFC 9114 section 7.2.8). */
bool h3_is_http2_frame(uint64_t type)
{
    return type == 0x2 || type == 0x6 || type == 0x8 || type == 0x9;
}

h3_connection_t *h3_connection_new(aiopq_conn_t *conn)
{
    h3_connection_t *h3 = calloc(1, sizeof(*h3));
    if (h3 == NULL) {
        return NULL;
    }
    aiopq_protocol_count_objects(1);
    h3->conn = conn;
    h3->is_client = aiopq_protocol_is_client(conn);
    h3->goaway_sent = h3->goaway_received = UINT64_MAX;

    aiopq_transport_parameters_t ours;
    aiopq_protocol_parameters(conn, true, &ours);
    uint64_t stream_id = h3->is_client ? 2 : 3;
    wt_bytes_t control = {0};
    wt_put_varint(&control, H3_STREAM_CONTROL);
    h3_settings_write(&control, h3->is_client, ours.max_datagram_frame_size > 0);
    bool is_sent = !control.has_failed &&
                   aiopq_protocol_send(conn, stream_id, control.data, control.length, false) == AIOPQ_OK;
    wt_bytes_free(&control);
    /* Nothing ever goes there without a dynamic table; some peers wait for the streams nevertheless. */
    static const uint8_t types[] = {H3_STREAM_QPACK_ENCODER, H3_STREAM_QPACK_DECODER};
    for (size_t i = 0; i < sizeof(types) && is_sent; i++) {
        is_sent = aiopq_protocol_send(conn, stream_id + 4 * (i + 1), &types[i], 1, false) == AIOPQ_OK;
    }
    if (!is_sent) {
        h3_connection_free(h3);
        return NULL;
    }
    return h3;
}

void h3_connection_free(h3_connection_t *h3)
{
    h3_requests_free(h3);
    wt_bytes_free(&h3->control_payload);
    free(h3);
    aiopq_protocol_count_objects(-1);
}

void h3_connection_fail(h3_connection_t *h3, uint64_t error_code, const char *reason)
{
    if (!h3->is_over) {
        h3->is_over = true;
        aiopq_protocol_close(h3->conn, error_code, reason);
    }
}

/* ---- the peer's control stream ---- */

static void tell_settings(h3_connection_t *h3)
{
    const h3_settings_t *settings = &h3->settings;
    aiopq_transport_parameters_t theirs;
    aiopq_protocol_parameters(h3->conn, false, &theirs);
    bool conforms = settings->dialect == WT_DIALECT_15 && settings->h3_datagram &&
                    (!h3->is_client || settings->enable_connect_protocol) &&
                    theirs.max_datagram_frame_size > 0 && theirs.reset_stream_at;
    wt_bytes_t told = {0};
    wt_put_u8(&told, (uint8_t)settings->dialect);
    wt_put_u8(&told, conforms);
    wt_put_u32(&told, settings->max_sessions);
    wt_put_u16(&told, settings->count);
    for (size_t i = 0; i < 2u * settings->count; i++) {
        wt_put_u64(&told, settings->pairs[i]);
    }
    if (!told.has_failed) {
        aiopq_protocol_tell(h3->conn, WT_EVENT_SETTINGS, 0, told.data, told.length);
    }
    wt_bytes_free(&told);
}

static void take_settings(h3_connection_t *h3, const uint8_t *payload, size_t length)
{
    uint64_t error = h3_settings_read(&h3->settings, payload, length);
    aiopq_transport_parameters_t theirs;
    aiopq_protocol_parameters(h3->conn, false, &theirs);
    if (error != 0) {
        h3_connection_fail(h3, error, "the SETTINGS frame is malformed or has a value that is not allowed");
    } else if (h3->settings.h3_datagram && theirs.max_datagram_frame_size == 0) {
        h3_connection_fail(h3, H3_SETTINGS_ERROR,
                           "SETTINGS_H3_DATAGRAM without the transport parameter max_datagram_frame_size");
    } else {
        h3->has_settings = true;
        tell_settings(h3);
        h3_requests_go_on(h3);
    }
}

static void take_goaway(h3_connection_t *h3, const uint8_t *payload, size_t length)
{
    wt_reader_t reader = {.at = payload, .left = length};
    uint64_t id = wt_take_varint(&reader);
    if (reader.is_short || reader.left > 0) {
        h3_connection_fail(h3, H3_FRAME_ERROR, "a GOAWAY frame holds one integer");
    } else if ((h3->is_client && id % 4 != 0) || id > h3->goaway_received) {
        h3_connection_fail(h3, H3_ID_ERROR, "the id of a GOAWAY frame is no request's, or has grown");
    } else {
        h3->goaway_received = id;
        wt_bytes_t told = {0};
        wt_put_u64(&told, id);
        aiopq_protocol_tell(h3->conn, WT_EVENT_GOAWAY, 0, told.data, told.length);
        wt_bytes_free(&told);
    }
}

/* True for frames whose payload is looked at as a whole. */
static bool is_of_interest(uint64_t type)
{
    return type == H3_FRAME_SETTINGS || type == H3_FRAME_GOAWAY;
}

static bool begin_control_frame(void *context, uint64_t type, uint64_t length)
{
    h3_connection_t *h3 = context;
    if (!h3->has_settings && type != H3_FRAME_SETTINGS) {
        h3_connection_fail(h3, H3_MISSING_SETTINGS,
                           "the control stream does not begin with a SETTINGS frame");
    } else if ((h3->has_settings && type == H3_FRAME_SETTINGS) || type == H3_FRAME_DATA ||
               type == H3_FRAME_HEADERS || type == H3_FRAME_PUSH_PROMISE || h3_is_http2_frame(type) ||
               (h3->is_client && type == H3_FRAME_MAX_PUSH_ID)) {
        h3_connection_fail(h3, H3_FRAME_UNEXPECTED, "a frame that has no place there on the control stream");
    } else if (type == H3_FRAME_CANCEL_PUSH) {
        h3_connection_fail(h3, H3_ID_ERROR, "CANCEL_PUSH for a push that was never promised");
    } else if (is_of_interest(type) && length > H3_SETTINGS_BYTES_MAX) {
        h3_connection_fail(h3, H3_EXCESSIVE_LOAD, "a frame on the control stream is too long");
    }
    h3->control_payload.length = 0;
    return !h3->is_over;
}

static bool take_control_frame(void *context, uint64_t type, const uint8_t *bytes, size_t length,
                               bool is_last)
{
    h3_connection_t *h3 = context;
    wt_bytes_t *payload = &h3->control_payload;
    if (!is_of_interest(type)) {
        return true;
    }
    wt_put(payload, bytes, length);
    if (payload->has_failed) {
        h3_connection_fail(h3, H3_INTERNAL_ERROR, "out of memory");
    } else if (is_last && type == H3_FRAME_SETTINGS) {
        take_settings(h3, payload->data, payload->length);
    } else if (is_last) {
        take_goaway(h3, payload->data, payload->length);
    }
    if (is_last) {
        wt_bytes_free(payload);
    }
    return !h3->is_over;
}

/* ---- QPACK's streams ---- */

/* The peer's encoder can't insert anything: all that it may say is that the capacity is 0 (RFC 9204 section 4.3.1). */
static bool encoder_may_say(uint8_t byte)
{
    return byte == 0x20;
}

/* Nothing of ours refers to the dynamic table: all that the peer's decoder may say is that it cancels a stream (RFC
 * 9204 section 4.4.2), an integer with a prefix of 6 bits. */
static bool decoder_may_say(h3_connection_t *h3, uint8_t byte)
{
    wt_varint_t *instruction = &h3->encoder_instruction;
    if (instruction->seen == 0) {
        instruction->seen = (byte & 0x3f) == 0x3f;
        return (byte & 0xc0) == 0x40;
    }
    instruction->seen = (byte & 0x80) != 0 ? (uint8_t)(instruction->seen + 1) : 0;
    return instruction->seen <= 10;
}

/* ---- unidirectional streams ---- */

static aiopq_claim_t refuse(uint64_t error_code)
{
    return (aiopq_claim_t){.kind = AIOPQ_CLAIM_REFUSE, .error_code = error_code};
}

static aiopq_claim_t claim_once(h3_connection_t *h3, h3_peer_stream_type_t type, uint64_t stream_id,
                                size_t type_length)
{
    h3_peer_stream_t *stream = &h3->peer_streams[type];
    if (stream->is_there) {
        h3_connection_fail(h3, H3_STREAM_CREATION_ERROR, "a second control or QPACK stream");
        return refuse(H3_STREAM_CREATION_ERROR);
    }
    *stream = (h3_peer_stream_t){.is_there = true, .id = stream_id, .type_left = (uint8_t)type_length};
    return (aiopq_claim_t){.kind = AIOPQ_CLAIM_OWN};
}

aiopq_claim_t h3_claim_uni(h3_connection_t *h3, uint64_t stream_id, const uint8_t *bytes, size_t length)
{
    wt_reader_t reader = {.at = bytes, .left = length};
    uint64_t type = wt_take_varint(&reader);
    if (reader.is_short) {
        return (aiopq_claim_t){.kind = AIOPQ_CLAIM_MORE};
    }
    size_t type_length = length - reader.left;
    switch (type) {
    case WT_STREAM_UNI:
        return h3_claim_session_stream(h3, &reader, length);
    case H3_STREAM_CONTROL:
        return claim_once(h3, H3_PEER_CONTROL, stream_id, type_length);
    case H3_STREAM_QPACK_ENCODER:
        return claim_once(h3, H3_PEER_ENCODER, stream_id, type_length);
    case H3_STREAM_QPACK_DECODER:
        return claim_once(h3, H3_PEER_DECODER, stream_id, type_length);
    case H3_STREAM_PUSH:
        if (h3->is_client) {
            h3_connection_fail(h3, H3_ID_ERROR, "a push stream, and no push was allowed");
        } else {
            h3_connection_fail(h3, H3_STREAM_CREATION_ERROR, "a push stream from a client");
        }
        return refuse(H3_STREAM_CREATION_ERROR);
    default:
        return refuse(H3_STREAM_CREATION_ERROR); /* RFC 9114 section 6.2: not an error */
    }
}

static h3_peer_stream_type_t which(const h3_connection_t *h3, uint64_t stream_id)
{
    for (int type = 0; type < H3_PEER_STREAMS; type++) {
        if (h3->peer_streams[type].is_there && h3->peer_streams[type].id == stream_id) {
            return (h3_peer_stream_type_t)type;
        }
    }
    return H3_PEER_STREAMS;
}

void h3_uni_data(h3_connection_t *h3, uint64_t stream_id, const uint8_t *bytes, size_t length, bool is_fin)
{
    static const wt_tlv_sink_t control_sink = {begin_control_frame, take_control_frame};
    h3_peer_stream_type_t type = which(h3, stream_id);
    if (type == H3_PEER_STREAMS) {
        return; /* ended in the middle of its type */
    }
    h3_peer_stream_t *stream = &h3->peer_streams[type];
    size_t skipped = stream->type_left < length ? stream->type_left : length;
    stream->type_left = (uint8_t)(stream->type_left - skipped);
    bytes += skipped;
    length -= skipped;
    if (type == H3_PEER_CONTROL) {
        (void)wt_tlv_feed(&h3->control, &control_sink, h3, bytes, length);
    }
    for (size_t i = 0; i < length && !h3->is_over; i++) {
        if (type == H3_PEER_ENCODER && !encoder_may_say(bytes[i])) {
            h3_connection_fail(h3, QPACK_ENCODER_STREAM_ERROR, "the encoder uses a dynamic table of 0 bytes");
        } else if (type == H3_PEER_DECODER && !decoder_may_say(h3, bytes[i])) {
            h3_connection_fail(h3, QPACK_DECODER_STREAM_ERROR,
                               "the decoder speaks of a dynamic table that is not used");
        }
    }
    if (is_fin) {
        h3_uni_reset(h3, stream_id);
    }
}

void h3_uni_reset(h3_connection_t *h3, uint64_t stream_id)
{
    if (which(h3, stream_id) != H3_PEER_STREAMS) {
        h3_connection_fail(h3, H3_CLOSED_CRITICAL_STREAM,
                           "the peer has ended its control stream or one of QPACK's");
    }
}

void h3_uni_stopped(h3_connection_t *h3, uint64_t stream_id)
{
    (void)stream_id; /* all that we have are critical */
    h3_connection_fail(h3, H3_CLOSED_CRITICAL_STREAM,
                       "the peer has stopped our control stream or one of QPACK's");
}

void h3_send_goaway(h3_connection_t *h3)
{
    uint64_t id =
        h3->is_client ? 0 : h3->next_request_id; /* of pushes, of which there are none; of requests */
    if (id >= h3->goaway_sent) {
        return;
    }
    h3->goaway_sent = id;
    wt_bytes_t coded = {0}, frame = {0};
    wt_put_varint(&coded, id);
    wt_put_varint(&frame, H3_FRAME_GOAWAY);
    wt_put_varint(&frame, coded.length);
    wt_put(&frame, coded.data, coded.length);
    if (!frame.has_failed) {
        (void)aiopq_protocol_send(h3->conn, h3->is_client ? 2 : 3, frame.data, frame.length, false);
    }
    wt_bytes_free(&coded);
    wt_bytes_free(&frame);
}
