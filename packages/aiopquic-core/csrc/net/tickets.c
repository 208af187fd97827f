#include "net/tickets.h"

#include <picoquic_internal.h>
#include <stdlib.h>
#include <string.h>
#include <tls_api.h>

#include "net/tokens.h"

/* A record is its length (4 bytes), its kind (1), and
 * - of a session ticket: server name, ALPN, version (4), the limits that the server gave (8 each), the ticket;
 * - of an address token: server name, port (2), address family (2), microseconds since 1970 until it expires (8), the token.
 * Texts, tickets and tokens stand behind their length of two bytes; all numbers with the most significant byte first. */
enum {
    TICKET = 1,
    TOKEN = 2
};
#define LIMITS (picoquic_tp_0rtt_max_streams_id_unidir + 1)

/* ---- writing ---- */

typedef struct writer {
    uint8_t *bytes; /* NULL while only counting */
    size_t length;
} writer_t;

static void put(writer_t *writer, const void *bytes, size_t length)
{
    if (writer->bytes != NULL) {
        memcpy(writer->bytes + writer->length, bytes, length);
    }
    writer->length += length;
}

static void put_number(writer_t *writer, uint64_t number, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(number >> (8 * (size - 1 - i)));
        put(writer, &byte, 1);
    }
}

static void put_block(writer_t *writer, const void *bytes, uint16_t length)
{
    put_number(writer, length, 2);
    put(writer, bytes, length);
}

static void put_ticket(writer_t *writer, const picoquic_stored_ticket_t *ticket)
{
    size_t length = 1 + 2 + (size_t)ticket->sni_length + 2 + (size_t)ticket->alpn_length + 4 + LIMITS * 8 +
                    2 + (size_t)ticket->ticket_length;
    put_number(writer, length, 4);
    put_number(writer, TICKET, 1);
    put_block(writer, ticket->sni, ticket->sni_length);
    put_block(writer, ticket->alpn, ticket->alpn_length);
    put_number(writer, ticket->version, 4);
    for (size_t i = 0; i < LIMITS; i++) {
        put_number(writer, ticket->tp_0rtt[i], 8);
    }
    put_block(writer, ticket->ticket, ticket->ticket_length);
}

static void put_token(writer_t *writer, const aiopq_token_t *token)
{
    put_number(writer, 1 + 2 + (size_t)token->name_length + 2 + 2 + 8 + 2 + (size_t)token->length, 4);
    put_number(writer, TOKEN, 1);
    put_block(writer, token->bytes, token->name_length);
    put_number(writer, token->port, 2);
    put_number(writer, token->family, 2);
    put_number(writer, token->valid_until_us, 8);
    put_block(writer, token->bytes + token->name_length, token->length);
}

static void put_records(writer_t *writer, const aiopq_engine_t *engine)
{
    picoquic_quic_t *quic = engine->quic;
    uint64_t now_us = picoquic_get_tls_time(quic);
    for (const picoquic_stored_ticket_t *ticket = quic->p_first_ticket; ticket != NULL;
         ticket = ticket->next_ticket) {
        if (ticket->was_used || ticket->time_valid_until <= now_us) {
            continue; /* a ticket is good for one connection (RFC 8446 appendix C.4) */
        }
        put_ticket(writer, ticket);
    }
    for (const aiopq_token_t *token = engine->tokens; token != NULL; token = token->next) {
        if (token->valid_until_us > now_us) {
            put_token(writer, token);
        }
    }
}

aiopq_status_t aiopq_engine_session_tickets(aiopq_engine_t *engine, uint8_t **bytes, size_t *length)
{
    writer_t writer = {.bytes = NULL};
    *bytes = NULL;
    put_records(&writer, engine);
    *length = writer.length;
    if (writer.length > 0) {
        writer = (writer_t){.bytes = malloc(writer.length)};
        if (writer.bytes == NULL) {
            return AIOPQ_NO_MEMORY;
        }
        put_records(&writer, engine);
        *bytes = writer.bytes;
    }
    return AIOPQ_OK;
}

