/* Starting, stopping and joining, whichever driver runs. */
#include "driver/driver.h"

uint8_t aiopq_ecn_mark(const aiopq_config_t *config)
{
    const char *name = config->congestion_control;
    const picoquic_congestion_algorithm_t *algorithm =
        name != NULL ? picoquic_get_congestion_algorithm(name) : NULL;
    return algorithm != NULL ? algorithm->ecn_mark & 3 : 0;
}

static aiopq_status_t start(aiopq_engine_t *engine)
{
    if (engine->config.workers != NULL && (engine->config.network != NULL || engine->config.is_inline)) {
        return AIOPQ_INVALID;
    }
    if (engine->config.network != NULL) {
        return aiopq_simulated_driver_start(engine);
    }
#if defined(__linux__)
    if (engine->config.is_inline) {
        return aiopq_inline_driver_start(engine);
    }
    if (!engine->config.use_portable_loop) {
        return aiopq_thread_driver_start(engine);
    }
#endif
    if (engine->config.holds_incoming || engine->config.is_inline || engine->config.workers != NULL) {
        return AIOPQ_INVALID; /* picoquic's loop would let everybody pass, has a thread, and opens sockets */
    }
    return aiopq_portable_driver_start(engine);
}

aiopq_status_t aiopq_engine_start(aiopq_engine_t *engine)
{
    if (engine->was_started) {
        return AIOPQ_STARTED;
    }
    aiopq_status_t status = start(engine);
    if (status == AIOPQ_OK) {
        engine->was_started = true;
        /* Commands that were posted before there was anybody to wake. */
        engine->wake_network(engine->driver);
    }
    return status;
}

void aiopq_engine_stop(aiopq_engine_t *engine)
{
    if (engine->driver != NULL && !engine->was_stopped) {
        /* Without memory for the command there is no stop, and joining ends the thread as it is. */
        engine->was_stopped =
            aiopq_command_post(engine, &(aiopq_command_t){.type = AIOPQ_COMMAND_STOP}) == AIOPQ_OK;
    }
}

aiopq_status_t aiopq_engine_fail(aiopq_engine_t *engine, int system_error)
{
    aiopq_command_t command = {.type = AIOPQ_COMMAND_FAIL, .value = (uint64_t)system_error};
    return system_error != 0 ? aiopq_command_post(engine, &command) : AIOPQ_INVALID;
}

void aiopq_engine_join(aiopq_engine_t *engine)
{
    aiopq_driver_t *driver = engine->driver;
    if (driver != NULL) {
        engine->driver = NULL;
        engine->wake_network = NULL;
        engine->join_network(driver);
        engine->was_stopped = true;
    }
}
