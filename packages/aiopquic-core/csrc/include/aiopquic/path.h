/* Paths of a connection (RFC 9000 section 9; draft-ietf-quic-multipath): where its packets go from and to. */
#ifndef AIOPQUIC_PATH_H
#define AIOPQUIC_PATH_H

#include "aiopquic/config.h"
#include "aiopquic/event.h"
#include "aiopquic/status.h"
#include "aiopquic/threads.h"

#define AIOPQ_PATHS_MAX (1 + AIOPQ_FURTHER_PATHS_MAX) /* of one connection */
#define AIOPQ_ANY_PATH UINT64_MAX

/* A copy of one path's figures. Times in microseconds, rates in bytes per second, sizes in bytes. */
typedef struct aiopq_path_info {
    uint64_t id; /* never given twice in a connection; the handshake's path has 0 */
    struct sockaddr_storage local_address, peer_address;
    bool is_validated; /* the peer has answered there (RFC 9000 section 8.2) */
    bool is_backup;    /* not used while another path can be */
    bool is_leaving;   /* abandoned: it takes no new packets and is deleted soon */
    uint64_t receive_rate_estimate, pacing_rate;
    uint64_t cwin, bytes_in_transit;
    uint64_t rtt, rtt_sample, rtt_variant, rtt_min, rtt_max;
    uint64_t packets_sent, packets_lost, spurious_losses;
    uint64_t bytes_sent, bytes_received; /* UDP payload */
} aiopq_path_info_t;

/* What happened to a path. */
typedef enum aiopq_path_change {
    AIOPQ_PATH_AVAILABLE = 0, /* validated, at an address that may be new */
    AIOPQ_PATH_SUSPENDED,     /* the peer has to answer there once more before it is used */
    AIOPQ_PATH_DELETED,       /* gone */
    AIOPQ_PATH_QUALITY,       /* its figures changed by more than was asked for */
    AIOPQ_PATH_MOVED          /* the peer sends from another address, which is not validated yet */
} aiopq_path_change_t;

/* The detail of a CONN_PATH. */
typedef struct aiopq_path_event {
    aiopq_path_info_t path;
    struct sockaddr_storage local_address, peer_address; /* of the path that the connection prefers now */
} aiopq_path_event_t;

typedef enum aiopq_path_wish {
    AIOPQ_PATH_MIGRATE = 0, /* client: leave the one path for another local address */
    AIOPQ_PATH_ADD,         /* client: one more path */
    AIOPQ_PATH_CANCEL,      /* give up what MIGRATE or ADD tries; `id` is its request */
    AIOPQ_PATH_ABANDON,     /* `id` */
    AIOPQ_PATH_BACK_UP,     /* `id` is used when no other can be, on both sides */
    AIOPQ_PATH_USE,         /* `id` is used like others */
    AIOPQ_PATH_LIST,        /* all of them */
    AIOPQ_PATH_WATCH        /* tell of changes of quality, by the two thresholds; 0 and 0: none any more */
} aiopq_path_wish_t;

typedef struct aiopq_path_request {
    uint64_t request; /* the answer carries it; for MIGRATE and ADD not 0, and never twice in a connection */
    aiopq_path_wish_t wish;
    uint64_t id;
    struct sockaddr_storage
        local_address;                    /* to bind; port 0: one that the system chooses. AF_UNSPEC: the host
                                              of the first path, with another port */
    struct sockaddr_storage peer_address; /* ADD: AF_UNSPEC for that of the first path */
    uint64_t rtt_change_us, rate_change;  /* WATCH */
} aiopq_path_request_t;

typedef enum aiopq_path_outcome {
    AIOPQ_PATH_DONE = 0,
    AIOPQ_PATH_NO_ANSWER,    /* the peer did not answer from there */
    AIOPQ_PATH_NOT_BOUND,    /* the local address can't be bound; with the system error */
    AIOPQ_PATH_NOT_ALLOWED,  /* the peer forbids it (disable_active_migration, RFC 9000 section 18.2) */
    AIOPQ_PATH_WRONG_FAMILY, /* local and peer address are of different families */
    AIOPQ_PATH_NO_IDS,       /* the peer gave no connection id for it */
    AIOPQ_PATH_TOO_MANY,     /* there are as many paths as both sides allow */
    AIOPQ_PATH_NO_MULTIPATH, /* not negotiated */
    AIOPQ_PATH_UNKNOWN,      /* there is no path of that id */
    AIOPQ_PATH_LAST,         /* it is the last one */
    AIOPQ_PATH_BUSY,         /* another one is being tried */
    AIOPQ_PATH_CANCELLED,
    AIOPQ_PATH_NO_SOCKETS, /* picoquic's packet loop opens none */
    AIOPQ_PATH_FAILED      /* no memory, or picoquic refused */
} aiopq_path_outcome_t;

/* The detail of a CONN_PATH_ANSWER. */
typedef struct aiopq_path_answer {
    uint64_t request;
    aiopq_path_outcome_t outcome;
    int system_error;
    size_t path_count;
    aiopq_path_info_t paths[]; /* MIGRATE and ADD: the one that was tried, when DONE; LIST: all */
} aiopq_path_answer_t;

/* Asks for something about paths; a CONN_PATH_ANSWER follows unless the connection ends before. MIGRATE and ADD
 * are answered when the peer has answered on the new path, or did not in time; until then and in case of failure
 * the connection stays where it is. `request` is copied. */
AIOPQ_API aiopq_status_t aiopq_conn_request_path(aiopq_conn_t *conn,
                                                 const aiopq_path_request_t *request) AIOPQ_LOOP;

/* Bytes of the stream go out on that path, AIOPQ_ANY_PATH on any. Ignored when there is none of that id. */
AIOPQ_API aiopq_status_t aiopq_stream_set_path(aiopq_stream_t *stream, uint64_t path_id) AIOPQ_LOOP;

#endif
