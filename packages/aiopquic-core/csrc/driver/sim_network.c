#include "driver/sim_network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <picoquic_utils.h>
#include <stdlib.h>
#include <string.h>

#include "net/picoquic_private.h"

/* Ports that are chosen begin here (RFC 6335 section 6), one after the other. */
#define FIRST_PORT 49152u

/* A turn that leads to a turn at the same instant, this many times over, is a livelock: then time moves on. */
#define INSTANT_TURNS_MAX 10000u

typedef struct route {
    struct sockaddr_storage from, to; /* without ports; both AF_UNSPEC for the rest */
    aiopq_sim_link_t link;
    struct route *next;
} route_t;

typedef struct translation {
    struct sockaddr_storage inside, outside;
    struct translation *next;
} translation_t;

typedef struct datagram {
    uint64_t arrival_us, serial; /* those of one instant arrive in the order they were sent */
    struct sockaddr_storage from, to;
    uint8_t ecn;
    size_t length;
    uint8_t bytes[];
} datagram_t;

struct aiopq_network {
    uint64_t now_us, seed, serial, unreachable;
    uint16_t next_port;
    aiopq_link_config_t default_link;
    aiopq_sim_node_t *nodes;     /* in the order they were attached */
    aiopq_sim_node_t *following; /* whose turn is next; nodes come and go in the turns of others */
    route_t *routes;
    translation_t *translations;
    datagram_t **heap; /* the earliest first */
    size_t count, capacity;
};

/* ---- addresses ---- */

uint16_t aiopq_sim_port(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                                                : ((const struct sockaddr_in *)address)->sin_port);
}

void aiopq_sim_set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    } else if (address->ss_family == AF_INET) {
        ((struct sockaddr_in *)address)->sin_port = htons(port);
    }
}

static bool is_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    return a->ss_family == b->ss_family &&
           (a->ss_family == AF_UNSPEC ||
            picoquic_compare_ip_addr((const struct sockaddr *)a, (const struct sockaddr *)b) == 0);
}

static bool is_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    return is_same_host(a, b) && aiopq_sim_port(a) == aiopq_sim_port(b);
}

/* A number that an address always gives, on every host. */
static uint64_t address_number(const struct sockaddr_storage *address)
{
    const uint8_t *bytes = address->ss_family == AF_INET6
                               ? (const uint8_t *)&((const struct sockaddr_in6 *)address)->sin6_addr
                               : (const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr;
    size_t length = address->ss_family == AF_INET6 ? 16 : address->ss_family == AF_INET ? 4 : 0;
    uint64_t number = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < length; i++) {
        number = (number ^ bytes[i]) * 0x100000001b3u;
    }
    return number;
}

/* ---- datagrams under way: a binary heap ---- */

static bool is_before(const datagram_t *a, const datagram_t *b)
{
    return a->arrival_us != b->arrival_us ? a->arrival_us < b->arrival_us : a->serial < b->serial;
}

static void swap(datagram_t **a, datagram_t **b)
{
    datagram_t *kept = *a;
    *a = *b;
    *b = kept;
}

static bool heap_push(aiopq_network_t *network, datagram_t *datagram)
{
    if (network->count == network->capacity) {
        size_t capacity = network->capacity != 0 ? 2 * network->capacity : 256;
        datagram_t **heap = realloc(network->heap, capacity * sizeof(*heap));
        if (heap == NULL) {
            return false;
        }
        network->heap = heap;
        network->capacity = capacity;
    }
    size_t at = network->count++;
    network->heap[at] = datagram;
    while (at > 0 && is_before(network->heap[at], network->heap[(at - 1) / 2])) {
        swap(&network->heap[at], &network->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    return true;
}

static datagram_t *heap_pop(aiopq_network_t *network)
{
    datagram_t *first = network->heap[0];
    network->heap[0] = network->heap[--network->count];
    size_t at = 0;
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < network->count; child++) {
            if (is_before(network->heap[child], network->heap[least])) {
                least = child;
            }
        }
        if (least == at) {
            return first;
        }
        swap(&network->heap[at], &network->heap[least]);
        at = least;
    }
}

/* ---- life ---- */

aiopq_network_t *aiopq_network_new(uint64_t seed, uint64_t start_us)
{
    aiopq_network_t *network = calloc(1, sizeof(*network));
    if (network != NULL) {
        network->now_us = start_us;
        network->seed = seed;
        network->next_port = FIRST_PORT;
    }
    return network;
}

void aiopq_network_free(aiopq_network_t *network)
{
    if (network == NULL) {
        return;
    }
    while (network->count > 0) {
        free(heap_pop(network));
    }
    free(network->heap);
    for (route_t *route = network->routes, *next; route != NULL; route = next) {
        next = route->next;
        free(route);
    }
    for (translation_t *entry = network->translations, *next; entry != NULL; entry = next) {
        next = entry->next;
        free(entry);
    }
    free(network);
}

