/* SETTINGS (RFC 9114 section 7.2.4), and what they say of WebTransport in its drafts. */
#ifndef AIOPQUIC_WEBTRANSPORT_SETTINGS_H
#define AIOPQUIC_WEBTRANSPORT_SETTINGS_H

#include "bytes.h"

#define H3_SETTING_QPACK_MAX_TABLE_CAPACITY 0x1
#define H3_SETTING_MAX_FIELD_SECTION_SIZE 0x6
#define H3_SETTING_QPACK_BLOCKED_STREAMS 0x7
#define H3_SETTING_ENABLE_CONNECT_PROTOCOL 0x8     /* RFC 9220 */
#define H3_SETTING_H3_DATAGRAM 0x33                /* RFC 9297 */
#define H3_SETTING_H3_DATAGRAM_OLD 0xffd277        /* draft-ietf-masque-h3-datagram-04 */
#define WT_SETTING_ENABLE_WEBTRANSPORT 0x2b603742u /* drafts 2 to 6; Chrome and Firefox look for it */
#define WT_SETTING_MAX_SESSIONS_07 0xc671706au     /* drafts 7 to 12 */
#define WT_SETTING_MAX_SESSIONS_13 0x14e9cd29u     /* drafts 13 and 14; Safari looks for it */
#define WT_SETTING_ENABLED 0x2c7cf000u             /* drafts 15 and 16 */

/* Sessions at a time on one connection where the draft that the peer speaks has a limit for them. */
#define WT_SESSIONS_MAX 16

#define H3_SETTINGS_COUNT_MAX 64
#define H3_SETTINGS_BYTES_MAX 1024 /* of a frame's payload */

/* The first draft of those whose settings are alike; the newest that the peer's name. */
typedef enum wt_dialect {
    WT_DIALECT_NONE = 0,
    WT_DIALECT_02 = 2,
    WT_DIALECT_07 = 7,
    WT_DIALECT_13 = 13,
    WT_DIALECT_15 = 15
} wt_dialect_t;

typedef struct h3_settings {
    bool enable_connect_protocol, h3_datagram;
    wt_dialect_t dialect;
    uint32_t max_sessions; /* that a client may have on the connection; 0 without WebTransport */
    uint16_t count;        /* of settings, each with its value in `pairs` */
    uint64_t pairs[2 * H3_SETTINGS_COUNT_MAX];
} h3_settings_t;

/* Our SETTINGS frame; without datagrams there is no WebTransport. */
void h3_settings_write(wt_bytes_t *bytes, bool is_client, bool has_datagrams);

/* Reads the payload of the peer's. 0, or the error code for the connection. */
uint64_t h3_settings_read(h3_settings_t *settings, const uint8_t *payload, size_t length);

#endif
