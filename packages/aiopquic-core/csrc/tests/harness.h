/* Two engines that talk over 127.0.0.1, or on a simulated network, and a loop thread (the test's own) that
 * drains their events, keeps account of them and fails on whatever no engine may ever do: an event after the
 * last one, a byte that is not the one that was sent, bytes behind the end. */
#ifndef AIOPQ_TESTS_HARNESS_H
#define AIOPQ_TESTS_HARNESS_H

#include "aiopquic/datagram.h"
#include "aiopquic/engine.h"
#include "aiopquic/network.h"
#include "aiopquic/path.h"
#include "aiopquic/protocol.h"
#include "aiopquic/stream.h"
#include "certificate.h"
#include "test.h"

typedef struct endpoint endpoint_t;

/* What became of a datagram that was sent with a number. */
typedef enum fate {
    FATE_OPEN = 0,
    FATE_ACKED,
    FATE_LOST,
    FATE_SPURIOUS
} fate_t;

#define DATAGRAM_NUMBERS 4096u /* 1 to one less are given */

#define CONNECTION_IDS 8 /* that are kept */

/* What is known of a connection; lives as long as its endpoint. */
typedef struct peer {
    aiopq_conn_t *conn; /* a reference */
    endpoint_t *endpoint;
    struct peer *next;
    bool is_created, is_ready, is_closed;
    aiopq_conn_info_t info;   /* when is_ready */
    aiopq_close_info_t close; /* when is_closed */
    uint64_t writable_count, stats_count, streams_count, ping_count;
    aiopq_conn_stats_t stats;     /* the last */
    aiopq_stream_limits_t limits; /* the last */
    uint64_t ping_uid;            /* the last */
    uint64_t answer_count, answer_request;
    bool is_answer_done;
    uint8_t answer[64]; /* the first bytes of the last */
    size_t answer_length;
    aiopq_bytes_t peer_certificates; /* a copy of what stands behind `info` */
    uint64_t path_changes[5];        /* events by aiopq_path_change_t */
    aiopq_path_event_t path;         /* the last */
    uint64_t path_answers;
    aiopq_path_answer_t path_answer;                                       /* the last */
    aiopq_path_info_t paths[AIOPQ_PATHS_MAX];                              /* that it told of */
    aiopq_connection_id_t issued[CONNECTION_IDS], retired[CONNECTION_IDS]; /* the first of them */
    size_t issued_count, retired_count;                                    /* of all */
    uint64_t message_count; /* PROTOCOL events; the last one below */
    int32_t message_kind;
    uint64_t message_uid;
    size_t message_length;
    uint8_t message[64];
    bool holds_datagrams;                    /* those that arrive are not taken */
    uint64_t datagram_count, datagram_bytes; /* taken */
    uint64_t datagram_readable_count, datagram_writable_count;
    uint64_t datagrams_sent; /* that datagram_send() queued */
    uint64_t last_number;    /* that datagram_send() gave */
    uint64_t fate_count[4];  /* events by fate */
    uint8_t fates[DATAGRAM_NUMBERS];
} peer_t;

/* What is known of a stream. The bytes of each direction are those of a seed that both ends know. */
typedef struct flow {
    aiopq_stream_t *stream; /* a reference */
    peer_t *peer;
    struct flow *next;
    bool holds; /* received bytes are taken but not consumed */
    uint64_t received, unconsumed;
    bool is_fin_received, is_reset, is_stopped, is_released;
    uint64_t reset_code, stop_code, writable_count, acked_count;
    uint64_t wanted, written; /* bytes that flow_send() was asked for and those that went in */
    bool wants_fin, is_fin_written;
} flow_t;

struct endpoint {
    aiopq_config_t config; /* to be changed between pair_prepare() and pair_start() */
    certificate_t certificate;
    aiopq_engine_t *engine;
    peer_t *peers; /* the newest first */
    flow_t *flows; /* the newest first */
    uint64_t flow_count, peer_count, released_count, closed_count;
    bool is_ready, is_stopped;
    uint16_t port;
    uint64_t stop_error;
    uint64_t certificates_request; /* of the last CERTIFICATES_SET */
    uint64_t incoming_count;
    aiopq_incoming_info_t incoming; /* the last */
};

