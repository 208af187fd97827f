#if defined(__linux__)
#include "driver/linux_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "driver/driver.h"
#include "net/picoquic_private.h"
#include "net/workers.h"

bool aiopq_linux_io_init(aiopq_linux_io_t *io, aiopq_engine_t *engine)
{
    io->engine = engine;
    io->receive_buffer = malloc(AIOPQ_RECEIVE_MAX);
    bool can_send = aiopq_outgoing_init(&io->outgoing, !engine->config.without_joining);
    return io->receive_buffer != NULL && can_send;
}

void aiopq_linux_io_dispose(aiopq_linux_io_t *io)
{
    aiopq_linux_io_close(io);
    free(io->receive_buffer);
    io->receive_buffer = NULL;
    aiopq_outgoing_dispose(&io->outgoing);
}

/* ---- sockets ---- */

/* A place for one more socket; AIOPQ_SOCKETS_MAX when there is none. */
static size_t free_place(const aiopq_linux_io_t *io)
{
    size_t place = 0;
    while (place < io->socket_count && io->users[place] > 0) {
        place++;
    }
    return place;
}

static void take_place(aiopq_linux_io_t *io, size_t place)
{
    const aiopq_config_t *config = &io->engine->config;
    aiopq_udp_do_without(&io->sockets[place], config->without_gso, config->without_gro);
    io->users[place] = 1;
    io->socket_count += place == io->socket_count;
}

static int open_socket(aiopq_linux_io_t *io, struct sockaddr_storage address, uint16_t port, size_t *place)
{
    const aiopq_config_t *config = &io->engine->config;
    size_t chosen = free_place(io);
    if (chosen == AIOPQ_SOCKETS_MAX) {
        return EMFILE;
    }
    aiopq_udp_set_port(&address, port);
    int error = aiopq_udp_open(&io->sockets[chosen], &address, config->socket_buffer_bytes,
                               aiopq_ecn_mark(config), false);
    if (error == 0) {
        take_place(io, chosen);
        *place = chosen;
    }
    return error;
}

void aiopq_linux_io_close(aiopq_linux_io_t *io)
{
    io->engine->open_local = NULL;
    io->engine->close_local = NULL;
    while (io->socket_count > 0) {
        aiopq_udp_close(&io->sockets[--io->socket_count]);
        io->users[io->socket_count] = 0;
    }
}

/* A port that the system chose for one family may be taken in the other: then both are chosen anew. */
#define PORT_TRIES 16

static int open_all(aiopq_linux_io_t *io, const struct sockaddr_storage *addresses, size_t count)
{
    uint16_t wanted = io->engine->config.local_port;
    int error = 0;
    for (int attempt = 0; attempt < PORT_TRIES; attempt++) {
        uint16_t port = wanted;
        error = 0;
        for (size_t i = 0; i < count && error == 0; i++) {
            size_t place;
            error = open_socket(io, addresses[i], port, &place);
            if (error == 0) {
                port = aiopq_udp_port(&io->sockets[0]);
            }
        }
        if (error == 0) {
            return 0;
        }
        aiopq_linux_io_close(io);
        if (wanted != 0 || error != EADDRINUSE) {
            return error;
        }
    }
    return error;
}

/* ---- further local addresses ---- */

static uint16_t port_of(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                                                : ((const struct sockaddr_in *)address)->sin_port);
}

/* The place of the socket that sends from that address; socket_count when none does. */
static size_t socket_at(const aiopq_linux_io_t *io, const struct sockaddr_storage *address)
{
    size_t i = 0;
    while (i < io->socket_count && !(io->users[i] > 0 && aiopq_udp_covers(&io->sockets[i].bound, address))) {
        i++;
    }
    return i;
}

static int open_local(void *context, struct sockaddr_storage *address)
{
    aiopq_linux_io_t *io = context;
    size_t place = port_of(address) != 0 ? socket_at(io, address) : io->socket_count;
    if (place < io->socket_count) {
        io->users[place]++;
        return 0;
    }
    int error = open_socket(io, *address, port_of(address), &place);
    if (error == 0) {
        aiopq_udp_set_port(address, aiopq_udp_port(&io->sockets[place]));
        if (io->opened != NULL) {
            io->opened(io, place);
        }
    }
    return error;
}

static void close_local(void *context, const struct sockaddr_storage *address)
{
    aiopq_linux_io_t *io = context;
    size_t place = socket_at(io, address);
    if (place < io->socket_count && --io->users[place] == 0) {
        aiopq_udp_close(&io->sockets[place]);
    }
}

