/* One picoquic context and the bridge to one asyncio loop. It opens no socket and reads no clock: a
 * driver gives it time, moves its datagrams and ends it. */
#ifndef AIOPQUIC_ENGINE_H
#define AIOPQUIC_ENGINE_H

#include "aiopquic/abi.h"
#include "aiopquic/config.h"
#include "aiopquic/event.h"
#include "aiopquic/status.h"
#include "aiopquic/threads.h"

typedef struct aiopq_engine aiopq_engine_t;

/* Builds an engine that no driver runs yet. On failure *engine is NULL. */
AIOPQ_API aiopq_status_t aiopq_engine_new(const aiopq_config_t *config, aiopq_engine_t **engine) AIOPQ_LOOP;

/* Frees an engine whose driver was never started or has been joined. Events that nobody took are
 * dropped with what they hold, and bytes that are still lent are released. NULL is allowed. */
AIOPQ_API void aiopq_engine_free(aiopq_engine_t *engine) AIOPQ_LOOP;

/* Starts the driver. The outcome of opening the sockets arrives as ENGINE_READY or
 * ENGINE_STOPPED. */
AIOPQ_API aiopq_status_t aiopq_engine_start(aiopq_engine_t *engine) AIOPQ_LOOP;

/* Asks the driver to send CONNECTION_CLOSE on every open connection and to end; ENGINE_STOPPED follows. */
AIOPQ_API void aiopq_engine_stop(aiopq_engine_t *engine) AIOPQ_LOOP;

/* For tests of what outlives an engine: has the driver end at once, without a word to the peers, as it does when its
 * sockets are gone. ENGINE_STOPPED follows, with this errno, which is not 0. */
AIOPQ_API aiopq_status_t aiopq_engine_fail(aiopq_engine_t *engine, int system_error) AIOPQ_LOOP;

/* Waits for the driver's thread, which ends within microseconds of ENGINE_STOPPED. An engine that was not
 * stopped ends at once, without a word to its peers. Blocks; call it without the GIL. Harmless when nothing
 * runs. */
AIOPQ_API void aiopq_engine_join(aiopq_engine_t *engine) AIOPQ_LOOP;

/* The session tickets and address tokens that the engine has and did not use yet, for another engine's configuration:
 * *bytes is malloc'd, NULL when there are none. A row of records, each behind its length of 4 bytes, most significant first;
 * any choice of them makes another row. Secret: they stand for the peers' keys. After the join. */
AIOPQ_API aiopq_status_t aiopq_engine_session_tickets(aiopq_engine_t *engine, uint8_t **bytes,
                                                      size_t *length) AIOPQ_LOOP;

/* Becomes readable when events wait. Owned by the engine. */
AIOPQ_API int aiopq_engine_wakeup_fd(const aiopq_engine_t *engine) AIOPQ_LOOP;

/* Call before a round of aiopq_engine_next_event(): resets the descriptor, so that an event that comes
 * later wakes the loop again. With `is_inline` what has arrived is received here. */
AIOPQ_API void aiopq_engine_begin_drain(aiopq_engine_t *engine) AIOPQ_LOOP;

/* Takes the next event, with what it holds, into *event. False when none waits. */
AIOPQ_API bool aiopq_engine_next_event(aiopq_engine_t *engine, aiopq_event_t *event) AIOPQ_LOOP;

/* Call behind the round, when it may have left events: the descriptor becomes readable again if there are any.
 * With `is_inline` what the application wrote in the round is sent here. */
AIOPQ_API void aiopq_engine_end_drain(aiopq_engine_t *engine) AIOPQ_LOOP;

/* Releases the bytes that were lent (aiopq_stream_lend()) and that nobody needs any more: call it behind each round, and
 * after the join. */
AIOPQ_API void aiopq_engine_release_lent(aiopq_engine_t *engine) AIOPQ_LOOP;

/* Makes the descriptor readable again; for what was taken from the engine and not yet handed on. */
AIOPQ_API void aiopq_engine_rearm(aiopq_engine_t *engine) AIOPQ_LOOP;

/* Gives back what the event holds. */
AIOPQ_API void aiopq_event_release(aiopq_event_t *event) AIOPQ_LOOP;

/* Kicks the network thread once for every command since the last kick. */
AIOPQ_API void aiopq_engine_kick(aiopq_engine_t *engine) AIOPQ_LOOP;

/* Events and commands that wait; for diagnosis. */
AIOPQ_API uint64_t aiopq_engine_events_waiting(const aiopq_engine_t *engine);
AIOPQ_API uint64_t aiopq_engine_commands_waiting(const aiopq_engine_t *engine);

