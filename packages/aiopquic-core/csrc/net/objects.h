/* The three objects of the engine and the thread that writes each of their fields.
 *
 * Connections and streams are shared: the loop thread's wrapper, the network thread (while picoquic may
 * call back with the object) and every queued event or command hold a reference each; the last one frees.
 * picoquic's own pointers live only in fields of the network thread and become NULL when picoquic is
 * done, so a command that comes late finds a closed object and not freed memory. */
#ifndef AIOPQ_NET_OBJECTS_H
#define AIOPQ_NET_OBJECTS_H

#include <picoquic.h>
#include <stdatomic.h>

#include "aiopquic/engine.h"
#include "aiopquic/stream.h"
#include "base/byte_queue.h"
#include "base/lent.h"
#include "base/spsc_queue.h"
#include "base/waker.h"
#include "net/command.h"
#include "net/datagrams.h"
#include "net/paths.h"
#include "net/protocol.h"
#include "net/reset.h"

typedef struct aiopq_tls aiopq_tls_t;
typedef struct aiopq_driver aiopq_driver_t;
typedef struct aiopq_incoming aiopq_incoming_t;
typedef struct aiopq_token aiopq_token_t;
typedef struct aiopq_id_maker aiopq_id_maker_t;

/* What is watched of a connection (net/watch.h); network thread only. */
typedef struct aiopq_watch {
    aiopq_conn_t *next, **previous; /* the engine's list; previous is NULL when not in it */
    bool wants_streams;
    uint64_t known_bidi, known_uni; /* limits that are worth no event */
    aiopq_ping_t *pings;            /* not acknowledged yet, in the order of their calls; freed here */
    aiopq_stream_t *streams;        /* whose acknowledgement is waited for; in the connection's list too */
} aiopq_watch_t;

/* A copy of aiopq_connect_args_t that the network thread may keep. */
typedef struct aiopq_connect_request {
    struct sockaddr_storage address;
    uint32_t version;
    const char *server_name; /* into `strings`, NULL for none */
    size_t alpn_count;
    char strings[]; /* the ALPN tokens one after the other, then the server name, each NUL-terminated */
} aiopq_connect_request_t;

struct aiopq_engine {
    /* written once by aiopq_engine_new() */
    picoquic_quic_t *quic;
    aiopq_config_t config; /* strings and addresses copied; certificates and keys are not kept */
    aiopq_tls_t *tls;
    size_t alpn_count;
    aiopq_incoming_t
        *incoming; /* what is in it is the network thread's; NULL unless the engine holds incoming */

    aiopq_id_maker_t *ids; /* likewise the network thread's; NULL when random connection ids will do */

    /* shared */
    aiopq_spsc_queue_t events;   /* network thread produces, loop thread consumes */
    aiopq_spsc_queue_t commands; /* loop thread produces, network thread consumes */
    aiopq_returns_t returns;     /* lent bytes of streams: either thread puts in, the loop thread releases */
    aiopq_waker_t loop_waker;    /* network thread signals, loop thread clears */
    _Atomic bool net_is_asleep;  /* network thread sets before it waits; whoever clears it owes the wake-up */

    /* loop thread */
    aiopq_driver_t *driver; /* made by its start, freed by its join; NULL when none runs */
    void (*wake_network)(aiopq_driver_t *driver); /* set by the driver at start */
    void (*join_network)(aiopq_driver_t *driver); /* likewise: waits for the thread, frees the driver */
    /* Likewise, for a driver without a thread; NULL with one. Before the events of a drain, and behind them. */
    void (*begin_round)(aiopq_driver_t *driver);
    void (*end_round)(aiopq_driver_t *driver);
    int wakeup_fd; /* what the loop waits on: the waker's, or one of the driver's making that is closed here */
    bool was_started, was_stopped;
    _Atomic uint64_t net_wakes, net_wakes_saved; /* any thread may read */