/* Clients that were asked to come to an address find somebody there. */
static int open_preferred(aiopq_linux_io_t *io)
{
    int error = 0;
    for (size_t i = 0; i < AIOPQ_BIND_ADDRESS_MAX && error == 0; i++) {
        struct sockaddr_storage address = io->engine->config.preferred_addresses[i];
        if (address.ss_family != AF_UNSPEC) {
            error = open_local(io, &address);
        }
    }
    return error;
}

size_t aiopq_bind_addresses(const aiopq_config_t *config, struct sockaddr_storage *addresses)
{
    size_t count = 0;
    for (size_t i = 0; i < AIOPQ_BIND_ADDRESS_MAX; i++) {
        if (config->bind_addresses[i].ss_family != AF_UNSPEC) {
            addresses[count++] = config->bind_addresses[i];
        }
    }
    if (count == 0) {
        memset(addresses, 0, AIOPQ_BIND_ADDRESS_MAX * sizeof(*addresses));
        addresses[0].ss_family = AF_INET;
        addresses[1].ss_family = AF_INET6;
        count = 2;
    }
    return count;
}

/* The worker's sockets of its group, by descriptors of our own: those of the group outlive us. */
static int adopt_all(aiopq_linux_io_t *io, const aiopq_workers_t *workers, uint32_t worker)
{
    if (workers->place_count == 0) {
        return EBADF;
    }
    for (size_t i = 0; i < workers->place_count; i++) {
        int fd = fcntl(workers->fds[i * workers->count + worker], F_DUPFD_CLOEXEC, 0);
        int error = fd >= 0 ? aiopq_udp_adopt(&io->sockets[i], fd) : errno;
        if (error != 0) {
            return error;
        }
        take_place(io, i);
    }
    return 0;
}

int aiopq_linux_io_open(aiopq_linux_io_t *io)
{
    const aiopq_config_t *config = &io->engine->config;
    struct sockaddr_storage addresses[AIOPQ_BIND_ADDRESS_MAX];
    int error;
    if (config->workers != NULL) {
        error = adopt_all(io, config->workers, config->worker);
    } else {
        error = open_all(io, addresses, aiopq_bind_addresses(config, addresses));
    }
    if (error == 0) {
        io->engine->open_local = open_local;
        io->engine->close_local = close_local;
        io->engine->local_context = io;
        error = open_preferred(io);
    }
    return error;
}

/* ---- datagrams ---- */

/* One datagram of a socket. A worker of a group may get what is another's: where the kernel does not run the program, and
 * behind the first of several that the kernel has joined (GRO) because one address sent them. Looked at here it would be
 * answered with a stateless reset, which ends the connection (RFC 9000 section 10.3). */
static void take(aiopq_engine_t *engine, const aiopq_datagram_t *datagram, uint64_t now_us)
{
    const aiopq_config_t *config = &engine->config;
    if (config->workers != NULL) {
        uint32_t worker = aiopq_worker_of(config->workers->count, datagram->bytes, datagram->length);
        if (worker != config->worker) {
            aiopq_count(&engine->datagrams_misrouted);
            if (!aiopq_workers_hand_over(config->workers, worker, datagram)) {
                aiopq_count(&engine->misrouted_lost);
            }
            return;
        }
    }
    aiopq_engine_receive(engine, datagram, now_us);
}

bool aiopq_linux_io_receive(aiopq_linux_io_t *io, aiopq_udp_socket_t *s, int batches, uint64_t now_us)
{
    aiopq_received_t received;
    bool got_any = false;
    if (s->fd < 0) {
        return false;
    }
    for (int batch = 0; batch < batches && aiopq_udp_receive(s, io->receive_buffer, &received); batch++) {
        got_any = true;
        aiopq_count(&io->engine->receive_calls);
        /* Packets with a short header carry no length: each datagram must be handed over by itself. */
        for (size_t offset = 0; offset < received.length; offset += received.segment) {
            size_t left = received.length - offset;
            size_t length = left < received.segment ? left : received.segment;
            aiopq_datagram_t datagram = {.bytes = io->receive_buffer + offset,
                                         .length = length,
                                         .from = &received.from,
                                         .to = &received.to,
                                         .interface_index = received.interface_index,
                                         .ecn = received.ecn};
            take(io->engine, &datagram, now_us);
        }
    }
    return got_any;
}

