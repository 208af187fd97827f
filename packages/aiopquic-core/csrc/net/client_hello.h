/* What a client asks for, read from its first datagrams before there is a connection: the server name and the
 * application protocols of its ClientHello (RFC 8446 section 4.1.2). */
#ifndef AIOPQ_NET_CLIENT_HELLO_H
#define AIOPQ_NET_CLIENT_HELLO_H

#include "aiopquic/config.h"
#include "aiopquic/event.h"
#include "net/initial_packet.h"

/* A longer ClientHello is not read: one with two hybrid key shares has under 4 KiB. */
#define AIOPQ_HELLO_MAX 8192u

typedef enum aiopq_hello_state {
    AIOPQ_HELLO_PART,      /* what is there is right as far as it goes; more is to come */
    AIOPQ_HELLO_WHOLE,     /* the result is filled in */
    AIOPQ_HELLO_UNREADABLE /* whatever comes, it will never be a ClientHello that can be read */
} aiopq_hello_state_t;

typedef struct aiopq_client_hello {
    uint8_t server_name_length;                  /* 0: it names none */
    char server_name[AIOPQ_SERVER_NAME_MAX + 1]; /* as it came, NUL-terminated; without a NUL in it */
    uint16_t alpn_length;
    uint8_t
        alpn[AIOPQ_INCOMING_ALPN_MAX]; /* each name behind a byte with its length (RFC 7301 section 3.1) */
} aiopq_client_hello_t;

/* Reads all CRYPTO frames of the Initial packets in `datagrams` for the destination connection id of the first
 * one. `result` is empty unless the state is AIOPQ_HELLO_WHOLE. */
aiopq_hello_state_t aiopq_read_client_hello(const aiopq_bytes_t *datagrams, size_t count,
                                            aiopq_client_hello_t *result);

#endif
