/* QPACK's static table (RFC 9204 appendix A). */
#ifndef AIOPQUIC_WEBTRANSPORT_QPACK_TABLE_H
#define AIOPQUIC_WEBTRANSPORT_QPACK_TABLE_H

#define H3_STATIC_COUNT 99u

typedef struct h3_static_field {
    const char *name, *value;
} h3_static_field_t;

extern const h3_static_field_t h3_static_table[H3_STATIC_COUNT];

#endif
