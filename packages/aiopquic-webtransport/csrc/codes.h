/* Numbers of HTTP/3 (RFC 9114), QPACK (RFC 9204), HTTP datagrams (RFC 9297) and WebTransport (draft-ietf-webtrans-http3),
 * and of the messages between the two threads. */
#ifndef AIOPQUIC_WEBTRANSPORT_CODES_H
#define AIOPQUIC_WEBTRANSPORT_CODES_H

/* Error codes. */
#define H3_DATAGRAM_ERROR 0x33
#define H3_NO_ERROR 0x100
#define H3_GENERAL_PROTOCOL_ERROR 0x101
#define H3_INTERNAL_ERROR 0x102
#define H3_STREAM_CREATION_ERROR 0x103
#define H3_CLOSED_CRITICAL_STREAM 0x104
#define H3_FRAME_UNEXPECTED 0x105
#define H3_FRAME_ERROR 0x106
#define H3_EXCESSIVE_LOAD 0x107
#define H3_ID_ERROR 0x108
#define H3_SETTINGS_ERROR 0x109
#define H3_MISSING_SETTINGS 0x10a
#define H3_REQUEST_REJECTED 0x10b
#define H3_REQUEST_CANCELLED 0x10c
#define H3_REQUEST_INCOMPLETE 0x10d
#define H3_MESSAGE_MALFORMED 0x10e /* H3_MESSAGE_ERROR, a name that h3zero has */
#define QPACK_DECOMPRESSION_FAILED 0x200
#define QPACK_ENCODER_STREAM_ERROR 0x201
#define QPACK_DECODER_STREAM_ERROR 0x202
#define WT_SESSION_GONE 0x170d7b68
#define WT_BUFFERED_STREAM_REJECTED 0x3994bd84

/* Types of frames (RFC 9114 section 7.2). */
#define H3_FRAME_DATA 0x0
#define H3_FRAME_HEADERS 0x1
#define H3_FRAME_CANCEL_PUSH 0x3
#define H3_FRAME_SETTINGS 0x4
#define H3_FRAME_PUSH_PROMISE 0x5
#define H3_FRAME_GOAWAY 0x7
#define H3_FRAME_MAX_PUSH_ID 0xd

/* Types of unidirectional streams, and what a bidirectional one of WebTransport begins with. */
#define H3_STREAM_CONTROL 0x0
#define H3_STREAM_PUSH 0x1
#define H3_STREAM_QPACK_ENCODER 0x2
#define H3_STREAM_QPACK_DECODER 0x3
#define WT_STREAM_UNI 0x54
#define WT_STREAM_BIDI 0x41

/* Capsules. Those of WebTransport's flow control, which we don't enable, are skipped (draft-16 section 5.6). */
#define WT_CAPSULE_CLOSE 0x2843
#define WT_CAPSULE_DRAIN 0x78ae
#define WT_CAPSULE_FLOW_FIRST 0x190b4d3d
#define WT_CAPSULE_FLOW_LAST 0x190b4d44

#define WT_REASON_MAX 1024 /* bytes of the reason in a CLOSE capsule */

/* Commands and events: see aiopquic_webtransport/_wire.py. */
enum wt_command {
    WT_COMMAND_CONNECT = 1,
    WT_COMMAND_RESPOND,
    WT_COMMAND_CLOSE_SESSION,
    WT_COMMAND_DRAIN_SESSION,
    WT_COMMAND_GOAWAY
};

enum wt_event {
    WT_EVENT_SETTINGS = 1,
    WT_EVENT_REQUEST,
    WT_EVENT_RESPONSE,
    WT_EVENT_SESSION_CLOSED,
    WT_EVENT_SESSION_DRAINING,
    WT_EVENT_GOAWAY,
    WT_EVENT_CAPSULE
};

/* How a session ended. */
enum wt_end {
    WT_END_CAPSULE = 0,
    WT_END_FIN,
    WT_END_RESET,
    WT_END_ERROR,
    WT_END_OURS
};

#endif
