/* The thread driver of Linux: one network thread, one socket per address family, a loop of our own.
 *
 * A turn reads the clock once, takes what the sockets have within a budget, carries out commands, sends what
 * picoquic prepares within a budget, and tells the loop thread once of everything that happened. It waits only
 * when nothing was received and nothing was sent. */
#if defined(__linux__)
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "driver/driver.h"
#include "driver/udp_socket.h"
#include "engine/engine.h"
#include "net/events_out.h"
#include "net/picoquic_private.h"

/* Batches received per socket and sent per turn: about a megabyte each, under a millisecond of work, so that
 * neither direction starves the other. */
#define RECEIVE_BATCHES 16
#define SEND_BATCHES 16

/* The longest wait; everything that matters wakes the thread before. */
#define WAIT_LIMIT_US 10000000

/* The kernel rounds waits up by this many nanoseconds; the default of 50 us is half a round trip on a LAN. */
#define TIMER_SLACK_NS 1000

#define SOCKETS_MAX AIOPQ_BIND_ADDRESS_MAX

struct aiopq_driver {
    aiopq_engine_t *engine; /* borrowed */
    pthread_t thread;       /* loop thread */
    aiopq_waker_t waker;    /* loop thread signals, network thread clears */
    _Atomic bool must_end;  /* loop thread, in join: for an engine that was not stopped */

    /* network thread */
    aiopq_udp_socket_t sockets[SOCKETS_MAX];
    size_t socket_count;
    uint8_t *receive_buffer;
    uint8_t *send_buffer;

    /* A prepared batch that the kernel had no room for: picoquic counts it as sent, so it is kept. */
    bool has_pending;
    size_t pending_length, pending_segment;
    struct sockaddr_storage pending_to, pending_from;
    int pending_interface;
};

/* ---- sockets ---- */

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *)address)->sin_port = htons(port);
    }
}

static int open_socket(aiopq_driver_t *driver, struct sockaddr_storage address, uint16_t port)
{
    const aiopq_config_t *config = &driver->engine->config;
    aiopq_udp_socket_t *s = &driver->sockets[driver->socket_count];
    set_port(&address, port);
    int error = aiopq_udp_open(s, &address, config->socket_buffer_bytes, aiopq_ecn_mark(driver->engine));
    if (error == 0) {
        driver->socket_count++;
    }
    return error;
}

static void close_sockets(aiopq_driver_t *driver)
{
    while (driver->socket_count > 0) {
        aiopq_udp_close(&driver->sockets[--driver->socket_count]);
    }
}

/* A port that the system chose for one family may be taken in the other: then both are chosen anew. */
#define PORT_TRIES 16

static int open_all(aiopq_driver_t *driver, const struct sockaddr_storage *addresses, size_t count)
{
    uint16_t wanted = driver->engine->config.local_port;
    int error = 0;
    for (int attempt = 0; attempt < PORT_TRIES; attempt++) {
        uint16_t port = wanted;
        error = 0;
        for (size_t i = 0; i < count && error == 0; i++) {
            error = open_socket(driver, addresses[i], port);
            if (error == 0) {
                port = aiopq_udp_port(&driver->sockets[0]);
            }
        }
        if (error == 0) {
            return 0;
        }
        close_sockets(driver);
        if (wanted != 0 || error != EADDRINUSE) {
            return error;
        }
    }
    return error;
}

/* Returns 0 or an errno. */
static int open_sockets(aiopq_driver_t *driver)
{
    struct sockaddr_storage addresses[SOCKETS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < AIOPQ_BIND_ADDRESS_MAX; i++) {
        if (driver->engine->config.bind_addresses[i].ss_family != AF_UNSPEC) {
            addresses[count++] = driver->engine->config.bind_addresses[i];
        }
    }
    if (count == 0) {
        memset(addresses, 0, sizeof(addresses));
        addresses[0].ss_family = AF_INET;
        addresses[1].ss_family = AF_INET6;
        count = 2;
    }
    return open_all(driver, addresses, count);
}

