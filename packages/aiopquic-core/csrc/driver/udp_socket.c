#if defined(__linux__)
#include "driver/udp_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* Room for the packet information, the ECN bits and the segment size, of either family. */
#define CONTROL_BYTES 256

static const aiopq_udp_calls_t system_calls = {.sendmsg = sendmsg, .recvmsg = recvmsg};

static socklen_t address_length(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static in_port_t *port_of(struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)address)->sin6_port
                                          : &((struct sockaddr_in *)address)->sin_port;
}

static bool set_int(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

static int get_int(int fd, int level, int option)
{
    int value = 0;
    socklen_t length = sizeof(value);
    return getsockopt(fd, level, option, &value, &length) == 0 ? value : 0;
}

/* Destination address and ECN bits of every datagram; DF set and path MTU left to picoquic. */
static bool set_ip_options(int fd, int family, uint8_t ecn)
{
    if (family == AF_INET6) {
        (void)set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, ecn);
        (void)set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
        return set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) && set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
               set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    }
    (void)set_int(fd, IPPROTO_IP, IP_TOS, ecn);
    (void)set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    return set_int(fd, IPPROTO_IP, IP_PKTINFO, 1) && set_int(fd, IPPROTO_IP, IP_RECVTOS, 1);
}

/* What is known of a socket that is bound. */
static int describe(aiopq_udp_socket_t *s)
{
    socklen_t length = sizeof(s->bound);
    if (getsockname(s->fd, (struct sockaddr *)&s->bound, &length) != 0) {
        return errno;
    }
    s->family = s->bound.ss_family;
    s->send_buffer_bytes = get_int(s->fd, SOL_SOCKET, SO_SNDBUF);
    s->receive_buffer_bytes = get_int(s->fd, SOL_SOCKET, SO_RCVBUF);
    s->can_coalesce = set_int(s->fd, IPPROTO_UDP, UDP_GRO, 1);
    /* Setting it to zero changes nothing, and fails on a kernel that does not know it. */
    s->can_segment = set_int(s->fd, IPPROTO_UDP, UDP_SEGMENT, 0);
    return 0;
}

int aiopq_udp_open(aiopq_udp_socket_t *s, const struct sockaddr_storage *address, uint32_t buffer_bytes,
                   uint8_t ecn, bool is_shared)
{
    memset(s, 0, sizeof(*s));
    s->calls = &system_calls;
    s->fd = socket(address->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
    if (s->fd < 0 || !set_ip_options(s->fd, address->ss_family, ecn) || (is_shared && !aiopq_udp_share(s)) ||
        bind(s->fd, (const struct sockaddr *)address, address_length(address)) != 0) {
        int error = errno;
        aiopq_udp_close(s);
        return error;
    }
    if (buffer_bytes > 0) {
        /* The system grants less when its limits say so; that costs throughput, not correctness. */
        (void)set_int(s->fd, SOL_SOCKET, SO_SNDBUF, (int)buffer_bytes);
        (void)set_int(s->fd, SOL_SOCKET, SO_RCVBUF, (int)buffer_bytes);
    }
    return aiopq_udp_adopt(s, s->fd);
}

bool aiopq_udp_share(const aiopq_udp_socket_t *s)
{
    return set_int(s->fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

int aiopq_udp_adopt(aiopq_udp_socket_t *s, int fd)
{
    memset(s, 0, sizeof(*s));
    s->calls = &system_calls;
    s->fd = fd;
    int error = describe(s);
    if (error != 0) {
        aiopq_udp_close(s);
    }
    return error;
}

void aiopq_udp_close(aiopq_udp_socket_t *s)
{
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
}

void aiopq_udp_do_without(aiopq_udp_socket_t *s, bool segmentation, bool coalescing)
{
    s->can_segment = s->can_segment && !segmentation;
    if (coalescing) {
        (void)set_int(s->fd, IPPROTO_UDP, UDP_GRO, 0);
        s->can_coalesce = false;
    }
}

bool aiopq_udp_covers(const struct sockaddr_storage *bound, const struct sockaddr_storage *address)
{
    if (bound->ss_family != address->ss_family) {
        return false;
    }
    if (bound->ss_family == AF_INET6) {
        const struct sockaddr_in6 *own = (const struct sockaddr_in6 *)bound;
        const struct sockaddr_in6 *other = (const struct sockaddr_in6 *)address;
        return own->sin6_port == other->sin6_port &&
               (aiopq_udp_is_wildcard(bound) || IN6_ARE_ADDR_EQUAL(&own->sin6_addr, &other->sin6_addr));
    }
    const struct sockaddr_in *own = (const struct sockaddr_in *)bound;
    const struct sockaddr_in *other = (const struct sockaddr_in *)address;
    return own->sin_port == other->sin_port &&
           (aiopq_udp_is_wildcard(bound) || own->sin_addr.s_addr == other->sin_addr.s_addr);
}

bool aiopq_udp_is_wildcard(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6) {
        return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)address)->sin6_addr);
    }
    return ((const struct sockaddr_in *)address)->sin_addr.s_addr == htonl(INADDR_ANY);
}