    /* network thread */
    picoquic_cnx_t **ended; /* clients that picoquic is done with, and leaves to us to delete */
    size_t ended_count, ended_room;
    /* Set by a driver that can send from further addresses than those it was started with. The first opens one, on
     * a port that the system chooses and that is written back when it is 0, or shares one that is open; returns 0
     * or an errno. The second gives back what the first gave. */
    int (*open_local)(void *context, struct sockaddr_storage *address);
    void (*close_local)(void *context, const struct sockaddr_storage *address);
    void *local_context;
    aiopq_token_t *tokens; /* clients: the newest first; net/tokens.c frees them */
    bool is_stopping;      /* STOP was taken: connections are being closed */
    int failure;           /* an errno: the driver can't go on, and ends */
    uint64_t stop_deadline_us;
    uint64_t now_us;             /* the time the driver gave with the current turn */
    uint64_t events_unsignalled; /* events since the loop thread was last woken */
    bool are_returns_due;        /* lent bytes that the loop thread is woken for have come back since then */
    _Atomic uint64_t loop_wakes, loop_wakes_saved, turns, commands_stale; /* any thread may read */
    _Atomic uint64_t connections_closed, handshakes, handshakes_failed;   /* likewise */
    _Atomic uint64_t datagrams_received, bytes_received;                  /* likewise */
    _Atomic uint64_t datagrams_sent, bytes_sent;                          /* likewise */
    _Atomic uint64_t send_calls, receive_calls, sleeps, sleeps_saved;     /* likewise */
    _Atomic uint64_t datagrams_misrouted, misrouted_lost;                 /* likewise */
    _Atomic uint64_t incoming_asked, incoming_retried, incoming_refused, incoming_expired; /* likewise */
    aiopq_conn_t *failing;     /* connections that our side ended and whose end is not announced yet */
    aiopq_conn_t *watched;     /* connections that net/watch.c looks at once a turn */
    aiopq_stream_t *resetting; /* streams whose reliable bytes are in packets, for aiopq_resets_finish() */
};

/* The loop thread's view of a connection's life. */
struct aiopq_conn {
    _Atomic uint32_t refs;
    aiopq_engine_t *engine; /* borrowed; outlives every connection */
    uint64_t handle;        /* written once */
    bool is_client;         /* written once */

    /* loop thread */
    void *owner;
    bool is_close_requested;
    uint32_t pings_waiting; /* asked for and not told of */
    uint64_t credit_asked;  /* consumed bytes told to the network thread */

    /* shared: the send budget */
    _Atomic uint64_t send_queued;       /* both threads, by addition */
    _Atomic bool wants_writable;        /* loop thread sets, network thread clears and sends one event */
    _Atomic bool streams_want_writable; /* the same of its streams: false when none of them waits */
    _Atomic uint64_t consumed; /* loop thread; bytes the application is done with, over all streams */
    _Atomic bool is_closed;    /* network thread sets with the CLOSED event; the loop thread reads */

    aiopq_datagrams_t datagrams;

    /* network thread */
    picoquic_cnx_t *cnx;     /* NULL before CONNECT was taken and after picoquic is done with it */
    aiopq_stream_t *streams; /* those picoquic may call back with; each holds one reference */
    aiopq_conn_t *next_failing;
    bool is_failing, is_announced, is_ready, has_deferred_credit;
    aiopq_watch_t watch;
    aiopq_conn_protocol_t protocol;
    aiopq_paths_t paths;
    uint64_t peer_streams_over[2]; /* of the peer's streams, both directions; [1] unidirectional ones */
    uint64_t received;             /* bytes delivered to us, over all streams */
    uint64_t window_granted;       /* sum of the receive windows of the open streams, in bytes */
    int32_t verify_error;          /* of our verifier, as in aiopq_close_info_t */
    char *verify_detail;           /* words about it, malloc'd, or NULL */
    uint8_t *peer_certificates;    /* as aiopq_conn_info_t has them, malloc'd; freed when they are told */
    size_t peer_certificates_length;
    char *close_reason;               /* what we send, malloc'd; picoquic borrows it */
    aiopq_connect_request_t *request; /* client: what CONNECT needs; written before the command is posted */
};

