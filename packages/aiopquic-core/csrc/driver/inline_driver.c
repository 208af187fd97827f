/* The inline driver of Linux: no thread. The loop thread owns the sockets and steps the engine in its drains.
 *
 * What the loop waits on is one descriptor, as with the other drivers: an epoll of the sockets, a timer for the
 * engine's next deadline, and the engine's own waker. A round of the loop takes what the sockets have, lets the
 * application see the events, and sends what it wrote together with the acknowledgements. Nothing is handed from
 * thread to thread; what Python does meanwhile is time that no packet moves. */
#if defined(__linux__)
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "driver/driver.h"
#include "driver/linux_io.h"
#include "net/events_out.h"
#include "net/picoquic_private.h"

/* Batches received per socket and sent per round: a quarter of a megabyte each, some hundred microseconds of
 * work that everybody else on the loop waits for. */
#define RECEIVE_BATCHES 4
#define SEND_BATCHES 4

/* How long a join looks for the end before it lets the sockets speak again; the engine's own limit ends it. */
#define JOIN_WAIT_MS 1

#define NO_DEADLINE UINT64_MAX

/* What an epoll event is about: a socket's index, or one of these. */
enum {
    ABOUT_TIMER = AIOPQ_SOCKETS_MAX,
    ABOUT_WAKER,
    ABOUT_COUNT
};

struct aiopq_driver {
    aiopq_engine_t *engine; /* borrowed */
    aiopq_linux_io_t io;
    int timer_fd;
    uint64_t armed_us;   /* when the timer rings, at the latest at the next deadline; NO_DEADLINE: never */
    bool waits_for_room; /* the sockets are watched for it: a batch is pending */
    bool has_more;       /* there was more to send than one round takes */
    bool is_ready[AIOPQ_SOCKETS_MAX];
    bool has_ended;
};

static bool watch(int epoll_fd, int operation, int fd, uint32_t events, uint32_t about)
{
    struct epoll_event event = {.events = events, .data.u32 = about};
    return epoll_ctl(epoll_fd, operation, fd, &event) == 0;
}

/* Sees what the descriptors have to say, and quiets those that only wake. */
static void look(aiopq_driver_t *driver, int timeout_ms)
{
    struct epoll_event events[ABOUT_COUNT];
    int count = epoll_wait(driver->engine->wakeup_fd, events, ABOUT_COUNT, timeout_ms);
    for (int i = 0; i < count; i++) {
        uint32_t about = events[i].data.u32;
        if (about == ABOUT_WAKER) {
            aiopq_waker_clear(&driver->engine->loop_waker);
        } else if (about == ABOUT_TIMER) {
            uint64_t rings;
            (void)!read(driver->timer_fd, &rings, sizeof(rings));
            driver->armed_us = NO_DEADLINE;
        } else {
            driver->is_ready[about] = true;
        }
    }
}

static void watch_opened(aiopq_linux_io_t *io, size_t place)
{
    (void)watch(io->engine->wakeup_fd, EPOLL_CTL_ADD, io->sockets[place].fd,
                EPOLLIN | (io->has_pending ? EPOLLOUT : 0), (uint32_t)place);
}

static void finish(aiopq_driver_t *driver, int system_error)
{
    if (!driver->has_ended) {
        driver->has_ended = true;
        aiopq_linux_io_close(&driver->io); /* which takes them out of the epoll too */
        aiopq_engine_finish(driver->engine, system_error);
    }
}

static uint64_t now_of(aiopq_driver_t *driver)
{
    uint64_t now_us = picoquic_get_quic_time(driver->engine->quic);
    driver->engine->now_us = now_us;
    return now_us;
}

static void receive(aiopq_driver_t *driver)
{
    uint64_t now_us = now_of(driver);
    for (size_t i = 0; i < driver->io.socket_count; i++) {
        if (driver->is_ready[i]) {
            driver->is_ready[i] = false;
            (void)aiopq_linux_io_receive(&driver->io, &driver->io.sockets[i], RECEIVE_BATCHES, now_us);
        }
    }
    (void)aiopq_engine_turn(driver->engine, now_us);
    aiopq_engine_flush(driver->engine);
}

static void watch_for_room(aiopq_driver_t *driver)
{
    if (driver->waits_for_room != driver->io.has_pending) {
        driver->waits_for_room = driver->io.has_pending;
        for (size_t i = 0; i < driver->io.socket_count; i++) {
            (void)watch(driver->engine->wakeup_fd, EPOLL_CTL_MOD, driver->io.sockets[i].fd,
                        EPOLLIN | (driver->waits_for_room ? EPOLLOUT : 0), (uint32_t)i);
        }
    }
}

/* A deadline that moves away leaves the timer as it is: it rings too early once, and that is cheaper than a
 * system call in every round. */
static void set_timer(aiopq_driver_t *driver, uint64_t now_us)
{
    int64_t delay_us = aiopq_engine_delay_us(driver->engine, now_us, INT64_MAX);
    if (delay_us <= 0) {
        driver->has_more |= !driver->io.has_pending;
        return;
    }
    uint64_t deadline_us = delay_us == INT64_MAX ? NO_DEADLINE : now_us + (uint64_t)delay_us;
    if (deadline_us < driver->armed_us) {
        struct itimerspec time = {
            .it_value = {.tv_sec = delay_us / 1000000, .tv_nsec = (delay_us % 1000000) * 1000}};
        if (timerfd_settime(driver->timer_fd, 0, &time, NULL) == 0) {
            driver->armed_us = deadline_us;
        }
    }
}

