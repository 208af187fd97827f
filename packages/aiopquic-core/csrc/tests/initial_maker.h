/* Makes the Initial packets of clients that behave, and of those that don't. */
#ifndef AIOPQ_TESTS_INITIAL_MAKER_H
#define AIOPQ_TESTS_INITIAL_MAKER_H

#include <stddef.h>
#include <stdint.h>

#define MAKER_DATAGRAM 1200u

typedef struct maker {
    uint32_t version;
    uint8_t destination[20];
    uint8_t destination_length;
    uint32_t packet_number;
    const uint8_t *token;
    size_t token_length;
} maker_t;

/* For version 1 and the destination connection id of RFC 9001 appendix A. */
maker_t maker(void);

/* Protects `frames`, with PADDING behind them up to a packet of `size` bytes, into `packet`. Returns `size`, and
 * counts the packet number on. */
size_t maker_seal(maker_t *maker, const uint8_t *frames, size_t length, uint8_t *packet, size_t size);

/* A CRYPTO frame with a part of a message. Returns its length. */
size_t maker_crypto(uint8_t *frame, size_t offset, const uint8_t *message, size_t length);

/* A ClientHello with SNI and ALPN (in wire format) where they are given, and an extension of `filler` bytes before
 * them. Returns its length. */
size_t maker_hello(uint8_t *message, const char *server_name, const uint8_t *alpn, size_t alpn_length,
                   size_t filler);

/* Bytes from hexadecimal digits. Returns how many. */
size_t maker_hex(uint8_t *bytes, const char *digits);

#endif
