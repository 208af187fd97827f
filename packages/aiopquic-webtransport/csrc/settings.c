#include "settings.h"

#include <string.h>

#include "codes.h"
#include "qpack.h"

static void put_pair(wt_bytes_t *bytes, uint64_t id, uint64_t value)
{
    wt_put_varint(bytes, id);
    wt_put_varint(bytes, value);
}

void h3_settings_write(wt_bytes_t *bytes, bool is_client, bool has_datagrams)
{
    wt_bytes_t payload = {0};
    put_pair(&payload, H3_SETTING_QPACK_MAX_TABLE_CAPACITY, 0);
    put_pair(&payload, H3_SETTING_MAX_FIELD_SECTION_SIZE, H3_FIELD_SECTION_MAX);
    put_pair(&payload, H3_SETTING_QPACK_BLOCKED_STREAMS, 0);
    if (!is_client) {
        put_pair(&payload, H3_SETTING_ENABLE_CONNECT_PROTOCOL, 1);
    }
    if (has_datagrams) {
        put_pair(&payload, H3_SETTING_H3_DATAGRAM, 1);
        put_pair(&payload, H3_SETTING_H3_DATAGRAM_OLD, 1);
        put_pair(&payload, WT_SETTING_ENABLE_WEBTRANSPORT, 1);
        put_pair(&payload, WT_SETTING_MAX_SESSIONS_07, WT_SESSIONS_MAX);
        /* More than one needs the flow control of sessions there: Safari looks for its limits then. */
        put_pair(&payload, WT_SETTING_MAX_SESSIONS_13, 1);
        put_pair(&payload, WT_SETTING_ENABLED, 1);
    }
    wt_put_varint(bytes, H3_FRAME_SETTINGS);
    wt_put_varint(bytes, payload.length);
    wt_put(bytes, payload.data, payload.length);
    bytes->has_failed |= payload.has_failed;
    wt_bytes_free(&payload);
}

static const uint64_t *find(const h3_settings_t *settings, uint64_t id)
{
    for (size_t i = 0; i < settings->count; i++) {
        if (settings->pairs[2 * i] == id) {
            return &settings->pairs[2 * i + 1];
        }
    }
    return NULL;
}

static uint64_t value_of(const h3_settings_t *settings, uint64_t id)
{
    const uint64_t *value = find(settings, id);
    return value != NULL ? *value : 0;
}

/* Those of HTTP/2 that have no meaning here are errors (RFC 9114 section 7.2.4.1), and so are values that are neither
 * 0 nor 1 where nothing else is allowed. */
static bool is_allowed(uint64_t id, uint64_t value)
{
    switch (id) {
    case 0x2:
    case 0x3:
    case 0x4:
    case 0x5:
        return false;
    case H3_SETTING_ENABLE_CONNECT_PROTOCOL:
    case H3_SETTING_H3_DATAGRAM:
    case WT_SETTING_ENABLED:
        return value <= 1;
    default:
        return true;
    }
}

static void judge(h3_settings_t *settings)
{
    uint64_t sessions = value_of(settings, WT_SETTING_MAX_SESSIONS_07);
    bool has_old = value_of(settings, WT_SETTING_ENABLE_WEBTRANSPORT) != 0;
    settings->enable_connect_protocol = value_of(settings, H3_SETTING_ENABLE_CONNECT_PROTOCOL) == 1;
    settings->h3_datagram = value_of(settings, H3_SETTING_H3_DATAGRAM) == 1;
    if (value_of(settings, WT_SETTING_ENABLED) == 1) {
        settings->dialect = WT_DIALECT_15;
    } else if (value_of(settings, WT_SETTING_MAX_SESSIONS_13) > 0) {
        settings->dialect = WT_DIALECT_13;
    } else if (sessions > 0) {
        settings->dialect = WT_DIALECT_07;
    } else if (has_old) {
        settings->dialect = WT_DIALECT_02;
    }
    /* From draft 13 on a connection without the flow control of sessions carries one. */
    if (settings->dialect != WT_DIALECT_NONE) {
        uint64_t most = sessions > 0 ? sessions : has_old ? WT_SESSIONS_MAX : 1;
        settings->max_sessions = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
    }
}

uint64_t h3_settings_read(h3_settings_t *settings, const uint8_t *payload, size_t length)
{
    wt_reader_t reader = {.at = payload, .left = length};
    memset(settings, 0, sizeof(*settings));
    while (reader.left > 0) {
        uint64_t id = wt_take_varint(&reader);
        uint64_t value = wt_take_varint(&reader);
        if (reader.is_short) {
            return H3_FRAME_ERROR;
        }
        if (find(settings, id) != NULL || !is_allowed(id, value)) {
            return H3_SETTINGS_ERROR;
        }
        if (settings->count == H3_SETTINGS_COUNT_MAX) {
            return H3_EXCESSIVE_LOAD;
        }
        settings->pairs[2 * settings->count] = id;
        settings->pairs[2 * settings->count + 1] = value;
        settings->count++;
    }
    judge(settings);
    return 0;
}
