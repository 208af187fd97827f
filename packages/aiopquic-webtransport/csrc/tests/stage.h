/* A stand-in for core: it shows the protocol the bytes of streams, and keeps account of what the protocol asks for. */
#ifndef AIOPQUIC_WEBTRANSPORT_TESTS_STAGE_H
#define AIOPQUIC_WEBTRANSPORT_TESTS_STAGE_H

#include "aiopquic/protocol.h"
#include "codes.h"
#include "test.h"

#define STAGE_STREAMS 64
#define STAGE_EVENTS 64
#define STAGE_BYTES 4096
#define NO_CODE UINT64_MAX

typedef struct stage_stream {
    uint64_t id;
    aiopq_claim_t claim; /* the last one */
    uint8_t head[AIOPQ_PREFACE_MAX];
    size_t head_length;
    uint8_t sent[STAGE_BYTES]; /* by the protocol */
    size_t sent_length;
    bool is_fin_sent;
    uint64_t reset_code, stop_code; /* NO_CODE: none */
} stage_stream_t;

typedef struct stage_event {
    int32_t kind;
    uint64_t uid;
    uint8_t data[STAGE_BYTES];
    size_t length;
} stage_event_t;

typedef struct stage {
    bool is_client;
    aiopq_transport_parameters_t ours, theirs;
    void *state;
    stage_stream_t streams[STAGE_STREAMS];
    size_t stream_count;
    stage_event_t events[STAGE_EVENTS];
    size_t event_count;
    uint64_t close_code; /* NO_CODE: open */
    uint64_t opened_scope, ended_scope, ended_code;
    bool are_streams_over; /* what is_stream_over() answers */
} stage_t;

extern stage_t stage;

/* That the protocol has made and not freed. */
extern int64_t stage_objects;

/* A new connection, whose peer knows everything. */
void stage_begin(bool is_client);

/* Ends it, and checks that nothing is left. */
void stage_end(void);

/* What comes on a stream, `piece` bytes at a time (0: all at once). */
void stage_data(uint64_t stream_id, const void *bytes, size_t length, bool fin, size_t piece);

stage_stream_t *stage_stream(uint64_t stream_id);

/* The last event of a kind; NULL when there is none. */
stage_event_t *stage_told(int32_t kind);
size_t stage_count(int32_t kind);

/* The peer's control stream with ordinary SETTINGS. */
void stage_settings(void);

/* Bytes of a HEADERS frame of names and values; NULL ends them. Returns their number. */
size_t stage_headers(uint8_t *frame, size_t room, const char *const *fields);

/* A CONNECT for a session on a stream, and the answer to it; what the command of the loop does. */
void stage_connect(uint64_t stream_id, const char *token);
void stage_respond(uint64_t stream_id, uint16_t status);

/* DATA with a capsule. */
void stage_capsule(uint64_t stream_id, uint64_t type, const void *value, size_t length, bool fin);

#endif
