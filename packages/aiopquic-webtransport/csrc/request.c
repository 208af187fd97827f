#include "request.h"

#include <stdio.h>
#include <stdlib.h>

#include "qpack.h"

static h3_request_t **bucket_of(h3_connection_t *h3, uint64_t stream_id)
{
    return &h3->requests[(stream_id / 4) % H3_REQUEST_BUCKETS];
}

h3_request_t *h3_request_find(const h3_connection_t *h3, uint64_t stream_id)
{
    h3_request_t *request = h3->requests[(stream_id / 4) % H3_REQUEST_BUCKETS];
    while (request != NULL && request->id != stream_id) {
        request = request->next;
    }
    return request;
}

static h3_request_t *make(h3_connection_t *h3, uint64_t stream_id)
{
    h3_request_t *request = calloc(1, sizeof(*request));
    if (request == NULL) {
        h3_connection_fail(h3, H3_INTERNAL_ERROR, "out of memory");
        return NULL;
    }
    aiopq_protocol_count_objects(1);
    request->h3 = h3;
    request->id = stream_id;
    h3_request_t **bucket = bucket_of(h3, stream_id);
    request->next = *bucket;
    *bucket = request;
    return request;
}

static void dispose(h3_request_t *request)
{
    wt_bytes_free(&request->section);
    wt_bytes_free(&request->fields);
    wt_bytes_free(&request->capsule);
    wt_bytes_free(&request->close_reason);
    free(request);
    aiopq_protocol_count_objects(-1);
}

void h3_requests_free(h3_connection_t *h3)
{
    for (size_t i = 0; i < H3_REQUEST_BUCKETS; i++) {
        while (h3->requests[i] != NULL) {
            h3_request_t *request = h3->requests[i];
            h3->requests[i] = request->next;
            dispose(request);
        }
    }
}

void h3_request_released(h3_connection_t *h3, uint64_t stream_id)
{
    for (h3_request_t **link = bucket_of(h3, stream_id); *link != NULL; link = &(*link)->next) {
        h3_request_t *request = *link;
        if (request->id == stream_id) {
            wt_session_end(request, WT_END_RESET, 0, NULL, 0);
            *link = request->next;
            dispose(request);
            return;
        }
    }
}

/* ---- sending ---- */

void h3_request_send_frame(h3_request_t *request, uint64_t type, const wt_bytes_t *payload, bool fin)
{
    wt_bytes_t frame = {0};
    if (request->has_ended) {
        return;
    }
    wt_put_varint(&frame, type);
    wt_put_varint(&frame, payload->length);
    wt_put(&frame, payload->data, payload->length);
    if (frame.has_failed || payload->has_failed) {
        h3_connection_fail(request->h3, H3_INTERNAL_ERROR, "out of memory");
    } else {
        (void)aiopq_protocol_send(request->h3->conn, request->id, frame.data, frame.length, fin);
        request->has_ended = fin;
    }
    wt_bytes_free(&frame);
}

void h3_request_finish(h3_request_t *request)
{
    if (!request->has_ended) {
        request->has_ended = true;
        (void)aiopq_protocol_send(request->h3->conn, request->id, NULL, 0, true);
    }
}

static void abandon(h3_request_t *request, uint64_t error_code)
{
    request->is_dropping = true;
    request->has_ended = true;
    aiopq_protocol_reset(request->h3->conn, request->id, error_code);
    aiopq_protocol_stop(request->h3->conn, request->id, error_code);
}

/* A request of ours has got no response. */
static void tell_failure(const h3_request_t *request, uint64_t error_code)
{
    wt_bytes_t told = {0};
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)error_code);
    static const char name[] = ":error";
    wt_put_u16(&told, 0);
    wt_put_u16(&told, 1);
    wt_put_u16(&told, sizeof(name) - 1);
    wt_put(&told, name, sizeof(name) - 1);
    wt_put_u32(&told, (uint32_t)length);
    wt_put(&told, digits, (size_t)length);
    aiopq_protocol_tell(request->h3->conn, WT_EVENT_RESPONSE, request->id, told.data, told.length);
    wt_bytes_free(&told);
}

/* Ends the session, if there is one, or the wait for it. */
static void end(h3_request_t *request, enum wt_end how, uint64_t error_code)
{
    bool has_no_response = request->h3->is_client && request->state == H3_REQUEST_EXPECTS;
    wt_session_end(request, how, 0, NULL, 0);
    if (has_no_response) {
        tell_failure(request, error_code);
    }
}

void h3_request_fail(h3_request_t *request, uint64_t error_code)
{
    end(request, WT_END_ERROR, error_code);
    abandon(request, error_code);
}

