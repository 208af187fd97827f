#include "tlv.h"

#include <string.h>

/* Reads the type and the length as far as they are there; true when both are. */
static bool read_head(wt_tlv_t *tlv, const uint8_t **bytes, size_t *length)
{
    while (*length > 0) {
        uint8_t byte = **bytes;
        (*bytes)++;
        (*length)--;
        if (!tlv->has_type) {
            tlv->has_type = wt_varint_add(&tlv->type, byte);
        } else if (wt_varint_add(&tlv->length, byte)) {
            return true;
        }
    }
    return false;
}

bool wt_tlv_feed(wt_tlv_t *tlv, const wt_tlv_sink_t *sink, void *context, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        if (!tlv->is_inside) {
            if (!read_head(tlv, &bytes, &length)) {
                return true;
            }
            tlv->is_inside = true;
            tlv->left = tlv->length.value;
            if (!sink->begin(context, tlv->type.value, tlv->left)) {
                return false;
            }
        }
        size_t piece = tlv->left < length ? (size_t)tlv->left : length;
        uint64_t type = tlv->type.value;
        tlv->left -= piece;
        bool is_last = tlv->left == 0;
        if (is_last) {
            memset(tlv, 0, sizeof(*tlv));
        }
        if ((piece > 0 || is_last) && !sink->value(context, type, bytes, piece, is_last)) {
            return false;
        }
        bytes += piece;
        length -= piece;
    }
    return true;
}
