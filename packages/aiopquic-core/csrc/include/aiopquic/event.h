/* Events: what the network thread tells the loop thread. Stream bytes never ride here. */
#ifndef AIOPQUIC_EVENT_H
#define AIOPQUIC_EVENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiopquic/abi.h"

typedef struct aiopq_conn aiopq_conn_t;
typedef struct aiopq_stream aiopq_stream_t;

typedef enum aiopq_event_type {
    AIOPQ_EVENT_NONE = 0,
    AIOPQ_EVENT_ENGINE_READY,   /* sockets are open; value = local UDP port */
    AIOPQ_EVENT_ENGINE_STOPPED, /* the driver ended; value = system error, 0 for an orderly stop */
    AIOPQ_EVENT_CONN_CREATED, /* the client connection exists in picoquic; value = its error when it could not be made */
    AIOPQ_EVENT_CONN_READY,         /* handshake done; detail = aiopq_conn_info_t */
    AIOPQ_EVENT_CONN_CLOSED,        /* the last event of a connection; detail = aiopq_close_info_t */
    AIOPQ_EVENT_CONN_STATS,         /* answer to a request; detail = aiopq_conn_stats_t */
    AIOPQ_EVENT_CONN_WRITABLE,      /* the connection's send budget has room again */
    AIOPQ_EVENT_CONN_STREAMS,       /* the peer allows more streams; detail = aiopq_stream_limits_t */
    AIOPQ_EVENT_CONN_PING_ACKED,    /* value = the number given with the ping */
    AIOPQ_EVENT_CONN_PATH,          /* value = aiopq_path_change_t; detail = aiopq_path_event_t */
    AIOPQ_EVENT_CONN_PATH_ANSWER,   /* detail = aiopq_path_answer_t */
    AIOPQ_EVENT_DATAGRAMS_READABLE, /* datagrams are there; at most one is outstanding per connection */
    AIOPQ_EVENT_DATAGRAMS_WRITABLE, /* the connection's datagram queue has room again */
    AIOPQ_EVENT_DATAGRAM_ACKED,    /* the peer acknowledged a datagram; value = the number it was sent with */
    AIOPQ_EVENT_DATAGRAM_LOST,     /* a datagram is declared lost; value = its number */
    AIOPQ_EVENT_DATAGRAM_SPURIOUS, /* one that was declared lost is acknowledged after all; value = its number */
    AIOPQ_EVENT_STREAM_READABLE, /* bytes or the end are there; at most one is outstanding per stream */
    AIOPQ_EVENT_STREAM_RESET,    /* RESET_STREAM from the peer; value = its code */
    AIOPQ_EVENT_STREAM_STOPPED,  /* STOP_SENDING from the peer; value = its code */
    AIOPQ_EVENT_STREAM_WRITABLE, /* the stream's send budget has room again */
    AIOPQ_EVENT_STREAM_ACKED,    /* the peer has all that aiopq_stream_want_acked() asked for */
    AIOPQ_EVENT_STREAM_RELEASED, /* both directions are over and acknowledged: the last event of a stream */
    AIOPQ_EVENT_CONN_ID_ISSUED, /* the peer was given a connection id of ours; detail = aiopq_connection_id_t */
    AIOPQ_EVENT_CONN_ID_RETIRED, /* the peer let one go; detail = aiopq_connection_id_t */
    AIOPQ_EVENT_INCOMING, /* somebody wants to connect and waits for an answer; detail = aiopq_incoming_info_t */
    AIOPQ_EVENT_CERTIFICATES_SET, /* handshakes from here on get the new ones; value = the number of the request */
    /* to a request by its number, in value; detail = aiopq_answer_t, NULL when there was no memory for it */
    AIOPQ_EVENT_CONN_ANSWER,
    AIOPQ_EVENT_PROTOCOL, /* the connection's protocol tells something; detail = aiopq_protocol_message_t */
    AIOPQ_EVENT_COUNT
} aiopq_event_type_t;

