/* The UDP socket of the Linux driver: batches both ways, and every refusal of the kernel or the device. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "driver/udp_socket.h"
#include "test.h"

#define SEGMENT 1200
#define BATCH 10

static uint8_t received_bytes[AIOPQ_RECEIVE_MAX];

static struct sockaddr_storage loopback(int family)
{
    struct sockaddr_storage address;
    memset(&address, 0, sizeof(address));
    address.ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else {
        ((struct sockaddr_in6 *)&address)->sin6_addr = in6addr_loopback;
    }
    return address;
}

typedef struct pair {
    aiopq_udp_socket_t sender, receiver;
} pair_t;

static pair_t open_pair(int family)
{
    pair_t pair;
    struct sockaddr_storage address = loopback(family);
    CHECK_EQUAL(aiopq_udp_open(&pair.sender, &address, 1 << 20, 2, false), 0);
    CHECK_EQUAL(aiopq_udp_open(&pair.receiver, &address, 1 << 20, 0, false), 0);
    return pair;
}

static void close_pair(pair_t *pair)
{
    aiopq_udp_close(&pair->sender);
    aiopq_udp_close(&pair->receiver);
    CHECK_EQUAL(pair->sender.fd, -1);
}

/* Receives `count` datagrams and checks their bytes; returns how many recvmsg() calls brought them. */
static int receive_datagrams(pair_t *pair, size_t count, size_t last_length)
{
    aiopq_received_t received;
    int calls = 0;
    for (size_t got = 0; got < count; calls++) {
        struct pollfd wanted = {.fd = pair->receiver.fd, .events = POLLIN};
        CHECK_EQUAL(poll(&wanted, 1, 5000), 1);
        CHECK(aiopq_udp_receive(&pair->receiver, received_bytes, &received));
        CHECK_EQUAL(received.from.ss_family, pair->sender.family);
        for (size_t offset = 0; offset < received.length; offset += received.segment, got++) {
            size_t left = received.length - offset;
            size_t length = left < received.segment ? left : received.segment;
            CHECK_EQUAL(length, got + 1 == count ? last_length : SEGMENT);
            CHECK(test_matches(received_bytes + offset, length, 7, got * SEGMENT));
        }
        CHECK_EQUAL(received.ecn, 2);
    }
    CHECK(!aiopq_udp_receive(&pair->receiver, received_bytes, &received));
    return calls;
}

/* Sends BATCH datagrams, the last one of half the size, as one batch. */
static aiopq_send_result_t send_batch(pair_t *pair)
{
    static uint8_t data[BATCH * SEGMENT];
    struct sockaddr_storage unspecified;
    memset(&unspecified, 0, sizeof(unspecified));
    test_fill(data, sizeof(data), 7, 0);
    return aiopq_udp_send(&pair->sender, data, sizeof(data) - SEGMENT / 2, SEGMENT, &pair->receiver.bound,
                          &unspecified, 0);
}

static void check_batch(int family)
{
    pair_t pair = open_pair(family);
    CHECK_EQUAL(send_batch(&pair), AIOPQ_SENT);
    int calls = receive_datagrams(&pair, BATCH, SEGMENT / 2);
    if (pair.sender.can_segment && pair.receiver.can_coalesce) {
        CHECK_EQUAL(calls, 1);
    }
    close_pair(&pair);
}

static void a_batch_arrives_over_ipv4(void)
{
    check_batch(AF_INET);
}

static void a_batch_arrives_over_ipv6(void)
{
    check_batch(AF_INET6);
}

static void destination_address_and_port_are_told(void)
{
    pair_t pair = open_pair(AF_INET);
    aiopq_received_t received;
    CHECK_EQUAL(send_batch(&pair), AIOPQ_SENT);
    struct pollfd wanted = {.fd = pair.receiver.fd, .events = POLLIN};
    CHECK_EQUAL(poll(&wanted, 1, 5000), 1);
    CHECK(aiopq_udp_receive(&pair.receiver, received_bytes, &received));
    struct sockaddr_in *to = (struct sockaddr_in *)&received.to;
    CHECK_EQUAL(ntohl(to->sin_addr.s_addr), INADDR_LOOPBACK);
    CHECK_EQUAL(ntohs(to->sin_port), aiopq_udp_port(&pair.receiver));
    close_pair(&pair);
}

static void a_busy_port_is_told(void)
{
    aiopq_udp_socket_t first, second;
    struct sockaddr_storage address = loopback(AF_INET);
    CHECK_EQUAL(aiopq_udp_open(&first, &address, 0, 0, false), 0);
    CHECK_EQUAL(aiopq_udp_open(&second, &first.bound, 0, 0, false), EADDRINUSE);
    CHECK_EQUAL(second.fd, -1);
    aiopq_udp_close(&first);
}

/* ---- refusals ---- */

static int injected_error;  /* errno of the calls that are refused */
static int refusals_left;   /* how many of them */
static bool refuse_batches; /* only calls that carry a segment size */
static int calls_made;

static ssize_t refusing_sendmsg(int fd, const struct msghdr *message, int flags)
{
    calls_made++;
    bool is_batch = false;
    for (struct cmsghdr *entry = CMSG_FIRSTHDR(message); entry != NULL;
         entry = CMSG_NXTHDR((struct msghdr *)(uintptr_t)message, entry)) {
        is_batch |= entry->cmsg_level == IPPROTO_UDP;
    }
    if (refusals_left > 0 && (is_batch || !refuse_batches)) {
        refusals_left--;
        errno = injected_error;
        return -1;
    }
    return sendmsg(fd, message, flags);
}

static const aiopq_udp_calls_t refusing = {.sendmsg = refusing_sendmsg, .recvmsg = recvmsg};