/* ---- a client's request ---- */

/* A response of its own, for requests that the loop thread is not asked about. */
static void refuse_with_status(h3_request_t *request, const char *status)
{
    wt_bytes_t section = {0};
    h3_qpack_begin(&section);
    h3_qpack_add(&section, (const uint8_t *)":status", 7, (const uint8_t *)status, 3);
    h3_request_send_frame(request, H3_FRAME_HEADERS, &section, true);
    wt_bytes_free(&section);
    wt_session_end(request, WT_END_ERROR, 0, NULL, 0);
    request->is_dropping = true;
    aiopq_protocol_stop(request->h3->conn, request->id, H3_NO_ERROR);
}

/* Tells the loop thread of it, once everything that must be known is. */
static void ask(h3_request_t *request)
{
    h3_connection_t *h3 = request->h3;
    bool is_session = request->kind == H3_WEBTRANSPORT || request->kind == H3_WEBTRANSPORT_OLD;
    if (is_session && !h3->has_settings) {
        request->state = H3_REQUEST_HELD; /* draft-16 section 3.1 */
        return;
    }
    /* Without flow control of sessions the newest drafts have one at a time on a connection (draft-16 section 5). */
    uint32_t most = request->kind == H3_WEBTRANSPORT ? 1 : WT_SESSIONS_MAX;
    if (is_session && h3->sessions >= most) {
        h3_request_fail(request, H3_REQUEST_REJECTED);
        wt_bytes_free(&request->fields);
        return;
    }
    if (is_session) {
        request->counts = true;
        h3->sessions++;
    }
    request->state = H3_REQUEST_ASKED;
    aiopq_protocol_tell(h3->conn, WT_EVENT_REQUEST, request->id, request->fields.data,
                        request->fields.length);
    wt_bytes_free(&request->fields);
}

void h3_requests_go_on(h3_connection_t *h3)
{
    /* In the order of their ids, which is that of the client. */
    for (uint64_t id = 0; id < h3->next_request_id; id += 4) {
        h3_request_t *request = h3_request_find(h3, id);
        if (request != NULL && request->state == H3_REQUEST_HELD) {
            ask(request);
        }
    }
}

static void take_request(h3_request_t *request)
{
    request->kind = h3_judge_request(request->fields.data, request->fields.length);
    if (request->kind == H3_MALFORMED) {
        h3_request_fail(request, H3_MESSAGE_MALFORMED);
    } else {
        ask(request);
    }
}

/* ---- the response to ours ---- */

static void take_response(h3_request_t *request)
{
    h3_connection_t *h3 = request->h3;
    uint16_t status = h3_judge_response(request->fields.data, request->fields.length);
    if (status == 0 || status == 101) { /* RFC 9114 section 4.5: there is no 101 */
        h3_request_fail(request, H3_MESSAGE_MALFORMED);
        return;
    }
    if (status < 200) {
        return; /* an interim one; another follows */
    }
    wt_reader_t reader = {.at = request->fields.data, .left = request->fields.length};
    wt_bytes_t told = {0};
    uint16_t count = h3_fields_begin(&reader);
    wt_put_u16(&told, status);
    wt_put_u16(&told, (uint16_t)(count - 1)); /* :status, the only pseudo-header, comes first */
    (void)h3_fields_next(&reader);
    wt_put(&told, reader.at, reader.left);
    bool is_accepted = status < 300;
    if (is_accepted) {
        request->state = H3_REQUEST_OPEN;
    }
    if (!told.has_failed) {
        aiopq_protocol_tell(h3->conn, WT_EVENT_RESPONSE, request->id, told.data, told.length);
    }
    wt_bytes_free(&told);
    if (is_accepted) {
        wt_session_open(request);
    } else {
        wt_session_end(request, WT_END_ERROR, 0, NULL, 0);
        request->is_dropping = true;
        h3_request_finish(request);
        aiopq_protocol_stop(h3->conn, request->id, H3_REQUEST_CANCELLED);
    }
}

/* ---- frames ---- */

static bool is_for_capsules(const h3_request_t *request)
{
    return request->kind == H3_WEBTRANSPORT || request->kind == H3_WEBTRANSPORT_OLD;
}

