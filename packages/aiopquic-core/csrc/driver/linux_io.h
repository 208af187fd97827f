/* What both drivers of Linux share: an engine's sockets, and moving datagrams between them and the engine. */
#ifndef AIOPQ_DRIVER_LINUX_IO_H
#define AIOPQ_DRIVER_LINUX_IO_H

#include "driver/outgoing.h"
#include "engine/engine.h"

/* One socket per address family, and those that connections open to send from elsewhere. */
#define AIOPQ_SOCKETS_MAX 64

/* Everything in it belongs to the thread that runs the driver. Sockets come and go in any turn. */
typedef struct aiopq_linux_io {
    aiopq_engine_t *engine; /* borrowed */
    aiopq_udp_socket_t sockets[AIOPQ_SOCKETS_MAX];
    /* Connections that opened it; one more for those of the configuration, 0 for a place that is free. */
    size_t users[AIOPQ_SOCKETS_MAX];
    size_t socket_count;                                     /* places that were used so far */
    void (*opened)(struct aiopq_linux_io *io, size_t place); /* told of those that come later; may be NULL */
    uint8_t *receive_buffer;
    aiopq_outgoing_t outgoing;
    bool has_pending; /* the kernel had no room for what is in it */
} aiopq_linux_io_t;

/* Allocates the buffers; false without memory. aiopq_linux_io_dispose() frees them in either case. */
bool aiopq_linux_io_init(aiopq_linux_io_t *io, aiopq_engine_t *engine);
void aiopq_linux_io_dispose(aiopq_linux_io_t *io);

/* The addresses that a configuration binds, AIOPQ_BIND_ADDRESS_MAX at most; returns how many. */
size_t aiopq_bind_addresses(const aiopq_config_t *config, struct sockaddr_storage *addresses);

/* Opens a socket for each address of the configuration, all on the port of the first, or takes those of the worker's
 * group, and lets the engine open further ones. Returns 0 or an errno. */
int aiopq_linux_io_open(aiopq_linux_io_t *io);
void aiopq_linux_io_close(aiopq_linux_io_t *io);

/* Takes what the socket has, `batches` of the kernel's at most. True when there was any. */
bool aiopq_linux_io_receive(aiopq_linux_io_t *io, aiopq_udp_socket_t *s, int batches, uint64_t now_us);

/* Takes what other workers of the group got for this one. True when there was any. */
bool aiopq_linux_io_take_handed(aiopq_linux_io_t *io, uint64_t now_us);

/* Sends what picoquic prepares, by about `batches` system calls at most. `has_sent` tells whether there was
 * anything; true when picoquic may have more to send. */
bool aiopq_linux_io_send(aiopq_linux_io_t *io, int batches, uint64_t now_us, bool *has_sent);

#endif