typedef struct pair {
    endpoint_t server, client;
    aiopq_network_t *network; /* what both live on when AIOPQ_TEST_SIMULATED is set, else NULL */
    aiopq_bytes_t roots[1];
} pair_t;

/* Limits that make the mechanisms work: small against what the tests send. */
#define HARNESS_WINDOW (64u * 1024)
#define HARNESS_STREAM_MAX (256u * 1024)
#define HARNESS_BUDGET (128u * 1024)
#define HARNESS_DATAGRAM_BUDGET (16u * 1024)
#define HARNESS_WAIT_US (30u * 1000000u)

#define ALPN "aiopquic-test"

/* Makes a certificate and the default configurations. */
void pair_prepare(pair_t *pair);

/* Puts both on a new simulated network with that link, between pair_prepare() and pair_start(). The network lives
 * until the next one is made. */
void pair_simulate(pair_t *pair, uint64_t seed, const aiopq_link_config_t *link);

/* Makes both engines, starts them and waits until both are ready. */
void pair_start(pair_t *pair);

/* Connects to the server by 127.0.0.1 and a name. */
peer_t *pair_open(pair_t *pair, const char *server_name, const char *alpn);

/* The same with a list of protocols that ends with NULL. */
peer_t *pair_offer(pair_t *pair, const char *server_name, const char *const *alpn);

/* The same with the names that fit, until both sides are ready. Gives the client's view; the server's is
 * pair->server.peers. */
peer_t *pair_connect(pair_t *pair);

/* pair_prepare(), pair_start() and pair_connect(). */
peer_t *pair_begin(pair_t *pair);

/* Stops and frees what is left, and checks that nothing stays alive. */
void pair_dispose(pair_t *pair);

/* One engine alone. */
void endpoint_start(endpoint_t *endpoint);
void endpoint_stop(endpoint_t *endpoint);    /* without waiting */
void endpoint_dispose(endpoint_t *endpoint); /* joins; the engine is freed */

/* Drains the events of one engine that are there now. */
void endpoint_drain(endpoint_t *endpoint);

/* Waits for an event of either engine, briefly, and drains both. False when the deadline has passed. */
bool harness_turn(endpoint_t *one, endpoint_t *other, uint64_t deadline_us);

/* The time that the engines live by. */
uint64_t pair_now_us(pair_t *pair);

/* Lets both engines work until the condition holds. */
#define WAIT_BOTH(one, other, condition)                                                                     \
    do {                                                                                                     \
        uint64_t deadline_us = test_now_us() + HARNESS_WAIT_US;                                              \
        while (!(condition)) {                                                                               \
            if (!harness_turn((one), (other), deadline_us)) {                                                \
                test_fail(__FILE__, __LINE__, "in time: " #condition);                                       \
            }                                                                                                \
        }                                                                                                    \
    } while (0)
#define WAIT(pair, condition) WAIT_BOTH(&(pair)->server, &(pair)->client, condition)

/* A stream of our own. */
flow_t *flow_open(peer_t *peer, uint64_t stream_id);

/* One in a scope of the connection's protocol. */
flow_t *flow_open_scoped(peer_t *peer, uint64_t stream_id, uint64_t scope, aiopq_bytes_t preface);

/* The same stream as another endpoint sees it, NULL while it does not. */
flow_t *flow_find(const endpoint_t *endpoint, uint64_t stream_id);

/* Sends `length` more bytes and perhaps the end, as the budgets allow; harness_turn() goes on with it. */
void flow_send(flow_t *flow, uint64_t length, bool fin);

/* Gives the credit for what was held. */
void flow_consume(flow_t *flow);

/* Queues a datagram, with the next number while there are any if `is_tracked`. */
aiopq_status_t datagram_send(peer_t *peer, size_t length, bool is_tracked);

/* Takes what has arrived, and checks the content. */
void datagrams_take(peer_t *peer);

#endif
