#include "net/client_hello.h"

#include <string.h>

#include "net/reader.h"

#define FRAME_PADDING 0x00
#define FRAME_PING 0x01
#define FRAME_ACK 0x02
#define FRAME_ACK_ECN 0x03
#define FRAME_CRYPTO 0x06

#define MESSAGE_CLIENT_HELLO 1
#define MESSAGE_HEADER 4 /* type and length */
#define EXTENSION_SERVER_NAME 0
#define EXTENSION_ALPN 16
#define NAME_TYPE_HOST 0

/* The bytes of the CRYPTO stream so far, in any order. */
typedef struct crypto_stream {
    uint8_t bytes[AIOPQ_HELLO_MAX];
    bool is_there[AIOPQ_HELLO_MAX];
} crypto_stream_t;

/* ---- frames ---- */

static void skip_ack(aiopq_reader_t *reader, bool has_ecn)
{
    (void)aiopq_read_varint(reader); /* largest acknowledged */
    (void)aiopq_read_varint(reader); /* delay */
    uint64_t ranges = aiopq_read_varint(reader);
    (void)aiopq_read_varint(reader); /* first range */
    for (uint64_t i = 0; i < ranges && !reader->is_bad; i++) {
        (void)aiopq_read_varint(reader);
        (void)aiopq_read_varint(reader);
    }
    for (int i = 0; has_ecn && i < 3; i++) {
        (void)aiopq_read_varint(reader);
    }
}

static bool take_crypto(aiopq_reader_t *reader, crypto_stream_t *stream)
{
    uint64_t offset = aiopq_read_varint(reader);
    uint64_t length = aiopq_read_varint(reader);
    const uint8_t *run = aiopq_read_run(reader, (size_t)length);
    if (run == NULL || offset > AIOPQ_HELLO_MAX || length > AIOPQ_HELLO_MAX - offset) {
        return false;
    }
    memcpy(stream->bytes + offset, run, (size_t)length);
    memset(stream->is_there + offset, true, (size_t)length);
    return true;
}

/* The frames that a client's first packets may hold (RFC 9000 section 12.4). A CONNECTION_CLOSE is not among
 * them: that client has given up. */
static bool take_frames(const uint8_t *payload, size_t length, crypto_stream_t *stream)
{
    aiopq_reader_t reader = aiopq_reader(payload, length);
    while (!reader.is_bad && aiopq_reader_left(&reader) > 0) {
        uint64_t type = aiopq_read_varint(&reader);
        if (type == FRAME_CRYPTO) {
            if (!take_crypto(&reader, stream)) {
                return false;
            }
        } else if (type == FRAME_ACK || type == FRAME_ACK_ECN) {
            skip_ack(&reader, type == FRAME_ACK_ECN);
        } else if (type != FRAME_PADDING && type != FRAME_PING) {
            return false;
        }
    }
    return !reader.is_bad;
}

/* A packet that does not open says nothing about the client: somebody else may have sent it. */
static bool take_datagram(const aiopq_bytes_t *datagram, const aiopq_long_header_t *expected,
                          crypto_stream_t *stream)
{
    uint8_t payload[AIOPQ_INITIAL_PACKET_MAX];
    aiopq_long_header_t header;
    for (size_t offset = 0; offset < datagram->length; offset += header.length) {
        const uint8_t *packet = datagram->data + offset;
        if (!aiopq_read_long_header(packet, datagram->length - offset, &header) ||
            header.version != expected->version ||
            header.destination_length != expected->destination_length ||
            memcmp(header.destination, expected->destination, header.destination_length) != 0) {
            break; /* padding, or a packet with a short header, or somebody else's */
        }
        uint32_t packet_number;
        size_t length = header.type == AIOPQ_LONG_INITIAL
                            ? aiopq_open_initial(&header, packet, payload, &packet_number)
                            : 0;
        if (length > 0 && !take_frames(payload, length, stream)) {
            return false;
        }
    }
    return true;
}

/* ---- the message ---- */

/* RFC 6066 section 3: a list of names, in practice of one. */
static bool read_server_name(aiopq_reader_t extension, aiopq_client_hello_t *result)
{
    aiopq_reader_t list = aiopq_read_vector(&extension, 2);
    while (!list.is_bad && aiopq_reader_left(&list) > 0) {
        uint64_t type = aiopq_read_number(&list, 1);
        aiopq_reader_t name = aiopq_read_vector(&list, 2);
        size_t length = aiopq_reader_left(&name);
        if (name.is_bad || type != NAME_TYPE_HOST) {
            continue;
        }
        if (result->server_name_length > 0 || length == 0 || length > AIOPQ_SERVER_NAME_MAX ||
            memchr(name.at, 0, length) != NULL) {
            return false;
        }
        memcpy(result->server_name, name.at, length);
        result->server_name_length = (uint8_t)length;
    }
    return !list.is_bad && aiopq_reader_left(&extension) == 0;
}