/* Who ended a connection, and how (RFC 9000 section 10). */
typedef enum aiopq_close_kind {
    AIOPQ_CLOSE_APPLICATION = 0,     /* CONNECTION_CLOSE of type 0x1d */
    AIOPQ_CLOSE_TRANSPORT,           /* CONNECTION_CLOSE of type 0x1c, TLS alerts included */
    AIOPQ_CLOSE_IDLE_TIMEOUT,        /* nothing heard for the idle timeout */
    AIOPQ_CLOSE_HANDSHAKE_TIMEOUT,   /* the peer never completed the handshake */
    AIOPQ_CLOSE_STATELESS_RESET,     /* the peer lost its state */
    AIOPQ_CLOSE_VERSION_NEGOTIATION, /* no version in common */
    AIOPQ_CLOSE_LOCAL_FAILURE        /* the connection could not be created or the engine stopped under it */
} aiopq_close_kind_t;

#define AIOPQ_REASON_MAX 1024 /* bytes of a reason phrase that are kept */
#define AIOPQ_NO_FRAME UINT64_MAX
#define AIOPQ_ECH_RETRY_MAX 1024 /* bytes of an ECHConfigList that are told; of longer ones none */

typedef struct aiopq_close_info {
    aiopq_close_kind_t kind;
    bool is_remote;      /* the peer said so; false when we did */
    uint64_t error_code; /* application code, or transport code of RFC 9000 section 20.1 */
    uint64_t frame_type; /* the frame that caused a transport error, AIOPQ_NO_FRAME when not known */
    int32_t
        verify_error; /* X509_V_ERR_* or AIOPQ_VERIFY_* when our verifier refused the peer's certificate, else 0 */
    uint16_t reason_length;
    char reason[AIOPQ_REASON_MAX]; /* UTF-8 as it came; not NUL-terminated */
    uint16_t ech_retry_length; /* client whose ECH was refused: the ECHConfigList for the next try; 0: none */
    uint8_t ech_retry[AIOPQ_ECH_RETRY_MAX];
} aiopq_close_info_t;

/* Reasons of our own to refuse a certificate, beside those of OpenSSL, which are positive. With an unknown hash the
 * reason phrase tells which one it has. */
#define AIOPQ_VERIFY_UNKNOWN_HASH (-1) /* none of `certificate_hashes` */
#define AIOPQ_VERIFY_HASHED_KIND                                                                             \
    (-2) /* a hash is not enough for an RSA key, or a certificate before version 3 */
#define AIOPQ_VERIFY_HASHED_FOR_LONG (-3) /* nor for a certificate that is valid for more than two weeks */
#define AIOPQ_VERIFY_UNKNOWN_KEY (-4)     /* none of `pinned_keys` */

/* Words for a `verify_error`, OpenSSL's for its own; never NULL. */
AIOPQ_API const char *aiopq_verify_error_text(int32_t verify_error);

#define AIOPQ_ALPN_MAX 255
#define AIOPQ_SERVER_NAME_MAX 255
#define AIOPQ_CONNECTION_ID_MAX 20

/* The transport parameters of one side (RFC 9000 section 18.2). */
typedef struct aiopq_transport_parameters {
    uint64_t initial_max_data;
    uint64_t initial_max_stream_data_bidi_local;
    uint64_t initial_max_stream_data_bidi_remote;
    uint64_t initial_max_stream_data_uni;
    uint64_t initial_max_streams_bidi;
    uint64_t initial_max_streams_uni;
    uint64_t max_idle_timeout_ms;
    uint64_t max_udp_payload_size;
    uint64_t max_ack_delay_us;
    uint64_t ack_delay_exponent;
    uint64_t active_connection_id_limit;
    uint64_t max_datagram_frame_size;
    uint64_t min_ack_delay_us;
    bool disable_active_migration;
    bool grease_quic_bit;
    bool reset_stream_at; /* RESET_STREAM_AT is understood (draft-ietf-quic-reliable-stream-reset) */
} aiopq_transport_parameters_t;

typedef struct aiopq_connection_id {
    uint8_t length;
    uint8_t id[AIOPQ_CONNECTION_ID_MAX];
} aiopq_connection_id_t;

