#include "qpack.h"

#include <string.h>

#include "h3zero.h"
#include "qpack_table.h"

/* A prefixed integer or a string literal can't be longer than what is left, so neither needs a bound of its own. */
static bool take_int(wt_reader_t *reader, uint8_t mask, uint64_t *value)
{
    const uint8_t *end = reader->at + reader->left;
    /* h3zero only reads. */
    const uint8_t *next =
        h3zero_qpack_int_decode((uint8_t *)(uintptr_t)reader->at, (uint8_t *)(uintptr_t)end, mask, value);
    if (next == NULL) {
        return false;
    }
    reader->at = next;
    reader->left = (size_t)(end - next);
    return true;
}

/* A string literal with its Huffman flag right above the length's mask, appended to `text`. Bytes come out at most
 * 8/5 of what went in (RFC 7541 appendix B). */
static h3_decoded_t take_string(wt_reader_t *reader, uint8_t mask, wt_bytes_t *text)
{
    uint64_t length;
    bool is_huffman = reader->left > 0 && (reader->at[0] & (mask + 1)) != 0;
    if (!take_int(reader, mask, &length) || length > reader->left) {
        return H3_DECODE_FAILED;
    }
    const uint8_t *at = wt_take(reader, (size_t)length);
    if (!is_huffman) {
        wt_put(text, at, (size_t)length);
        return H3_DECODED;
    }
    uint8_t decoded[H3_FIELD_SECTION_MAX / 5 * 8];
    size_t decoded_length = 0;
    if (length > sizeof(decoded) / 8 * 5) {
        return H3_DECODE_TOO_LARGE;
    }
    if (hzero_qpack_huffman_decode((uint8_t *)(uintptr_t)at, (uint8_t *)(uintptr_t)(at + length), decoded,
                                   sizeof(decoded), &decoded_length) != 0) {
        return H3_DECODE_FAILED;
    }
    wt_put(text, decoded, decoded_length);
    return H3_DECODED;
}

static void put_field(wt_bytes_t *list, const uint8_t *name, size_t name_length, const uint8_t *value,
                      size_t value_length)
{
    wt_put_u16(list, (uint16_t)name_length);
    wt_put(list, name, name_length);
    wt_put_u32(list, (uint32_t)value_length);
    wt_put(list, value, value_length);
}

/* One field line (RFC 9204 section 4.5), its name and value into `name` and `value`. */
static h3_decoded_t take_line(wt_reader_t *reader, wt_bytes_t *name, wt_bytes_t *value)
{
    uint8_t first = reader->at[0];
    uint64_t index;
    if (first & 0x80) { /* indexed */
        if (!(first & 0x40) || !take_int(reader, 0x3f, &index) || index >= H3_STATIC_COUNT) {
            return H3_DECODE_FAILED;
        }
        wt_put(name, h3_static_table[index].name, strlen(h3_static_table[index].name));
        wt_put(value, h3_static_table[index].value, strlen(h3_static_table[index].value));
        return H3_DECODED;
    }
    if (first & 0x40) { /* literal, with a name from the table */
        if (!(first & 0x10) || !take_int(reader, 0x0f, &index) || index >= H3_STATIC_COUNT) {
            return H3_DECODE_FAILED;
        }
        wt_put(name, h3_static_table[index].name, strlen(h3_static_table[index].name));
        return take_string(reader, 0x7f, value);
    }
    if (first & 0x20) { /* literal, with a literal name */
        h3_decoded_t result = take_string(reader, 0x07, name);
        return result == H3_DECODED ? take_string(reader, 0x7f, value) : result;
    }
    return H3_DECODE_FAILED; /* refers to the dynamic table, behind the base */
}

static h3_decoded_t take_lines(wt_reader_t *reader, wt_bytes_t *list, wt_bytes_t *name, wt_bytes_t *value)
{
    size_t size = 0, count_at = list->length;
    uint16_t count = 0;
    wt_put_u16(list, 0);
    while (reader->left > 0) {
        name->length = value->length = 0;
        h3_decoded_t result = take_line(reader, name, value);
        if (result != H3_DECODED) {
            return result;
        }
        size += name->length + value->length + 32;
        if (size > H3_FIELD_SECTION_MAX || ++count > H3_FIELDS_MAX || name->has_failed || value->has_failed) {
            return H3_DECODE_TOO_LARGE;
        }
        put_field(list, name->data, name->length, value->data, value->length);
    }
    if (list->has_failed) {
        return H3_DECODE_TOO_LARGE;
    }
    list->data[count_at] = (uint8_t)(count >> 8);
    list->data[count_at + 1] = (uint8_t)count;
    return H3_DECODED;
}

h3_decoded_t h3_qpack_decode(const uint8_t *data, size_t length, wt_bytes_t *list)
{
    wt_reader_t reader = {.at = data, .left = length};
    uint64_t insert_count, base;
    /* The required insert count and the base (RFC 9204 section 4.5.1): nothing can have been inserted. */
    if (!take_int(&reader, 0xff, &insert_count) || insert_count != 0 || !take_int(&reader, 0x7f, &base)) {
        return H3_DECODE_FAILED;
    }
    wt_bytes_t name = {0}, value = {0};
    h3_decoded_t result = take_lines(&reader, list, &name, &value);
    wt_bytes_free(&name);
    wt_bytes_free(&value);
    return result;
}

static void put_int(wt_bytes_t *section, uint8_t first, uint8_t mask, uint64_t value)
{
    uint8_t coded[12] = {first};
    const uint8_t *end = h3zero_qpack_int_encode(coded, coded + sizeof(coded), mask, value);
    wt_put(section, coded, (size_t)(end - coded));
}

void h3_qpack_begin(wt_bytes_t *section)
{
    wt_put_u16(section, 0);
}

void h3_qpack_add(wt_bytes_t *section, const uint8_t *name, size_t name_length, const uint8_t *value,
                  size_t value_length)
{
    size_t named = H3_STATIC_COUNT;
    for (size_t i = 0; i < H3_STATIC_COUNT; i++) {
        const h3_static_field_t *field = &h3_static_table[i];
        if (strlen(field->name) != name_length || memcmp(field->name, name, name_length) != 0) {
            continue;
        }
        if (strlen(field->value) == value_length && memcmp(field->value, value, value_length) == 0) {
            put_int(section, 0xc0, 0x3f, i);
            return;
        }
        named = named == H3_STATIC_COUNT ? i : named;
    }
    if (named < H3_STATIC_COUNT) {
        put_int(section, 0x50, 0x0f, named);
    } else {
        put_int(section, 0x20, 0x07, name_length);
        wt_put(section, name, name_length);
    }
    put_int(section, 0x00, 0x7f, value_length);
    wt_put(section, value, value_length);
}

uint16_t h3_fields_begin(wt_reader_t *reader)
{
    return (uint16_t)wt_take_uint(reader, 2);
}

h3_field_t h3_fields_next(wt_reader_t *reader)
{
    h3_field_t field;
    field.name_length = (size_t)wt_take_uint(reader, 2);
    field.name = wt_take(reader, field.name_length);
    field.value_length = (size_t)wt_take_uint(reader, 4);
    field.value = wt_take(reader, field.value_length);
    return field;
}

bool h3_field_is(const h3_field_t *field, const char *name)
{
    return field->name_length == strlen(name) && memcmp(field->name, name, field->name_length) == 0;
}

bool h3_value_is(const h3_field_t *field, const char *value)
{
    return field->value_length == strlen(value) && memcmp(field->value, value, field->value_length) == 0;
}
