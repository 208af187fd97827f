/* picoquic alone: a client and a server of it in one thread, joined by picoquic's own simulated link, under a virtual
 * clock. No socket, no system call but a look at the clock now and then. The client sends one stream, and the server
 * compares every byte. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <picoquic.h>
#include <picoquic_utils.h>

#include "bench.h"

#define ALPN "aiopquic-bench"
#define SERVER_NAME "localhost"

/* Turns between two looks at the real clock. */
#define TURNS_PER_LOOK 256

/* No turn of the simulation comes without a reason; so many that change nothing are a fault in it. */
#define IDLE_TURNS_MAX 100000

/* Beyond what a queue of picoquic's own default windows takes. */
#define WINDOW (1u << 24)

/* Virtual time begins anywhere but at 0, which means "never" in places. */
#define START_US 1000000u

/* Microseconds that a packet may wait for the link; beyond, the link drops it. */
#define QUEUE_US_MIN 20000u

typedef struct {
    picoquic_quic_t *quic;
    picoquictest_sim_link_t *link; /* to the other side */
    struct sockaddr_in address;
} side_t;

typedef struct {
    const bench_options_t *options;
    uint64_t now_us; /* the virtual clock: picoquic reads it too */
    side_t client;
    side_t server;
    picoquic_cnx_t *cnx; /* the client's */
    uint64_t sent;       /* bytes of the stream */
    uint64_t received;
    uint64_t wrong_at; /* the first byte that was another, from 1 on; 0: none */
    uint64_t packets;  /* of both directions */
    uint64_t lost;
    uint64_t random;
    bool is_ending; /* no more bytes are to be sent */
    bool is_over;   /* the server has the end of the stream */
    bool is_closed; /* the connection is */
} sim_t;

typedef struct {
    double time;
    double cpu;
    uint64_t received;
    uint64_t packets;
    uint64_t now_us;
} sample_t;

static sample_t sample(const sim_t *sim)
{
    return (sample_t){bench_now(), bench_cpu(), sim->received, sim->packets, sim->now_us};
}

static int prepare_to_send(sim_t *sim, void *context, size_t room)
{
    if (room > BENCH_PATTERN_SPAN) {
        room = BENCH_PATTERN_SPAN;
    }
    size_t length = sim->is_ending ? 0 : room;
    uint8_t *bytes = picoquic_provide_stream_data_buffer(context, length, sim->is_ending, !sim->is_ending);
    if (bytes == NULL) {
        return length == 0 ? 0 : -1;
    }
    memcpy(bytes, bench_pattern(sim->sent), length);
    uint64_t spoil = sim->options->spoil;
    if (spoil > sim->sent && spoil <= sim->sent + length) {
        bytes[spoil - sim->sent - 1] ^= 1;
    }
    sim->sent += length;
    return 0;
}

static void check(sim_t *sim, const uint8_t *bytes, size_t length)
{
    for (size_t done = 0; done < length && sim->wrong_at == 0;) {
        size_t piece = length - done < BENCH_PATTERN_SPAN ? length - done : BENCH_PATTERN_SPAN;
        const uint8_t *wanted = bench_pattern(sim->received);
        if (memcmp(bytes + done, wanted, piece) != 0) {
            size_t at = 0;
            while (bytes[done + at] == wanted[at]) {
                at++;
            }
            sim->wrong_at = sim->received + at + 1;
        }
        sim->received += piece;
        done += piece;
    }
}

static int callback(picoquic_cnx_t *cnx, uint64_t stream_id, uint8_t *bytes, size_t length,
                    picoquic_call_back_event_t event, void *context, void *stream_context)
{
    (void)cnx;
    (void)stream_id;
    (void)stream_context;
    sim_t *sim = context;
    switch (event) {
    case picoquic_callback_prepare_to_send:
        return prepare_to_send(sim, bytes, length);
    case picoquic_callback_stream_data:
    case picoquic_callback_stream_fin:
        check(sim, bytes, length);
        sim->is_over |= event == picoquic_callback_stream_fin;
        return 0;
    case picoquic_callback_close:
    case picoquic_callback_application_close:
    case picoquic_callback_stateless_reset:
        sim->is_closed = true;
        return 0;
    default:
        return 0;
    }
}

static picoquic_quic_t *make_quic(sim_t *sim, bool is_server)
{
    const bench_options_t *options = sim->options;
    picoquic_quic_t *quic =
        picoquic_create(8, is_server ? options->certificate : NULL, is_server ? options->key : NULL, NULL,
                        ALPN, callback, sim, NULL, NULL, NULL, sim->now_us, &sim->now_us, NULL, NULL, 0);
    if (quic != NULL) {
        picoquic_set_null_verifier(quic); /* nobody else is on this link */
        picoquic_set_default_congestion_algorithm_by_name(quic, options->congestion_control);
        (void)picoquic_set_default_tp_value(quic, picoquic_tp_initial_max_data, WINDOW);
        (void)picoquic_set_default_tp_value(quic, picoquic_tp_initial_max_stream_data_bidi_remote, WINDOW);
    }
    return quic;
}

