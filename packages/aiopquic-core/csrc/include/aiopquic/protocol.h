/* Application protocols that run on the network thread beside the application's own streams.
 *
 * Another wheel plugs one in: a structure of functions, which it hands to Engine in a PyCapsule. A connection whose
 * ALPN is one of the protocol's shows it the first bytes of every stream that the peer opens, and the protocol says
 * whose the stream is. Its own streams it reads and writes itself; the others become ordinary streams of the
 * application, with their queues, their credit and their budgets, and their bytes are never seen here again.
 *
 * A protocol calls back with the functions at the end, from inside its own functions and nowhere else. */
#ifndef AIOPQUIC_PROTOCOL_H
#define AIOPQUIC_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiopquic/abi.h"
#include "aiopquic/event.h"
#include "aiopquic/status.h"
#include "aiopquic/threads.h"

/* The capsule's name, and the number that its structure begins with: raised when anything here changes. */
#define AIOPQ_PROTOCOL_CAPSULE "aiopquic.protocol"
#define AIOPQ_PROTOCOL_VERSION 1

/* What may be read away from the front of an application's stream: two variable-length integers. */
#define AIOPQ_PREFACE_MAX 16

/* Streams that belong to no scope. */
#define AIOPQ_NO_SCOPE UINT64_MAX

typedef enum aiopq_claim_kind {
    AIOPQ_CLAIM_MORE = 0,    /* it can't be told yet: asked again when more bytes are there */
    AIOPQ_CLAIM_OWN,         /* the protocol's own: data() gets every byte, those that were shown included */
    AIOPQ_CLAIM_APPLICATION, /* the application's, in a scope that is open */
    AIOPQ_CLAIM_WAIT,  /* the application's, in a scope that may open yet: held within bounds until it does */
    AIOPQ_CLAIM_REFUSE /* nobody's: reset and stopped with `error_code` */
} aiopq_claim_kind_t;

typedef struct aiopq_claim {
    aiopq_claim_kind_t kind;
    size_t preface_length; /* APPLICATION, WAIT: bytes that are not the application's */
    uint64_t scope;        /* APPLICATION, WAIT: what the stream belongs to */
    uint64_t error_code;   /* REFUSE */
} aiopq_claim_t;

typedef struct aiopq_protocol {
    uint32_t version;        /* AIOPQ_PROTOCOL_VERSION */
    const char *const *alpn; /* names (RFC 7301); NULL ends the list */

    /* Streams that wait for their scope, over the whole connection: beyond either bound they are refused. */
    uint32_t waiting_streams_max;
    uint32_t waiting_bytes_max;
    uint64_t waiting_error; /* the code that refuses them */

    /* The connection speaks the protocol. The answer is given to every other function; NULL, for want of memory,
     * closes the connection. Streams of its own are numbered from the first id of their kind on; the application
     * has to begin behind them. */
    void *(*begin)(aiopq_conn_t *conn)AIOPQ_NET;
    /* The connection is over; no other function is called from here on. */
    void (*end)(void *state) AIOPQ_NET;
    /* Whose is a stream that the peer opened? `bytes` are its first ones, AIOPQ_PREFACE_MAX at most, and with
     * `is_fin` there are no more. MORE counts as OWN when the stream has ended. */
    aiopq_claim_t (*claim)(void *state, uint64_t stream_id, const uint8_t *bytes, size_t length,
                           bool is_fin) AIOPQ_NET;
    /* Bytes of an own stream, and its end. */
    void (*data)(void *state, uint64_t stream_id, const uint8_t *bytes, size_t length, bool is_fin) AIOPQ_NET;
    /* RESET_STREAM and STOP_SENDING from the peer for an own stream, or for one that is nobody's yet. A stream that was
     * stopped has been reset with the same code already. */
    void (*reset)(void *state, uint64_t stream_id, uint64_t error_code) AIOPQ_NET;
    void (*stopped)(void *state, uint64_t stream_id, uint64_t error_code) AIOPQ_NET;
    /* Both directions of an own stream are over and acknowledged. */
    void (*released)(void *state, uint64_t stream_id) AIOPQ_NET;
    /* A datagram has come; false drops it. NULL: all are the application's. */
    bool (*datagram)(void *state, const uint8_t *bytes, size_t length) AIOPQ_NET;
    /* True while the application may have streams in a scope. */
    bool (*is_scope_open)(void *state, uint64_t scope, uint64_t *error_code) AIOPQ_NET;
    /* What the loop thread asked for with aiopq_conn_protocol_command(). */
    void (*command)(void *state, int32_t kind, uint64_t uid, const uint8_t *data, size_t length) AIOPQ_NET;
} aiopq_protocol_t;

