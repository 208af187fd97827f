#include "net/incoming.h"

#include <stdlib.h>
#include <string.h>

#include "base/live.h"
#include "net/client_hello.h"
#include "net/events_out.h"
#include "net/picoquic_private.h"
#include "net/tokens.h"
#include "net/workers.h"

/* How long an attempt waits when neither a handshake timeout nor an idle timeout is set. */
#define WAIT_LIMIT_US 30000000u

/* Who attempts: family, address, port, destination connection id, the rest zero. Bytes, to be compared as such. */
typedef struct attempt_key {
    uint8_t bytes[40];
} attempt_key_t;

typedef struct held {
    struct held *next;
    struct sockaddr_storage to;
    int interface_index;
    uint8_t ecn;
    size_t length;
    uint8_t bytes[];
} held_t;

typedef struct attempt {
    attempt_key_t key;
    uint64_t handle;
    struct sockaddr_storage from;
    bool is_validated, is_asked;
    uint64_t deadline_us;
    held_t *first, **last; /* in the order of arrival */
    size_t datagram_count, byte_count;
} attempt_t;

/* Only the network thread touches it. */
struct aiopq_incoming {
    attempt_t *attempts[AIOPQ_INCOMING_MAX]; /* NULL: free */
    uint64_t hashes[AIOPQ_INCOMING_MAX];     /* of the keys, 0: free; a lookup reads only these */
    size_t count, byte_count;
    uint64_t serial;
    uint64_t next_deadline_us; /* no attempt's is earlier */
};

bool aiopq_incoming_setup(aiopq_engine_t *engine)
{
    engine->incoming = calloc(1, sizeof(*engine->incoming));
    if (engine->incoming == NULL) {
        return false;
    }
    engine->incoming->next_deadline_us = UINT64_MAX;
    picoquic_enforce_client_only(engine->quic, 1);
    return true;
}

/* ---- the table ---- */

static attempt_key_t make_key(const struct sockaddr_storage *from, const aiopq_long_header_t *header)
{
    attempt_key_t key;
    uint8_t *cursor = key.bytes;
    memset(&key, 0, sizeof(key));
    if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)from;
        *cursor++ = 6;
        memcpy(cursor, &ipv6->sin6_addr, 16);
        memcpy(cursor + 16, &ipv6->sin6_port, 2);
    } else {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)from;
        *cursor++ = 4;
        memcpy(cursor, &ipv4->sin_addr, 4);
        memcpy(cursor + 16, &ipv4->sin_port, 2);
    }
    cursor += 18;
    *cursor++ = header->destination_length;
    memcpy(cursor, header->destination, header->destination_length);
    return key;
}

/* FNV-1a. Keys that a stranger makes collide cost a comparison each, of a bounded number. */
static uint64_t hash_key(const attempt_key_t *key)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < sizeof(key->bytes); i++) {
        hash = (hash ^ key->bytes[i]) * 0x100000001b3u;
    }
    return hash | 1; /* 0 stands for a free slot */
}

static attempt_t *find(const aiopq_incoming_t *incoming, const attempt_key_t *key)
{
    if (incoming->count > 0) {
        uint64_t hash = hash_key(key);
        for (size_t slot = 0; slot < AIOPQ_INCOMING_MAX; slot++) {
            if (incoming->hashes[slot] == hash &&
                memcmp(&incoming->attempts[slot]->key, key, sizeof(*key)) == 0) {
                return incoming->attempts[slot];
            }
        }
    }
    return NULL;
}

/* A handle is the slot and, above it, a number that counts the attempts: none is given twice. */
static attempt_t *find_handle(const aiopq_incoming_t *incoming, uint64_t handle)
{
    attempt_t *attempt = incoming->attempts[handle % AIOPQ_INCOMING_MAX];
    return attempt != NULL && attempt->handle == handle ? attempt : NULL;
}

static uint64_t wait_limit_us(const aiopq_config_t *config)
{
    if (config->handshake_timeout_us > 0) {
        return config->handshake_timeout_us;
    }
    return config->idle_timeout_ms > 0 ? config->idle_timeout_ms * 1000 : WAIT_LIMIT_US;
}