/* ---- a turn ---- */

static bool receive_all(aiopq_driver_t *driver, aiopq_udp_socket_t *s, uint64_t now_us)
{
    aiopq_received_t received;
    bool got_any = false;
    for (int batch = 0; batch < RECEIVE_BATCHES && aiopq_udp_receive(s, driver->receive_buffer, &received);
         batch++) {
        got_any = true;
        /* Packets with a short header carry no length: each datagram must be handed over by itself. */
        for (size_t offset = 0; offset < received.length; offset += received.segment) {
            size_t left = received.length - offset;
            size_t length = left < received.segment ? left : received.segment;
            aiopq_datagram_t datagram = {.bytes = driver->receive_buffer + offset,
                                         .length = length,
                                         .from = &received.from,
                                         .to = &received.to,
                                         .interface_index = received.interface_index,
                                         .ecn = received.ecn};
            aiopq_engine_receive(driver->engine, &datagram, now_us);
        }
    }
    return got_any;
}

static aiopq_udp_socket_t *socket_for(aiopq_driver_t *driver, int family)
{
    for (size_t i = 0; i < driver->socket_count; i++) {
        if (driver->sockets[i].family == family) {
            return &driver->sockets[i];
        }
    }
    return NULL;
}

/* True when the batch is gone, one way or the other. */
static bool send_pending(aiopq_driver_t *driver, picoquic_cnx_t *cnx, uint64_t now_us)
{
    aiopq_udp_socket_t *s = socket_for(driver, driver->pending_to.ss_family);
    aiopq_send_result_t result = AIOPQ_SEND_UNREACHABLE;
    errno = EAFNOSUPPORT;
    if (s != NULL) {
        result = aiopq_udp_send(s, driver->send_buffer, driver->pending_length, driver->pending_segment,
                                &driver->pending_to, &driver->pending_from, driver->pending_interface);
    }
    if (result == AIOPQ_SEND_UNREACHABLE && cnx != NULL) {
        picoquic_notify_destination_unreachable(cnx, now_us, (struct sockaddr *)&driver->pending_to,
                                                (struct sockaddr *)&driver->pending_from,
                                                driver->pending_interface, errno);
    }
    driver->has_pending = result == AIOPQ_SEND_BLOCKED;
    return !driver->has_pending;
}

static bool can_segment(const aiopq_driver_t *driver)
{
    for (size_t i = 0; i < driver->socket_count; i++) {
        if (!driver->sockets[i].can_segment) {
            return false;
        }
    }
    return true;
}

/* True when picoquic may have more to send. */
static bool send_all(aiopq_driver_t *driver, uint64_t now_us)
{
    if (driver->has_pending && !send_pending(driver, NULL, now_us)) {
        return false;
    }
    for (int batch = 0; batch < SEND_BATCHES; batch++) {
        picoquic_connection_id_t log_id;
        picoquic_cnx_t *cnx = NULL;
        size_t segment = 0;
        memset(&driver->pending_from, 0, sizeof(driver->pending_from));
        driver->pending_length = 0;
        driver->pending_interface = 0;
        int error = picoquic_prepare_next_packet_ex(
            driver->engine->quic, now_us, driver->send_buffer, AIOPQ_SEND_MAX, &driver->pending_length,
            &driver->pending_to, &driver->pending_from, &driver->pending_interface, &log_id, &cnx,
            can_segment(driver) ? &segment : NULL);
        if (error != 0 || driver->pending_length == 0) {
            return false;
        }
        driver->pending_segment = segment;
        if (!send_pending(driver, cnx, now_us)) {
            return false;
        }
    }
    return true;
}

/* ---- waiting ---- */