/* What a PROTOCOL event carries. */
typedef struct aiopq_protocol_message {
    int32_t kind;
    uint64_t uid;
    size_t length;
    uint8_t data[];
} aiopq_protocol_message_t;

/* Sends a command to the protocol of the connection; `data` is copied. One for a connection without a protocol, or
 * that comes before the handshake has settled it, does nothing. */
AIOPQ_API aiopq_status_t aiopq_conn_protocol_command(aiopq_conn_t *conn, int32_t kind, uint64_t uid,
                                                     const uint8_t *data, size_t length) AIOPQ_LOOP;

/* ---- for the protocol's functions ---- */

AIOPQ_API bool aiopq_protocol_is_client(const aiopq_conn_t *conn) AIOPQ_NET;

/* What we said in the handshake, or what the peer did. */
AIOPQ_API void aiopq_protocol_parameters(aiopq_conn_t *conn, bool ours,
                                         aiopq_transport_parameters_t *parameters) AIOPQ_NET;

/* Sends on an own stream, before anything of the application's; a stream of our kind that does not exist is opened.
 * picoquic keeps a copy. */
AIOPQ_API aiopq_status_t aiopq_protocol_send(aiopq_conn_t *conn, uint64_t stream_id, const uint8_t *bytes,
                                             size_t length, bool fin) AIOPQ_NET;

/* RESET_STREAM and STOP_SENDING for an own stream. */
AIOPQ_API void aiopq_protocol_reset(aiopq_conn_t *conn, uint64_t stream_id, uint64_t error_code) AIOPQ_NET;
AIOPQ_API void aiopq_protocol_stop(aiopq_conn_t *conn, uint64_t stream_id, uint64_t error_code) AIOPQ_NET;

/* True when a stream existed and is forgotten. */
AIOPQ_API bool aiopq_protocol_is_stream_over(aiopq_conn_t *conn, uint64_t stream_id) AIOPQ_NET;

/* Streams that wait for the scope become the application's, in the order in which they came. */
AIOPQ_API void aiopq_protocol_open_scope(aiopq_conn_t *conn, uint64_t scope) AIOPQ_NET;

/* The application's streams of the scope are reset and stopped, and those that wait for it refused. The application
 * hears of each as if the peer had done so. is_scope_open() must say so already. */
AIOPQ_API void aiopq_protocol_end_scope(aiopq_conn_t *conn, uint64_t scope, uint64_t error_code) AIOPQ_NET;

/* Closes the connection with an application code (RFC 9000 section 19.19); `reason` is copied. */
AIOPQ_API void aiopq_protocol_close(aiopq_conn_t *conn, uint64_t error_code, const char *reason) AIOPQ_NET;

/* Tells the loop thread with a PROTOCOL event; `data` is copied. */
AIOPQ_API void aiopq_protocol_tell(aiopq_conn_t *conn, int32_t kind, uint64_t uid, const uint8_t *data,
                                   size_t length) AIOPQ_NET;

/* Objects that the protocol has made or freed, for aiopq_live_counts_t. */
AIOPQ_API void aiopq_protocol_count_objects(int64_t change);

#endif
