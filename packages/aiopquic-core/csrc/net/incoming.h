/* Connections that a peer asks for and that nobody has decided about yet.
 *
 * An engine that holds incoming connections looks at datagrams before picoquic does. The first datagrams of an
 * attempt are kept, the loop thread is told what the ClientHello asks for, and its answer hands them to picoquic
 * as they came, or refuses, or makes the client prove its address. picoquic itself is told to accept nobody, but
 * for the moment in which it is given an accepted attempt: there is no other way in. */
#ifndef AIOPQ_NET_INCOMING_H
#define AIOPQ_NET_INCOMING_H

#include "net/objects.h"

/* Attempts that may wait at once. From half of them on a client must prove its address before it is held, so that
 * forged addresses can't use up the other half; those who did and find it full are refused. */
#define AIOPQ_INCOMING_MAX 1024u

/* Datagrams held of one attempt. A ClientHello with hybrid key shares takes two or three, and a client that hears
 * nothing repeats them; 0-RTT may follow. */
#define AIOPQ_INCOMING_DATAGRAMS 8u

/* Bytes held of all attempts: four datagrams each when the table is half full. */
#define AIOPQ_INCOMING_BYTES (4u << 20)

/* What the driver knows of a datagram. */
typedef struct aiopq_datagram {
    const uint8_t *bytes;
    size_t length; /* at least 1 */
    const struct sockaddr_storage *from, *to;
    int interface_index;
    uint8_t ecn;
} aiopq_datagram_t;

/* Makes the table and closes picoquic's own door. */
bool aiopq_incoming_setup(aiopq_engine_t *engine);

/* NULL is allowed. */
void aiopq_incoming_free(aiopq_incoming_t *incoming);

/* Hands a datagram to picoquic, which may accept a connection by it. */
void aiopq_give_datagram(aiopq_engine_t *engine, const aiopq_datagram_t *datagram, uint64_t now_us) AIOPQ_NET;

/* True when the datagram belongs to an attempt, or begins one: then picoquic must not see it. */
bool aiopq_incoming_take(aiopq_engine_t *engine, const aiopq_datagram_t *datagram) AIOPQ_NET;

/* The loop thread's decision. One about an attempt that is gone is harmless. */
void aiopq_incoming_answer(aiopq_engine_t *engine, uint64_t handle, aiopq_incoming_answer_t answer) AIOPQ_NET;

/* Drops the attempts that waited for the handshake timeout. */
void aiopq_incoming_expire(aiopq_engine_t *engine) AIOPQ_NET;

/* When aiopq_incoming_expire() has something to do next, UINT64_MAX for never. */
uint64_t aiopq_incoming_deadline_us(const aiopq_incoming_t *incoming) AIOPQ_NET;

/* The engine stops: whoever waits is refused. */
void aiopq_incoming_refuse_all(aiopq_engine_t *engine) AIOPQ_NET;

#endif