static void send_out(aiopq_driver_t *driver)
{
    aiopq_engine_t *engine = driver->engine;
    uint64_t now_us = now_of(driver);
    if (aiopq_engine_turn(engine, now_us)) {
        now_us = now_of(driver); /* what commands asked for is due from their time on */
    }
    bool has_sent;
    driver->has_more = aiopq_linux_io_send(&driver->io, SEND_BATCHES, now_us, &has_sent);
    aiopq_engine_flush(engine);
    if (!driver->io.has_pending && aiopq_engine_is_done(engine, now_us)) {
        finish(driver, 0);
        driver->has_more = false;
        return;
    }
    watch_for_room(driver);
    set_timer(driver, now_us);
}

/* ---- the loop's rounds ---- */

static void begin_round(aiopq_driver_t *driver)
{
    aiopq_engine_woke(driver->engine);
    look(driver, 0);
    /* The loop is awake: what happens in this round writes nothing to the waker. */
    aiopq_waker_mute(&driver->engine->loop_waker, true);
    if (!driver->has_ended) {
        receive(driver);
    }
}

static void end_round(aiopq_driver_t *driver)
{
    aiopq_engine_t *engine = driver->engine;
    if (!driver->has_ended) {
        send_out(driver);
    }
    aiopq_waker_mute(&engine->loop_waker, false);
    bool may_sleep = aiopq_engine_may_sleep(engine);
    if ((driver->has_more || !may_sleep) && !driver->has_ended) {
        (void)aiopq_waker_signal(&engine->loop_waker);
    }
}

/* ---- life ---- */

static void driver_free(aiopq_driver_t *driver)
{
    if (driver->timer_fd >= 0) {
        close(driver->timer_fd);
    }
    aiopq_linux_io_dispose(&driver->io);
    free(driver);
}

static void wake(aiopq_driver_t *driver)
{
    (void)aiopq_waker_signal(&driver->engine->loop_waker);
}

static void join(aiopq_driver_t *driver)
{
    /* An engine that was asked to stop ends by itself, once its closes are on the wire. */
    if (!driver->engine->was_stopped) {
        finish(driver, 0);
    }
    aiopq_engine_woke(driver->engine);
    while (!driver->has_ended) {
        receive(driver);
        send_out(driver);
        if (!driver->has_ended) {
            look(driver, JOIN_WAIT_MS);
        }
    }
    driver->engine->begin_round = driver->engine->end_round = NULL;
    driver_free(driver);
}

/* Returns 0 or an errno. */
static int open_all(aiopq_driver_t *driver)
{
    aiopq_engine_t *engine = driver->engine;
    int error = aiopq_linux_io_open(&driver->io);
    if (error != 0) {
        return error;
    }
    for (size_t i = 0; i < driver->io.socket_count; i++) {
        if (!watch(engine->wakeup_fd, EPOLL_CTL_ADD, driver->io.sockets[i].fd, EPOLLIN, (uint32_t)i)) {
            return errno;
        }
    }
    driver->io.opened = watch_opened;
    return 0;
}

/* False when the system has no descriptor left. */
static bool open_descriptors(aiopq_driver_t *driver)
{
    aiopq_engine_t *engine = driver->engine;
    driver->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) {
        return false;
    }
    if (driver->timer_fd < 0 || !watch(epoll_fd, EPOLL_CTL_ADD, driver->timer_fd, EPOLLIN, ABOUT_TIMER) ||
        !watch(epoll_fd, EPOLL_CTL_ADD, engine->loop_waker.read_fd, EPOLLIN, ABOUT_WAKER)) {
        close(epoll_fd);
        return false;
    }
    engine->wakeup_fd = epoll_fd; /* the engine's: programs may still name it when the driver is gone */
    return true;
}

aiopq_status_t aiopq_inline_driver_start(aiopq_engine_t *engine)
{
    aiopq_driver_t *driver = calloc(1, sizeof(*driver));
    if (driver == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    driver->engine = engine;
    driver->armed_us = NO_DEADLINE;
    driver->timer_fd = -1;
    if (!aiopq_linux_io_init(&driver->io, engine) || !open_descriptors(driver)) {
        driver_free(driver);
        return AIOPQ_FAILED;
    }
    engine->driver = driver;
    engine->wake_network = wake;
    engine->join_network = join;
    engine->begin_round = begin_round;
    engine->end_round = end_round;
    aiopq_begin_thread_check(engine->quic);
    int error = open_all(driver);
    if (error != 0) {
        finish(driver, error);
        return AIOPQ_OK;
    }
    aiopq_emit(engine, AIOPQ_EVENT_ENGINE_READY, NULL, NULL, aiopq_udp_port(&driver->io.sockets[0]), NULL);
    aiopq_engine_flush(engine);
    (void)aiopq_engine_may_sleep(engine);
    return AIOPQ_OK;
}
#endif
