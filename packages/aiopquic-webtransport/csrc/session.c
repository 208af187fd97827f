/* Sessions of WebTransport (draft-ietf-webtrans-http3): which streams are theirs, capsules, and how they end. */
#include "request.h"

static bool is_webtransport(const h3_request_t *request)
{
    return request->kind == H3_WEBTRANSPORT || request->kind == H3_WEBTRANSPORT_OLD;
}

/* ---- streams ---- */

static aiopq_claim_t claim_of(const h3_connection_t *h3, uint64_t session_id)
{
    aiopq_claim_t claim = {.kind = AIOPQ_CLAIM_REFUSE, .scope = session_id, .error_code = WT_SESSION_GONE};
    const h3_request_t *request = h3_request_find(h3, session_id);
    if (request == NULL) {
        /* A client knows its sessions; a server's may be in a packet that is late. */
        if (!h3->is_client && !aiopq_protocol_is_stream_over(h3->conn, session_id)) {
            claim.kind = AIOPQ_CLAIM_WAIT;
        }
        return claim;
    }
    if (request->state == H3_REQUEST_OPEN) {
        claim.kind = AIOPQ_CLAIM_APPLICATION;
    } else if (request->state < H3_REQUEST_OPEN && !request->is_dropping &&
               (is_webtransport(request) || request->kind == H3_MALFORMED)) {
        claim.kind = AIOPQ_CLAIM_WAIT; /* its fields have not come, or it is not accepted yet */
    }
    return claim;
}

aiopq_claim_t h3_claim_session_stream(h3_connection_t *h3, wt_reader_t *reader, size_t length)
{
    uint64_t session_id = wt_take_varint(reader);
    if (reader->is_short) {
        return (aiopq_claim_t){.kind = AIOPQ_CLAIM_MORE};
    }
    if (session_id % 4 != 0) {
        h3_connection_fail(h3, H3_ID_ERROR, "a session id is that of a client's bidirectional stream");
        return (aiopq_claim_t){.kind = AIOPQ_CLAIM_REFUSE, .error_code = H3_ID_ERROR};
    }
    aiopq_claim_t claim = claim_of(h3, session_id);
    claim.preface_length = length - reader->left;
    return claim;
}

/* ---- beginning and end ---- */

void wt_session_open(h3_request_t *request)
{
    request->state = H3_REQUEST_OPEN;
    aiopq_protocol_open_scope(request->h3->conn, request->id);
}

static void tell_closed(const h3_request_t *request, enum wt_end how, uint32_t code, const uint8_t *reason,
                        size_t length)
{
    wt_bytes_t told = {0};
    wt_put_u8(&told, (uint8_t)how);
    wt_put_u32(&told, code);
    wt_put(&told, reason, length);
    if (!told.has_failed) {
        aiopq_protocol_tell(request->h3->conn, WT_EVENT_SESSION_CLOSED, request->id, told.data, told.length);
    }
    wt_bytes_free(&told);
}

void wt_session_end(h3_request_t *request, enum wt_end how, uint32_t code, const uint8_t *reason,
                    size_t length)
{
    h3_connection_t *h3 = request->h3;
    h3_request_state_t before = request->state;
    if (before == H3_REQUEST_OVER) {
        return;
    }
    request->state = H3_REQUEST_OVER;
    if (request->counts) {
        request->counts = false;
        h3->sessions--;
    }
    if (before == H3_REQUEST_CLOSING) {
        tell_closed(request, WT_END_OURS, request->close_code, request->close_reason.data,
                    request->close_reason.length);
        wt_bytes_free(&request->close_reason);
        return;
    }
    if (before == H3_REQUEST_ASKED || before == H3_REQUEST_OPEN) {
        tell_closed(request, how, code, reason, length);
    }
    aiopq_protocol_end_scope(h3->conn, request->id,
                             before == H3_REQUEST_OPEN ? WT_SESSION_GONE : WT_BUFFERED_STREAM_REJECTED);
}