void aiopq_sim_seed(aiopq_network_t *network, picoquic_quic_t *quic)
{
    uint64_t state = network->seed + network->serial;
    aiopq_keep_public_random(quic);
    aiopq_seed_public_random(aiopq_sim_random(&state));
}

uint64_t *aiopq_network_clock(aiopq_network_t *network)
{
    return &network->now_us;
}

/* ---- nodes ---- */

static aiopq_sim_node_t *node_at(const aiopq_network_t *network, const struct sockaddr_storage *address)
{
    for (aiopq_sim_node_t *node = network->nodes; node != NULL; node = node->next) {
        if (is_same(&node->addresses[0], address) || is_same(&node->addresses[1], address)) {
            return node;
        }
    }
    return NULL;
}

static bool is_taken(const aiopq_network_t *network, aiopq_sim_node_t *node, uint16_t port)
{
    for (size_t i = 0; i < 2; i++) {
        struct sockaddr_storage address = node->addresses[i];
        aiopq_sim_set_port(&address, port);
        if (address.ss_family != AF_UNSPEC && node_at(network, &address) != NULL) {
            return true;
        }
    }
    return false;
}

int aiopq_sim_attach(aiopq_network_t *network, aiopq_sim_node_t *node)
{
    const struct sockaddr_storage *first = &node->addresses[0];
    if (first->ss_family == AF_UNSPEC) {
        return EADDRNOTAVAIL;
    }
    uint16_t port = aiopq_sim_port(first);
    for (unsigned tries = 0; port == 0 && tries <= UINT16_MAX - FIRST_PORT; tries++) {
        if (!is_taken(network, node, network->next_port)) {
            port = network->next_port;
        }
        network->next_port =
            network->next_port < UINT16_MAX ? (uint16_t)(network->next_port + 1) : FIRST_PORT;
    }
    if (port == 0 || is_taken(network, node, port)) {
        return EADDRINUSE;
    }
    aiopq_sim_set_port(&node->addresses[0], port);
    aiopq_sim_set_port(&node->addresses[1], port);
    aiopq_sim_node_t **link = &network->nodes;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = node;
    node->next = NULL;
    node->is_attached = true;
    node->wake_us = UINT64_MAX;
    return 0;
}

void aiopq_sim_detach(aiopq_network_t *network, aiopq_sim_node_t *node)
{
    if (node->is_attached) {
        aiopq_sim_node_t **link = &network->nodes;
        while (*link != node) {
            link = &(*link)->next;
        }
        *link = node->next;
        if (network->following == node) {
            network->following = node->next;
        }
        node->is_attached = false;
    }
}

/* ---- links ---- */

static route_t *find_route(const aiopq_network_t *network, const struct sockaddr_storage *from,
                           const struct sockaddr_storage *to)
{
    for (route_t *route = network->routes; route != NULL; route = route->next) {
        if (is_same_host(&route->from, from) && is_same_host(&route->to, to)) {
            return route;
        }
    }
    return NULL;
}

static route_t *new_route(aiopq_network_t *network, const struct sockaddr_storage *from,
                          const struct sockaddr_storage *to, const aiopq_link_config_t *config)
{
    route_t *route = calloc(1, sizeof(*route));
    if (route != NULL) {
        route->from = *from;
        route->to = *to;
        aiopq_sim_set_port(&route->from, 0);
        aiopq_sim_set_port(&route->to, 0);
        /* Each direction rolls its own dice, whatever other links there are. */
        uint64_t seed = network->seed + address_number(from) + 3 * address_number(to);
        aiopq_sim_link_init(&route->link, config, aiopq_sim_random(&seed));
        route->next = network->routes;
        network->routes = route;
    }
    return route;
}

aiopq_status_t aiopq_network_set_link(aiopq_network_t *network, const struct sockaddr_storage *from,
                                      const struct sockaddr_storage *to, const aiopq_link_config_t *config)
{
    if (config->loss_pattern_length > 64 || (from->ss_family == AF_UNSPEC) != (to->ss_family == AF_UNSPEC)) {
        return AIOPQ_INVALID;
    }
    if (from->ss_family == AF_UNSPEC) {
        network->default_link = *config;
        return AIOPQ_OK;
    }
    route_t *route = find_route(network, from, to);
    if (route == NULL) {
        return new_route(network, from, to, config) != NULL ? AIOPQ_OK : AIOPQ_NO_MEMORY;
    }
    route->link.config = *config;
    route->link.pattern_position = 0;
    return AIOPQ_OK;
}

void aiopq_network_get_counters(const aiopq_network_t *network, const struct sockaddr_storage *from,
                                const struct sockaddr_storage *to, aiopq_link_counters_t *counters)
{
    const route_t *route = find_route(network, from, to);
    memset(counters, 0, sizeof(*counters));
    if (route != NULL) {
        *counters = route->link.counters;
    }
}

