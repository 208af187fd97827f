/* The portable driver: one network thread that runs picoquic's own packet loop. That loop hands each datagram to
 * picoquic before it calls back, so an engine that holds incoming connections can't run on it. */
#include <errno.h>
#include <picoquic_packet_loop.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "driver/driver.h"
#include "engine/engine.h"
#include "net/events_out.h"

struct aiopq_driver {
    aiopq_engine_t *engine;                 /* borrowed */
    picoquic_packet_loop_param_t settings;  /* picoquic's loop reads it as long as it runs */
    picoquic_network_thread_ctx_t *context; /* picoquic's; NULL until started */
    pthread_t thread;                       /* loop thread */
    void *(*run)(void *);                   /* picoquic's loop */
    void *run_argument;
    bool is_joined; /* loop thread */
    bool is_ready;  /* network thread: the sockets are open */
};

/* Runs on the network thread even though picoquic's loop ends with pthread_exit(). */
static void on_loop_end(void *argument)
{
    aiopq_driver_t *driver = argument;
    /* The loop tells no reason; what the last failed system call left is the best there is. */
    int error = driver->is_ready ? 0 : (errno != 0 ? errno : EIO);
    aiopq_engine_finish(driver->engine, error);
}

static void *thread_main(void *argument)
{
    aiopq_driver_t *driver = argument;
    pthread_cleanup_push(on_loop_end, driver);
    errno = 0;
    (void)driver->run(driver->run_argument);
    pthread_cleanup_pop(1);
    return NULL;
}

/* picoquic's hooks for making and joining the thread; only the first needs to know the driver, and picoquic
 * hands it none: the engine is found through the thread context. */
static int create_thread(void **thread_id, picoquic_thread_fn run, void *argument)
{
    picoquic_network_thread_ctx_t *context = argument;
    aiopq_driver_t *driver = context->loop_callback_ctx;
    driver->run = run;
    driver->run_argument = argument;
    int error = pthread_create(&driver->thread, NULL, thread_main, driver);
    *thread_id = driver;
    return error;
}

static void join_thread(void **thread_id)
{
    aiopq_driver_t *driver = *thread_id;
    if (!driver->is_joined) {
        (void)pthread_join(driver->thread, NULL);
    }
}

static void name_thread(const char *name)
{
#if defined(__linux__)
    (void)pthread_setname_np(pthread_self(), name);
#else
    (void)name;
#endif
}

static void before_wait(aiopq_driver_t *driver, packet_loop_time_check_arg_t *check)
{
    aiopq_engine_t *engine = driver->engine;
    (void)aiopq_engine_turn(engine, check->current_time);
    aiopq_engine_flush(engine);
    check->delta_t = aiopq_engine_delay_us(engine, check->current_time, check->delta_t);
    if (check->delta_t > 0 && !aiopq_engine_may_sleep(engine)) {
        check->delta_t = 0;
    }
}

static int loop_callback(picoquic_quic_t *quic, picoquic_packet_loop_cb_enum mode, void *argument,
                         void *detail)
{
    aiopq_driver_t *driver = argument;
    aiopq_engine_t *engine = driver->engine;
    switch (mode) {
    case picoquic_packet_loop_ready:
        ((picoquic_packet_loop_options_t *)detail)->do_time_check = 1;
        return 0;
    case picoquic_packet_loop_port_update: {
        const struct sockaddr *address = detail;
        uint16_t port = address->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)detail)->sin6_port
                                                       : ((const struct sockaddr_in *)detail)->sin_port;
        driver->is_ready = true;
        /* picoquic gives the port of this address in host order. */
        aiopq_emit(engine, AIOPQ_EVENT_ENGINE_READY, NULL, NULL, port, NULL);
        return 0;
    }
    case picoquic_packet_loop_time_check:
        before_wait(driver, detail);
        return 0;
    case picoquic_packet_loop_wake_up:
        aiopq_engine_woke(engine);
        (void)aiopq_engine_turn(engine, picoquic_get_quic_time(quic));
        return 0;
    case picoquic_packet_loop_after_receive:
        aiopq_engine_woke(engine);
        return 0;
    case picoquic_packet_loop_after_send:
        aiopq_engine_woke(engine);
        aiopq_engine_flush(engine);
        return aiopq_engine_is_done(engine, engine->now_us) ? PICOQUIC_NO_ERROR_TERMINATE_PACKET_LOOP : 0;
    default:
        return 0;
    }
}

static void wake_network(aiopq_driver_t *driver)
{
    (void)picoquic_wake_up_network_thread(driver->context);
}

static void join(aiopq_driver_t *driver)
{
    if (driver->engine->was_stopped) {
        /* It ends by itself, once its closes are on the wire. */
        (void)pthread_join(driver->thread, NULL);
        driver->is_joined = true;
    }
    picoquic_delete_network_thread(driver->context); /* wakes, and joins by join_thread() */
    free(driver);
}

aiopq_status_t aiopq_portable_driver_start(aiopq_engine_t *engine)
{
    aiopq_driver_t *driver = calloc(1, sizeof(*driver));
    if (driver == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    driver->engine = engine;
    driver->settings.local_port = engine->config.local_port;
    driver->settings.socket_buffer_size = (int)engine->config.socket_buffer_bytes;
    memcpy(driver->settings.local_addr, engine->config.bind_addresses, sizeof(engine->config.bind_addresses));
    int error = 0;
    /* The thread may run before `context` is stored; it is only used by the loop thread. */
    driver->context =
        picoquic_start_custom_network_thread(engine->quic, &driver->settings, create_thread, join_thread,
                                             name_thread, "aiopquic", loop_callback, driver, &error);
    if (driver->context == NULL || error != 0) {
        free(driver);
        return AIOPQ_FAILED;
    }
    engine->driver = driver;
    engine->wake_network = wake_network;
    engine->join_network = join;
    return AIOPQ_OK;
}