/* Counters of what happened; each is written by one thread and may be read by any. */
typedef struct aiopq_engine_counters {
    uint64_t loop_wakes;       /* writes to the descriptor of the loop thread */
    uint64_t loop_wakes_saved; /* batches of events that found the loop thread awake already */
    uint64_t net_wakes;        /* writes to the wake-up pipe of the network thread */
    uint64_t net_wakes_saved;  /* commands that found the network thread awake already */
    uint64_t events_pushed, commands_pushed, commands_stale;
    uint64_t turns;                         /* rounds of the driver */
    uint64_t handshakes, handshakes_failed; /* completed; connections that ended before theirs was */
    uint64_t connections_closed;            /* CONN_CLOSED events, those of failed handshakes among them */
    uint64_t datagrams_received, bytes_received; /* of UDP, as the driver hands them in */
    uint64_t datagrams_sent, bytes_sent;         /* the same, as the kernel takes them */
    uint64_t send_calls, receive_calls;          /* sendmsg(), and recvmsg() that brought something */
    uint64_t sleeps;              /* waits of the network thread for sockets, commands or a timer */
    uint64_t sleeps_saved;        /* waits that a spin made unnecessary: work came before its end */
    uint64_t datagrams_misrouted; /* that came in here and are another worker's (workers.h): handed over */
    uint64_t misrouted_lost;      /* of those, because that worker has ended or has too many waiting */
    uint64_t incoming_asked;      /* INCOMING events */
    uint64_t
        incoming_retried; /* clients that were sent a Retry without asking: always, or because many wait */
    uint64_t incoming_refused; /* clients with a proven address that found no room to wait */
    uint64_t incoming_expired; /* attempts that waited for the handshake timeout */
} aiopq_engine_counters_t;
AIOPQ_API void aiopq_engine_get_counters(const aiopq_engine_t *engine, aiopq_engine_counters_t *counters);

/* Objects alive in this process, for leak checks. */
typedef struct aiopq_live_counts {
    int64_t engines, connections, streams, chunks, events, attempts;
    int64_t blocks;    /* of memory for datagrams */
    int64_t protocols; /* objects of protocols (protocol.h) */
} aiopq_live_counts_t;
AIOPQ_API void aiopq_get_live_counts(aiopq_live_counts_t *counts);

/* AIOPQ_OK when picoquic has a congestion controller of that name. */
AIOPQ_API aiopq_status_t aiopq_check_congestion_control(const char *name);

/* The key exchange groups that there are, by their IANA numbers, in the order of the default; returns how
 * many, at most AIOPQ_KEY_EXCHANGE_MAX. */
AIOPQ_API size_t aiopq_key_exchange_groups(uint16_t *groups);

/* AIOPQ_OK when chain and key can be read and belong together, else what is wrong. */
AIOPQ_API aiopq_status_t aiopq_check_certificate(const aiopq_certificate_t *certificate);

/* Other certificates for the handshakes to come: `certificate_chain`, its key, and `certificates` of a configuration, whose
 * other fields are not looked at. CERTIFICATES_SET follows with `request`. When they can't be used nothing changes. */
AIOPQ_API aiopq_status_t aiopq_engine_set_certificates(aiopq_engine_t *engine, const aiopq_config_t *config,
                                                       uint64_t request) AIOPQ_LOOP;

/* Decides about a client that an INCOMING event told of. An answer that comes too late, for a client that has been
 * dropped in the meantime, does nothing. */
AIOPQ_API aiopq_status_t aiopq_engine_answer_incoming(aiopq_engine_t *engine, uint64_t handle,
                                                      aiopq_incoming_answer_t answer) AIOPQ_LOOP;

/* ---- connections ---- */

typedef struct aiopq_connect_args {
    struct sockaddr_storage address; /* where to connect to */
    const char *server_name;         /* for SNI and for the name check; NULL: neither */
    const char *const *alpn;         /* offered in this order; NULL ends the list */
    uint32_t version;                /* first version to try; 0: that of the configuration */
} aiopq_connect_args_t;

/* Makes a client connection. The result is the caller's reference, given back with aiopq_conn_unref().
 * CONN_CREATED tells that picoquic has it, CONN_READY or CONN_CLOSED how the handshake ended. */
AIOPQ_API aiopq_status_t aiopq_conn_open(aiopq_engine_t *engine, const aiopq_connect_args_t *args,
                                         aiopq_conn_t **conn) AIOPQ_LOOP;

/* A number that no other connection of this process ever has. */
AIOPQ_API uint64_t aiopq_conn_handle(const aiopq_conn_t *conn);
AIOPQ_API bool aiopq_conn_is_client(const aiopq_conn_t *conn);

