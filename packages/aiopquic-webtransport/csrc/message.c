#include "message.h"

#include <string.h>

#include "qpack.h"

static bool is_token_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Names are lower-case tokens (RFC 9114 section 4.2); values have no control characters that end a line, and no
 * white space around them (RFC 9110 section 5.5). */
static bool is_well_formed(const h3_field_t *field)
{
    size_t start = field->name_length > 0 && field->name[0] == ':' ? 1 : 0;
    if (field->name_length == start) {
        return false;
    }
    for (size_t i = start; i < field->name_length; i++) {
        if (!is_token_char(field->name[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < field->value_length; i++) {
        if (field->value[i] == 0 || field->value[i] == '\r' || field->value[i] == '\n') {
            return false;
        }
    }
    if (field->value_length > 0) {
        uint8_t first = field->value[0], last = field->value[field->value_length - 1];
        return first != ' ' && first != '\t' && last != ' ' && last != '\t';
    }
    return true;
}

/* Fields about a connection of HTTP/1.1 (RFC 9114 section 4.2). */
static bool is_of_a_connection(const h3_field_t *field)
{
    static const char *const names[] = {"connection", "keep-alive", "proxy-connection", "transfer-encoding",
                                        "upgrade"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (h3_field_is(field, names[i])) {
            return true;
        }
    }
    return h3_field_is(field, "te") && !h3_value_is(field, "trailers");
}

/* Goes through a list: pseudo-headers come first, each once and each of `names`, and are found in `values`. */
static bool gather(const uint8_t *list, size_t length, const char *const *names, h3_field_t *values,
                   size_t count, bool *has_host)
{
    wt_reader_t reader = {.at = list, .left = length};
    bool is_behind = false;
    for (uint16_t left = h3_fields_begin(&reader); left > 0; left--) {
        h3_field_t field = h3_fields_next(&reader);
        if (reader.is_short || !is_well_formed(&field) || is_of_a_connection(&field)) {
            return false;
        }
        if (field.name[0] != ':') {
            is_behind = true;
            *has_host |= h3_field_is(&field, "host");
            continue;
        }
        size_t which = 0;
        while (which < count && !h3_field_is(&field, names[which])) {
            which++;
        }
        if (is_behind || which == count || values[which].name != NULL) {
            return false;
        }
        values[which] = field;
    }
    return !reader.is_short;
}

h3_kind_t h3_judge_request(const uint8_t *list, size_t length)
{
    static const char *const names[] = {":method", ":scheme", ":authority", ":path", ":protocol"};
    enum {
        METHOD,
        SCHEME,
        AUTHORITY,
        PATH,
        PROTOCOL,
        COUNT
    };
    h3_field_t values[COUNT] = {0};
    bool has_host = false;
    if (!gather(list, length, names, values, COUNT, &has_host) || values[METHOD].name == NULL) {
        return H3_MALFORMED;
    }
    bool is_connect = h3_value_is(&values[METHOD], "CONNECT");
    if (is_connect && values[PROTOCOL].name == NULL) {
        return values[AUTHORITY].value_length > 0 && values[SCHEME].name == NULL && values[PATH].name == NULL
                   ? H3_CONNECT
                   : H3_MALFORMED;
    }
    if (values[SCHEME].value_length == 0 || values[PATH].value_length == 0 ||
        (values[AUTHORITY].value_length == 0 && (is_connect || !has_host)) ||
        (!is_connect && values[PROTOCOL].name != NULL)) {
        return H3_MALFORMED;
    }
    if (!is_connect) {
        return H3_PLAIN;
    }
    if (h3_value_is(&values[PROTOCOL], WT_TOKEN)) {
        return H3_WEBTRANSPORT;
    }
    return h3_value_is(&values[PROTOCOL], WT_TOKEN_OLD) ? H3_WEBTRANSPORT_OLD : H3_CONNECT;
}

uint16_t h3_judge_response(const uint8_t *list, size_t length)
{
    static const char *const names[] = {":status"};
    h3_field_t status = {0};
    bool has_host = false;
    if (!gather(list, length, names, &status, 1, &has_host) || status.value_length != 3) {
        return 0;
    }
    uint16_t number = 0;
    for (size_t i = 0; i < 3; i++) {
        if (status.value[i] < '0' || status.value[i] > '9') {
            return 0;
        }
        number = (uint16_t)(10 * number + (status.value[i] - '0'));
    }
    return number >= 100 && number < 600 ? number : 0;
}
