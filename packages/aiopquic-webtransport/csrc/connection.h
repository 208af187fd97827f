/* HTTP/3 on one connection: the control stream and QPACK's, SETTINGS, GOAWAY, and the requests. Everything here runs
 * on the network thread, inside the functions of aiopq_protocol_t. */
#ifndef AIOPQUIC_WEBTRANSPORT_CONNECTION_H
#define AIOPQUIC_WEBTRANSPORT_CONNECTION_H

#include "aiopquic/protocol.h"
#include "codes.h"
#include "settings.h"
#include "tlv.h"

typedef struct h3_request h3_request_t;

#define H3_REQUEST_BUCKETS 64u

/* A unidirectional stream of the peer's that a connection has once. */
typedef struct h3_peer_stream {
    bool is_there;
    uint64_t id;
    uint8_t type_left; /* bytes of its type that data() is still to be given */
} h3_peer_stream_t;

typedef enum h3_peer_stream_type {
    H3_PEER_CONTROL = 0,
    H3_PEER_ENCODER,
    H3_PEER_DECODER,
    H3_PEER_STREAMS
} h3_peer_stream_type_t;

typedef struct h3_connection {
    aiopq_conn_t *conn; /* core's, which outlives this */
    bool is_client;
    bool is_over; /* it was closed for an error: nothing is looked at any more */

    h3_peer_stream_t peer_streams[H3_PEER_STREAMS];
    wt_tlv_t control;           /* frames of the peer's control stream */
    wt_bytes_t control_payload; /* of the frame that is coming, where it is of interest */
    wt_varint_t encoder_instruction;
    bool has_settings;
    h3_settings_t settings; /* the peer's */

    h3_request_t *requests[H3_REQUEST_BUCKETS]; /* by stream id; owned */
    uint32_t sessions;                          /* of those that are asked for or open */
    uint64_t next_request_id;                   /* server: behind the newest request */
    uint64_t goaway_sent;                       /* server: requests from this id on are refused */
    uint64_t goaway_received;
} h3_connection_t;

h3_connection_t *h3_connection_new(aiopq_conn_t *conn);
void h3_connection_free(h3_connection_t *h3);

/* Closes it with one of RFC 9114's codes. */
void h3_connection_fail(h3_connection_t *h3, uint64_t error_code, const char *reason);

/* Whose is a unidirectional stream of the peer's? */
aiopq_claim_t h3_claim_uni(h3_connection_t *h3, uint64_t stream_id, const uint8_t *bytes, size_t length);

/* Bytes of one, and its end. */
void h3_uni_data(h3_connection_t *h3, uint64_t stream_id, const uint8_t *bytes, size_t length, bool is_fin);

/* The peer has reset one of its own, or stopped one of ours. */
void h3_uni_reset(h3_connection_t *h3, uint64_t stream_id);
void h3_uni_stopped(h3_connection_t *h3, uint64_t stream_id);

/* Says that no requests are taken any more (RFC 9114 section 5.2). */
void h3_send_goaway(h3_connection_t *h3);

#endif
