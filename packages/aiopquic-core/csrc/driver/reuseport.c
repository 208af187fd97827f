/* The sockets of a group of workers: opened in their order, and the program that chooses among them. */
#include "net/workers.h"

#if defined(__linux__)
#include <errno.h>
#include <linux/filter.h>
#include <string.h>

#include "driver/driver.h"
#include "driver/linux_io.h"

/* A port that the system chose for one family may be taken in the other: then both are chosen anew. */
#define PORT_TRIES 16

/* aiopq_worker_of() for the kernel, which runs it over the UDP payload. A load behind the end makes it answer 0. */
static bool attach_program(int fd, uint32_t count)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x80, 0, 2),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6), BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 1), BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) == 0;
}

/* The place of an address; place_count when it has none. One that a wildcard address covers has that one's. */
static size_t place_at(const aiopq_workers_t *workers, const struct sockaddr_storage *address)
{
    size_t i = 0;
    while (i < workers->place_count && !aiopq_udp_covers(&workers->places[i], address)) {
        i++;
    }
    return i;
}

/* The first socket is bound alone, so that a port which anybody has is refused; it shares the port from then on. The order
 * in which sockets are bound is the order in which the kernel numbers them, as long as none is closed. */
static int open_place(aiopq_workers_t *workers, const aiopq_config_t *config,
                      const struct sockaddr_storage *address)
{
    struct sockaddr_storage bound = *address;
    int *fds = workers->fds + workers->place_count * workers->count;
    uint8_t ecn = aiopq_ecn_mark(config);
    for (uint32_t i = 0; i < workers->count; i++) {
        aiopq_udp_socket_t s;
        int error = aiopq_udp_open(&s, &bound, config->socket_buffer_bytes, ecn, i > 0);
        if (error != 0) {
            return error;
        }
        fds[i] = s.fd;
        bound = s.bound;
        if (i == 0 && !aiopq_udp_share(&s)) {
            return errno;
        }
        if (i == 1 && workers->is_steered) { /* there is a group now */
            workers->is_steered = attach_program(s.fd, workers->count);
        }
    }
    workers->places[workers->place_count++] = bound;
    return 0;
}

static int open_bound(aiopq_workers_t *workers, const aiopq_config_t *config)
{
    struct sockaddr_storage addresses[AIOPQ_BIND_ADDRESS_MAX];
    size_t count = aiopq_bind_addresses(config, addresses);
    int error = 0;
    for (int attempt = 0; attempt < PORT_TRIES; attempt++) {
        uint16_t port = config->local_port;
        error = 0;
        for (size_t i = 0; i < count && error == 0; i++) {
            aiopq_udp_set_port(&addresses[i], port);
            error = open_place(workers, config, &addresses[i]);
            if (error == 0) {
                port = aiopq_workers_port(workers);
            }
        }
        if (error == 0) {
            return 0;
        }
        aiopq_workers_close(workers);
        if (config->local_port != 0 || error != EADDRINUSE) {
            return error;
        }
    }
    return error;
}

static int open_sockets(aiopq_workers_t *workers, const aiopq_config_t *config)
{
    int error = open_bound(workers, config);
    for (size_t i = 0; i < AIOPQ_BIND_ADDRESS_MAX && error == 0; i++) {
        const struct sockaddr_storage *address = &config->preferred_addresses[i];
        if (address->ss_family != AF_UNSPEC && place_at(workers, address) == workers->place_count) {
            error = open_place(workers, config, address);
        }
    }
    return error;
}

aiopq_status_t aiopq_workers_open(const aiopq_config_t *config, uint32_t count, bool is_steered,
                                  aiopq_workers_t **result, int *system_error)
{
    *result = NULL;
    *system_error = 0;
    if (count < 2 || count > AIOPQ_WORKERS_MAX || config->network != NULL || config->is_client) {
        return AIOPQ_INVALID;
    }
    if (config->congestion_control != NULL) {
        (void)aiopq_check_congestion_control(
            config->congestion_control); /* its ECN mark is looked up below */
    }
    aiopq_workers_t *workers = aiopq_workers_new(count);
    if (workers == NULL) {
        *system_error = errno;
        return AIOPQ_FAILED;
    }
    workers->is_steered = is_steered;
    *system_error = open_sockets(workers, config);
    if (*system_error != 0) {
        aiopq_workers_unref(workers);
        return AIOPQ_FAILED;
    }
    *result = workers;
    return AIOPQ_OK;
}
#else
aiopq_status_t aiopq_workers_open(const aiopq_config_t *config, uint32_t count, bool is_steered,
                                  aiopq_workers_t **result, int *system_error)
{
    (void)config;
    (void)count;
    (void)is_steered;
    *result = NULL;
    *system_error = 0;
    return AIOPQ_INVALID;
}
#endif
