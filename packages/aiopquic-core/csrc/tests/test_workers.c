/* Several engines on one port: the sockets, the kernel's choice among them, datagrams that are handed over, one limit for
 * all, and what is left when a worker ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "net/workers.h"
#include "test.h"

#define COUNT 5u

static const int families[] = {AF_INET, AF_INET6};

static void set_loopback(struct sockaddr_storage *address, int family)
{
    memset(address, 0, sizeof(*address));
    address->ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        ((struct sockaddr_in *)address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else {
        ((struct sockaddr_in6 *)address)->sin6_addr = in6addr_loopback;
    }
}

static aiopq_config_t loopback_config(void)
{
    aiopq_config_t config;
    memset(&config, 0, sizeof(config));
    set_loopback(&config.bind_addresses[0], AF_INET);
    set_loopback(&config.bind_addresses[1], AF_INET6);
    return config;
}

static aiopq_workers_t *open_group(const aiopq_config_t *config, uint32_t count, bool is_steered)
{
    aiopq_workers_t *workers;
    int error;
    CHECK_EQUAL(aiopq_workers_open(config, count, is_steered, &workers, &error), AIOPQ_OK);
    CHECK_EQUAL(error, 0);
    CHECK_EQUAL(aiopq_workers_are_steered(workers), is_steered);
    return workers;
}

static int fd_of(const aiopq_workers_t *workers, size_t place, uint32_t worker)
{
    return workers->fds[place * workers->count + worker];
}

/* ---- the kernel's choice ---- */

/* Sends a datagram and checks that it reaches the worker's socket and no other. */
static void check_choice(const aiopq_workers_t *workers, size_t place, const uint8_t *bytes, size_t length,
                         uint32_t expected)
{
    const struct sockaddr_storage *to = &workers->places[place];
    int fd = socket(to->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_EQUAL(sendto(fd, bytes, length, 0, (const struct sockaddr *)to, sizeof(struct sockaddr_in6)),
                length);
    uint8_t got[64];
    struct pollfd wanted = {.fd = fd_of(workers, place, expected), .events = POLLIN};
    CHECK_EQUAL(poll(&wanted, 1, 5000), 1);
    CHECK_EQUAL(recv(wanted.fd, got, sizeof(got), 0), length);
    CHECK(memcmp(got, bytes, length) == 0);
    for (uint32_t i = 0; i < workers->count; i++) {
        CHECK_EQUAL(recv(fd_of(workers, place, i), got, sizeof(got), 0), -1);
    }
    (void)close(fd);
}

static void check_all_choices(const aiopq_workers_t *workers)
{
    for (size_t place = 0; place < workers->place_count; place++) {
        for (uint32_t value = 0; value < 256; value++) {
            uint8_t long_header[40] = {0xc0, 0, 0, 0, 1, 8, (uint8_t)value, 0xee, 0xee};
            uint8_t short_header[40] = {0x40, (uint8_t)value, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee};
            uint32_t expected = value % workers->count;
            CHECK_EQUAL(aiopq_worker_of(workers->count, long_header, sizeof(long_header)), expected);
            CHECK_EQUAL(aiopq_worker_of(workers->count, short_header, sizeof(short_header)), expected);
            check_choice(workers, place, long_header, sizeof(long_header), expected);
            check_choice(workers, place, short_header, sizeof(short_header), expected);
        }
    }
}

static void the_kernel_chooses_by_the_first_byte_of_the_id(void)
{
    aiopq_config_t config = loopback_config();
    aiopq_workers_t *workers = open_group(&config, COUNT, true);
    CHECK_EQUAL(workers->place_count, 2);
    check_all_choices(workers);
    aiopq_workers_unref(workers);
}

static void what_is_too_short_goes_to_the_first(void)
{
    static const uint8_t bytes[] = {0xc0, 7, 7, 7, 7, 7};
    static const uint8_t one[] = {0x40};
    aiopq_config_t config = loopback_config();
    aiopq_workers_t *workers = open_group(&config, COUNT, true);
    CHECK_EQUAL(aiopq_worker_of(COUNT, bytes, sizeof(bytes)), 0);
    CHECK_EQUAL(aiopq_worker_of(COUNT, one, sizeof(one)), 0);
    check_choice(workers, 0, bytes, sizeof(bytes), 0);
    check_choice(workers, 1, one, sizeof(one), 0);
    aiopq_workers_unref(workers);
}

/* A worker that ends closes its own descriptors only. */
static void the_order_stays_when_duplicates_are_closed(void)
{
    aiopq_config_t config = loopback_config();
    aiopq_workers_t *workers = open_group(&config, COUNT, true);
    for (size_t place = 0; place < 2; place++) {
        (void)close(fcntl(fd_of(workers, place, 1), F_DUPFD_CLOEXEC, 0));
    }
    check_all_choices(workers);
    aiopq_workers_unref(workers);
}

static void as_many_workers_as_a_byte_has_values(void)
{
    aiopq_config_t config = loopback_config();
    config.bind_addresses[1].ss_family = AF_UNSPEC;
    aiopq_workers_t *workers = open_group(&config, AIOPQ_WORKERS_MAX, true);
    for (uint32_t value = 0; value < AIOPQ_WORKERS_MAX; value++) {
        uint8_t bytes[20] = {0x40, (uint8_t)value};
        check_choice(workers, 0, bytes, sizeof(bytes), value);
    }
    aiopq_workers_unref(workers);
}

/* ---- who gets the port ---- */

static void a_port_is_given_to_one_group(void)
{
    for (size_t i = 0; i < 2; i++) {
        aiopq_config_t config;
        memset(&config, 0, sizeof(config));
        set_loopback(&config.bind_addresses[0], families[i]);
        aiopq_workers_t *workers = open_group(&config, 2, true), *second;
        int error;
        config.local_port = aiopq_workers_port(workers);
        CHECK(config.local_port != 0);
        CHECK_EQUAL(aiopq_workers_open(&config, 2, true, &second, &error), AIOPQ_FAILED);
        CHECK_EQUAL(error, EADDRINUSE);
        CHECK(second == NULL);
        aiopq_workers_unref(workers);
        aiopq_workers_unref(open_group(&config, 3, true)); /* free again */
    }
}

static void groups_that_cannot_be_are_refused(void)
{
    static const uint32_t counts[] = {0, 1, AIOPQ_WORKERS_MAX + 1};
    aiopq_config_t config = loopback_config();
    aiopq_workers_t *workers;
    int error;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        CHECK_EQUAL(aiopq_workers_open(&config, counts[i], true, &workers, &error), AIOPQ_INVALID);
        CHECK(workers == NULL);
    }
    config.is_client = true;
    CHECK_EQUAL(aiopq_workers_open(&config, 2, true, &workers, &error), AIOPQ_INVALID);
    config = loopback_config();
    ((struct sockaddr_in *)&config.bind_addresses[0])->sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1 */
    CHECK_EQUAL(aiopq_workers_open(&config, 2, true, &workers, &error), AIOPQ_FAILED);
    CHECK_EQUAL(error, EADDRNOTAVAIL);
}