static picoquictest_sim_link_t *make_link(const sim_t *sim)
{
    uint64_t queue_us = 2 * sim->options->delay_us;
    return picoquictest_sim_link_create(sim->options->rate_gbps, sim->options->delay_us, NULL,
                                        queue_us < QUEUE_US_MIN ? QUEUE_US_MIN : queue_us, sim->now_us);
}

static struct sockaddr_in address(uint32_t host, uint16_t port)
{
    struct sockaddr_in made = {.sin_family = AF_INET, .sin_port = htons(port)};
    made.sin_addr.s_addr = htonl(host);
    return made;
}

static bool make(sim_t *sim)
{
    picoquic_register_all_congestion_control_algorithms();
    sim->client.quic = make_quic(sim, false);
    sim->server.quic = make_quic(sim, true);
    sim->client.link = make_link(sim);
    sim->server.link = make_link(sim);
    sim->client.address = address(0x0a000001, 1234);
    sim->server.address = address(0x0a000002, 4433);
    if (sim->client.quic == NULL || sim->server.quic == NULL || sim->client.link == NULL ||
        sim->server.link == NULL) {
        return false;
    }
    sim->cnx =
        picoquic_create_cnx(sim->client.quic, picoquic_null_connection_id, picoquic_null_connection_id,
                            (struct sockaddr *)&sim->server.address, sim->now_us, 0, SERVER_NAME, ALPN, 1);
    if (sim->cnx == NULL) {
        return false;
    }
    picoquic_set_callback(sim->cnx, callback, sim);
    return picoquic_start_client_cnx(sim->cnx) == 0;
}

static void dispose(sim_t *sim)
{
    side_t *sides[] = {&sim->client, &sim->server};
    for (int i = 0; i < 2; i++) {
        if (sides[i]->quic != NULL) {
            picoquic_free(sides[i]->quic);
        }
        if (sides[i]->link != NULL) {
            picoquictest_sim_link_delete(sides[i]->link);
        }
    }
}

/* picoquic's link loses by a mask of 64 bits: steps of 1.6 %. Loss by chance is decided before the link. */
static bool is_lost(sim_t *sim)
{
    if (sim->options->loss <= 0) {
        return false;
    }
    sim->random = sim->random * 6364136223846793005u + 1442695040888963407u;
    return (double)(sim->random >> 11) * 0x1p-53 < sim->options->loss;
}

/* One packet, if there is one to send now. */
static bool send_one(sim_t *sim, side_t *from)
{
    picoquictest_sim_packet_t *packet = picoquictest_sim_link_create_packet();
    if (packet == NULL) {
        return false;
    }
    struct sockaddr_storage addr_to;
    struct sockaddr_storage addr_from;
    int interface = 0;
    int status = picoquic_prepare_next_packet(from->quic, sim->now_us, packet->bytes, sizeof(packet->bytes),
                                              &packet->length, &addr_to, &addr_from, &interface, NULL, NULL);
    if (status != 0 || packet->length == 0) {
        free(packet);
        return false;
    }
    sim->packets++;
    if (is_lost(sim)) {
        sim->lost++;
        free(packet);
    } else {
        picoquictest_sim_link_submit(from->link, packet, sim->now_us);
    }
    return true;
}

/* Packets that have arrived. */
static bool deliver(sim_t *sim, side_t *from, side_t *to)
{
    bool any = false;
    picoquictest_sim_packet_t *packet;
    while ((packet = picoquictest_sim_link_dequeue(from->link, sim->now_us)) != NULL) {
        (void)picoquic_incoming_packet(to->quic, packet->bytes, packet->length,
                                       (struct sockaddr *)&from->address, (struct sockaddr *)&to->address, 0,
                                       packet->ecn_mark, sim->now_us);
        free(packet);
        any = true;
    }
    return any;
}

static uint64_t next_us(const sim_t *sim)
{
    uint64_t next = picoquic_get_next_wake_time(sim->client.quic, sim->now_us);
    uint64_t server = picoquic_get_next_wake_time(sim->server.quic, sim->now_us);
    next = server < next ? server : next;
    next = picoquictest_sim_link_next_arrival(sim->client.link, next);
    return picoquictest_sim_link_next_arrival(sim->server.link, next);
}

