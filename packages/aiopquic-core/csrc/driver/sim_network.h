/* The inside of a simulated network, which the simulated driver puts engines on. Everything here belongs to the
 * loop thread. */
#ifndef AIOPQ_DRIVER_SIM_NETWORK_H
#define AIOPQ_DRIVER_SIM_NETWORK_H

#include <picoquic.h>

#include "driver/sim_link.h"

/* What the network calls: one host's socket. */
typedef struct aiopq_sim_node aiopq_sim_node_t;
struct aiopq_sim_node {
    /* set by whoever attaches it */
    struct sockaddr_storage addresses[2]; /* with their port; family AF_UNSPEC when unused */
    void (*receive)(aiopq_sim_node_t *node, uint64_t now_us, uint8_t *bytes, size_t length,
                    const struct sockaddr_storage *from, const struct sockaddr_storage *to, uint8_t ecn);
    /* Sends what is due, and sets `wake_us`. True when the loop thread has something to look at. */
    bool (*turn)(aiopq_sim_node_t *node, uint64_t now_us);

    uint64_t wake_us;       /* when it wants its next turn by itself */
    bool is_woken;          /* wants a turn now */
    bool is_attached;       /* the network's */
    aiopq_sim_node_t *next; /* the network's */
};

/* Puts a node on the network; a port of 0 is chosen for all its addresses. Returns 0 or an errno. */
int aiopq_sim_attach(aiopq_network_t *network, aiopq_sim_node_t *node);

/* Takes it off; harmless when it is. Datagrams on their way to it become unreachable. */
void aiopq_sim_detach(aiopq_network_t *network, aiopq_sim_node_t *node);

/* What picoquic rolls dice for on this thread follows from the network's seed from now on. */
void aiopq_sim_seed(aiopq_network_t *network, picoquic_quic_t *quic);

/* Sends a datagram; the bytes are copied. Without memory it is lost. */
void aiopq_sim_send(aiopq_network_t *network, const struct sockaddr_storage *from,
                    const struct sockaddr_storage *to, const uint8_t *bytes, size_t length, uint8_t ecn);

uint16_t aiopq_sim_port(const struct sockaddr_storage *address);
void aiopq_sim_set_port(struct sockaddr_storage *address, uint16_t port);

#endif
