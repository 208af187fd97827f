/* The thread driver of Linux: one network thread, one socket per address family, a loop of our own.
 *
 * A turn reads the clock once, takes what the sockets have within a budget, carries out commands, sends what
 * picoquic prepares within a budget, and tells the loop thread once of everything that happened. It sleeps only
 * after turns in which there was nothing to do (spin.h). */
#if defined(__linux__)
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "driver/driver.h"
#include "driver/linux_io.h"
#include "driver/spin.h"
#include "net/events_out.h"
#include "net/picoquic_private.h"
#include "net/workers.h"

/* Batches received per socket and sent per turn: about a megabyte each, under a millisecond of work, so that
 * neither direction starves the other. */
#define RECEIVE_BATCHES 16
#define SEND_BATCHES 16

/* The longest wait; everything that matters wakes the thread before. */
#define WAIT_LIMIT_US 10000000

/* The kernel rounds waits up by this many nanoseconds; the default of 50 us is half a round trip on a LAN. */
#define TIMER_SLACK_NS 1000

struct aiopq_driver {
    aiopq_engine_t *engine; /* borrowed */
    pthread_t thread;       /* loop thread */
    aiopq_waker_t waker;    /* loop thread signals, network thread clears */
    _Atomic bool must_end;  /* loop thread, in join: for an engine that was not stopped */

    aiopq_linux_io_t io; /* network thread */
    aiopq_spin_t spin;   /* network thread */
};

/* ---- waiting ---- */

/* What tells of datagrams from other workers; NULL for an engine that has its port alone. */
static aiopq_waker_t *handed_waker(const aiopq_engine_t *engine)
{
    const aiopq_config_t *config = &engine->config;
    return config->workers != NULL ? &config->workers->entries[config->worker].waker : NULL;
}

static void wait_for_work(aiopq_driver_t *driver, uint64_t now_us)
{
    aiopq_engine_t *engine = driver->engine;
    int64_t delay_us = aiopq_engine_delay_us(engine, now_us, WAIT_LIMIT_US);
    if ((delay_us <= 0 && !driver->io.has_pending) || !aiopq_engine_may_sleep(engine)) {
        return;
    }
    struct pollfd fds[AIOPQ_SOCKETS_MAX + 2];
    aiopq_waker_t *handed = handed_waker(engine);
    nfds_t count = 0;
    for (size_t i = 0; i < driver->io.socket_count; i++) {
        fds[count++] = (struct pollfd){.fd = driver->io.sockets[i].fd,
                                       .events = (short)(POLLIN | (driver->io.has_pending ? POLLOUT : 0))};
    }
    if (handed != NULL) {
        fds[count++] = (struct pollfd){.fd = handed->read_fd, .events = POLLIN};
    }
    fds[count++] = (struct pollfd){.fd = driver->waker.read_fd, .events = POLLIN};
    if (delay_us < 0) {
        delay_us = 0;
    }
    struct timespec timeout = {.tv_sec = delay_us / 1000000, .tv_nsec = (delay_us % 1000000) * 1000};
    aiopq_count(&engine->sleeps);
    (void)ppoll(fds, count, &timeout, NULL);
    aiopq_engine_woke(engine);
    if ((fds[count - 1].revents & POLLIN) != 0) {
        aiopq_waker_clear(&driver->waker);
    }
    if (handed != NULL && (fds[count - 2].revents & POLLIN) != 0) {
        aiopq_waker_clear(handed);
    }
    for (nfds_t i = 0; i < count; i++) {
        if ((fds[i].revents & POLLNVAL) != 0 && fds[i].fd >= 0) {
            engine->failure =
                EBADF; /* somebody closed what is ours: waiting on it would return at once, for ever */
        }
    }
}

static void run(aiopq_driver_t *driver)
{
    aiopq_engine_t *engine = driver->engine;
    for (;;) {
        uint64_t begin_us = picoquic_get_quic_time(engine->quic), now_us = begin_us;
        bool has_received = false;
        engine->now_us = now_us;
        for (size_t i = 0; i < driver->io.socket_count; i++) {
            has_received |=
                aiopq_linux_io_receive(&driver->io, &driver->io.sockets[i], RECEIVE_BATCHES, now_us);
        }
        if (engine->config.workers != NULL) {
            has_received |= aiopq_linux_io_take_handed(&driver->io, now_us);
        }
        bool has_worked = aiopq_engine_turn(engine, now_us);
        if (has_worked) {
            /* What commands asked for is due from their time on, which is later than the turn's. */
            engine->now_us = now_us = picoquic_get_quic_time(engine->quic);
        }
        bool has_sent;
        bool has_more = aiopq_linux_io_send(&driver->io, SEND_BATCHES, now_us, &has_sent);
        aiopq_engine_flush(engine);
        if ((!driver->io.has_pending && aiopq_engine_is_done(engine, now_us)) ||
            atomic_load_explicit(&driver->must_end, memory_order_relaxed)) {
            return;
        }
        if (has_received || has_worked || has_sent) {
            if (driver->spin.is_looking) {
                aiopq_count(&engine->sleeps_saved);
            }
            aiopq_spin_found(&driver->spin, begin_us);
            if (has_received || has_more) {
                continue; /* there may be more */
            }
            now_us = picoquic_get_quic_time(engine->quic); /* all of that took its time */
        }
        if (aiopq_spin_again(&driver->spin, now_us)) {
            (void)sched_yield();
        } else {
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
    aiopq_workers_t *workers = driver->engine->config.workers;
    aiopq_spin_init(&driver->spin, driver->engine->config.spin_us);
    int error = aiopq_linux_io_open(&driver->io);
    if (error == 0) {
        if (workers != NULL) {
            aiopq_workers_join(workers, driver->engine->config.worker);
        }
        aiopq_emit(driver->engine, AIOPQ_EVENT_ENGINE_READY, NULL, NULL,
                   aiopq_udp_port(&driver->io.sockets[0]), NULL);
        aiopq_engine_flush(driver->engine);
        run(driver);
    }
    if (workers != NULL) {
        aiopq_workers_leave(workers, driver->engine->config.worker);
    }
    aiopq_linux_io_close(&driver->io);
    aiopq_engine_finish(driver->engine, error);
    return NULL;
}

/* ---- life ---- */

static void driver_free(aiopq_driver_t *driver)
{
    aiopq_waker_dispose(&driver->waker);
    aiopq_linux_io_dispose(&driver->io);
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

aiopq_status_t aiopq_thread_driver_start(aiopq_engine_t *engine)
{
    aiopq_driver_t *driver = calloc(1, sizeof(*driver));
    if (driver == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    driver->engine = engine;
    bool has_buffers = aiopq_linux_io_init(&driver->io, engine);
    bool has_waker = aiopq_waker_init(&driver->waker, engine->config.use_pipe_waker);
    if (!has_buffers || !has_waker || pthread_create(&driver->thread, NULL, thread_main, driver) != 0) {
        driver_free(driver);
        return AIOPQ_FAILED;
    }
    engine->driver = driver;
    engine->wake_network = wake;
    engine->join_network = join;
    return AIOPQ_OK;
}
#endif