static void a_preferred_address_has_its_sockets_unless_it_is_bound(void)
{
    aiopq_config_t config = loopback_config();
    aiopq_workers_t *workers = open_group(&config, 2, true);
    config.local_port = aiopq_workers_port(workers);
    config.preferred_addresses[0] = workers->places[0];
    config.preferred_addresses[1] = workers->places[1];
    aiopq_workers_unref(workers);
    ((struct sockaddr_in *)&config.preferred_addresses[0])->sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    workers = open_group(&config, 2, true);
    CHECK_EQUAL(workers->place_count, 3);
    check_all_choices(workers);
    aiopq_workers_unref(workers);
}

/* ---- datagrams that are handed over ---- */

static aiopq_datagram_t datagram_of(const uint8_t *bytes, size_t length,
                                    const struct sockaddr_storage *address)
{
    return (aiopq_datagram_t){
        .bytes = bytes, .length = length, .from = address, .to = address, .interface_index = 3, .ecn = 2};
}

static void what_is_handed_over_arrives_as_it_was(void)
{
    static uint8_t bytes[1200];
    struct sockaddr_storage address;
    set_loopback(&address, AF_INET6);
    aiopq_datagram_t datagram = datagram_of(bytes, sizeof(bytes), &address);
    aiopq_workers_t *workers = aiopq_workers_new(2);
    CHECK(!aiopq_workers_hand_over(workers, 1, &datagram)); /* nobody is there yet */
    aiopq_workers_join(workers, 1);
    CHECK(aiopq_workers_take(workers, 1) == NULL);
    size_t count = 0;
    do {
        test_fill(bytes, sizeof(bytes), 5, count * sizeof(bytes));
        count++;
    } while (aiopq_workers_hand_over(workers, 1, &datagram));
    count--; /* the last one found no room */
    CHECK_EQUAL(count, AIOPQ_HANDED_BYTES / sizeof(bytes));
    struct pollfd wanted = {.fd = workers->entries[1].waker.read_fd, .events = POLLIN};
    CHECK_EQUAL(poll(&wanted, 1, 0), 1);
    size_t got = 0;
    for (aiopq_handed_t *handed = aiopq_workers_take(workers, 1), *next; handed != NULL; handed = next) {
        CHECK_EQUAL(handed->length, sizeof(bytes));
        CHECK(test_matches(handed->bytes, sizeof(bytes), 5, got++ * sizeof(bytes)));
        CHECK(memcmp(&handed->from, &address, sizeof(address)) == 0);
        CHECK_EQUAL(handed->interface_index, 3);
        CHECK_EQUAL(handed->ecn, 2);
        next = handed->next;
        free(handed);
    }
    CHECK_EQUAL(got, count);
    CHECK(aiopq_workers_hand_over(workers, 1, &datagram));
    aiopq_workers_leave(workers, 1); /* frees it */
    CHECK(!aiopq_workers_hand_over(workers, 1, &datagram));
    aiopq_workers_unref(workers);
}

