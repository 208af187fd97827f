/* Initial packets as a server meets them: before there is a connection, with keys that anybody can derive from
 * the packet itself (RFC 9001 section 5.2). Every byte is the network's; nothing is trusted. */
#ifndef AIOPQ_NET_INITIAL_PACKET_H
#define AIOPQ_NET_INITIAL_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AIOPQ_VERSION_1 0x00000001u /* RFC 9000 */
#define AIOPQ_VERSION_2 0x6b3343cfu /* RFC 9369 */

/* The longest packet that is opened: picoquic's limit too. */
#define AIOPQ_INITIAL_PACKET_MAX 1536u

/* A server discards Initial packets in smaller datagrams (RFC 9000 section 14.1), and those with a shorter
 * destination connection id (section 7.2). */
#define AIOPQ_INITIAL_DATAGRAM_MIN 1200u
#define AIOPQ_INITIAL_ID_MIN 8u

typedef enum aiopq_long_type {
    AIOPQ_LONG_INITIAL = 0,
    AIOPQ_LONG_0RTT,
    AIOPQ_LONG_HANDSHAKE,
    AIOPQ_LONG_RETRY
} aiopq_long_type_t;

/* A long header (RFC 9000 section 17.2). The pointers are into the packet. */
typedef struct aiopq_long_header {
    uint32_t version;
    aiopq_long_type_t type;
    uint8_t destination_length, source_length;
    const uint8_t *destination, *source;
    size_t token_length; /* of an Initial packet */
    const uint8_t *token;
    size_t number_offset; /* where the protected packet number begins */
    size_t length;        /* of the whole packet; another one may follow in the datagram */
} aiopq_long_header_t;

/* False when the bytes do not begin with a whole packet of version 1 or 2 with a long header and a length. */
bool aiopq_read_long_header(const uint8_t *packet, size_t length, aiopq_long_header_t *header);

/* Opens a client's Initial packet: `payload`, of AIOPQ_INITIAL_PACKET_MAX bytes, gets its frames. Returns their
 * length, 0 when the packet is not what its header says (a packet without frames is an error too). */
size_t aiopq_open_initial(const aiopq_long_header_t *header, const uint8_t *packet, uint8_t *payload,
                          uint32_t *packet_number);

#endif
