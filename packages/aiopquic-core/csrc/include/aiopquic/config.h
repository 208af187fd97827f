/* Every setting of an engine, checked by the caller, copied by aiopq_engine_new(). */
#ifndef AIOPQUIC_CONFIG_H
#define AIOPQUIC_CONFIG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A borrowed run of bytes; valid during the call that takes the configuration. */
typedef struct aiopq_bytes {
    const uint8_t *data;
    size_t length;
} aiopq_bytes_t;

#define AIOPQ_ALPN_COUNT_MAX 32
#define AIOPQ_RESET_SECRET_LENGTH 16
#define AIOPQ_TICKET_KEY_LENGTH 32
#define AIOPQ_HASH_LENGTH 32 /* of a SHA-256 */
#define AIOPQ_KEY_EXCHANGE_MAX 16
#define AIOPQ_FURTHER_PATHS_MAX 7 /* picoquic's limit */
#define AIOPQ_BIND_ADDRESS_MAX 2  /* at most one per address family */
#define AIOPQ_PROTOCOLS_MAX 4

/* When packets larger than the smallest are tried (path MTU discovery, RFC 9000 section 14.3). */
typedef enum aiopq_pmtud {
    AIOPQ_PMTUD_BASIC = 0, /* as soon as a connection has a moment for it */
    AIOPQ_PMTUD_DELAYED,   /* once there is enough to send that it pays */
    AIOPQ_PMTUD_BLOCKED    /* never */
} aiopq_pmtud_t;

/* Chain and key are PEM, or DER (the chain one certificate behind the other); a key may be encrypted in either. */
typedef struct aiopq_certificate {
    const char
        *server_name; /* "name.example", or "*.name.example" for one label more; NULL: for every name */
    aiopq_bytes_t chain, key;
    const char *key_password; /* NULL when the key is not encrypted */
} aiopq_certificate_t;

/* A key for Encrypted Client Hello: an ECHConfigList of one configuration (RFC 9849 section 4), and its private key as DER. */
typedef struct aiopq_ech_key {
    aiopq_bytes_t config, private_key;
} aiopq_ech_key_t;

#define AIOPQ_QUIC_LB_SERVER_ID_MAX 15
#define AIOPQ_QUIC_LB_KEY_LENGTH 16

/* Connection ids that tell a load balancer their server (draft-ietf-quic-load-balancers): one octet, the server id, the
 * nonce. */
typedef struct aiopq_quic_lb {
    uint8_t rotation;         /* of the configuration, 0 to 6 */
    uint8_t server_id_length; /* 0: no such ids; at most AIOPQ_QUIC_LB_SERVER_ID_MAX */
    uint8_t server_id[AIOPQ_QUIC_LB_SERVER_ID_MAX];
    uint8_t nonce_length; /* at least 4; with the server id 19 at most */
    bool encodes_length;  /* the first octet has the length, instead of random bits */
    bool has_key;         /* server id and nonce are encrypted */
    uint8_t key[AIOPQ_QUIC_LB_KEY_LENGTH];
} aiopq_quic_lb_t;