void wt_session_close(h3_request_t *request, const uint8_t *data, size_t length)
{
    wt_reader_t reader = {.at = data, .left = length};
    uint32_t code = (uint32_t)wt_take_uint(&reader, 4);
    if (request->state != H3_REQUEST_OPEN || reader.is_short || reader.left > WT_REASON_MAX) {
        return;
    }
    wt_bytes_t capsule = {0};
    wt_put_varint(&capsule, WT_CAPSULE_CLOSE);
    wt_put_varint(&capsule, length);
    wt_put(&capsule, data, length);
    request->close_code = code;
    wt_put(&request->close_reason, reader.at, reader.left);
    request->state = H3_REQUEST_CLOSING;
    /* The streams first: what they still send would come behind the end of their session. */
    aiopq_protocol_end_scope(request->h3->conn, request->id, WT_SESSION_GONE);
    if (request->has_ended) { /* the peer has stopped us, and need not say anything more */
        aiopq_protocol_stop(request->h3->conn, request->id, WT_SESSION_GONE);
        wt_session_end(request, WT_END_OURS, 0, NULL, 0);
    } else {
        h3_request_send_frame(request, H3_FRAME_DATA, &capsule, true);
    }
    wt_bytes_free(&capsule);
}

void wt_session_drain(h3_request_t *request)
{
    if (request->state == H3_REQUEST_OPEN) {
        wt_bytes_t capsule = {0};
        wt_put_varint(&capsule, WT_CAPSULE_DRAIN);
        wt_put_varint(&capsule, 0);
        h3_request_send_frame(request, H3_FRAME_DATA, &capsule, false);
        wt_bytes_free(&capsule);
    }
}

/* ---- capsules ---- */

/* Reserved to exercise that unknown ones are skipped (RFC 9297 section 5.4). */
static bool is_grease(uint64_t type)
{
    return type >= 0x17 && (type - 0x17) % 0x29 == 0;
}

static bool is_kept(const h3_request_t *request, uint64_t type)
{
    bool is_flow = type >= WT_CAPSULE_FLOW_FIRST && type <= WT_CAPSULE_FLOW_LAST;
    return type == WT_CAPSULE_CLOSE || (request->state == H3_REQUEST_OPEN && !is_grease(type) && !is_flow);
}

static bool begin_capsule(void *context, uint64_t type, uint64_t length)
{
    h3_request_t *request = context;
    request->capsule.length = 0;
    if (request->was_closed || (type == WT_CAPSULE_CLOSE && (length < 4 || length > 4 + WT_REASON_MAX)) ||
        (type == WT_CAPSULE_DRAIN && length != 0)) {
        h3_request_fail(request, H3_MESSAGE_MALFORMED);
        return false;
    }
    return true;
}

static void tell_capsule(const h3_request_t *request, uint64_t type)
{
    wt_bytes_t told = {0};
    wt_put_u64(&told, type);
    wt_put(&told, request->capsule.data, request->capsule.length);
    if (!told.has_failed) {
        aiopq_protocol_tell(request->h3->conn, WT_EVENT_CAPSULE, request->id, told.data, told.length);
    }
    wt_bytes_free(&told);
}

static void take_close(h3_request_t *request)
{
    wt_reader_t reader = {.at = request->capsule.data, .left = request->capsule.length};
    uint32_t code = (uint32_t)wt_take_uint(&reader, 4);
    request->was_closed = true;
    wt_session_end(request, WT_END_CAPSULE, code, reader.at, reader.left);
    h3_request_finish(request);
}

static bool take_capsule(void *context, uint64_t type, const uint8_t *bytes, size_t length, bool is_last)
{
    h3_request_t *request = context;
    wt_bytes_t *value = &request->capsule;
    bool is_too_long = value->length + length > WT_CAPSULE_BYTES_MAX;
    if (is_kept(request, type)) {
        if (is_too_long) {
            value->has_failed = true; /* skipped from here on */
        }
        wt_put(value, bytes, length);
    }
    if (!is_last) {
        return true;
    }
    if (type == WT_CAPSULE_CLOSE) {
        take_close(request);
    } else if (is_kept(request, type) && !value->has_failed) {
        if (type == WT_CAPSULE_DRAIN) {
            aiopq_protocol_tell(request->h3->conn, WT_EVENT_SESSION_DRAINING, request->id, NULL, 0);
        } else {
            tell_capsule(request, type);
        }
    }
    wt_bytes_free(value);
    return !request->is_dropping;
}

void wt_session_data(h3_request_t *request, const uint8_t *bytes, size_t length)
{
    static const wt_tlv_sink_t sink = {begin_capsule, take_capsule};
    if (request->was_closed && length > 0) {
        h3_request_fail(request, H3_MESSAGE_MALFORMED);
        return;
    }
    (void)wt_tlv_feed(&request->capsules, &sink, request, bytes, length);
}