/* Sends CONNECTION_CLOSE (0x1d, RFC 9000 section 19.19); CONN_CLOSED follows. `reason` is copied. Ignored once closed. */
AIOPQ_API aiopq_status_t aiopq_conn_close(aiopq_conn_t *conn, uint64_t error_code, const char *reason,
                                          size_t reason_length) AIOPQ_LOOP;

/* The same with a transport error (0x1c): a code from 1 to AIOPQ_TRANSPORT_ERROR_MAX, which takes in RFC 9000 section
 * 20.1 and the TLS alerts, and the type of the frame that it is about, 0 when it is about none. picoquic keeps larger
 * codes for itself, and sends NO_ERROR as an application close only. */
#define AIOPQ_TRANSPORT_ERROR_MAX 0x3ff
AIOPQ_API aiopq_status_t aiopq_conn_close_transport(aiopq_conn_t *conn, uint64_t error_code,
                                                    uint64_t frame_type, const char *reason,
                                                    size_t reason_length) AIOPQ_LOOP;

/* Asks for a CONN_STATS event that carries `request`. */
AIOPQ_API aiopq_status_t aiopq_conn_request_stats(aiopq_conn_t *conn, uint64_t request) AIOPQ_LOOP;

/* Asks for one CONN_STREAMS as soon as the peer allows us more streams of either kind, in total, than what is given
 * (RFC 9000 section 4.6), at once if it does already. A further call replaces the wish. Numbers above the limit say
 * that nobody waits for that kind; at the limit, after the handshake, the peer is told that we are blocked
 * (STREAMS_BLOCKED). CONN_CLOSED ends the wait too. */
AIOPQ_API aiopq_status_t aiopq_conn_want_streams(aiopq_conn_t *conn, uint64_t known_bidi,
                                                 uint64_t known_uni) AIOPQ_LOOP;

/* Sends a PING (RFC 9000 section 19.2), before the handshake is over as soon as it is. CONN_PING_ACKED tells with
 * `uid` that a packet which was sent after the call is acknowledged; CONN_CLOSED ends the wait too.
 * AIOPQ_WOULD_BLOCK when AIOPQ_PINGS_MAX wait for that, since a peer need not ever answer. */
#define AIOPQ_PINGS_MAX 64
AIOPQ_API aiopq_status_t aiopq_conn_ping(aiopq_conn_t *conn, uint64_t uid) AIOPQ_LOOP;

/* ---- requests: CONN_ANSWER follows with the number, or CONN_CLOSED ---- */

/* Keys for other protocols (RFC 8446 section 7.5): `length` bytes, the same on both sides. `context` may be empty. Not done
 * before the handshake is. AIOPQ_INVALID for lengths out of bounds. */
#define AIOPQ_EXPORT_LABEL_MAX 249          /* bytes; with "tls13 " in front the 255 that TLS has room for */
#define AIOPQ_EXPORT_MAX ((size_t)255 * 32) /* what HKDF makes with SHA-256 (RFC 5869 section 2.3) */
AIOPQ_API aiopq_status_t aiopq_conn_export_secret(aiopq_conn_t *conn, uint64_t request, const char *label,
                                                  aiopq_bytes_t context, size_t length) AIOPQ_LOOP;

/* Changes the keys of the connection (RFC 9001 section 6), once the peer has acknowledged a packet of the present ones. */
AIOPQ_API aiopq_status_t aiopq_conn_update_keys(aiopq_conn_t *conn, uint64_t request) AIOPQ_LOOP;

/* Begins a qlog file for the connection in an existing folder, which is copied, and completes it. Not done when one is being
 * written already, or can't be; or when there is none. */
AIOPQ_API aiopq_status_t aiopq_conn_start_qlog(aiopq_conn_t *conn, uint64_t request,
                                               const char *folder) AIOPQ_LOOP;
AIOPQ_API aiopq_status_t aiopq_conn_stop_qlog(aiopq_conn_t *conn, uint64_t request) AIOPQ_LOOP;

/* Bytes that wait to be sent, over all streams. */
AIOPQ_API uint64_t aiopq_conn_send_queued(const aiopq_conn_t *conn);

/* Asks for CONN_WRITABLE once at most half of the send budget is used. False when that is so already. */
AIOPQ_API bool aiopq_conn_want_writable(aiopq_conn_t *conn) AIOPQ_LOOP;

AIOPQ_API void aiopq_conn_ref(aiopq_conn_t *conn);
AIOPQ_API void aiopq_conn_unref(aiopq_conn_t *conn);

/* The Python object that stands for the connection, borrowed; only the loop thread reads or writes it. */
AIOPQ_API void *aiopq_conn_owner(const aiopq_conn_t *conn) AIOPQ_LOOP;
AIOPQ_API void aiopq_conn_set_owner(aiopq_conn_t *conn, void *owner) AIOPQ_LOOP;

#endif
