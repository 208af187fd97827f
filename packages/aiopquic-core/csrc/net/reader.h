/* Reads numbers and runs of bytes from a buffer of a stranger. What reaches beyond the end gives zeros and makes
 * the reader bad, for good: a parser looks once, at its end. */
#ifndef AIOPQ_NET_READER_H
#define AIOPQ_NET_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct aiopq_reader {
    const uint8_t *at, *end;
    bool is_bad;
} aiopq_reader_t;

static inline aiopq_reader_t aiopq_reader(const uint8_t *bytes, size_t length)
{
    return (aiopq_reader_t){.at = bytes, .end = bytes + length};
}

static inline size_t aiopq_reader_left(const aiopq_reader_t *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* The next `length` bytes, borrowed; NULL when there are fewer. */
static inline const uint8_t *aiopq_read_run(aiopq_reader_t *reader, size_t length)
{
    if (reader->is_bad || aiopq_reader_left(reader) < length) {
        reader->is_bad = true;
        reader->at = reader->end;
        return NULL;
    }
    const uint8_t *run = reader->at;
    reader->at += length;
    return run;
}

/* A number of 1 to 8 bytes, the highest first. */
static inline uint64_t aiopq_read_number(aiopq_reader_t *reader, size_t length)
{
    const uint8_t *run = aiopq_read_run(reader, length);
    uint64_t value = 0;
    for (size_t i = 0; run != NULL && i < length; i++) {
        value = (value << 8) | run[i];
    }
    return value;
}

/* A variable-length integer (RFC 9000 section 16). */
static inline uint64_t aiopq_read_varint(aiopq_reader_t *reader)
{
    uint64_t first = aiopq_read_number(reader, 1);
    size_t more = ((size_t)1 << (first >> 6)) - 1;
    uint64_t rest = more > 0 ? aiopq_read_number(reader, more) : 0;
    return ((first & 0x3f) << (8 * more)) | rest;
}

/* A vector of TLS: a length of `prefix` bytes and as many bytes (RFC 8446 section 3.4), as a reader of its own. */
static inline aiopq_reader_t aiopq_read_vector(aiopq_reader_t *reader, size_t prefix)
{
    size_t length = (size_t)aiopq_read_number(reader, prefix);
    const uint8_t *run = aiopq_read_run(reader, length);
    if (run == NULL) {
        return (aiopq_reader_t){.at = reader->end, .end = reader->end, .is_bad = true};
    }
    return aiopq_reader(run, length);
}

#endif