static attempt_t *add_attempt(aiopq_engine_t *engine, const attempt_key_t *key)
{
    aiopq_incoming_t *incoming = engine->incoming;
    size_t slot = 0;
    while (incoming->hashes[slot] != 0) {
        slot++; /* the caller knows that one is free */
    }
    attempt_t *attempt = calloc(1, sizeof(*attempt));
    if (attempt != NULL) {
        attempt->key = *key;
        attempt->handle = ++incoming->serial * AIOPQ_INCOMING_MAX + slot;
        attempt->last = &attempt->first;
        attempt->deadline_us = engine->now_us + wait_limit_us(&engine->config);
        if (attempt->deadline_us < incoming->next_deadline_us) {
            incoming->next_deadline_us = attempt->deadline_us;
        }
        incoming->attempts[slot] = attempt;
        incoming->hashes[slot] = hash_key(key);
        incoming->count++;
        aiopq_live_add(AIOPQ_LIVE_ATTEMPT, 1);
    }
    return attempt;
}

static void remove_attempt(aiopq_incoming_t *incoming, attempt_t *attempt)
{
    size_t slot = attempt->handle % AIOPQ_INCOMING_MAX;
    incoming->attempts[slot] = NULL;
    incoming->hashes[slot] = 0;
    incoming->count--;
    incoming->byte_count -= attempt->byte_count;
    if (incoming->count == 0) {
        incoming->next_deadline_us = UINT64_MAX;
    }
    while (attempt->first != NULL) {
        held_t *held = attempt->first;
        attempt->first = held->next;
        free(held);
    }
    free(attempt);
    aiopq_live_add(AIOPQ_LIVE_ATTEMPT, -1);
}

void aiopq_incoming_free(aiopq_incoming_t *incoming)
{
    for (size_t slot = 0; incoming != NULL && slot < AIOPQ_INCOMING_MAX; slot++) {
        if (incoming->attempts[slot] != NULL) {
            remove_attempt(incoming, incoming->attempts[slot]);
        }
    }
    free(incoming);
}

/* ---- what picoquic is given ---- */

void aiopq_give_datagram(aiopq_engine_t *engine, const aiopq_datagram_t *datagram, uint64_t now_us)
{
    /* Whatever begins a connection has a long header. */
    bool may_begin = engine->config.workers != NULL && (datagram->bytes[0] & 0x80) != 0;
    if (may_begin) {
        aiopq_workers_reserve(engine);
    }
    picoquic_cnx_t *cnx = NULL;
    (void)picoquic_incoming_packet_ex(engine->quic, (uint8_t *)(uintptr_t)datagram->bytes, datagram->length,
                                      (struct sockaddr *)(uintptr_t)datagram->from,
                                      (struct sockaddr *)(uintptr_t)datagram->to, datagram->interface_index,
                                      datagram->ecn, &cnx, now_us);
    aiopq_tokens_collect(engine, cnx);
    if (may_begin) {
        aiopq_workers_settle(engine);
    }
}

static void give(aiopq_engine_t *engine, const aiopq_datagram_t *datagram)
{
    aiopq_give_datagram(engine, datagram, engine->now_us);
}

static aiopq_datagram_t datagram_of(const attempt_t *attempt, const held_t *held)
{
    return (aiopq_datagram_t){.bytes = held->bytes,
                              .length = held->length,
                              .from = &attempt->from,
                              .to = &held->to,
                              .interface_index = held->interface_index,
                              .ecn = held->ecn};
}

static void do_accept(aiopq_engine_t *engine, const attempt_t *attempt)
{
    picoquic_enforce_client_only(engine->quic, 0);
    for (const held_t *held = attempt->first; held != NULL; held = held->next) {
        aiopq_datagram_t datagram = datagram_of(attempt, held);
        give(engine, &datagram);
    }
    picoquic_enforce_client_only(engine->quic, 1);
}

/* picoquic accepts nobody, and says so: CONNECTION_REFUSED (RFC 9000 section 20.1). */
static void do_refuse(aiopq_engine_t *engine, const aiopq_datagram_t *datagram)
{
    give(engine, datagram);
}

/* A Retry packet (RFC 9000 section 8.1.2), which needs a door that is open and a token that is missing. */
static void do_retry(aiopq_engine_t *engine, const aiopq_datagram_t *datagram)
{
    picoquic_enforce_client_only(engine->quic, 0);
    aiopq_set_retry(engine->quic, true);
    give(engine, datagram);
    aiopq_set_retry(engine->quic, engine->config.always_retry);
    picoquic_enforce_client_only(engine->quic, 1);
}

/* ---- arrivals ---- */

