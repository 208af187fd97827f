/* Is a list of fields a request or a response (RFC 9114 sections 4.2, 4.3 and 4.4, RFC 9220)? */
#ifndef AIOPQUIC_WEBTRANSPORT_MESSAGE_H
#define AIOPQUIC_WEBTRANSPORT_MESSAGE_H

#include "bytes.h"

/* The `:protocol` of WebTransport, in the newest drafts and before. */
#define WT_TOKEN "webtransport-h3"
#define WT_TOKEN_OLD "webtransport"

typedef enum h3_kind {
    H3_MALFORMED = 0,
    H3_PLAIN,            /* any other request */
    H3_CONNECT,          /* CONNECT, extended or not, for something else */
    H3_WEBTRANSPORT,     /* extended CONNECT with WT_TOKEN */
    H3_WEBTRANSPORT_OLD, /* the same with WT_TOKEN_OLD */
} h3_kind_t;

h3_kind_t h3_judge_request(const uint8_t *list, size_t length);

/* The status, 100 to 599; 0 for a malformed response. */
uint16_t h3_judge_response(const uint8_t *list, size_t length);

#endif