static void wait_for_work(aiopq_driver_t *driver, uint64_t now_us)
{
    aiopq_engine_t *engine = driver->engine;
    int64_t delay_us = aiopq_engine_delay_us(engine, now_us, WAIT_LIMIT_US);
    if ((delay_us <= 0 && !driver->has_pending) || !aiopq_engine_may_sleep(engine)) {
        return;
    }
    struct pollfd fds[SOCKETS_MAX + 1];
    nfds_t count = 0;
    for (size_t i = 0; i < driver->socket_count; i++) {
        fds[count++] = (struct pollfd){.fd = driver->sockets[i].fd,
                                       .events = (short)(POLLIN | (driver->has_pending ? POLLOUT : 0))};
    }
    fds[count++] = (struct pollfd){.fd = driver->waker.read_fd, .events = POLLIN};
    if (delay_us < 0) {
        delay_us = 0;
    }
    struct timespec timeout = {.tv_sec = delay_us / 1000000, .tv_nsec = (delay_us % 1000000) * 1000};
    (void)ppoll(fds, count, &timeout, NULL);
    aiopq_engine_woke(engine);
    if ((fds[count - 1].revents & POLLIN) != 0) {
        aiopq_waker_clear(&driver->waker);
    }
}

static void run(aiopq_driver_t *driver)
{
    aiopq_engine_t *engine = driver->engine;
    for (;;) {
        uint64_t now_us = picoquic_get_quic_time(engine->quic);
        bool is_busy = false;
        engine->now_us = now_us;
        for (size_t i = 0; i < driver->socket_count; i++) {
            is_busy |= receive_all(driver, &driver->sockets[i], now_us);
        }
        aiopq_engine_turn(engine, now_us);
        is_busy |= send_all(driver, now_us);
        aiopq_engine_flush(engine);
        if ((!driver->has_pending && aiopq_engine_is_done(engine, now_us)) ||
            atomic_load_explicit(&driver->must_end, memory_order_relaxed)) {
            return;
        }
        if (!is_busy) {
            wait_for_work(driver, now_us);
        }
    }
}

static void *thread_main(void *argument)
{
    aiopq_driver_t *driver = argument;
    (void)pthread_setname_np(pthread_self(), "aiopquic");
    (void)prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    aiopq_begin_thread_check(driver->engine->quic);
    int error = open_sockets(driver);
    if (error == 0) {
        aiopq_emit(driver->engine, AIOPQ_EVENT_ENGINE_READY, NULL, NULL, aiopq_udp_port(&driver->sockets[0]),
                   NULL);
        aiopq_engine_flush(driver->engine);
        run(driver);
    }
    close_sockets(driver);
    aiopq_engine_finish(driver->engine, error);
    return NULL;
}

/* ---- life ---- */

static void driver_free(aiopq_driver_t *driver)
{
    aiopq_waker_dispose(&driver->waker);
    free(driver->receive_buffer);
    free(driver->send_buffer);
    free(driver);
}

static void wake(aiopq_driver_t *driver)
{
    (void)aiopq_waker_signal(&driver->waker);
}

static void join(aiopq_driver_t *driver)
{
    /* An engine that was asked to stop ends by itself, once its closes are on the wire. */
    atomic_store_explicit(&driver->must_end, !driver->engine->was_stopped, memory_order_relaxed);
    wake(driver);
    (void)pthread_join(driver->thread, NULL);
    driver_free(driver);
}

aiopq_status_t aiopq_linux_driver_start(aiopq_engine_t *engine)
{
    aiopq_driver_t *driver = calloc(1, sizeof(*driver));
    if (driver == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    driver->engine = engine;
    driver->receive_buffer = malloc(AIOPQ_RECEIVE_MAX);
    driver->send_buffer = malloc(AIOPQ_SEND_MAX);
    bool has_waker = aiopq_waker_init(&driver->waker, engine->config.use_pipe_waker);
    if (driver->receive_buffer == NULL || driver->send_buffer == NULL || !has_waker ||
        pthread_create(&driver->thread, NULL, thread_main, driver) != 0) {
        driver_free(driver);
        return AIOPQ_FAILED;
    }
    engine->driver = driver;
    engine->wake_network = wake;
    engine->join_network = join;
    return AIOPQ_OK;
}
#endif
