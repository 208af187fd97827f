#include "protocol.h"

#include "request.h"

/* Streams that come in front of their session, on one connection: as many as a page opens in its first flight. */
#define WAITING_STREAMS_MAX 64
#define WAITING_BYTES_MAX (256u * 1024)

static bool is_uni(uint64_t stream_id)
{
    return (stream_id & 2) != 0;
}

static void *begin(aiopq_conn_t *conn)
{
    return h3_connection_new(conn);
}

static void end(void *state)
{
    h3_connection_free(state);
}

static aiopq_claim_t claim(void *state, uint64_t stream_id, const uint8_t *bytes, size_t length, bool is_fin)
{
    h3_connection_t *h3 = state;
    aiopq_claim_t own = {.kind = AIOPQ_CLAIM_OWN};
    if (is_uni(stream_id)) {
        return h3_claim_uni(h3, stream_id, bytes, length);
    }
    wt_reader_t reader = {.at = bytes, .left = length};
    uint64_t first = wt_take_varint(&reader);
    if (!reader.is_short && first == WT_STREAM_BIDI) {
        return h3_claim_session_stream(h3, &reader, length);
    }
    if (reader.is_short && !is_fin) {
        return (aiopq_claim_t){.kind = AIOPQ_CLAIM_MORE};
    }
    if (h3->is_client) {
        h3_connection_fail(h3, H3_STREAM_CREATION_ERROR, "a server has no requests to make");
        return (aiopq_claim_t){.kind = AIOPQ_CLAIM_REFUSE, .error_code = H3_STREAM_CREATION_ERROR};
    }
    return own;
}

static void data(void *state, uint64_t stream_id, const uint8_t *bytes, size_t length, bool is_fin)
{
    h3_connection_t *h3 = state;
    if (h3->is_over) {
        return;
    }
    if (is_uni(stream_id)) {
        h3_uni_data(h3, stream_id, bytes, length, is_fin);
    } else {
        h3_request_data(h3, stream_id, bytes, length, is_fin);
    }
}

static void reset(void *state, uint64_t stream_id, uint64_t error_code)
{
    if (is_uni(stream_id)) {
        h3_uni_reset(state, stream_id);
    } else {
        h3_request_reset(state, stream_id, error_code);
    }
}

static void stopped(void *state, uint64_t stream_id, uint64_t error_code)
{
    (void)error_code;
    if (is_uni(stream_id)) {
        h3_uni_stopped(state, stream_id);
    } else {
        h3_request_stopped(state, stream_id);
    }
}

static void released(void *state, uint64_t stream_id)
{
    if (!is_uni(stream_id)) {
        h3_request_released(state, stream_id);
    }
}

/* RFC 9297 section 2.1: a quarter stream id, of a session that is not over. */
static bool datagram(void *state, const uint8_t *bytes, size_t length)
{
    h3_connection_t *h3 = state;
    wt_reader_t reader = {.at = bytes, .left = length};
    uint64_t quarter = wt_take_varint(&reader);
    if (reader.is_short || quarter >= (1ull << 60)) {
        h3_connection_fail(h3, H3_DATAGRAM_ERROR, "a datagram without a quarter stream id");
        return false;
    }
    const h3_request_t *request = h3_request_find(h3, 4 * quarter);
    if (request == NULL) {
        /* A server's may be in a packet that is late. */
        return !h3->is_client && !aiopq_protocol_is_stream_over(h3->conn, 4 * quarter);
    }
    return request->state <= H3_REQUEST_OPEN;
}

static bool is_scope_open(void *state, uint64_t scope, uint64_t *error_code)
{
    const h3_request_t *request = h3_request_find(state, scope);
    *error_code = WT_SESSION_GONE;
    return request != NULL && request->state == H3_REQUEST_OPEN;
}

static void command(void *state, int32_t kind, uint64_t uid, const uint8_t *bytes, size_t length)
{
    h3_connection_t *h3 = state;
    h3_request_t *request = h3_request_find(h3, uid);
    switch (kind) {
    case WT_COMMAND_CONNECT:
        h3_request_connect(h3, uid, bytes, length);
        break;
    case WT_COMMAND_GOAWAY:
        h3_send_goaway(h3);
        break;
    case WT_COMMAND_RESPOND:
        if (request != NULL) {
            h3_request_respond(request, bytes, length);
        }
        break;
    case WT_COMMAND_CLOSE_SESSION:
        if (request != NULL && h3->is_client && request->state == H3_REQUEST_EXPECTS) {
            h3_request_fail(request, H3_REQUEST_CANCELLED);
        } else if (request != NULL) {
            wt_session_close(request, bytes, length);
        }
        break;
    case WT_COMMAND_DRAIN_SESSION:
        if (request != NULL) {
            wt_session_drain(request);
        }
        break;
    default:
        break;
    }
}

static const char *const alpn[] = {"h3", NULL};

const aiopq_protocol_t aiopq_wt_protocol = {
    .version = AIOPQ_PROTOCOL_VERSION,
    .alpn = alpn,
    .waiting_streams_max = WAITING_STREAMS_MAX,
    .waiting_bytes_max = WAITING_BYTES_MAX,
    .waiting_error = WT_BUFFERED_STREAM_REJECTED,
    .begin = begin,
    .end = end,
    .claim = claim,
    .data = data,
    .reset = reset,
    .stopped = stopped,
    .released = released,
    .datagram = datagram,
    .is_scope_open = is_scope_open,
    .command = command,
};
