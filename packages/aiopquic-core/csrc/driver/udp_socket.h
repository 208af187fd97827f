/* A UDP socket of Linux for QUIC: many datagrams per system call where kernel and device allow it.
 *
 * Sending hands over a batch of equal datagrams at once (UDP_SEGMENT, "GSO"), receiving gets several of one
 * sender in one buffer (UDP_GRO). Either may be missing or refused at any time; then datagrams go one by one. */
#ifndef AIOPQ_DRIVER_UDP_SOCKET_H
#define AIOPQ_DRIVER_UDP_SOCKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* One recvmsg() with GRO can fill this much; a smaller buffer would cut datagrams off. */
#define AIOPQ_RECEIVE_MAX 65536u
/* The largest UDP payload over IPv4: 65535 less the IP and UDP headers. A batch must fit one. */
#define AIOPQ_SEND_MAX 65507u
/* Kernels refuse more segments in one call than this (UDP_MAX_SEGMENTS of the older ones). */
#define AIOPQ_SEGMENTS_MAX 64

/* The two calls that tests replace to inject refusals of the kernel. */
typedef struct aiopq_udp_calls {
    ssize_t (*sendmsg)(int fd, const struct msghdr *message, int flags);
    ssize_t (*recvmsg)(int fd, struct msghdr *message, int flags);
} aiopq_udp_calls_t;

typedef struct aiopq_udp_socket {
    const aiopq_udp_calls_t *calls;
    int fd; /* -1 when closed */
    int family;
    struct sockaddr_storage bound;               /* with the real port */
    bool can_segment;                            /* GSO: false from the first refusal on */
    bool can_coalesce;                           /* GRO was granted */
    int send_buffer_bytes, receive_buffer_bytes; /* what the system granted */
    uint64_t send_calls;                         /* of sendmsg() */
} aiopq_udp_socket_t;

/* What one recvmsg() brought: `length` bytes of datagrams of `segment` bytes each, the last maybe shorter. */
typedef struct aiopq_received {
    size_t length, segment;
    struct sockaddr_storage from, to;
    int interface_index;
    uint8_t ecn; /* the two ECN bits (RFC 3168), the same for all datagrams of the batch */
} aiopq_received_t;

typedef enum aiopq_send_result {
    AIOPQ_SENT,            /* handed to the kernel, or lost as a network loses: QUIC repeats */
    AIOPQ_SEND_BLOCKED,    /* nothing was sent: repeat when the socket is writable */
    AIOPQ_SEND_UNREACHABLE /* the system knows no way to that address; errno says why */
} aiopq_send_result_t;

/* Opens a non-blocking socket bound to `address`. `ecn` is the mark of outgoing packets. With `is_shared` others that share
 * may have the port too. Returns 0 or an errno. */
int aiopq_udp_open(aiopq_udp_socket_t *socket, const struct sockaddr_storage *address, uint32_t buffer_bytes,
                   uint8_t ecn, bool is_shared);

/* Lets sockets that are opened from here on with `is_shared` have the port too. False, with errno, when it may not be. */
bool aiopq_udp_share(const aiopq_udp_socket_t *socket);

/* Takes over a descriptor that aiopq_udp_open() made, or a duplicate of one. Returns 0 or an errno; the descriptor is
 * closed then. */
int aiopq_udp_adopt(aiopq_udp_socket_t *socket, int fd);
void aiopq_udp_close(aiopq_udp_socket_t *socket);

/* Goes without one of them, or both, from here on, as where the kernel has refused it. */
void aiopq_udp_do_without(aiopq_udp_socket_t *socket, bool segmentation, bool coalescing);

/* Receives one batch into `buffer` of AIOPQ_RECEIVE_MAX bytes. False when nothing waits. */
bool aiopq_udp_receive(aiopq_udp_socket_t *socket, uint8_t *buffer, aiopq_received_t *received);

/* Sends `length` bytes as datagrams of `segment` bytes (0: one datagram), from the address `from` when its
 * family is set. */
aiopq_send_result_t aiopq_udp_send(aiopq_udp_socket_t *socket, const uint8_t *data, size_t length,
                                   size_t segment, const struct sockaddr_storage *to,
                                   const struct sockaddr_storage *from, int interface_index);

/* True when a socket bound to `bound` has that address and port: `bound` may be a wildcard address. */
bool aiopq_udp_covers(const struct sockaddr_storage *bound, const struct sockaddr_storage *address);

/* True for 0.0.0.0 and ::. */
bool aiopq_udp_is_wildcard(const struct sockaddr_storage *address);

uint16_t aiopq_udp_port(const aiopq_udp_socket_t *socket);
void aiopq_udp_set_port(struct sockaddr_storage *address, uint16_t port);

#endif