/* The clock moves on to whatever comes next, and that is done; false when nothing is to come. */
static bool turn(sim_t *sim, unsigned *idle)
{
    uint64_t next = next_us(sim);
    if (next == UINT64_MAX || *idle > IDLE_TURNS_MAX) {
        return false;
    }
    if (next > sim->now_us) {
        sim->now_us = next;
    } else if (*idle > 0) {
        sim->now_us++;
    }
    bool any = deliver(sim, &sim->client, &sim->server);
    any |= deliver(sim, &sim->server, &sim->client);
    while (send_one(sim, &sim->client)) {
        any = true;
    }
    while (send_one(sim, &sim->server)) {
        any = true;
    }
    *idle = any ? 0 : *idle + 1;
    return true;
}

/* Turns until the condition holds, or the real clock reaches the end; looks at that clock every so many turns. */
typedef bool (*condition_t)(const sim_t *sim);

static bool is_ready(const sim_t *sim)
{
    return picoquic_get_cnx_state(sim->cnx) == picoquic_state_ready;
}

static bool is_over(const sim_t *sim)
{
    return sim->is_over;
}

static bool never(const sim_t *sim)
{
    (void)sim;
    return false;
}

/* 0, or what it failed with, told. With a condition, the time is for it to come true in; without, it is passed. */
static int run(sim_t *sim, condition_t condition, double seconds, const char *what)
{
    double end = bench_now() + seconds;
    unsigned idle = 0;
    for (unsigned turns = 1; !condition(sim); turns++) {
        bool goes_on = turn(sim, &idle);
        if (sim->wrong_at != 0) {
            return bench_fail(BENCH_WRONG_BYTES,
                              "byte %" PRIu64
                              " is not the one that was sent: the run is a failure and gives no figure",
                              sim->wrong_at - 1);
        }
        if (sim->is_closed) {
            return bench_fail(BENCH_STALLED,
                              "the simulated connection ended %s: the link loses too much for it", what);
        }
        if (!goes_on) {
            return bench_fail(BENCH_STALLED, "the simulation stalled %s: no packet and no timer is left",
                              what);
        }
        if (turns % TURNS_PER_LOOK == 0 && bench_now() >= end) {
            if (condition == never) {
                return BENCH_OK;
            }
            return bench_fail(BENCH_STALLED, "the simulation stalled %s: it took more than %.1f s", what,
                              seconds);
        }
    }
    return BENCH_OK;
}

static int measure(sim_t *sim, sample_t *begin, sample_t *end)
{
    const bench_options_t *options = sim->options;
    int status = run(sim, is_ready, options->patience_s, "in the handshake");
    if (status != BENCH_OK) {
        return status;
    }
    if (picoquic_mark_active_stream(sim->cnx, 0, 1, NULL) != 0) {
        return bench_fail(BENCH_FAILED, "picoquic opens no stream");
    }
    status = run(sim, never, options->warm_up_s, "in the warm-up");
    if (status != BENCH_OK) {
        return status;
    }
    *begin = sample(sim);
    /* On a slow link the first bytes may take longer to simulate than the time that was asked for. */
    double give_up = begin->time + options->duration_s + options->patience_s;
    do {
        status = run(sim, never, options->duration_s, "while it was measured");
        *end = sample(sim);
    } while (status == BENCH_OK && end->received == begin->received && end->time < give_up);
    if (status != BENCH_OK) {
        return status;
    }
    if (end->received == begin->received) {
        return bench_fail(BENCH_STALLED, "the simulation stalled while it was measured: no byte arrived");
    }
    sim->is_ending = true;
    (void)picoquic_mark_active_stream(sim->cnx, 0, 1, NULL);
    status = run(sim, is_over, options->patience_s, "at the end of the stream");
    if (status == BENCH_OK && sim->received != sim->sent) {
        return bench_fail(BENCH_WRONG_BYTES,
                          "%" PRIu64 " bytes were sent and %" PRIu64
                          " arrived: the run is a failure and gives no figure",
                          sim->sent, sim->received);
    }
    return status;
}

int bench_sim_link(const bench_options_t *options)
{
    sim_t sim = {.options = options, .now_us = START_US, .random = options->seed};
    sample_t begin = {0};
    sample_t end = {0};
    int status = make(&sim)
                     ? measure(&sim, &begin, &end)
                     : bench_fail(BENCH_FAILED, "picoquic could not be set up: is the certificate there?");
    dispose(&sim);
    if (status == BENCH_OK) {
        printf("{\"seconds\": %.9f, \"cpu_seconds\": %.9f, \"bytes\": %" PRIu64
               ", \"virtual_seconds\": %.6f, "
               "\"packets\": %" PRIu64 ", \"all_packets\": %" PRIu64 ", \"lost\": %" PRIu64
               ", \"all_bytes\": %" PRIu64 "}\n",
               end.time - begin.time, end.cpu - begin.cpu, end.received - begin.received,
               (double)(end.now_us - begin.now_us) * 1e-6, end.packets - begin.packets, sim.packets, sim.lost,
               sim.received);
    }
    return status;
}
