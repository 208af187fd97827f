/* UDP datagrams over loopback, as fast as they go: one to a call, or with the kernel's segmentation (UDP_SEGMENT, a
 * call sends many) and its merging (UDP_GRO, a call receives many). Two processes, each with its own account.
 *
 * A datagram begins with its number; the rest is the pattern from that number on. Every number and every length is
 * looked at, and the whole of each CHECKED_EVERYth datagram: comparing all of it would be most of what is measured. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103 /* <linux/udp.h> */
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define CHECKED_EVERY 64
#define NUMBER_SIZE sizeof(uint64_t)

/* The largest payload of a datagram over IPv4. */
#define BUFFER_SIZE 65507u

/* As many segments of one call as every kernel with UDP_SEGMENT takes. */
#define SEGMENTS_MAX 64u

/* What a packet loop asks for; the kernel gives what it allows. */
#define SOCKET_BUFFER (4 << 20)

/* Calls between two looks at the clock. */
#define CALLS_PER_LOOK 64

/* A receiver that gets nothing looks at the clock after so many seconds. */
#define SILENCE_S 0.05

static int open_socket(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        int size = SOCKET_BUFFER;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    }
    return fd;
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* ---- sending ---- */

static void fill(uint8_t *datagram, size_t size, uint64_t number, uint64_t spoil)
{
    memcpy(datagram, &number, NUMBER_SIZE);
    memcpy(datagram + NUMBER_SIZE, bench_pattern(number), size - NUMBER_SIZE);
    if (spoil != 0 && number + 1 >= spoil) {
        datagram[size - 1] ^= 1;
    }
}

int bench_udp_send(const bench_options_t *options)
{
    static uint8_t buffer[BUFFER_SIZE];
    if (options->size <= NUMBER_SIZE || options->size > BUFFER_SIZE) {
        return bench_fail(BENCH_USAGE, "a datagram has %zu to %u bytes", NUMBER_SIZE + 1, BUFFER_SIZE);
    }
    size_t segments = options->uses_gso ? BUFFER_SIZE / options->size : 1;
    segments = segments < SEGMENTS_MAX ? segments : SEGMENTS_MAX;
    struct sockaddr_in to = loopback(options->port);
    int fd = open_socket();
    int segment = (int)options->size;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        return bench_fail(BENCH_FAILED, "no socket to send from: %s", strerror(errno));
    }
    if (options->uses_gso && setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)) != 0) {
        return bench_fail(BENCH_FAILED, "this kernel has no UDP_SEGMENT: %s", strerror(errno));
    }
    double start = bench_now();
    double begin = start;
    double cpu = bench_cpu();
    double now = start;
    double give_up = start + options->warm_up_s + options->duration_s + options->patience_s;
    bool is_refused = false;
    uint64_t count = 0;
    for (unsigned calls = 1; !is_refused && now < give_up; calls++) {
        for (size_t at = 0; at < segments; at++) {
            fill(buffer + at * options->size, options->size, count + at, options->spoil);
        }
        if (send(fd, buffer, segments * options->size, 0) >= 0) {
            count += segments;
        } else if (errno == ECONNREFUSED) {
            is_refused = true; /* the receiver has what it wanted */
        } else if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
            return bench_fail(BENCH_FAILED, "datagrams of %zu bytes can't be sent: %s", options->size,
                              strerror(errno));
        }
        if (calls % CALLS_PER_LOOK == 0) {
            now = bench_now();
            if (begin == start && now - start >= options->warm_up_s) {
                begin = now;
                cpu = bench_cpu();
            }
        }
    }
    (void)close(fd);
    if (!is_refused) {
        return bench_fail(BENCH_STALLED, "the receiver of datagrams did not end");
    }
    printf("{\"seconds\": %.9f, \"cpu_seconds\": %.9f, \"all_datagrams\": %" PRIu64 "}\n",
           bench_now() - begin, bench_cpu() - cpu, count);
    return BENCH_OK;
}

/* ---- receiving ---- */

typedef struct {
    uint64_t datagrams;
    uint64_t bytes;
    uint64_t next; /* the lowest number that may come: the kernel keeps their order */
    size_t size;
    bool is_wrong;
} received_t;