static bool begin_frame(void *context, uint64_t type, uint64_t length)
{
    h3_request_t *request = context;
    h3_connection_t *h3 = request->h3;
    bool expects = request->state == H3_REQUEST_EXPECTS;
    switch (type) {
    case H3_FRAME_DATA:
        if (expects) {
            h3_connection_fail(h3, H3_FRAME_UNEXPECTED, "a DATA frame in front of the header fields");
        }
        break;
    case H3_FRAME_HEADERS:
        if (!expects && is_for_capsules(request)) {
            h3_connection_fail(h3, H3_FRAME_UNEXPECTED, "a HEADERS frame on the stream of a CONNECT");
        } else if (expects && length > H3_FIELD_SECTION_MAX) {
            if (h3->is_client) {
                h3_request_fail(request, H3_EXCESSIVE_LOAD);
            } else {
                refuse_with_status(request, "431");
            }
        }
        break;
    case H3_FRAME_PUSH_PROMISE:
        if (h3->is_client) {
            h3_connection_fail(h3, H3_ID_ERROR, "PUSH_PROMISE, and no push was allowed");
        } else {
            h3_connection_fail(h3, H3_FRAME_UNEXPECTED, "PUSH_PROMISE from a client");
        }
        break;
    case H3_FRAME_CANCEL_PUSH:
    case H3_FRAME_SETTINGS:
    case H3_FRAME_GOAWAY:
    case H3_FRAME_MAX_PUSH_ID:
        h3_connection_fail(h3, H3_FRAME_UNEXPECTED, "a frame of the control stream on another one");
        break;
    case WT_STREAM_BIDI:
        h3_connection_fail(h3, H3_FRAME_ERROR, "the signal of a WebTransport stream behind its beginning");
        break;
    default:
        if (h3_is_http2_frame(type)) {
            h3_connection_fail(h3, H3_FRAME_UNEXPECTED, "a frame of HTTP/2");
        }
        break;
    }
    return !h3->is_over && !request->is_dropping;
}

static void take_section(h3_request_t *request)
{
    h3_connection_t *h3 = request->h3;
    h3_decoded_t result = h3_qpack_decode(request->section.data, request->section.length, &request->fields);
    wt_bytes_free(&request->section);
    if (result == H3_DECODE_FAILED) {
        h3_connection_fail(h3, QPACK_DECOMPRESSION_FAILED, "a field section can't be decoded");
    } else if (result == H3_DECODE_TOO_LARGE) {
        if (h3->is_client) {
            h3_request_fail(request, H3_EXCESSIVE_LOAD);
        } else {
            refuse_with_status(request, "431");
        }
    } else if (h3->is_client) {
        take_response(request);
    } else {
        take_request(request);
        return; /* the fields may be held */
    }
    wt_bytes_free(&request->fields);
}

static bool take_frame(void *context, uint64_t type, const uint8_t *bytes, size_t length, bool is_last)
{
    h3_request_t *request = context;
    if (type == H3_FRAME_HEADERS && request->state == H3_REQUEST_EXPECTS) {
        wt_put(&request->section, bytes, length);
        if (request->section.has_failed) {
            h3_connection_fail(request->h3, H3_INTERNAL_ERROR, "out of memory");
        } else if (is_last) {
            take_section(request);
        }
    } else if (type == H3_FRAME_DATA && is_for_capsules(request) && length > 0) {
        wt_session_data(request, bytes, length);
    }
    return !request->h3->is_over && !request->is_dropping;
}

static void take_fin(h3_request_t *request)
{
    if (!wt_tlv_is_between(&request->frames)) {
        h3_connection_fail(request->h3, H3_FRAME_ERROR, "a stream ends in the middle of a frame");
        return;
    }
    if (request->state == H3_REQUEST_EXPECTS) {
        h3_request_fail(request, request->h3->is_client ? H3_MESSAGE_MALFORMED : H3_REQUEST_INCOMPLETE);
    } else if (is_for_capsules(request)) {
        if (!wt_tlv_is_between(&request->capsules)) {
            h3_request_fail(request, H3_MESSAGE_MALFORMED);
            return;
        }
        bool was_asked = request->state < H3_REQUEST_OPEN;
        end(request, WT_END_FIN, H3_REQUEST_CANCELLED);
        if (was_asked) {
            abandon(request, H3_REQUEST_CANCELLED);
        } else {
            h3_request_finish(request);
        }
    }
}

void h3_request_data(h3_connection_t *h3, uint64_t stream_id, const uint8_t *bytes, size_t length,
                     bool is_fin)
{
    static const wt_tlv_sink_t sink = {begin_frame, take_frame};
    h3_request_t *request = h3_request_find(h3, stream_id);
    if (request == NULL) {
        if (h3->is_client) {
            return; /* over, and what is left of it comes late */
        }
        request = make(h3, stream_id);
        if (request == NULL) {
            return;
        }
        if (stream_id >= h3->goaway_sent) {
            request->state = H3_REQUEST_OVER;
            abandon(request, H3_REQUEST_REJECTED);
        }
        h3->next_request_id = stream_id + 4 > h3->next_request_id ? stream_id + 4 : h3->next_request_id;
    }
    if (request->is_dropping) {
        return;
    }
    if (wt_tlv_feed(&request->frames, &sink, request, bytes, length) && is_fin && !h3->is_over) {
        take_fin(request);
    }
}