uint16_t aiopq_udp_port(const aiopq_udp_socket_t *s)
{
    struct sockaddr_storage bound = s->bound;
    return ntohs(*port_of(&bound));
}

void aiopq_udp_set_port(struct sockaddr_storage *address, uint16_t port)
{
    *port_of(address) = htons(port);
}

/* ---- receiving ---- */

static void read_control(const aiopq_udp_socket_t *s, struct msghdr *message, aiopq_received_t *received)
{
    for (struct cmsghdr *entry = CMSG_FIRSTHDR(message); entry != NULL; entry = CMSG_NXTHDR(message, entry)) {
        if (entry->cmsg_level == IPPROTO_IP && entry->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo information;
            memcpy(&information, CMSG_DATA(entry), sizeof(information));
            ((struct sockaddr_in *)&received->to)->sin_addr = information.ipi_addr;
            received->interface_index = information.ipi_ifindex;
        } else if (entry->cmsg_level == IPPROTO_IPV6 && entry->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo information;
            memcpy(&information, CMSG_DATA(entry), sizeof(information));
            ((struct sockaddr_in6 *)&received->to)->sin6_addr = information.ipi6_addr;
            received->interface_index = (int)information.ipi6_ifindex;
        } else if (entry->cmsg_level == IPPROTO_IP && entry->cmsg_type == IP_TOS) {
            received->ecn = *CMSG_DATA(entry) & 3;
        } else if (entry->cmsg_level == IPPROTO_IPV6 && entry->cmsg_type == IPV6_TCLASS) {
            int traffic_class;
            memcpy(&traffic_class, CMSG_DATA(entry), sizeof(traffic_class));
            received->ecn = (uint8_t)(traffic_class & 3);
        } else if (entry->cmsg_level == IPPROTO_UDP && entry->cmsg_type == UDP_GRO) {
            int segment;
            memcpy(&segment, CMSG_DATA(entry), sizeof(segment));
            received->segment = segment > 0 ? (size_t)segment : received->segment;
        }
    }
    /* picoquic tells paths apart by their local address: every datagram names the same port. */
    received->to.ss_family = (sa_family_t)s->family;
    struct sockaddr_storage bound = s->bound;
    *port_of(&received->to) = *port_of(&bound);
}

bool aiopq_udp_receive(aiopq_udp_socket_t *s, uint8_t *buffer, aiopq_received_t *received)
{
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_BYTES];
    struct iovec data = {.iov_base = buffer, .iov_len = AIOPQ_RECEIVE_MAX};
    for (;;) {
        struct msghdr message = {.msg_name = &received->from,
                                 .msg_namelen = sizeof(received->from),
                                 .msg_iov = &data,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof(control)};
        ssize_t length = s->calls->recvmsg(s->fd, &message, 0);
        if (length < 0) {
            if (errno == EINTR) {
                continue;
            }
            /* EAGAIN, or an ICMP error of an earlier datagram: QUIC finds out by itself. */
            return false;
        }
        if (length == 0 || (message.msg_flags & MSG_TRUNC) != 0) {
            continue;
        }
        memset(&received->to, 0, sizeof(received->to));
        received->length = received->segment = (size_t)length;
        received->interface_index = 0;
        received->ecn = 0;
        read_control(s, &message, received);
        return true;
    }
}

/* ---- sending ---- */

static void add_control(struct msghdr *message, int level, int type, const void *value, size_t length)
{
    struct cmsghdr *entry = (struct cmsghdr *)((uint8_t *)message->msg_control + message->msg_controllen);
    entry->cmsg_level = level;
    entry->cmsg_type = type;
    entry->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(entry), value, length);
    message->msg_controllen += CMSG_SPACE(length);
}

