/* Runs of type, length and value, which HTTP/3 frames (RFC 9114 section 7.1) and capsules (RFC 9297 section 3.2) are,
 * in whatever pieces they come. */
#ifndef AIOPQUIC_WEBTRANSPORT_TLV_H
#define AIOPQUIC_WEBTRANSPORT_TLV_H

#include "bytes.h"

/* All zero stands in front of the first one. */
typedef struct wt_tlv {
    wt_varint_t type, length;
    bool has_type, is_inside; /* `is_inside`: the value is coming */
    uint64_t left;            /* bytes of it that are to come */
} wt_tlv_t;

/* Who hears of them. Each answers false to end the reading. */
typedef struct wt_tlv_sink {
    bool (*begin)(void *context, uint64_t type, uint64_t length);
    /* A piece of the value; the last one may be empty. */
    bool (*value)(void *context, uint64_t type, const uint8_t *bytes, size_t length, bool is_last);
} wt_tlv_sink_t;

/* Reads on. False when the sink has ended it. */
bool wt_tlv_feed(wt_tlv_t *tlv, const wt_tlv_sink_t *sink, void *context, const uint8_t *bytes,
                 size_t length);

/* True between two of them. */
static inline bool wt_tlv_is_between(const wt_tlv_t *tlv)
{
    return !tlv->is_inside && !tlv->has_type && tlv->type.seen == 0;
}

#endif