aiopq_status_t aiopq_network_rebind(aiopq_network_t *network, const struct sockaddr_storage *inside,
                                    const struct sockaddr_storage *outside)
{
    translation_t *entry = network->translations;
    while (entry != NULL && !is_same(&entry->inside, inside)) {
        entry = entry->next;
    }
    if (entry == NULL) {
        entry = calloc(1, sizeof(*entry));
        if (entry == NULL) {
            return AIOPQ_NO_MEMORY;
        }
        entry->inside = *inside;
        entry->next = network->translations;
        network->translations = entry;
    }
    entry->outside = *outside;
    return AIOPQ_OK;
}

/* ---- sending and arriving ---- */

static void outward(const aiopq_network_t *network, struct sockaddr_storage *from)
{
    for (const translation_t *entry = network->translations; entry != NULL; entry = entry->next) {
        if (is_same(&entry->inside, from)) {
            *from = entry->outside;
            return;
        }
    }
}

/* False when nothing comes through to that address any more. */
static bool inward(const aiopq_network_t *network, struct sockaddr_storage *to)
{
    for (const translation_t *entry = network->translations; entry != NULL; entry = entry->next) {
        if (is_same(&entry->outside, to)) {
            *to = entry->inside;
            return true;
        }
    }
    for (const translation_t *entry = network->translations; entry != NULL; entry = entry->next) {
        if (is_same(&entry->inside, to)) {
            return false;
        }
    }
    return true;
}

void aiopq_sim_send(aiopq_network_t *network, const struct sockaddr_storage *from,
                    const struct sockaddr_storage *to, const uint8_t *bytes, size_t length, uint8_t ecn)
{
    struct sockaddr_storage source = *from;
    outward(network, &source);
    route_t *route = find_route(network, &source, to);
    if (route == NULL) {
        route = new_route(network, &source, to, &network->default_link);
        if (route == NULL) {
            return;
        }
    }
    aiopq_sim_arrival_t arrivals[AIOPQ_SIM_COPIES_MAX];
    size_t copies = aiopq_sim_link_send(&route->link, network->now_us, length, ecn, arrivals);
    for (size_t i = 0; i < copies; i++) {
        datagram_t *datagram = malloc(sizeof(*datagram) + length);
        if (datagram == NULL) {
            return;
        }
        datagram->arrival_us = arrivals[i].time_us;
        datagram->serial = network->serial++;
        datagram->from = source;
        datagram->to = *to;
        datagram->ecn = arrivals[i].ecn;
        datagram->length = length;
        memcpy(datagram->bytes, bytes, length);
        if (arrivals[i].is_corrupted) {
            datagram->bytes[arrivals[i].corrupted_bit / 8] ^= (uint8_t)(1u << arrivals[i].corrupted_bit % 8);
        }
        if (!heap_push(network, datagram)) {
            free(datagram);
        }
    }
}

static void deliver(aiopq_network_t *network, datagram_t *datagram)
{
    struct sockaddr_storage to = datagram->to;
    aiopq_sim_node_t *node = inward(network, &to) ? node_at(network, &to) : NULL;
    if (node != NULL) {
        node->receive(node, network->now_us, datagram->bytes, datagram->length, &datagram->from, &to,
                      datagram->ecn);
        node->is_woken = true;
    } else {
        network->unreachable++;
    }
    free(datagram);
}

uint64_t aiopq_network_unreachable(const aiopq_network_t *network)
{
    return network->unreachable;
}

/* ---- time ---- */

uint64_t aiopq_network_next_us(const aiopq_network_t *network)
{
    uint64_t next = network->count > 0 ? network->heap[0]->arrival_us : UINT64_MAX;
    for (const aiopq_sim_node_t *node = network->nodes; node != NULL; node = node->next) {
        uint64_t wake = node->is_woken ? network->now_us : node->wake_us;
        next = wake < next ? wake : next;
    }
    return next < network->now_us ? network->now_us : next;
}

/* Everything that is due now. True when the loop thread has something to look at. */
static bool do_due(aiopq_network_t *network)
{
    while (network->count > 0 && network->heap[0]->arrival_us <= network->now_us) {
        deliver(network, heap_pop(network));
    }
    bool has_events = false;
    for (aiopq_sim_node_t *node = network->nodes; node != NULL; node = network->following) {
        network->following = node->next;
        if (node->is_woken || node->wake_us <= network->now_us) {
            node->is_woken = false;
            has_events |= node->turn(node, network->now_us);
        }
    }
    return has_events;
}

bool aiopq_network_run(aiopq_network_t *network, uint64_t deadline_us)
{
    unsigned instant_turns = 0;
    for (;;) {
        if (do_due(network)) {
            return true;
        }
        uint64_t next = aiopq_network_next_us(network);
        if (next == UINT64_MAX || next > deadline_us) {
            if (deadline_us != UINT64_MAX && deadline_us > network->now_us) {
                network->now_us = deadline_us;
            }
            return false;
        }
        instant_turns = next > network->now_us ? 0 : instant_turns + 1;
        network->now_us = instant_turns < INSTANT_TURNS_MAX ? next : network->now_us + 1;
    }
}