struct aiopq_stream {
    _Atomic uint32_t refs;
    aiopq_conn_t *conn;  /* holds a reference */
    uint64_t id, handle; /* written once */
    /* Written before the other thread hears of the stream: by the network thread for the peer's, by the loop thread
     * for our own. */
    uint64_t scope;
    uint8_t preface_length; /* of our own streams: bytes in front of what is written */

    /* loop thread */
    void *owner;
    aiopq_status_t send_state;        /* AIOPQ_OK while write() takes bytes */
    uint64_t credit_asked;            /* consumed bytes told to the network thread */
    bool is_reset;                    /* by us */
    uint64_t acked_asked, acked_told; /* targets of aiopq_acked_target() */

    /* sending: the loop thread produces, the network thread consumes */
    aiopq_byte_queue_t send;
    _Atomic uint64_t written;    /* loop thread; bytes put into `send` */
    _Atomic uint64_t sent;       /* network thread; bytes taken out of it, sent or dropped */
    _Atomic bool is_fin_queued;  /* loop thread; after the last byte was written */
    _Atomic bool is_active;      /* set by whoever makes picoquic poll the stream, cleared when it runs dry */
    _Atomic bool wants_writable; /* loop thread sets, network thread clears and sends one event */

    /* receiving: the network thread produces, the loop thread consumes */
    aiopq_byte_queue_t receive;
    _Atomic bool is_fin_received;  /* network thread; after the last byte was queued */
    _Atomic bool is_readable_told; /* network thread sets with the event, loop thread clears */
    _Atomic uint64_t consumed;     /* loop thread; bytes the application is done with */
    _Atomic uint64_t window;       /* network thread; bytes the peer may be ahead of `consumed` */

    /* network thread */
    aiopq_stream_t *next, **previous; /* the connection's list; previous is NULL when not in it */
    bool is_known;                    /* picoquic has the stream */
    bool is_send_over;                /* all given to picoquic, or dropped */
    bool is_send_dropped;             /* reset by us or stopped by the peer: bytes are dropped */
    aiopq_stream_t *next_watched, **previous_watched; /* the watch's list; previous is NULL when not in it */
    uint64_t acked_wanted;                            /* the target that is watched */
    bool is_receive_over;      /* all received, reset, or STOP_SENDING sent: no more credit */
    _Atomic uint64_t received; /* bytes picoquic delivered; the loop thread reads it after the release */
    uint64_t granted;          /* limit the peer was told */
    uint64_t window_epoch_us;  /* when the window was last looked at for growth */
    uint64_t window_epoch_consumed;
    aiopq_stream_role_t role;   /* APPLICATION, unless a protocol has a say in it */
    aiopq_claiming_t *claiming; /* while the role is not settled; freed here */
    aiopq_pending_reset_t reset;
};

/* Adds to a counter that only the calling thread writes. */
static inline void aiopq_count_many(_Atomic uint64_t *counter, uint64_t number)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + number,
                          memory_order_relaxed);
}

static inline void aiopq_count(_Atomic uint64_t *counter)
{
    aiopq_count_many(counter, 1);
}

/* Makes a connection with one reference, the caller's. */
aiopq_conn_t *aiopq_conn_new(aiopq_engine_t *engine, bool is_client);

/* Makes a stream with one reference, the caller's; takes a reference to the connection. */
aiopq_stream_t *aiopq_stream_create(aiopq_conn_t *conn, uint64_t stream_id);

static inline bool aiopq_stream_is_unidirectional(uint64_t stream_id)
{
    return (stream_id & 2) != 0;
}

/* What of a stream is to be acknowledged, as one number that only grows: its bytes, then its end. */
static inline uint64_t aiopq_acked_target(uint64_t bytes, bool fin)
{
    return 2 * bytes + (fin ? 1 : 0);
}

/* The same as a length in which the end counts as a byte. */
static inline uint64_t aiopq_acked_length(uint64_t target)
{
    return target / 2 + target % 2;
}

/* RFC 9000 section 2.1: the lowest bit says who opened the stream. */
static inline bool aiopq_stream_is_ours(const aiopq_conn_t *conn, uint64_t stream_id)
{
    return ((stream_id & 1) == 0) == conn->is_client;
}

#endif