static pair_t open_refusing_pair(int error, int count, bool only_batches)
{
    pair_t pair = open_pair(AF_INET);
    pair.sender.calls = &refusing;
    pair.sender.can_segment = true; /* whatever this kernel says: the refusal comes from above */
    injected_error = error;
    refusals_left = count;
    refuse_batches = only_batches;
    calls_made = 0;
    return pair;
}

/* A device or kernel without segmentation: everything arrives one by one, now and from then on. */
static void check_segmentation_is_given_up(int error)
{
    pair_t pair = open_refusing_pair(error, 1, true);
    CHECK_EQUAL(send_batch(&pair), AIOPQ_SENT);
    CHECK(!pair.sender.can_segment);
    CHECK_EQUAL(calls_made, 1 + BATCH);
    receive_datagrams(&pair, BATCH, SEGMENT / 2);
    calls_made = 0;
    CHECK_EQUAL(send_batch(&pair), AIOPQ_SENT);
    CHECK_EQUAL(calls_made, BATCH);
    receive_datagrams(&pair, BATCH, SEGMENT / 2);
    close_pair(&pair);
}

static void eio_gives_segmentation_up(void)
{
    check_segmentation_is_given_up(EIO);
}

static void einval_gives_segmentation_up(void)
{
    check_segmentation_is_given_up(EINVAL);
}

static void an_oversized_batch_goes_one_by_one(void)
{
    pair_t pair = open_refusing_pair(EMSGSIZE, 1, true);
    CHECK_EQUAL(send_batch(&pair), AIOPQ_SENT);
    CHECK(pair.sender.can_segment); /* it was this batch, not the device */
    receive_datagrams(&pair, BATCH, SEGMENT / 2);
    close_pair(&pair);
}

static void a_full_socket_takes_nothing(void)
{
    pair_t pair = open_refusing_pair(EAGAIN, 1, false);
    CHECK_EQUAL(send_batch(&pair), AIOPQ_SEND_BLOCKED);
    aiopq_received_t received;
    CHECK(!aiopq_udp_receive(&pair.receiver, received_bytes, &received));
    CHECK_EQUAL(send_batch(&pair), AIOPQ_SENT); /* the same batch again, once */
    receive_datagrams(&pair, BATCH, SEGMENT / 2);
    close_pair(&pair);
}

static void an_interrupted_call_is_repeated(void)
{
    pair_t pair = open_refusing_pair(EINTR, 3, false);
    CHECK_EQUAL(send_batch(&pair), AIOPQ_SENT);
    receive_datagrams(&pair, BATCH, SEGMENT / 2);
    close_pair(&pair);
}

/* Losses, as far as QUIC is concerned. */
static void check_is_a_loss(int error)
{
    pair_t pair = open_refusing_pair(error, 1, false);
    CHECK_EQUAL(send_batch(&pair), AIOPQ_SENT);
    CHECK(pair.sender.can_segment);
    CHECK_EQUAL(send_batch(&pair), AIOPQ_SENT);
    receive_datagrams(&pair, BATCH, SEGMENT / 2);
    close_pair(&pair);
}

static void enobufs_and_eperm_are_losses(void)
{
    check_is_a_loss(ENOBUFS);
    check_is_a_loss(EPERM);
}

static void an_unreachable_address_is_told(void)
{
    pair_t pair = open_refusing_pair(EHOSTUNREACH, 1, false);
    CHECK_EQUAL(send_batch(&pair), AIOPQ_SEND_UNREACHABLE);
    CHECK_EQUAL(errno, EHOSTUNREACH);
    close_pair(&pair);
}

static void batches_can_be_done_without(void)
{
    pair_t pair = open_pair(AF_INET);
    aiopq_udp_do_without(&pair.sender, true, false);
    aiopq_udp_do_without(&pair.receiver, false, true);
    CHECK(!pair.sender.can_segment && !pair.receiver.can_coalesce);
    CHECK_EQUAL(send_batch(&pair), AIOPQ_SENT);
    CHECK_EQUAL(pair.sender.send_calls, BATCH);
    CHECK_EQUAL(receive_datagrams(&pair, BATCH, SEGMENT / 2), BATCH);
    close_pair(&pair);
    pair = open_pair(AF_INET);
    aiopq_udp_do_without(&pair.receiver, false, true); /* whatever the sender does */
    CHECK_EQUAL(send_batch(&pair), AIOPQ_SENT);
    CHECK_EQUAL(receive_datagrams(&pair, BATCH, SEGMENT / 2), BATCH);
    close_pair(&pair);
}

static void a_refusal_within_the_single_sends_loses_one(void)
{
    pair_t pair = open_refusing_pair(EIO, 2, false); /* the batch, then its first datagram */
    CHECK_EQUAL(send_batch(&pair), AIOPQ_SENT);
    CHECK_EQUAL(calls_made, 1 + BATCH);
    close_pair(&pair);
}

static const test_case_t cases[] = {
    TEST(a_batch_arrives_over_ipv4),
    TEST(a_batch_arrives_over_ipv6),
    TEST(destination_address_and_port_are_told),
    TEST(a_busy_port_is_told),
    TEST(eio_gives_segmentation_up),
    TEST(einval_gives_segmentation_up),
    TEST(an_oversized_batch_goes_one_by_one),
    TEST(a_full_socket_takes_nothing),
    TEST(an_interrupted_call_is_repeated),
    TEST(enobufs_and_eperm_are_losses),
    TEST(an_unreachable_address_is_told),
    TEST(batches_can_be_done_without),
    TEST(a_refusal_within_the_single_sends_loses_one),
};
TEST_MAIN(cases)
