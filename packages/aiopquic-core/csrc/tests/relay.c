#include "relay.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

#define PACKET_MAX 2048
#define HELD_MAX 256
#define LOOK_AGAIN_MS 5 /* at what the test asks for */

typedef struct held {
    ssize_t length;
    uint8_t bytes[PACKET_MAX];
} held_t;

/* Of the one relay that runs at a time. */
static held_t held[HELD_MAX];
static size_t held_count;

static int open_socket(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_EQUAL(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQUAL(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* A packet that the peer's socket refuses is one more that is lost. */
static void pass_on(int fd, const uint8_t *bytes, ssize_t length)
{
    (void)send(fd, bytes, (size_t)length, 0);
}

static void from_client(relay_t *relay)
{
    uint8_t bytes[PACKET_MAX];
    struct sockaddr_in address;
    socklen_t address_length = sizeof(address);
    ssize_t length =
        recvfrom(relay->front, bytes, sizeof(bytes), 0, (struct sockaddr *)&address, &address_length);
    if (length <= 0) {
        return;
    }
    (void)connect(relay->front, (struct sockaddr *)&address, sizeof(address));
    int mode = atomic_load(&relay->mode);
    if (length <= RELAY_SMALL) {
        mode = RELAY_PASS;
    }
    if (mode == RELAY_HOLD && held_count < HELD_MAX) {
        memcpy(held[held_count].bytes, bytes, (size_t)length);
        held[held_count++].length = length;
        atomic_fetch_add(&relay->held, 1);
    } else if (mode == RELAY_PASS) {
        pass_on(relay->back, bytes, length);
    } else {
        atomic_fetch_add(&relay->dropped, 1);
    }
}

static void from_server(relay_t *relay)
{
    uint8_t bytes[PACKET_MAX];
    ssize_t length = recv(relay->back, bytes, sizeof(bytes), 0);
    if (length > 0) {
        pass_on(relay->front, bytes, length);
    }
}

static void *run(void *argument)
{
    relay_t *relay = argument;
    struct pollfd fds[] = {{.fd = relay->front, .events = POLLIN}, {.fd = relay->back, .events = POLLIN}};
    while (!atomic_load(&relay->must_end)) {
        (void)poll(fds, 2, LOOK_AGAIN_MS);
        if ((fds[0].revents & (POLLIN | POLLERR)) != 0) {
            from_client(relay);
        }
        if ((fds[1].revents & (POLLIN | POLLERR)) != 0) {
            from_server(relay);
        }
        if (atomic_load(&relay->must_release)) {
            for (size_t i = 0; i < held_count; i++) {
                pass_on(relay->back, held[i].bytes, held[i].length);
                atomic_fetch_add(&relay->released, 1);
            }
            held_count = 0;
            atomic_store(&relay->must_release, false);
        }
    }
    return NULL;
}

void relay_start(relay_t *relay, uint16_t server_port)
{
    memset(relay, 0, sizeof(*relay));
    held_count = 0;
    uint16_t back_port;
    relay->front = open_socket(&relay->port);
    relay->back = open_socket(&back_port);
    struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(server_port)};
    CHECK_EQUAL(connect(relay->back, (struct sockaddr *)&server, sizeof(server)), 0);
    CHECK_EQUAL(pthread_create(&relay->thread, NULL, run, relay), 0);
}

void relay_set(relay_t *relay, relay_mode_t mode)
{
    atomic_store(&relay->mode, mode);
}

void relay_release(relay_t *relay)
{
    atomic_store(&relay->must_release, true);
    while (atomic_load(&relay->must_release)) {
        (void)sched_yield();
    }
}

void relay_stop(relay_t *relay)
{
    atomic_store(&relay->must_end, true);
    CHECK_EQUAL(pthread_join(relay->thread, NULL), 0);
    (void)close(relay->front);
    (void)close(relay->back);
}
