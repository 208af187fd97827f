/* Requests: the streams that carry CONNECT for the sessions of WebTransport, and any other request, of which the loop
 * thread is told as well. A session's id is that of its stream. */
#ifndef AIOPQUIC_WEBTRANSPORT_REQUEST_H
#define AIOPQUIC_WEBTRANSPORT_REQUEST_H

#include "connection.h"
#include "message.h"

typedef enum h3_request_state {
    H3_REQUEST_EXPECTS = 0, /* the fields of the request, or of the response, are to come */
    H3_REQUEST_HELD,        /* server: until the client's SETTINGS are there */
    H3_REQUEST_ASKED,       /* server: told, and not answered yet */
    H3_REQUEST_OPEN,        /* a session */
    H3_REQUEST_CLOSING,     /* we have ended the session, and the peer is to end its side of the stream */
    H3_REQUEST_OVER
} h3_request_state_t;

struct h3_request {
    h3_request_t *next; /* of its bucket */
    h3_connection_t *h3;
    uint64_t id;
    h3_request_state_t state;
    h3_kind_t kind;      /* of ours from the start; of a client's once its fields are there */
    bool counts;         /* among the sessions of the connection */
    bool has_ended;      /* our side has: FIN or RESET_STREAM */
    bool is_dropping;    /* what comes is not looked at any more */
    bool was_closed;     /* the peer's CLOSE capsule is there: nothing may follow */
    wt_tlv_t frames;     /* of the stream */
    wt_tlv_t capsules;   /* in its DATA frames */
    wt_bytes_t section;  /* the HEADERS frame that is coming */
    wt_bytes_t fields;   /* HELD: of the request */
    wt_bytes_t capsule;  /* the value that is coming */
    uint32_t close_code; /* CLOSING: ours */
    wt_bytes_t close_reason;
};

/* Bytes of a capsule that nobody here knows and the loop thread is told of; longer ones are skipped. */
#define WT_CAPSULE_BYTES_MAX 4096

h3_request_t *h3_request_find(const h3_connection_t *h3, uint64_t stream_id);
void h3_requests_free(h3_connection_t *h3);

/* The client's SETTINGS are there. */
void h3_requests_go_on(h3_connection_t *h3);

/* What came on the stream of one; a client's first bytes make it. */
void h3_request_data(h3_connection_t *h3, uint64_t stream_id, const uint8_t *bytes, size_t length,
                     bool is_fin);
void h3_request_reset(h3_connection_t *h3, uint64_t stream_id, uint64_t error_code);
void h3_request_stopped(h3_connection_t *h3, uint64_t stream_id);
void h3_request_released(h3_connection_t *h3, uint64_t stream_id);

/* ---- commands ---- */
void h3_request_connect(h3_connection_t *h3, uint64_t stream_id, const uint8_t *list, size_t length);
void h3_request_respond(h3_request_t *request, const uint8_t *data, size_t length);

/* ---- sessions (session.c) ---- */

/* Whose is a stream that begins with WebTransport's signal? The session id comes next in the reader. */
aiopq_claim_t h3_claim_session_stream(h3_connection_t *h3, wt_reader_t *reader, size_t length);

/* The session has begun. */
void wt_session_open(h3_request_t *request);

/* It is over, before it was accepted or after: tells the loop thread, and ends its streams. `code` and `reason` are
 * those of a CLOSE capsule. */
void wt_session_end(h3_request_t *request, enum wt_end how, uint32_t code, const uint8_t *reason,
                    size_t length);

/* Capsules in the bytes of DATA frames. */
void wt_session_data(h3_request_t *request, const uint8_t *bytes, size_t length);

/* Commands. */
void wt_session_close(h3_request_t *request, const uint8_t *data, size_t length);
void wt_session_drain(h3_request_t *request);

/* ---- for session.c ---- */

/* A stream error: the session ends, and both directions of the stream. */
void h3_request_fail(h3_request_t *request, uint64_t error_code);

/* FIN, unless our side has ended. */
void h3_request_finish(h3_request_t *request);

/* Sends a frame, with FIN behind it. */
void h3_request_send_frame(h3_request_t *request, uint64_t type, const wt_bytes_t *payload, bool fin);

bool h3_is_http2_frame(uint64_t type);

#endif
