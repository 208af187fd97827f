/* Commands: what the loop thread asks of the network thread. */
#ifndef AIOPQ_NET_COMMAND_H
#define AIOPQ_NET_COMMAND_H

#include "aiopquic/engine.h"

typedef enum aiopq_command_type {
    AIOPQ_COMMAND_CONNECT = 0,     /* start the handshake of `conn` */
    AIOPQ_COMMAND_CLOSE,           /* value = code; detail = aiopq_close_request_t, NULL for no reason */
    AIOPQ_COMMAND_CONN_CREDIT,     /* the application consumed enough, over all streams, to tell the peer */
    AIOPQ_COMMAND_STATS,           /* value = the number to answer with */
    AIOPQ_COMMAND_WATCH_STREAMS,   /* detail = aiopq_streams_wish_t */
    AIOPQ_COMMAND_PING,            /* detail = aiopq_ping_t */
    AIOPQ_COMMAND_EXPORT,          /* value = the number to answer with; detail = aiopq_export_request_t */
    AIOPQ_COMMAND_QLOG_START,      /* value = the number to answer with; detail = the folder */
    AIOPQ_COMMAND_QLOG_STOP,       /* value = the number to answer with */
    AIOPQ_COMMAND_DATAGRAMS,       /* datagrams wait in the connection */
    AIOPQ_COMMAND_PROTOCOL,        /* detail = aiopq_protocol_message_t */
    AIOPQ_COMMAND_PATH,            /* detail = aiopq_path_request_t */
    AIOPQ_COMMAND_STREAM_SEND,     /* bytes or FIN wait in the stream */
    AIOPQ_COMMAND_STREAM_RESET,    /* value = code, reliable = bytes that must arrive */
    AIOPQ_COMMAND_STREAM_STOP,     /* value = code */
    AIOPQ_COMMAND_STREAM_CREDIT,   /* the application consumed enough to tell the peer */
    AIOPQ_COMMAND_STREAM_PRIORITY, /* value = 0..255 */
    AIOPQ_COMMAND_STREAM_PATH,     /* value = id of the path, AIOPQ_ANY_PATH for any */
    AIOPQ_COMMAND_STREAM_WATCH_ACKED, /* value = target, see aiopq_acked_target() */
    AIOPQ_COMMAND_INCOMING_ACCEPT,    /* value = handle of the attempt, here and below */
    AIOPQ_COMMAND_INCOMING_REFUSE,
    AIOPQ_COMMAND_INCOMING_RETRY,
    AIOPQ_COMMAND_CERTIFICATES, /* value = the number to answer with; detail = aiopq_identities_t, not malloc'd alone */
    AIOPQ_COMMAND_STOP, /* close everything and end the driver */
    AIOPQ_COMMAND_FAIL, /* value = the errno with which the driver ends */
    AIOPQ_COMMAND_COUNT
} aiopq_command_type_t;

typedef struct aiopq_close_request {
    uint64_t frame_type; /* of a transport close; AIOPQ_NO_FRAME: an application close */
    size_t length;
    char reason[AIOPQ_REASON_MAX];
} aiopq_close_request_t;

/* The limits that the loop thread knows (RFC 9000 section 4.6), in streams. */
typedef struct aiopq_streams_wish {
    uint64_t known_bidi, known_uni;
} aiopq_streams_wish_t;

/* A PING on its way: the command's first, then the connection's watch's. */
typedef struct aiopq_ping aiopq_ping_t;
struct aiopq_ping {
    aiopq_ping_t *next;
    uint64_t uid;
    uint64_t packet; /* number of the first packet that may carry it */
    bool is_queued;  /* picoquic has it */
    /* Its acknowledgement says that the peer has the present keys: they may be changed then (RFC 9001 section 6.1), unless
     * they were in the meantime, and CONN_ANSWER with `uid` follows. */
    bool updates_keys;
    uint64_t key_phases; /* when it was queued */
};

typedef struct aiopq_export_request {
    char label[AIOPQ_EXPORT_LABEL_MAX + 1];
    size_t length; /* of what is wanted */
    size_t context_length;
    uint8_t context[];
} aiopq_export_request_t;

typedef struct aiopq_command {
    aiopq_command_type_t type;
    aiopq_conn_t *conn;     /* a reference that the command holds; NULL for STOP, FAIL and INCOMING */
    aiopq_stream_t *stream; /* a reference that the command holds; NULL unless a stream command */
    uint64_t value;
    uint64_t reliable; /* STREAM_RESET alone */
    void *detail;      /* malloc'd, the command's own; NULL when the type has none */
} aiopq_command_t;

/* Queues a command and wakes the network thread when it sleeps. The references named in it are taken
 * here, `detail` becomes the queue's. AIOPQ_WOULD_BLOCK when `command_capacity` commands wait; nothing
 * was taken then. */
aiopq_status_t aiopq_command_post(aiopq_engine_t *engine, const aiopq_command_t *command) AIOPQ_LOOP;

/* Gives back what the command holds. */
void aiopq_command_release(aiopq_command_t *command);

/* Carries out commands that wait, `limit` at most. True when there was any. */
bool aiopq_commands_run(aiopq_engine_t *engine, size_t limit) AIOPQ_NET;

/* True when a command waits. */
bool aiopq_commands_waiting(const aiopq_engine_t *engine) AIOPQ_NET;

#endif