static void take(received_t *received, const uint8_t *datagram, size_t length)
{
    uint64_t number = 0;
    if (length == received->size) {
        memcpy(&number, datagram, NUMBER_SIZE);
    }
    if (length != received->size || number < received->next) {
        received->is_wrong = true;
        return;
    }
    if (number % CHECKED_EVERY == 0 &&
        memcmp(datagram + NUMBER_SIZE, bench_pattern(number), length - NUMBER_SIZE) != 0) {
        received->is_wrong = true;
    }
    received->next = number + 1;
    received->datagrams++;
    received->bytes += length;
}

/* What recvmsg() brought: one datagram, or as many as the kernel has merged. */
static ssize_t receive(int fd, received_t *received)
{
    static uint8_t buffer[1 << 16];
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {buffer, sizeof(buffer)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
    message.msg_controllen = sizeof(control);
    ssize_t length = recvmsg(fd, &message, 0);
    if (length < 0) {
        return length;
    }
    int segment = 0;
    for (struct cmsghdr *each = CMSG_FIRSTHDR(&message); each != NULL; each = CMSG_NXTHDR(&message, each)) {
        if (each->cmsg_level == IPPROTO_UDP && each->cmsg_type == UDP_GRO) {
            memcpy(&segment, CMSG_DATA(each), sizeof(segment));
        }
    }
    size_t step = segment > 0 ? (size_t)segment : (size_t)length;
    for (size_t at = 0; at < (size_t)length; at += step) {
        size_t left = (size_t)length - at;
        take(received, buffer + at, left < step ? left : step);
    }
    return length;
}

static void set_timeout(int fd, double seconds)
{
    struct timeval wait = {(time_t)seconds, (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
}

static int receive_all(int fd, const bench_options_t *options, received_t *received)
{
    set_timeout(fd, options->patience_s);
    if (receive(fd, received) < 0) {
        return bench_fail(BENCH_STALLED, "no datagram arrived within %.1f s", options->patience_s);
    }
    set_timeout(fd, SILENCE_S);
    double begin = bench_now() + options->warm_up_s;
    double give_up = begin + options->duration_s + options->patience_s;
    double cpu = 0;
    received_t before = {0};
    bool has_begun = false;
    for (unsigned calls = 1; !received->is_wrong; calls++) {
        if (receive(fd, received) >= 0 && calls % CALLS_PER_LOOK != 0) {
            continue;
        }
        double now = bench_now();
        if (!has_begun && now >= begin) {
            has_begun = true;
            begin = now;
            cpu = bench_cpu();
            before = *received;
        } else if (has_begun && now - begin >= options->duration_s &&
                   received->datagrams > before.datagrams) {
            uint64_t datagrams = received->datagrams - before.datagrams;
            printf("{\"seconds\": %.9f, \"cpu_seconds\": %.9f, \"bytes\": %" PRIu64
                   ", \"datagrams\": %" PRIu64 ", \"lost\": %" PRIu64 "}\n",
                   now - begin, bench_cpu() - cpu, received->bytes - before.bytes, datagrams,
                   received->next - before.next - datagrams);
            return BENCH_OK;
        }
        if (now >= give_up) {
            return bench_fail(BENCH_STALLED, "no datagram arrived while they were counted");
        }
    }
    return bench_fail(BENCH_WRONG_BYTES,
                      "datagram %" PRIu64
                      " is not the one that was sent: the run is a failure and gives no figure",
                      received->next);
}

int bench_udp_receive(const bench_options_t *options)
{
    int fd = open_socket();
    struct sockaddr_in address = loopback(options->port);
    socklen_t length = sizeof(address);
    int on = 1;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        return bench_fail(BENCH_FAILED, "port %d of 127.0.0.1: %s", options->port, strerror(errno));
    }
    if (options->uses_gro && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) != 0) {
        return bench_fail(BENCH_FAILED, "this kernel has no UDP_GRO: %s", strerror(errno));
    }
    printf("{\"port\": %d}\n", ntohs(address.sin_port));
    (void)fflush(stdout);
    received_t received = {.size = options->size};
    int status = receive_all(fd, options, &received);
    (void)close(fd);
    return status;
}