static void ask(aiopq_engine_t *engine, attempt_t *attempt, const aiopq_client_hello_t *hello)
{
    aiopq_incoming_info_t *info = calloc(1, sizeof(*info));
    if (info == NULL) {
        remove_attempt(engine->incoming, attempt);
        return;
    }
    info->handle = attempt->handle;
    info->peer_address = attempt->from;
    info->local_address = attempt->first->to;
    info->is_validated = attempt->is_validated;
    info->server_name_length = hello->server_name_length;
    memcpy(info->server_name, hello->server_name, sizeof(info->server_name));
    info->alpn_length = hello->alpn_length;
    memcpy(info->alpn, hello->alpn, hello->alpn_length);
    attempt->is_asked = true;
    aiopq_count(&engine->incoming_asked);
    aiopq_emit(engine, AIOPQ_EVENT_INCOMING, NULL, NULL, 0, info);
}

/* Asks once the ClientHello is whole, or will never be. Part of one is not asked about: the name may be in the
 * other part, which is perhaps lost and on its way again. */
static void look(aiopq_engine_t *engine, attempt_t *attempt)
{
    aiopq_bytes_t datagrams[AIOPQ_INCOMING_DATAGRAMS];
    size_t count = 0;
    for (const held_t *held = attempt->first; held != NULL; held = held->next) {
        datagrams[count++] = (aiopq_bytes_t){.data = held->bytes, .length = held->length};
    }
    aiopq_client_hello_t hello;
    aiopq_hello_state_t state = aiopq_read_client_hello(datagrams, count, &hello);
    if (state != AIOPQ_HELLO_PART || count == AIOPQ_INCOMING_DATAGRAMS) {
        ask(engine, attempt, &hello);
    }
}

/* Blanks what follows the attempt's own packets in a datagram: no second connection comes in behind the first.
 * A receiver ignores such packets anyway (RFC 9000 section 12.2). */
static void blank_strangers(held_t *held, const aiopq_long_header_t *first)
{
    aiopq_long_header_t header;
    size_t offset = first->length;
    while (offset < held->length &&
           aiopq_read_long_header(held->bytes + offset, held->length - offset, &header) &&
           header.version == first->version && header.destination_length == first->destination_length &&
           memcmp(header.destination, first->destination, header.destination_length) == 0) {
        offset += header.length;
    }
    memset(held->bytes + offset, 0, held->length - offset);
}

/* What there is no room for is lost, as on any network. */
static bool hold(aiopq_engine_t *engine, attempt_t *attempt, const aiopq_datagram_t *datagram,
                 const aiopq_long_header_t *header)
{
    aiopq_incoming_t *incoming = engine->incoming;
    if (attempt->datagram_count == AIOPQ_INCOMING_DATAGRAMS ||
        incoming->byte_count + datagram->length > AIOPQ_INCOMING_BYTES) {
        return false;
    }
    held_t *held = calloc(1, sizeof(*held) + datagram->length);
    if (held == NULL) {
        return false;
    }
    held->to = *datagram->to;
    held->interface_index = datagram->interface_index;
    held->ecn = datagram->ecn;
    held->length = datagram->length;
    memcpy(held->bytes, datagram->bytes, datagram->length);
    blank_strangers(held, header);
    *attempt->last = held;
    attempt->last = &held->next;
    attempt->datagram_count++;
    attempt->byte_count += held->length;
    incoming->byte_count += held->length;
    return true;
}

static bool is_validated(aiopq_engine_t *engine, const aiopq_datagram_t *datagram,
                         const aiopq_long_header_t *header, uint32_t packet_number)
{
    picoquic_connection_id_t destination = {.id_len = header->destination_length};
    memcpy(destination.id, header->destination, header->destination_length);
    return header->token_length > 0 &&
           aiopq_token_is_valid(engine->quic, (const struct sockaddr *)datagram->from, engine->now_us,
                                &destination, packet_number, header->token, header->token_length);
}

/* The first datagram of somebody new. One that does not open, or is too small, is discarded: picoquic would do
 * the same. */