static void add_source(struct msghdr *message, const struct sockaddr_storage *from, int interface_index)
{
    if (from->ss_family == AF_INET) {
        struct in_pktinfo information = {.ipi_ifindex = interface_index,
                                         .ipi_spec_dst = ((const struct sockaddr_in *)from)->sin_addr};
        add_control(message, IPPROTO_IP, IP_PKTINFO, &information, sizeof(information));
    } else if (from->ss_family == AF_INET6) {
        struct in6_pktinfo information = {.ipi6_ifindex = (unsigned)interface_index,
                                          .ipi6_addr = ((const struct sockaddr_in6 *)from)->sin6_addr};
        add_control(message, IPPROTO_IPV6, IPV6_PKTINFO, &information, sizeof(information));
    }
}

/* One sendmsg(); 0 or the errno. */
static int send_once(aiopq_udp_socket_t *s, const uint8_t *data, size_t length, size_t segment,
                     const struct sockaddr_storage *to, const struct sockaddr_storage *from,
                     int interface_index)
{
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_BYTES];
    struct iovec run = {.iov_base = (void *)(uintptr_t)data, .iov_len = length};
    struct msghdr message = {.msg_name = (void *)(uintptr_t)to,
                             .msg_namelen = address_length(to),
                             .msg_iov = &run,
                             .msg_iovlen = 1,
                             .msg_control = control};
    memset(control, 0, sizeof(control));
    add_source(&message, from, interface_index);
    if (segment > 0 && segment < length) {
        uint16_t size = (uint16_t)segment;
        add_control(&message, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size));
    }
    if (message.msg_controllen == 0) {
        message.msg_control = NULL;
    }
    ssize_t sent;
    do {
        s->send_calls++;
        sent = s->calls->sendmsg(s->fd, &message, 0);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

static aiopq_send_result_t result_of(int error)
{
    switch (error) {
    case EAGAIN:
        return AIOPQ_SEND_BLOCKED;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EAFNOSUPPORT:
    case EADDRNOTAVAIL:
        errno = error;
        return AIOPQ_SEND_UNREACHABLE;
    default:
        /* Full device queues, firewalls, a probe that is larger than the path: lost, as on any network. */
        return AIOPQ_SENT;
    }
}

/* The same datagrams, one call each: what the kernel refuses of them is lost, the others go. */
static aiopq_send_result_t send_one_by_one(aiopq_udp_socket_t *s, const uint8_t *data, size_t length,
                                           size_t segment, const struct sockaddr_storage *to,
                                           const struct sockaddr_storage *from, int interface_index)
{
    aiopq_send_result_t result = AIOPQ_SENT;
    for (size_t offset = 0; offset < length && result == AIOPQ_SENT; offset += segment) {
        size_t run = length - offset < segment ? length - offset : segment;
        result = result_of(send_once(s, data + offset, run, 0, to, from, interface_index));
        if (result == AIOPQ_SEND_BLOCKED) {
            return AIOPQ_SENT; /* some are out: the rest counts as lost rather than being sent twice */
        }
    }
    return result;
}

aiopq_send_result_t aiopq_udp_send(aiopq_udp_socket_t *s, const uint8_t *data, size_t length, size_t segment,
                                   const struct sockaddr_storage *to, const struct sockaddr_storage *from,
                                   int interface_index)
{
    bool is_batch = segment > 0 && segment < length;
    if (is_batch && (!s->can_segment || length > segment * AIOPQ_SEGMENTS_MAX)) {
        return send_one_by_one(s, data, length, segment, to, from, interface_index);
    }
    int error = send_once(s, data, length, segment, to, from, interface_index);
    if (error == 0) {
        return AIOPQ_SENT;
    }
    if (is_batch && (error == EIO || error == EINVAL || error == EMSGSIZE || error == ENOPROTOOPT ||
                     error == EOPNOTSUPP)) {
        /* EMSGSIZE speaks of this batch alone: it begins with a path MTU probe. The others mean that this
         * kernel or device can't segment. */
        if (error != EMSGSIZE) {
            s->can_segment = false;
        }
        return send_one_by_one(s, data, length, segment, to, from, interface_index);
    }
    return result_of(error);
}
#endif