typedef struct aiopq_config {
    bool is_client;

    /* Servers only. Every client proves its address with a Retry before it is accepted (RFC 9000 section 8.1.2). */
    bool always_retry;
    /* Servers only. So many handshakes may be under way before new clients must do so, too; 0: picoquic's number. */
    uint32_t half_open_limit;
    /* Servers only, and not with picoquic's packet loop: each client waits for an answer to an INCOMING event before
     * its handshake begins. */
    bool holds_incoming;

    /* The simulated network to live on, with its clock; borrowed for the engine's life. NULL for sockets and
     * the clock of the host, which the driver reads once a turn. */
    struct aiopq_network *network;
    uint64_t *simulated_time_us; /* the network's clock, in microseconds */

    /* Addresses to bind, ss_family AF_UNSPEC when unused; with none given the wildcard addresses of
     * both families are bound. The port of the entries is ignored in favour of `local_port`. */
    struct sockaddr_storage bind_addresses[AIOPQ_BIND_ADDRESS_MAX];
    uint16_t local_port;          /* 0 lets the system choose */
    uint32_t socket_buffer_bytes; /* 0 leaves the system's */
    uint32_t spin_us; /* how long the network thread looks for work at most before it sleeps; 0: never */
    bool use_portable_loop; /* picoquic's packet loop instead of our own, as on other systems than Linux */
    bool is_inline; /* no network thread: the loop thread moves the datagrams in its drains. Linux only */
    bool use_pipe_waker; /* a self-pipe instead of eventfd, as on systems without it */
    /* Our packet loop does without, as where the kernel refuses it: UDP_SEGMENT, UDP_GRO, and datagrams that picoquic
     * prepared one by one in one system call. For comparisons. */
    bool without_gso, without_gro, without_joining;

    /* Servers with a network thread of our own. The group whose sockets the engine uses (workers.h) instead of opening some,
     * of which it takes a reference, and its number there; `max_connections` counts for all of the group. NULL: alone. */
    struct aiopq_workers *workers;
    uint32_t worker;

    const char *alpn[AIOPQ_ALPN_COUNT_MAX]; /* server: accepted, in order of preference; NULL ends the list */
    /* Those of the connections that speak them (protocol.h); borrowed for the engine's life. NULL ends the list. */
    const struct aiopq_protocol *protocols[AIOPQ_PROTOCOLS_MAX];

    /* As in aiopq_certificate_t. A client presents it when it has one and is asked; a server to whoever asks for a name
     * that none of `certificates` is for, and without it refuses those. */
    aiopq_bytes_t certificate_chain, private_key;
    const char *private_key_password;
    const aiopq_certificate_t *certificates; /* server: with names */
    size_t certificate_count;
    const aiopq_bytes_t *trusted_roots; /* DER, one entry a certificate */
    size_t trusted_root_count;
    bool verify_peer;                  /* server: asks clients for a certificate */
    bool is_peer_certificate_optional; /* server: a client without one is accepted */
    /* Client. SHA-256 hashes, one behind the other, of certificates (their DER) that are accepted in place of a chain:
     * `verify_peer` is false then; of public keys (SubjectPublicKeyInfo), one of which the certificate must have
     * whatever else is verified. Empty: not asked for. */
    aiopq_bytes_t certificate_hashes, pinned_keys;

    /* Server: those that it opens ClientHellos with. */
    const aiopq_ech_key_t *ech_keys;
    size_t ech_key_count;
    /* Client: ClientHellos are sealed for one of `ech_configs`, an ECHConfigList, or look so when it is empty (GREASE). */
    bool uses_ech;
    aiopq_bytes_t ech_configs;
    const char *
        ech_public_name; /* who a server must prove to be that does not open them; NULL without configurations */

    /* Stateless reset tokens are made of it (RFC 9000 section 10.3.2): a server that is started again with the
     * same one can end the connections that it has lost. All zero: a random one. */
    uint8_t stateless_reset_secret[AIOPQ_RESET_SECRET_LENGTH];

    /* Session tickets and address tokens are sealed with it: servers with the same one take each other's. All zero: a
     * random one. */
    uint8_t ticket_key[AIOPQ_TICKET_KEY_LENGTH];

    const char *keylog_file;        /* NULL: off */
    const char *qlog_dir;           /* NULL: off */
    const char *congestion_control; /* a name picoquic knows */
    const char *congestion_options; /* in that controller's words; NULL for none */
    uint64_t max_congestion_window; /* bytes; 0: no limit */
    bool no_ack_frequency;          /* draft-ietf-quic-ack-frequency is not offered */
    bool no_spin_bit;               /* RFC 9000 section 17.4: a random value */
    uint8_t connection_id_length;   /* of our ids; 0: picoquic's own. Not with `quic_lb` */
    aiopq_quic_lb_t quic_lb;        /* server */
    uint32_t cipher_suite;          /* IANA number; 0 leaves picoquic's list */
    uint16_t
        key_exchange_groups[AIOPQ_KEY_EXCHANGE_MAX]; /* IANA numbers, the preferred first; 0 ends the list.
                                                             An empty one: all, classic groups first */
    uint64_t key_update_interval;                    /* packets sent per key phase; 0: picoquic's number */
    uint32_t version;                                /* client: the first one to try; 0: version 1 */
    uint32_t desired_version; /* client: what the server should change to (RFC 9368); 0: none */
    aiopq_pmtud_t pmtud;

    bool keeps_sessions; /* client: tickets are kept and used (RFC 8446 section 2.2); address tokens always */
    aiopq_bytes_t session_tickets; /* client: what aiopq_engine_session_tickets() gave before */
    bool accepts_early_data;       /* server: 0-RTT data is taken (RFC 9001 section 4.6) */

    uint32_t max_connections;
    uint64_t idle_timeout_ms;                   /* 0: none */
    uint64_t handshake_timeout_us;              /* 0: the idle timeout counts */
    uint64_t keep_alive_us;                     /* 0: none */
    uint64_t max_data;                          /* receive budget per connection, in bytes */
    uint64_t max_stream_data;                   /* largest receive window of one stream, in bytes */
    uint64_t initial_stream_window;             /* receive window that every stream starts with, in bytes */
    uint64_t max_streams_bidi, max_streams_uni; /* peer-opened streams that may be open at once */
    uint32_t max_datagram_frame_size;           /* 0: datagrams off */
    uint8_t max_paths; /* that a connection may have at once, 1 + AIOPQ_FURTHER_PATHS_MAX at most; below 2: no
                          multipath (draft-ietf-quic-multipath) */
    /* Server: where clients are asked to move to (RFC 9000 section 9.6), with their ports; AF_UNSPEC when unused. */
    struct sockaddr_storage preferred_addresses[AIOPQ_BIND_ADDRESS_MAX];

    uint64_t send_budget_stream;     /* bytes that may wait in one stream */
    uint64_t send_budget_conn;       /* bytes that may wait in one connection */
    uint64_t datagram_queue_bytes;   /* that may wait to be sent in one connection */
    uint64_t datagram_receive_bytes; /* that may wait for the application in one connection */
    uint8_t datagram_priority;       /* among the streams': 0 is sent first */
    uint32_t datagram_max_payload;   /* largest datagram that is taken; 0: what peer and path take */
    size_t command_capacity;         /* commands that may wait; 0: no limit */
} aiopq_config_t;

#endif