/* ---- engines ---- */

/* Two servers that share a port, each with a client of its own engine; a client's server may be either. */
static pair_t pairs[2];

static void start_pairs(bool is_steered, uint32_t max_connections)
{
    aiopq_workers_t *workers = NULL;
    for (uint32_t i = 0; i < 2; i++) {
        pair_prepare(&pairs[i]);
        aiopq_config_t *config = &pairs[i].server.config;
        config->use_portable_loop = config->is_inline = false;
        config->max_connections = max_connections;
        pairs[i].client.config.verify_peer = false; /* the servers have a certificate each */
        if (i == 0) {
            workers = open_group(config, 2, is_steered);
        }
        config->workers = workers;
        config->worker = i;
        memset(config->ticket_key, 7, sizeof(config->ticket_key));
        memset(config->stateless_reset_secret, 7, sizeof(config->stateless_reset_secret));
        pair_start(&pairs[i]);
        CHECK_EQUAL(pairs[i].server.port, aiopq_workers_port(workers));
    }
    aiopq_workers_unref(workers); /* the engines have theirs */
}

static void dispose_pairs(void)
{
    endpoint_dispose(&pairs[0].client);
    endpoint_dispose(&pairs[0].server);
    pair_dispose(&pairs[1]);
}

/* Waits on all four endpoints. */
#define WAIT_ALL(condition)                                                                                  \
    do {                                                                                                     \
        uint64_t deadline_us = test_now_us() + HARNESS_WAIT_US;                                              \
        while (!(condition)) {                                                                               \
            for (size_t turn = 0; turn < 2; turn++) {                                                        \
                endpoint_drain(&pairs[turn].server);                                                         \
                endpoint_drain(&pairs[turn].client);                                                         \
            }                                                                                                \
            CHECK(test_now_us() < deadline_us);                                                              \
            (void)sched_yield();                                                                             \
        }                                                                                                    \
    } while (0)

static aiopq_engine_counters_t counters_of(size_t worker)
{
    aiopq_engine_counters_t counters;
    aiopq_engine_get_counters(pairs[worker].server.engine, &counters);
    return counters;
}

#define CONNECTIONS 16u

static size_t ready_count(const endpoint_t *endpoint)
{
    size_t count = 0;
    for (const peer_t *peer = endpoint->peers; peer != NULL; peer = peer->next) {
        count += peer->is_ready;
    }
    return count;
}

static size_t received_count(uint64_t bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < 2; i++) {
        for (const flow_t *flow = pairs[i].server.flows; flow != NULL; flow = flow->next) {
            count += flow->received == bytes && flow->is_fin_received;
        }
    }
    return count;
}

/* Connections over both clients, each with a stream of `bytes`; all of them arrive at one worker or the other. */
static void exchange(uint64_t bytes)
{
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        (void)pair_open(&pairs[i % 2], "localhost", ALPN);
    }
    WAIT_ALL(ready_count(&pairs[0].client) + ready_count(&pairs[1].client) == CONNECTIONS);
    for (size_t i = 0; i < 2; i++) {
        for (peer_t *peer = pairs[i].client.peers; peer != NULL; peer = peer->next) {
            flow_send(flow_open(peer, 0), bytes, true);
        }
    }
    WAIT_ALL(received_count(bytes) == CONNECTIONS);
    CHECK(pairs[0].server.peer_count > 0 && pairs[1].server.peer_count > 0);
}

static void connections_spread_and_stay(void)
{
    start_pairs(true, 64);
    exchange(100000);
    CHECK_EQUAL(counters_of(0).datagrams_misrouted + counters_of(1).datagrams_misrouted, 0);
    dispose_pairs();
}

