/* A connection's protocol (aiopquic/protocol.h), and the streams that the application does not have: the protocol's
 * own, those that nobody has claimed yet, and those that wait for their scope. Network thread only. */
#ifndef AIOPQ_NET_PROTOCOL_H
#define AIOPQ_NET_PROTOCOL_H

#include <picoquic.h>

#include "aiopquic/engine.h"
#include "aiopquic/protocol.h"

typedef enum aiopq_stream_role {
    AIOPQ_ROLE_APPLICATION = 0,
    AIOPQ_ROLE_UNCLAIMED, /* the protocol can't tell yet */
    AIOPQ_ROLE_OWN,       /* the protocol's */
    AIOPQ_ROLE_WAITING,   /* the application's, once its scope is open */
    AIOPQ_ROLE_REFUSED,   /* nobody's: what still comes is dropped */
    AIOPQ_ROLE_ENDED /* the application's, in a scope that is over: it hears of nothing but the release */
} aiopq_stream_role_t;

/* What is kept of a stream until its role is settled. */
typedef struct aiopq_claiming {
    uint8_t bytes[AIOPQ_PREFACE_MAX]; /* UNCLAIMED: the first ones */
    size_t length;
    aiopq_stream_t *next; /* WAITING: the connection's list, which holds a reference */
    /* What the peer did while it waited, to be told with its bytes. */
    bool is_reset, is_stopped, is_released;
    uint64_t reset_code, stop_code;
} aiopq_claiming_t;

typedef struct aiopq_conn_protocol {
    bool is_decided; /* the ALPN was looked at */
    const aiopq_protocol_t *functions;
    void *state; /* of the protocol's begin(); NULL when the connection has none, or no more */
    aiopq_stream_t *first_waiting; /* in the order in which they came */
    uint32_t waiting_streams;
    uint64_t waiting_bytes;
} aiopq_conn_protocol_t;

/* Begins the protocol of the connection's ALPN as soon as that is known. True when there is one. */
bool aiopq_protocol_decide(aiopq_conn_t *conn) AIOPQ_NET;

/* The connection is over. */
void aiopq_protocol_end(aiopq_conn_t *conn) AIOPQ_NET;

/* picoquic's callback for a stream that the application does not have. */
int aiopq_protocol_dispatch(aiopq_conn_t *conn, aiopq_stream_t *stream, const uint8_t *bytes, size_t length,
                            picoquic_call_back_event_t event) AIOPQ_NET;

/* The stream is the protocol's from here on. */
void aiopq_protocol_make_own(aiopq_conn_t *conn, aiopq_stream_t *stream) AIOPQ_NET;

bool aiopq_protocol_takes_datagram(aiopq_conn_t *conn, const uint8_t *bytes, size_t length) AIOPQ_NET;

/* A stream of ours that was opened in a scope while that ended is ended too. */
void aiopq_protocol_check_scope(aiopq_stream_t *stream) AIOPQ_NET;

/* Hands a command to the protocol. */
void aiopq_protocol_run(aiopq_conn_t *conn, const aiopq_protocol_message_t *message) AIOPQ_NET;

/* A message with a copy of the data, malloc'd. NULL without memory. */
aiopq_protocol_message_t *aiopq_protocol_message_new(int32_t kind, uint64_t uid, const uint8_t *data,
                                                     size_t length);

#endif