bool aiopq_linux_io_take_handed(aiopq_linux_io_t *io, uint64_t now_us)
{
    const aiopq_config_t *config = &io->engine->config;
    aiopq_handed_t *handed = aiopq_workers_take(config->workers, config->worker);
    bool got_any = handed != NULL;
    while (handed != NULL) {
        aiopq_handed_t *next = handed->next;
        aiopq_datagram_t datagram = {.bytes = handed->bytes,
                                     .length = handed->length,
                                     .from = &handed->from,
                                     .to = &handed->to,
                                     .interface_index = handed->interface_index,
                                     .ecn = handed->ecn};
        aiopq_engine_receive(io->engine, &datagram, now_us);
        free(handed);
        handed = next;
    }
    return got_any;
}

/* picoquic names no source before it knows one: then it is the first of the family. */
static aiopq_udp_socket_t *socket_for(aiopq_linux_io_t *io, int family, const struct sockaddr_storage *from)
{
    if (from->ss_family == family) {
        size_t place = socket_at(io, from);
        return place < io->socket_count ? &io->sockets[place] : NULL;
    }
    for (size_t i = 0; i < io->socket_count; i++) {
        if (io->users[i] > 0 && io->sockets[i].family == family) {
            return &io->sockets[i];
        }
    }
    return NULL;
}

/* A connection that picoquic has deleted since its datagram was prepared is not told. */
static void tell_unreachable(aiopq_linux_io_t *io, const aiopq_run_t *run, int error, uint64_t now_us)
{
    picoquic_cnx_t *cnx = picoquic_get_first_cnx(io->engine->quic);
    while (cnx != NULL && cnx != run->cnx) {
        cnx = picoquic_get_next_cnx(cnx);
    }
    if (cnx != NULL) {
        picoquic_notify_destination_unreachable(cnx, now_us, (struct sockaddr *)(uintptr_t)&run->to,
                                                (struct sockaddr *)(uintptr_t)&run->from,
                                                run->interface_index, error);
    }
}

/* True when the oldest run is gone, one way or the other. */
static bool send_oldest(aiopq_linux_io_t *io, uint64_t now_us)
{
    const aiopq_run_t *run = &io->outgoing.runs[0];
    aiopq_udp_socket_t *s = socket_for(io, run->to.ss_family, &run->from);
    aiopq_send_result_t result = AIOPQ_SEND_UNREACHABLE;
    errno = EADDRNOTAVAIL;
    if (s != NULL) {
        uint64_t calls = s->send_calls;
        result = aiopq_udp_send(s, io->outgoing.buffer + run->offset, run->length, run->segment, &run->to,
                                &run->from, run->interface_index);
        aiopq_count_many(&io->engine->send_calls, s->send_calls - calls);
    }
    if (result == AIOPQ_SEND_BLOCKED) {
        return false;
    }
    if (result == AIOPQ_SENT) {
        aiopq_engine_sent(io->engine, run->length, run->segment);
    } else {
        tell_unreachable(io, run, errno, now_us);
    }
    aiopq_outgoing_pop(&io->outgoing);
    return true;
}

static bool send_all(aiopq_linux_io_t *io, uint64_t now_us)
{
    while (io->outgoing.count > 0 && send_oldest(io, now_us)) {
    }
    io->has_pending = io->outgoing.count > 0;
    return !io->has_pending;
}

static bool can_segment(const aiopq_linux_io_t *io)
{
    for (size_t i = 0; i < io->socket_count; i++) {
        if (io->users[i] > 0 && !io->sockets[i].can_segment) {
            return false;
        }
    }
    return true;
}

bool aiopq_linux_io_send(aiopq_linux_io_t *io, int batches, uint64_t now_us, bool *has_sent)
{
    *has_sent = false;
    if (!send_all(io, now_us)) {
        return false;
    }
    for (int left = batches; left > 0;) {
        size_t room, segment = 0;
        picoquic_connection_id_t log_id;
        aiopq_run_t *run = aiopq_outgoing_next(&io->outgoing, &room);
        if (run == NULL) {
            if (!send_oldest(io, now_us)) {
                break;
            }
            left--;
            continue;
        }
        int error = picoquic_prepare_next_packet_ex(
            io->engine->quic, now_us, io->outgoing.buffer + run->offset, room, &run->length, &run->to,
            &run->from, &run->interface_index, &log_id, &run->cnx, can_segment(io) ? &segment : NULL);
        if (error != 0 || run->length == 0) {
            (void)send_all(io, now_us);
            return false;
        }
        if (run->cnx == NULL) {
            aiopq_engine_sent_stateless(io->engine, io->outgoing.buffer + run->offset, run->length);
        }
        run->segment = segment;
        aiopq_outgoing_add(&io->outgoing);
        *has_sent = true;
    }
    return send_all(io, now_us);
}
#endif