/* ---- reading ---- */

typedef struct reader {
    const uint8_t *bytes;
    size_t left;
    bool is_bad; /* asked for more than there is: everything read since is zero */
} reader_t;

static const uint8_t *get(reader_t *reader, size_t length)
{
    if (reader->is_bad || length > reader->left) {
        reader->is_bad = true;
        return NULL;
    }
    const uint8_t *bytes = reader->bytes;
    reader->bytes += length;
    reader->left -= length;
    return bytes;
}

static uint64_t get_number(reader_t *reader, size_t size)
{
    uint64_t number = 0;
    const uint8_t *bytes = get(reader, size);
    for (size_t i = 0; bytes != NULL && i < size; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

static aiopq_bytes_t get_block(reader_t *reader)
{
    size_t length = (size_t)get_number(reader, 2);
    return (aiopq_bytes_t){.data = get(reader, length), .length = length};
}

static void load_ticket(picoquic_quic_t *quic, reader_t *reader)
{
    aiopq_bytes_t name = get_block(reader), alpn = get_block(reader);
    uint32_t version = (uint32_t)get_number(reader, 4);
    uint64_t limits[LIMITS];
    for (size_t i = 0; i < LIMITS; i++) {
        limits[i] = get_number(reader, 8);
    }
    aiopq_bytes_t ticket = get_block(reader);
    if (reader->is_bad) {
        return;
    }
    picoquic_tp_t parameters;
    memset(&parameters, 0, sizeof(parameters));
    parameters.initial_max_data = limits[picoquic_tp_0rtt_max_data];
    parameters.initial_max_stream_data_bidi_local = limits[picoquic_tp_0rtt_max_stream_data_bidi_local];
    parameters.initial_max_stream_data_bidi_remote = limits[picoquic_tp_0rtt_max_stream_data_bidi_remote];
    parameters.initial_max_stream_data_uni = limits[picoquic_tp_0rtt_max_stream_data_uni];
    parameters.initial_max_stream_id_bidir = limits[picoquic_tp_0rtt_max_streams_id_bidir];
    parameters.initial_max_stream_id_unidir = limits[picoquic_tp_0rtt_max_streams_id_unidir];
    /* One that has expired meanwhile is refused, and that is all right. */
    (void)picoquic_store_ticket(quic, (const char *)name.data, (uint16_t)name.length, (const char *)alpn.data,
                                (uint16_t)alpn.length, version, NULL, 0, NULL, 0,
                                (uint8_t *)(uintptr_t)ticket.data, (uint16_t)ticket.length, &parameters);
}

/* False without memory. */
static bool load_token(aiopq_engine_t *engine, reader_t *reader)
{
    aiopq_bytes_t name = get_block(reader);
    aiopq_token_t facts = {.name_length = (uint16_t)name.length};
    facts.port = (uint16_t)get_number(reader, 2);
    facts.family = (uint16_t)get_number(reader, 2);
    facts.valid_until_us = get_number(reader, 8);
    aiopq_bytes_t token = get_block(reader);
    facts.length = (uint16_t)token.length;
    return reader->is_bad || aiopq_tokens_add(engine, &facts, name.data, token.data);
}

aiopq_status_t aiopq_tickets_load(aiopq_engine_t *engine, aiopq_bytes_t tickets)
{
    reader_t reader = {.bytes = tickets.data, .left = tickets.length};
    while (reader.left > 0) {
        size_t length = (size_t)get_number(&reader, 4);
        reader_t record = {.bytes = get(&reader, length), .left = length, .is_bad = reader.is_bad};
        uint64_t kind = get_number(&record, 1);
        if (kind == TICKET && engine->config.keeps_sessions) {
            load_ticket(engine->quic, &record);
        } else if (kind == TOKEN && !load_token(engine, &record)) {
            return AIOPQ_NO_MEMORY;
        }
        if (record.is_bad) {
            return AIOPQ_INVALID;
        }
    }
    return AIOPQ_OK;
}