/* What the handshake settled, copied while picoquic still knows it. */
typedef struct aiopq_conn_info {
    uint32_t version;
    bool is_resumed;
    bool
        is_early_data_accepted; /* client: 0-RTT data went out and was taken; server: it came in and was taken */
    bool is_ech_accepted;       /* the server has opened the encrypted ClientHello (RFC 9849) */
    bool has_multipath;         /* further paths can be added (draft-ietf-quic-multipath) */
    uint8_t alpn_length, server_name_length;
    char alpn[AIOPQ_ALPN_MAX + 1];
    char server_name[AIOPQ_SERVER_NAME_MAX + 1];
    struct sockaddr_storage peer_address, local_address;
    uint8_t local_id_length, remote_id_length, initial_id_length;
    uint8_t local_id[AIOPQ_CONNECTION_ID_MAX];
    uint8_t remote_id[AIOPQ_CONNECTION_ID_MAX];
    uint8_t initial_id[AIOPQ_CONNECTION_ID_MAX];
    aiopq_transport_parameters_t local_parameters, remote_parameters;
    size_t peer_certificates_length; /* bytes of `peer_certificates` */
    /* The peer's chain, its own certificate first: for each a length of 4 bytes, most significant first, then
     * DER. Empty when it presented none, as in a resumed session. */
    uint8_t peer_certificates[];
} aiopq_conn_info_t;

#define AIOPQ_INCOMING_ALPN_MAX 1024 /* bytes of ALPN names, with a byte of length each, that are told */

/* What is known of a client before its handshake. The names are what the client says, and are not proven by
 * anything. */
typedef struct aiopq_incoming_info {
    uint64_t handle; /* for aiopq_engine_answer_incoming() */
    struct sockaddr_storage peer_address, local_address;
    /* A token of ours proves that the client receives at its address (RFC 9000 section 8.1). */
    bool is_validated;
    uint8_t server_name_length; /* 0: it names none, or the ClientHello can't be read */
    char server_name[AIOPQ_SERVER_NAME_MAX + 1];
    uint16_t alpn_length;
    /* Each name behind a byte with its length (RFC 7301 section 3.1). */
    uint8_t alpn[AIOPQ_INCOMING_ALPN_MAX];
} aiopq_incoming_info_t;

typedef enum aiopq_incoming_answer {
    AIOPQ_INCOMING_ACCEPT = 0, /* the handshake goes on */
    AIOPQ_INCOMING_REFUSE,     /* CONNECTION_REFUSED (RFC 9000 section 20.1) */
    /* A Retry packet: the client proves its address and is asked about once more; for one that has proven it
     * already the same as REFUSE. */
    AIOPQ_INCOMING_RETRY
} aiopq_incoming_answer_t;

/* A copy of the default path's figures. Times in microseconds, rates in bytes per second. */
typedef struct aiopq_conn_stats {
    uint64_t request; /* the number given with the request this answers */
    uint64_t receive_rate_estimate, pacing_rate;
    uint64_t cwin, bytes_in_transit;
    uint64_t rtt, rtt_sample, rtt_variant, rtt_min, rtt_max;
    uint64_t packets_sent, packets_lost, timer_losses, spurious_losses;
    uint64_t max_spurious_rtt, max_reorder_delay, max_reorder_gap;
    uint64_t bytes_sent, bytes_received;               /* UDP payload on the path */
    uint64_t stream_bytes_sent, stream_bytes_received; /* STREAM frame payload */
    uint64_t ecn_received[3]; /* packets marked ECT(0), ECT(1) and CE (RFC 9000 section 13.4) */
    uint64_t ecn_reported[3]; /* the same of ours, by what the peer reports */
} aiopq_conn_stats_t;

/* What became of a request, and the bytes that it asked for. */
typedef struct aiopq_answer {
    bool is_done;
    size_t length;
    uint8_t bytes[];
} aiopq_answer_t;

/* How many streams of each kind we may open in total. */
typedef struct aiopq_stream_limits {
    uint64_t max_bidi, max_uni;
} aiopq_stream_limits_t;

typedef struct aiopq_event {
    aiopq_event_type_t type;
    aiopq_conn_t *conn;     /* a reference that the event holds; NULL for engine events */
    aiopq_stream_t *stream; /* a reference that the event holds; NULL unless a stream event */
    uint64_t value;
    void *detail; /* malloc'd, the event's own; NULL when the type has none */
} aiopq_event_t;

#endif
