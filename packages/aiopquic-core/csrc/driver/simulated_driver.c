/* The simulated driver: an engine on a simulated network, stepped by aiopq_network_run() on the loop thread. */
#include <errno.h>
#include <picoquic_utils.h>
#include <stdlib.h>
#include <string.h>

#include "driver/driver.h"
#include "driver/sim_network.h"
#include "engine/engine.h"
#include "net/events_out.h"
#include "net/picoquic_private.h"

/* Batches of datagrams an engine sends in one turn, before others of the same instant have theirs. */
#define BATCHES_PER_TURN 32

/* Datagrams of a batch: picoquic fills a buffer with several of one size, as for segmentation offload. */
#define DATAGRAMS_PER_BATCH 16

/* A further address that connections send from. */
typedef struct local_node {
    aiopq_sim_node_t node; /* first: the network hands it back */
    aiopq_driver_t *driver;
    size_t users;
    struct local_node *next;
} local_node_t;

struct aiopq_driver {
    aiopq_sim_node_t node; /* first: the network hands it back */
    aiopq_engine_t *engine;
    local_node_t *locals;
    uint8_t ecn; /* what the congestion controller wants on its datagrams */
    bool has_ended;
};

static void take(aiopq_engine_t *engine, uint64_t now_us, uint8_t *bytes, size_t length,
                 const struct sockaddr_storage *from, const struct sockaddr_storage *to, uint8_t ecn)
{
    aiopq_datagram_t datagram = {.bytes = bytes, .length = length, .from = from, .to = to, .ecn = ecn};
    engine->now_us = now_us;
    aiopq_engine_receive(engine, &datagram, now_us);
}

static void receive(aiopq_sim_node_t *node, uint64_t now_us, uint8_t *bytes, size_t length,
                    const struct sockaddr_storage *from, const struct sockaddr_storage *to, uint8_t ecn)
{
    take(((aiopq_driver_t *)node)->engine, now_us, bytes, length, from, to, ecn);
}

/* ---- further local addresses ---- */

static void receive_local(aiopq_sim_node_t *node, uint64_t now_us, uint8_t *bytes, size_t length,
                          const struct sockaddr_storage *from, const struct sockaddr_storage *to, uint8_t ecn)
{
    aiopq_driver_t *driver = ((local_node_t *)node)->driver;
    take(driver->engine, now_us, bytes, length, from, to, ecn);
    driver->node.is_woken = true;
}

/* The driver's own turn does the work. */
static bool turn_local(aiopq_sim_node_t *node, uint64_t now_us)
{
    (void)now_us;
    node->wake_us = UINT64_MAX;
    return false;
}

static bool is_at(const aiopq_sim_node_t *node, const struct sockaddr_storage *address)
{
    for (size_t i = 0; i < AIOPQ_BIND_ADDRESS_MAX; i++) {
        if (node->addresses[i].ss_family == address->ss_family &&
            picoquic_compare_addr((const struct sockaddr *)&node->addresses[i],
                                  (const struct sockaddr *)address) == 0) {
            return true;
        }
    }
    return false;
}

static local_node_t **find_local(aiopq_driver_t *driver, const struct sockaddr_storage *address)
{
    local_node_t **link = &driver->locals;
    while (*link != NULL && !is_at(&(*link)->node, address)) {
        link = &(*link)->next;
    }
    return link;
}

static int open_local(void *context, struct sockaddr_storage *address)
{
    aiopq_driver_t *driver = context;
    if (is_at(&driver->node, address)) {
        return 0;
    }
    local_node_t *local = *find_local(driver, address);
    if (local == NULL) {
        local = calloc(1, sizeof(*local));
        if (local == NULL) {
            return ENOMEM;
        }
        local->node.addresses[0] = *address;
        local->node.receive = receive_local;
        local->node.turn = turn_local;
        local->driver = driver;
        int error = aiopq_sim_attach(driver->engine->config.network, &local->node);
        if (error != 0) {
            free(local);
            return error;
        }
        *address = local->node.addresses[0];
        local->next = driver->locals;
        driver->locals = local;
    }
    local->users++;
    return 0;
}

static void drop_local(aiopq_driver_t *driver, local_node_t **link)
{
    local_node_t *local = *link;
    *link = local->next;
    aiopq_sim_detach(driver->engine->config.network, &local->node);
    free(local);
}