/* The kernel goes by addresses alone: half of the packets come in at the wrong worker, and none is lost. */
static void without_the_program_datagrams_are_handed_over(void)
{
    start_pairs(false, 64);
    exchange(100000);
    CHECK(counters_of(0).datagrams_misrouted + counters_of(1).datagrams_misrouted > 0);
    dispose_pairs();
}

static void the_limit_counts_for_all(void)
{
    start_pairs(true, 5);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        peer_t *peer = pair_open(&pairs[i % 2], "localhost", ALPN);
        WAIT_ALL(peer->is_ready || peer->is_closed);
        CHECK_EQUAL(peer->is_ready, i < 5);
    }
    CHECK_EQUAL(pairs[0].server.peer_count + pairs[1].server.peer_count, 5);
    dispose_pairs();
}

static peer_t *open_at(size_t worker)
{
    for (;;) {
        uint64_t before = pairs[worker].server.peer_count;
        peer_t *peer = pair_open(&pairs[0], "localhost", ALPN);
        WAIT_ALL(peer->is_ready);
        WAIT_ALL(pairs[0].server.peer_count + pairs[1].server.peer_count >= ready_count(&pairs[0].client));
        if (pairs[worker].server.peer_count > before) {
            return peer;
        }
    }
}

/* One ends by itself: the other's connections go on, and what was its own finds nobody. */
static void a_worker_that_fails_takes_its_own(void)
{
    start_pairs(true, 1024);
    peer_t *lost = open_at(0), *kept = open_at(1);
    CHECK_EQUAL(aiopq_engine_fail(pairs[0].server.engine, 0), AIOPQ_INVALID);
    CHECK_EQUAL(aiopq_engine_fail(pairs[0].server.engine, EIO), AIOPQ_OK);
    WAIT_ALL(pairs[0].server.is_stopped);
    CHECK_EQUAL(pairs[0].server.stop_error, EIO);
    flow_t *flow = flow_open(kept, 0);
    flow_send(flow, 100000, true);
    WAIT_ALL(received_count(100000) == 1);
    CHECK(!lost->is_closed); /* nobody answers for the dead */
    dispose_pairs();
}

/* Somebody closes a descriptor that is the engine's: it ends, and does not spin. */
static void an_engine_whose_socket_was_closed_ends(void)
{
    pair_prepare(&pairs[0]);
    pairs[0].server.config.use_portable_loop = pairs[0].server.config.is_inline = false;
    if (pairs[0].server.config.network != NULL) {
        return;
    }
    int lowest = dup(STDERR_FILENO);
    (void)close(lowest);
    endpoint_start(&pairs[0].server);
    while (!pairs[0].server.is_ready) {
        endpoint_drain(&pairs[0].server);
    }
    for (int fd = lowest; fd < lowest + 64; fd++) {
        struct sockaddr_storage bound;
        socklen_t length = sizeof(bound);
        if (getsockname(fd, (struct sockaddr *)&bound, &length) == 0 && bound.ss_family == AF_INET) {
            (void)close(fd);
        }
    }
    /* Awake for whatever reason it looks at its descriptors. */
    uint64_t deadline_us = test_now_us() + HARNESS_WAIT_US;
    while (!pairs[0].server.is_stopped && test_now_us() < deadline_us) {
        aiopq_engine_kick(pairs[0].server.engine);
        endpoint_drain(&pairs[0].server);
        (void)sched_yield();
    }
    CHECK(pairs[0].server.is_stopped);
    CHECK_EQUAL(pairs[0].server.stop_error, EBADF);
    pair_dispose(&pairs[0]);
}

static const test_case_t cases[] = {
    TEST(the_kernel_chooses_by_the_first_byte_of_the_id),
    TEST(what_is_too_short_goes_to_the_first),
    TEST(the_order_stays_when_duplicates_are_closed),
    TEST(as_many_workers_as_a_byte_has_values),
    TEST(a_port_is_given_to_one_group),
    TEST(groups_that_cannot_be_are_refused),
    TEST(a_preferred_address_has_its_sockets_unless_it_is_bound),
    TEST(what_is_handed_over_arrives_as_it_was),
    TEST(connections_spread_and_stay),
    TEST(without_the_program_datagrams_are_handed_over),
    TEST(the_limit_counts_for_all),
    TEST(a_worker_that_fails_takes_its_own),
    TEST(an_engine_whose_socket_was_closed_ends),
};

TEST_MAIN(cases)
