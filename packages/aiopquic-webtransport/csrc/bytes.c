#include "bytes.h"

#include <stdlib.h>
#include <string.h>

#include "aiopquic/protocol.h"

void wt_bytes_free(wt_bytes_t *bytes)
{
    if (bytes->data != NULL) {
        free(bytes->data);
        aiopq_protocol_count_objects(-1);
    }
    memset(bytes, 0, sizeof(*bytes));
}

static bool make_room(wt_bytes_t *bytes, size_t length)
{
    if (bytes->has_failed) {
        return false;
    }
    if (bytes->length + length > bytes->room) {
        size_t room = bytes->room > 0 ? bytes->room : 64;
        while (room < bytes->length + length) {
            room *= 2;
        }
        uint8_t *data = realloc(bytes->data, room);
        if (data == NULL) {
            bytes->has_failed = true;
            return false;
        }
        if (bytes->data == NULL) {
            aiopq_protocol_count_objects(1);
        }
        bytes->data = data;
        bytes->room = room;
    }
    return true;
}

void wt_put(wt_bytes_t *bytes, const void *data, size_t length)
{
    if (length > 0 && make_room(bytes, length)) {
        memcpy(bytes->data + bytes->length, data, length);
        bytes->length += length;
    }
}

static void put_uint(wt_bytes_t *bytes, uint64_t value, size_t length)
{
    uint8_t coded[8];
    for (size_t i = 0; i < length; i++) {
        coded[length - 1 - i] = (uint8_t)(value >> (8 * i));
    }
    wt_put(bytes, coded, length);
}

void wt_put_u8(wt_bytes_t *bytes, uint8_t value)
{
    put_uint(bytes, value, 1);
}

void wt_put_u16(wt_bytes_t *bytes, uint16_t value)
{
    put_uint(bytes, value, 2);
}

void wt_put_u32(wt_bytes_t *bytes, uint32_t value)
{
    put_uint(bytes, value, 4);
}

void wt_put_u64(wt_bytes_t *bytes, uint64_t value)
{
    put_uint(bytes, value, 8);
}

void wt_put_varint(wt_bytes_t *bytes, uint64_t value)
{
    if (value < 0x40) {
        put_uint(bytes, value, 1);
    } else if (value < 0x4000) {
        put_uint(bytes, value | 0x4000, 2);
    } else if (value < 0x40000000) {
        put_uint(bytes, value | 0x80000000u, 4);
    } else {
        put_uint(bytes, value | 0xc000000000000000u, 8);
    }
}

const uint8_t *wt_take(wt_reader_t *reader, size_t length)
{
    if (reader->is_short || length > reader->left) {
        reader->is_short = true;
        return NULL;
    }
    const uint8_t *at = reader->at;
    reader->at += length;
    reader->left -= length;
    return at;
}

uint64_t wt_take_uint(wt_reader_t *reader, size_t length)
{
    const uint8_t *at = wt_take(reader, length);
    uint64_t value = 0;
    for (size_t i = 0; at != NULL && i < length; i++) {
        value = (value << 8) | at[i];
    }
    return value;
}

bool wt_varint_add(wt_varint_t *varint, uint8_t byte)
{
    if (varint->seen == 0) {
        varint->length = (uint8_t)(1u << (byte >> 6));
        varint->value = byte & 0x3f;
    } else {
        varint->value = (varint->value << 8) | byte;
    }
    varint->seen++;
    return varint->seen == varint->length;
}

uint64_t wt_take_varint(wt_reader_t *reader)
{
    wt_varint_t varint = {0};
    const uint8_t *at;
    while ((at = wt_take(reader, 1)) != NULL) {
        if (wt_varint_add(&varint, *at)) {
            return varint.value;
        }
    }
    return 0;
}
