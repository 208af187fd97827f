/* The simulated driver: an engine on a simulated network, stepped by aiopq_network_run() on the loop thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "driver/driver.h"
#include "driver/sim_network.h"
#include "engine/engine.h"
#include "net/events_out.h"
#include "net/picoquic_private.h"

/* Datagrams an engine sends in one turn, before others of the same instant have theirs. */
#define SEND_MAX_PER_TURN 256

struct aiopq_driver {
    aiopq_sim_node_t node; /* first: the network hands it back */
    aiopq_engine_t *engine;
    uint8_t ecn; /* what the congestion controller wants on its datagrams */
    bool has_ended;
};

static void receive(aiopq_sim_node_t *node, uint64_t now_us, uint8_t *bytes, size_t length,
                    const struct sockaddr_storage *from, const struct sockaddr_storage *to, uint8_t ecn)
{
    aiopq_engine_t *engine = ((aiopq_driver_t *)node)->engine;
    aiopq_datagram_t datagram = {.bytes = bytes, .length = length, .from = from, .to = to, .ecn = ecn};
    engine->now_us = now_us;
    aiopq_engine_receive(engine, &datagram, now_us);
}

/* picoquic names no source before it knows one. */
static const struct sockaddr_storage *source_for(const aiopq_driver_t *driver,
                                                 const struct sockaddr_storage *from, int family)
{
    const struct sockaddr_storage *addresses = driver->node.addresses;
    for (size_t i = 0; i < AIOPQ_BIND_ADDRESS_MAX; i++) {
        if (addresses[i].ss_family == family) {
            return &addresses[i];
        }
    }
    return from->ss_family == family ? from : NULL;
}

/* True when picoquic may have more to send. */
static bool send_all(aiopq_driver_t *driver, uint64_t now_us)
{
    uint8_t bytes[PICOQUIC_MAX_PACKET_SIZE];
    for (int i = 0; i < SEND_MAX_PER_TURN; i++) {
        struct sockaddr_storage to, from;
        picoquic_connection_id_t log_id;
        picoquic_cnx_t *cnx = NULL;
        size_t length = 0;
        int interface_index = 0;
        memset(&from, 0, sizeof(from));
        int error =
            picoquic_prepare_next_packet_ex(driver->engine->quic, now_us, bytes, sizeof(bytes), &length, &to,
                                            &from, &interface_index, &log_id, &cnx, NULL);
        if (error != 0 || length == 0) {
            return false;
        }
        const struct sockaddr_storage *source = source_for(driver, &from, to.ss_family);
        if (source != NULL) {
            aiopq_sim_send(driver->engine->config.network, source, &to, bytes, length, driver->ecn);
        } else if (cnx != NULL) {
            picoquic_notify_destination_unreachable(cnx, now_us, (struct sockaddr *)&to,
                                                    (struct sockaddr *)&from, interface_index, EAFNOSUPPORT);
        }
    }
    return true;
}

static void finish(aiopq_driver_t *driver, int system_error)
{
    if (!driver->has_ended) {
        driver->has_ended = true;
        aiopq_sim_detach(driver->engine->config.network, &driver->node);
        aiopq_engine_finish(driver->engine, system_error);
    }
}

static bool turn(aiopq_sim_node_t *node, uint64_t now_us)
{
    aiopq_driver_t *driver = (aiopq_driver_t *)node;
    aiopq_engine_t *engine = driver->engine;
    aiopq_engine_woke(engine);
    aiopq_engine_turn(engine, now_us);
    bool has_more = send_all(driver, now_us);
    aiopq_engine_flush(engine);
    if (aiopq_engine_is_done(engine, now_us)) {
        finish(driver, 0);
        return true;
    }
    int64_t delay_us = aiopq_engine_delay_us(engine, now_us, INT64_MAX);
    node->wake_us = delay_us == INT64_MAX ? UINT64_MAX : now_us + (uint64_t)(delay_us > 0 ? delay_us : 0);
    node->is_woken = has_more || !aiopq_engine_may_sleep(engine);
    return aiopq_engine_events_waiting(engine) > 0;
}

static void wake(aiopq_driver_t *driver)
{
    driver->node.is_woken = true;
}

static void join(aiopq_driver_t *driver)
{
    finish(driver, 0);
    aiopq_sim_detach(driver->engine->config.network, &driver->node);
    free(driver);
}

aiopq_status_t aiopq_simulated_driver_start(aiopq_engine_t *engine)
{
    aiopq_driver_t *driver = calloc(1, sizeof(*driver));
    if (driver == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    driver->engine = engine;
    driver->node.receive = receive;
    driver->node.turn = turn;
    driver->ecn = aiopq_ecn_mark(engine);
    memcpy(driver->node.addresses, engine->config.bind_addresses, sizeof(driver->node.addresses));
    for (size_t i = 0; i < AIOPQ_BIND_ADDRESS_MAX; i++) {
        aiopq_sim_set_port(&driver->node.addresses[i], engine->config.local_port);
    }
    aiopq_sim_seed(engine->config.network, engine->quic); /* behind the dice that making it rolled */
    engine->driver = driver;
    engine->wake_network = wake;
    engine->join_network = join;
    int error = aiopq_sim_attach(engine->config.network, &driver->node);
    if (error != 0) {
        finish(driver, error);
        return AIOPQ_OK;
    }
    aiopq_emit(engine, AIOPQ_EVENT_ENGINE_READY, NULL, NULL, aiopq_sim_port(&driver->node.addresses[0]),
               NULL);
    aiopq_engine_flush(engine);
    (void)aiopq_engine_may_sleep(engine);
    return AIOPQ_OK;
}
