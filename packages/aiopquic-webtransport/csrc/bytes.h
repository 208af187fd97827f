/* A buffer that grows as it is written, and variable-length integers (RFC 9000 section 16). */
#ifndef AIOPQUIC_WEBTRANSPORT_BYTES_H
#define AIOPQUIC_WEBTRANSPORT_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is an empty one. Its memory counts as an object of the protocol. */
typedef struct wt_bytes {
    uint8_t *data;
    size_t length, room;
    bool has_failed; /* there was no memory: what was written since is missing */
} wt_bytes_t;

void wt_bytes_free(wt_bytes_t *bytes);
void wt_put(wt_bytes_t *bytes, const void *data, size_t length);
void wt_put_u8(wt_bytes_t *bytes, uint8_t value);
void wt_put_u16(wt_bytes_t *bytes, uint16_t value); /* big-endian, as below */
void wt_put_u32(wt_bytes_t *bytes, uint32_t value);
void wt_put_u64(wt_bytes_t *bytes, uint64_t value);
void wt_put_varint(wt_bytes_t *bytes, uint64_t value);

/* Bytes to be read from the front. One that is too short for what is read sets `is_short`, and gives zeros. */
typedef struct wt_reader {
    const uint8_t *at;
    size_t left;
    bool is_short;
} wt_reader_t;

const uint8_t *wt_take(wt_reader_t *reader, size_t length);
uint64_t wt_take_uint(wt_reader_t *reader, size_t length); /* big-endian */
uint64_t wt_take_varint(wt_reader_t *reader);

/* An integer that may come byte by byte. */
typedef struct wt_varint {
    uint64_t value;
    uint8_t seen; /* bytes so far */
    uint8_t length;
} wt_varint_t;

/* Takes a byte; true when the integer is complete. */
bool wt_varint_add(wt_varint_t *varint, uint8_t byte);

#endif
