#include "net/tickets.h"

#include <picoquic_internal.h>
#include <stdlib.h>
#include <string.h>
#include <tls_api.h>

/* A ticket is: server name, ALPN, version (4 bytes), the limits that the server gave (8 bytes each), the ticket.
 * Texts and the ticket stand behind their length of two bytes; all numbers with the most significant byte first. */
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

static void put_tickets(writer_t *writer, picoquic_quic_t *quic)
{
    uint64_t now_us = picoquic_get_tls_time(quic);
    for (const picoquic_stored_ticket_t *ticket = quic->p_first_ticket; ticket != NULL;
         ticket = ticket->next_ticket) {
        if (ticket->was_used || ticket->time_valid_until <= now_us) {
            continue; /* a ticket is good for one connection (RFC 8446 appendix C.4) */
        }
        put_block(writer, ticket->sni, ticket->sni_length);
        put_block(writer, ticket->alpn, ticket->alpn_length);
        put_number(writer, ticket->version, 4);
        for (size_t i = 0; i < LIMITS; i++) {
            put_number(writer, ticket->tp_0rtt[i], 8);
        }
        put_block(writer, ticket->ticket, ticket->ticket_length);
    }
}

aiopq_status_t aiopq_engine_session_tickets(aiopq_engine_t *engine, uint8_t **bytes, size_t *length)
{
    writer_t writer = {.bytes = NULL};
    *bytes = NULL;
    put_tickets(&writer, engine->quic);
    *length = writer.length;
    if (writer.length > 0) {
        writer = (writer_t){.bytes = malloc(writer.length)};
        if (writer.bytes == NULL) {
            return AIOPQ_NO_MEMORY;
        }
        put_tickets(&writer, engine->quic);
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

static bool load_one(picoquic_quic_t *quic, reader_t *reader)
{
    aiopq_bytes_t name = get_block(reader), alpn = get_block(reader);
    uint32_t version = (uint32_t)get_number(reader, 4);
    uint64_t limits[LIMITS];
    for (size_t i = 0; i < LIMITS; i++) {
        limits[i] = get_number(reader, 8);
    }
    aiopq_bytes_t ticket = get_block(reader);
    if (reader->is_bad) {
        return false;
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
    return true;
}

aiopq_status_t aiopq_tickets_load(aiopq_engine_t *engine, aiopq_bytes_t tickets)
{
    reader_t reader = {.bytes = tickets.data, .left = tickets.length};
    while (reader.left > 0) {
        if (!load_one(engine->quic, &reader)) {
            return AIOPQ_INVALID;
        }
    }
    return AIOPQ_OK;
}