static bool read_alpn(aiopq_reader_t extension, aiopq_client_hello_t *result)
{
    aiopq_reader_t list = aiopq_read_vector(&extension, 2);
    size_t length = aiopq_reader_left(&list);
    if (list.is_bad || length == 0 || length > AIOPQ_INCOMING_ALPN_MAX ||
        aiopq_reader_left(&extension) != 0) {
        return false;
    }
    memcpy(result->alpn, list.at, length);
    result->alpn_length = (uint16_t)length;
    while (!list.is_bad && aiopq_reader_left(&list) > 0) {
        aiopq_reader_t name = aiopq_read_vector(&list, 1);
        if (aiopq_reader_left(&name) == 0) {
            return false;
        }
    }
    return !list.is_bad;
}

static bool read_extensions(aiopq_reader_t *extensions, aiopq_client_hello_t *result)
{
    bool has_server_name = false, has_alpn = false;
    while (!extensions->is_bad && aiopq_reader_left(extensions) > 0) {
        uint64_t type = aiopq_read_number(extensions, 2);
        aiopq_reader_t extension = aiopq_read_vector(extensions, 2);
        if (extension.is_bad) {
            return false;
        }
        if (type == EXTENSION_SERVER_NAME) {
            if (has_server_name || !read_server_name(extension, result)) {
                return false;
            }
            has_server_name = true;
        } else if (type == EXTENSION_ALPN) {
            if (has_alpn || !read_alpn(extension, result)) {
                return false;
            }
            has_alpn = true;
        }
    }
    return !extensions->is_bad;
}

static bool read_message(const uint8_t *body, size_t length, aiopq_client_hello_t *result)
{
    aiopq_reader_t reader = aiopq_reader(body, length);
    (void)aiopq_read_run(&reader, 2 + 32); /* legacy_version, random */
    (void)aiopq_read_vector(&reader, 1);   /* legacy_session_id */
    (void)aiopq_read_vector(&reader, 2);   /* cipher_suites */
    (void)aiopq_read_vector(&reader, 1);   /* legacy_compression_methods */
    aiopq_reader_t extensions = aiopq_read_vector(&reader, 2);
    return !reader.is_bad && aiopq_reader_left(&reader) == 0 && read_extensions(&extensions, result);
}

static aiopq_hello_state_t read_stream(const crypto_stream_t *stream, aiopq_client_hello_t *result)
{
    size_t length = 0;
    while (length < AIOPQ_HELLO_MAX && stream->is_there[length]) {
        length++;
    }
    if (length > 0 && stream->bytes[0] != MESSAGE_CLIENT_HELLO) {
        return AIOPQ_HELLO_UNREADABLE;
    }
    if (length < MESSAGE_HEADER) {
        return AIOPQ_HELLO_PART;
    }
    aiopq_reader_t header = aiopq_reader(stream->bytes + 1, MESSAGE_HEADER - 1);
    size_t wanted = (size_t)aiopq_read_number(&header, MESSAGE_HEADER - 1);
    if (wanted > AIOPQ_HELLO_MAX - MESSAGE_HEADER) {
        return AIOPQ_HELLO_UNREADABLE;
    }
    if (length - MESSAGE_HEADER < wanted) {
        return AIOPQ_HELLO_PART;
    }
    if (!read_message(stream->bytes + MESSAGE_HEADER, wanted, result)) {
        memset(result, 0, sizeof(*result));
        return AIOPQ_HELLO_UNREADABLE;
    }
    return AIOPQ_HELLO_WHOLE;
}

aiopq_hello_state_t aiopq_read_client_hello(const aiopq_bytes_t *datagrams, size_t count,
                                            aiopq_client_hello_t *result)
{
    crypto_stream_t stream;
    aiopq_long_header_t first;
    memset(result, 0, sizeof(*result));
    memset(stream.is_there, 0, sizeof(stream.is_there));
    if (count == 0 || !aiopq_read_long_header(datagrams[0].data, datagrams[0].length, &first)) {
        return AIOPQ_HELLO_UNREADABLE;
    }
    for (size_t i = 0; i < count; i++) {
        if (!take_datagram(&datagrams[i], &first, &stream)) {
            return AIOPQ_HELLO_UNREADABLE;
        }
    }
    return read_stream(&stream, result);
}