static void begin(aiopq_engine_t *engine, const aiopq_datagram_t *datagram, const aiopq_long_header_t *header,
                  const attempt_key_t *key)
{
    aiopq_incoming_t *incoming = engine->incoming;
    uint8_t payload[AIOPQ_INITIAL_PACKET_MAX];
    uint32_t packet_number;
    if (datagram->length < AIOPQ_INITIAL_DATAGRAM_MIN || header->destination_length < AIOPQ_INITIAL_ID_MIN ||
        aiopq_open_initial(header, datagram->bytes, payload, &packet_number) == 0) {
        return;
    }
    bool has_proof = is_validated(engine, datagram, header, packet_number);
    bool is_crowded = incoming->count >= AIOPQ_INCOMING_MAX / 2 ||
                      incoming->byte_count + datagram->length > AIOPQ_INCOMING_BYTES / 2 ||
                      aiopq_has_many_handshakes(engine->quic);
    if (!has_proof && (engine->config.always_retry || is_crowded)) {
        aiopq_count(&engine->incoming_retried);
        do_retry(engine, datagram);
        return;
    }
    if (incoming->count == AIOPQ_INCOMING_MAX ||
        incoming->byte_count + datagram->length > AIOPQ_INCOMING_BYTES) {
        aiopq_count(&engine->incoming_refused);
        do_refuse(engine, datagram);
        return;
    }
    attempt_t *attempt = add_attempt(engine, key);
    if (attempt == NULL) {
        return;
    }
    attempt->from = *datagram->from;
    attempt->is_validated = has_proof;
    if (!hold(engine, attempt, datagram, header)) {
        remove_attempt(incoming, attempt);
        return;
    }
    look(engine, attempt);
}

bool aiopq_incoming_take(aiopq_engine_t *engine, const aiopq_datagram_t *datagram)
{
    aiopq_long_header_t header;
    if ((datagram->bytes[0] & 0x80) == 0 || engine->is_stopping ||
        !aiopq_read_long_header(datagram->bytes, datagram->length, &header)) {
        return false;
    }
    attempt_key_t key = make_key(datagram->from, &header);
    attempt_t *attempt = find(engine->incoming, &key);
    if (attempt != NULL) {
        if (hold(engine, attempt, datagram, &header) && !attempt->is_asked) {
            look(engine, attempt);
        }
        return true;
    }
    if (header.type != AIOPQ_LONG_INITIAL ||
        aiopq_knows_connection(engine->quic, header.destination, header.destination_length,
                               (const struct sockaddr *)datagram->from)) {
        return false;
    }
    begin(engine, datagram, &header, &key);
    return true;
}

/* ---- the end of an attempt ---- */

void aiopq_incoming_answer(aiopq_engine_t *engine, uint64_t handle, aiopq_incoming_answer_t answer)
{
    attempt_t *attempt = engine->incoming != NULL ? find_handle(engine->incoming, handle) : NULL;
    if (attempt == NULL) {
        aiopq_count(&engine->commands_stale);
        return;
    }
    aiopq_datagram_t first = datagram_of(attempt, attempt->first);
    if (answer == AIOPQ_INCOMING_ACCEPT) {
        do_accept(engine, attempt);
    } else if (answer == AIOPQ_INCOMING_RETRY && !attempt->is_validated) {
        do_retry(engine, &first);
    } else {
        /* A client takes one Retry (RFC 9000 section 17.2.5.2): a second one would leave it waiting. */
        do_refuse(engine, &first);
    }
    remove_attempt(engine->incoming, attempt);
}

void aiopq_incoming_expire(aiopq_engine_t *engine)
{
    aiopq_incoming_t *incoming = engine->incoming;
    if (engine->now_us < incoming->next_deadline_us) {
        return;
    }
    uint64_t next_us = UINT64_MAX;
    for (size_t slot = 0; slot < AIOPQ_INCOMING_MAX; slot++) {
        attempt_t *attempt = incoming->attempts[slot];
        if (attempt != NULL && attempt->deadline_us <= engine->now_us) {
            aiopq_count(&engine->incoming_expired);
            remove_attempt(incoming, attempt);
        } else if (attempt != NULL && attempt->deadline_us < next_us) {
            next_us = attempt->deadline_us;
        }
    }
    incoming->next_deadline_us = next_us;
}

uint64_t aiopq_incoming_deadline_us(const aiopq_incoming_t *incoming)
{
    return incoming->next_deadline_us;
}

void aiopq_incoming_refuse_all(aiopq_engine_t *engine)
{
    for (size_t slot = 0; slot < AIOPQ_INCOMING_MAX; slot++) {
        attempt_t *attempt = engine->incoming->attempts[slot];
        if (attempt != NULL) {
            aiopq_datagram_t first = datagram_of(attempt, attempt->first);
            do_refuse(engine, &first);
            remove_attempt(engine->incoming, attempt);
        }
    }
}