static void close_local(void *context, const struct sockaddr_storage *address)
{
    aiopq_driver_t *driver = context;
    local_node_t **link = find_local(driver, address);
    if (*link != NULL && --(*link)->users == 0) {
        drop_local(driver, link);
    }
}

/* ---- sending ---- */

/* picoquic names no source before it knows one. NULL for an address that is not ours. */
static const struct sockaddr_storage *source_for(aiopq_driver_t *driver, const struct sockaddr_storage *from,
                                                 int family)
{
    const struct sockaddr_storage *addresses = driver->node.addresses;
    if (from->ss_family == family) {
        return is_at(&driver->node, from) || *find_local(driver, from) != NULL ? from : NULL;
    }
    for (size_t i = 0; i < AIOPQ_BIND_ADDRESS_MAX; i++) {
        if (addresses[i].ss_family == family) {
            return &addresses[i];
        }
    }
    return NULL;
}

/* A batch onto the network, in datagrams of `segment` bytes and a last one of what is left. */
static void send_batch(aiopq_driver_t *driver, const struct sockaddr_storage *source,
                       const struct sockaddr_storage *to, const uint8_t *bytes, size_t length, size_t segment)
{
    aiopq_engine_sent(driver->engine, length, segment);
    for (size_t sent = 0; sent < length; sent += segment) {
        size_t left = length - sent;
        aiopq_sim_send(driver->engine->config.network, source, to, bytes + sent,
                       left < segment ? left : segment, driver->ecn);
    }
}

/* True when picoquic may have more to send. */
static bool send_all(aiopq_driver_t *driver, uint64_t now_us)
{
    uint8_t bytes[DATAGRAMS_PER_BATCH * PICOQUIC_MAX_PACKET_SIZE];
    for (int i = 0; i < BATCHES_PER_TURN; i++) {
        struct sockaddr_storage to, from;
        picoquic_connection_id_t log_id;
        picoquic_cnx_t *cnx = NULL;
        size_t length = 0, segment = 0;
        int interface_index = 0;
        memset(&from, 0, sizeof(from));
        int error =
            picoquic_prepare_next_packet_ex(driver->engine->quic, now_us, bytes, sizeof(bytes), &length, &to,
                                            &from, &interface_index, &log_id, &cnx, &segment);
        if (error != 0 || length == 0) {
            return false;
        }
        if (cnx == NULL) {
            aiopq_engine_sent_stateless(driver->engine, bytes, length);
        }
        const struct sockaddr_storage *source = source_for(driver, &from, to.ss_family);
        if (source != NULL) {
            send_batch(driver, source, &to, bytes, length, segment > 0 ? segment : length);
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
        driver->engine->open_local = NULL;
        driver->engine->close_local = NULL;
        while (driver->locals != NULL) {
            drop_local(driver, &driver->locals);
        }
        aiopq_sim_detach(driver->engine->config.network, &driver->node);
        aiopq_engine_finish(driver->engine, system_error);
    }
}

static bool turn(aiopq_sim_node_t *node, uint64_t now_us)
{
    aiopq_driver_t *driver = (aiopq_driver_t *)node;
    aiopq_engine_t *engine = driver->engine;
    aiopq_engine_woke(engine);
    (void)aiopq_engine_turn(engine, now_us);
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
    driver->ecn = aiopq_ecn_mark(&engine->config);
    memcpy(driver->node.addresses, engine->config.bind_addresses, sizeof(driver->node.addresses));
    for (size_t i = 0; i < AIOPQ_BIND_ADDRESS_MAX; i++) {
        aiopq_sim_set_port(&driver->node.addresses[i], engine->config.local_port);
    }
    aiopq_sim_seed(engine->config.network, engine->quic); /* behind the dice that making it rolled */
    engine->driver = driver;
    engine->wake_network = wake;
    engine->join_network = join;
    engine->open_local = open_local;
    engine->close_local = close_local;
    engine->local_context = driver;
    int error = aiopq_sim_attach(engine->config.network, &driver->node);
    for (size_t i = 0; i < AIOPQ_BIND_ADDRESS_MAX && error == 0; i++) {
        struct sockaddr_storage address = engine->config.preferred_addresses[i];
        if (address.ss_family != AF_UNSPEC) {
            error = open_local(driver, &address);
        }
    }
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
