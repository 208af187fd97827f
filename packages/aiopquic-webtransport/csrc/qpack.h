/* Field sections (RFC 9204) without a dynamic table: we announce a capacity of 0 and use none.
 *
 * Lists of fields travel packed: a count of 2 bytes, then for each field a length of 2 bytes, the name, a length of 4
 * bytes, and the value; big-endian. */
#ifndef AIOPQUIC_WEBTRANSPORT_QPACK_H
#define AIOPQUIC_WEBTRANSPORT_QPACK_H

#include "bytes.h"

/* What a field section may come to, decoded, with 32 bytes for each field (RFC 9114 section 4.2.2); announced in our
 * SETTINGS. The coded form is never longer. A peer may have begun one on each of its streams. */
#define H3_FIELD_SECTION_MAX 16384
#define H3_FIELDS_MAX 256

typedef enum h3_decoded {
    H3_DECODED = 0,
    H3_DECODE_FAILED,   /* QPACK_DECOMPRESSION_FAILED, for the connection */
    H3_DECODE_TOO_LARGE /* more than is taken */
} h3_decoded_t;

/* Decodes a whole field section and appends the packed list to `list`. */
h3_decoded_t h3_qpack_decode(const uint8_t *data, size_t length, wt_bytes_t *list);

/* Starts a field section, and adds a field to it. */
void h3_qpack_begin(wt_bytes_t *section);
void h3_qpack_add(wt_bytes_t *section, const uint8_t *name, size_t name_length, const uint8_t *value,
                  size_t value_length);

/* One field of a packed list, in place. */
typedef struct h3_field {
    const uint8_t *name, *value;
    size_t name_length, value_length;
} h3_field_t;

/* How many fields follow, then each of them; `reader->is_short` tells of a list that ends too early. */
uint16_t h3_fields_begin(wt_reader_t *reader);
h3_field_t h3_fields_next(wt_reader_t *reader);

bool h3_field_is(const h3_field_t *field, const char *name);
bool h3_value_is(const h3_field_t *field, const char *value);

#endif