void h3_request_reset(h3_connection_t *h3, uint64_t stream_id, uint64_t error_code)
{
    h3_request_t *request = h3_request_find(h3, stream_id);
    if (request == NULL && !h3->is_client) {
        request = make(h3, stream_id); /* reset before its first byte */
    }
    if (request != NULL && !h3->is_over) {
        end(request, WT_END_RESET, error_code);
        abandon(request, H3_REQUEST_CANCELLED);
    }
}

void h3_request_stopped(h3_connection_t *h3, uint64_t stream_id)
{
    h3_request_t *request = h3_request_find(h3, stream_id);
    if (request == NULL) {
        return;
    }
    /* We may have ended our side already, and the peer says that it does not read the rest. How an open session ends
     * is said by the peer's own side: who closes one stops us as well, and the capsule may come behind that. */
    bool is_awaited = request->has_ended || request->state == H3_REQUEST_OPEN;
    request->has_ended = true;
    if (h3->is_client && request->state < H3_REQUEST_OPEN) {
        return; /* the response is still to come (RFC 9114 section 4.1) */
    }
    if (!is_awaited) {
        end(request, WT_END_RESET, H3_REQUEST_CANCELLED);
        abandon(request, H3_REQUEST_CANCELLED);
    }
}

/* ---- commands ---- */

/* Codes the fields of a packed list into a section. False when the list is none. */
static bool add_fields(wt_bytes_t *section, wt_reader_t *reader)
{
    for (uint16_t left = h3_fields_begin(reader); left > 0 && !reader->is_short; left--) {
        h3_field_t field = h3_fields_next(reader);
        if (!reader->is_short) {
            h3_qpack_add(section, field.name, field.name_length, field.value, field.value_length);
        }
    }
    return !reader->is_short && reader->left == 0;
}

void h3_request_connect(h3_connection_t *h3, uint64_t stream_id, const uint8_t *list, size_t length)
{
    wt_reader_t reader = {.at = list, .left = length};
    wt_bytes_t section = {0};
    if (!h3->is_client || stream_id % 4 != 0 || h3_request_find(h3, stream_id) != NULL) {
        return;
    }
    h3_request_t *request = make(h3, stream_id);
    if (request == NULL) {
        return;
    }
    request->kind = h3_judge_request(list, length);
    h3_qpack_begin(&section);
    if (request->kind == H3_MALFORMED || !add_fields(&section, &reader)) {
        end(request, WT_END_ERROR, H3_MESSAGE_MALFORMED);
        request->is_dropping = request->has_ended = true;
    } else if (stream_id >= h3->goaway_received) {
        end(request, WT_END_ERROR, H3_REQUEST_REJECTED);
        request->is_dropping = request->has_ended = true;
    } else {
        h3_request_send_frame(request, H3_FRAME_HEADERS, &section, request->kind == H3_PLAIN);
    }
    wt_bytes_free(&section);
}

void h3_request_respond(h3_request_t *request, const uint8_t *data, size_t length)
{
    wt_reader_t reader = {.at = data, .left = length};
    uint16_t status = (uint16_t)wt_take_uint(&reader, 2);
    char digits[8];
    (void)snprintf(digits, sizeof(digits), "%u", status);
    if (request->state != H3_REQUEST_ASKED || status < 200 || status > 599) {
        return;
    }
    wt_bytes_t section = {0};
    h3_qpack_begin(&section);
    h3_qpack_add(&section, (const uint8_t *)":status", 7, (const uint8_t *)digits, 3);
    bool is_session = status < 300 && is_for_capsules(request);
    if (!add_fields(&section, &reader)) {
        h3_request_fail(request, H3_INTERNAL_ERROR);
    } else {
        h3_request_send_frame(request, H3_FRAME_HEADERS, &section, !is_session);
    }
    wt_bytes_free(&section);
    if (is_session && !request->is_dropping) {
        wt_session_open(request);
    } else if (!request->is_dropping) {
        request->state = H3_REQUEST_OVER;
        if (request->counts) {
            request->counts = false;
            request->h3->sessions--;
        }
        aiopq_protocol_end_scope(request->h3->conn, request->id, WT_BUFFERED_STREAM_REJECTED);
        request->is_dropping = true;
        aiopq_protocol_stop(request->h3->conn, request->id, H3_NO_ERROR);
    }
}
