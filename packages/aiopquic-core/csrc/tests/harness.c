#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "lending.h"

#define WRITE_SIZE (16u * 1024)

/* ---- streams ---- */

static uint64_t content_seed(uint64_t stream_id, bool from_client)
{
    return (stream_id << 33) + (from_client ? 1000003u : 0u);
}

static flow_t *flow_new(peer_t *peer, aiopq_stream_t *stream)
{
    flow_t *flow = calloc(1, sizeof(*flow));
    CHECK(flow != NULL);
    flow->stream = stream;
    flow->peer = peer;
    flow->next = peer->endpoint->flows;
    peer->endpoint->flows = flow;
    peer->endpoint->flow_count++;
    aiopq_stream_set_owner(stream, flow);
    return flow;
}

flow_t *flow_open(peer_t *peer, uint64_t stream_id)
{
    aiopq_stream_t *stream;
    CHECK_EQUAL(aiopq_stream_new(peer->conn, stream_id, &stream), AIOPQ_OK);
    CHECK_EQUAL(aiopq_stream_id(stream), stream_id);
    CHECK(aiopq_stream_conn(stream) == peer->conn);
    return flow_new(peer, stream);
}

flow_t *flow_open_scoped(peer_t *peer, uint64_t stream_id, uint64_t scope, aiopq_bytes_t preface)
{
    aiopq_stream_t *stream;
    CHECK_EQUAL(aiopq_stream_new_scoped(peer->conn, stream_id, scope, preface, &stream), AIOPQ_OK);
    CHECK_EQUAL(aiopq_stream_scope(stream), scope);
    return flow_new(peer, stream);
}

flow_t *flow_find(const endpoint_t *endpoint, uint64_t stream_id)
{
    for (flow_t *flow = endpoint->flows; flow != NULL; flow = flow->next) {
        if (aiopq_stream_id(flow->stream) == stream_id) {
            return flow;
        }
    }
    return NULL;
}

/* Every other write lends its bytes. */
static aiopq_status_t write_some(flow_t *flow, const uint8_t *bytes, size_t length, bool fin)
{
    if (length == 0 || flow->written / WRITE_SIZE % 2 == 0) {
        return aiopq_stream_write(flow->stream, bytes, length, fin);
    }
    aiopq_lent_t lent = lending_make(length);
    memcpy((uint8_t *)(uintptr_t)lent.bytes, bytes, length);
    aiopq_status_t status = aiopq_stream_lend(flow->stream, &lent, fin);
    if (status != AIOPQ_OK) {
        lent.release(lent.owner);
    }
    return status;
}

/* Writes until all is in or a budget is used up; then a WRITABLE event goes on. */
static void feed(flow_t *flow)
{
    uint8_t bytes[WRITE_SIZE];
    uint64_t seed = content_seed(aiopq_stream_id(flow->stream), aiopq_conn_is_client(flow->peer->conn));
    while (flow->written < flow->wanted || (flow->wants_fin && !flow->is_fin_written)) {
        uint64_t left = flow->wanted - flow->written;
        size_t length = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);
        bool fin = flow->wants_fin && length == left;
        test_fill(bytes, length, seed, flow->written);
        aiopq_status_t status = write_some(flow, bytes, length, fin);
        if (status == AIOPQ_WOULD_BLOCK) {
            if (aiopq_stream_want_writable(flow->stream)) {
                return;
            }
            continue;
        }
        if (status != AIOPQ_OK) {
            /* Stopped, reset or closed: the test looks at why. */
            CHECK(status == AIOPQ_CLOSED || status == AIOPQ_STREAM_STOPPED ||
                  status == AIOPQ_STREAM_FINISHED);
            flow->wanted = flow->written;
            flow->wants_fin = false;
            return;
        }
        flow->written += length;
        flow->is_fin_written = fin;
    }
}

void flow_send(flow_t *flow, uint64_t length, bool fin)
{
    flow->wanted += length;
    flow->wants_fin = fin;
    feed(flow);
}

void flow_consume(flow_t *flow)
{
    aiopq_stream_consume(flow->stream, flow->unconsumed);
    flow->unconsumed = 0;
}

static void take(flow_t *flow)
{
    uint64_t seed = content_seed(aiopq_stream_id(flow->stream), !aiopq_conn_is_client(flow->peer->conn));
    bool fin = false;
    aiopq_chunk_t *first = aiopq_stream_take(flow->stream, &fin);
    for (aiopq_chunk_t *chunk = first; chunk != NULL; chunk = chunk->next) {
        CHECK(!flow->is_fin_received);
        CHECK(test_matches(chunk->data, chunk->filled, seed, flow->received));
        flow->received += chunk->filled;
        flow->unconsumed += chunk->filled;
    }
    aiopq_chunk_free_list(first);
    flow->is_fin_received = fin;
    if (!flow->holds) {
        flow_consume(flow);
    }
}

/* ---- datagrams ---- */

/* The content follows from the length, so datagrams may come in any order and get lost. */
#define DATAGRAM_SEED(is_client) ((is_client) ? 77 : 78)

aiopq_status_t datagram_send(peer_t *peer, size_t length, bool is_tracked)
{
    uint8_t bytes[2048];
    uint64_t number = is_tracked && peer->last_number + 1 < DATAGRAM_NUMBERS ? peer->last_number + 1 : 0;
    CHECK(length <= sizeof(bytes));
    test_fill(bytes, length, DATAGRAM_SEED(aiopq_conn_is_client(peer->conn)), length);
    aiopq_status_t status = aiopq_conn_send_datagram(peer->conn, (aiopq_bytes_t){NULL, 0},
                                                     (aiopq_bytes_t){bytes, length}, number);
    if (status == AIOPQ_OK) {
        peer->datagrams_sent++;
        peer->last_number += number != 0;
    }
    return status;
}

void datagrams_take(peer_t *peer)
{
    for (uint64_t left = aiopq_conn_datagrams_arrived(peer->conn); left > 0; left--) {
        size_t length;
        const uint8_t *bytes = aiopq_conn_first_datagram(peer->conn, &length);
        if (bytes == NULL) {
            return; /* counted, and not yet to be seen: an event tells of it */
        }
        CHECK(test_matches(bytes, length, DATAGRAM_SEED(!aiopq_conn_is_client(peer->conn)), length));
        aiopq_conn_drop_first_datagram(peer->conn);
        peer->datagram_count++;
        peer->datagram_bytes += length;
    }
}

static void on_fate(peer_t *peer, uint64_t number, fate_t fate)
{
    CHECK(number > 0 && number < DATAGRAM_NUMBERS);
    /* One of the first two, once; the third only behind the second. */
    CHECK_EQUAL(peer->fates[number], fate == FATE_SPURIOUS ? FATE_LOST : FATE_OPEN);
    peer->fates[number] = (uint8_t)fate;
    peer->fate_count[fate]++;
}

/* ---- events ---- */

static peer_t *peer_new(endpoint_t *endpoint, aiopq_conn_t *conn)
{
    peer_t *peer = calloc(1, sizeof(*peer));
    CHECK(peer != NULL);
    peer->conn = conn;
    peer->endpoint = endpoint;
    peer->next = endpoint->peers;
    endpoint->peers = peer;
    endpoint->peer_count++;
    aiopq_conn_set_owner(conn, peer);
    return peer;
}

static peer_t *peer_of(endpoint_t *endpoint, aiopq_conn_t *conn)
{
    peer_t *peer = aiopq_conn_owner(conn);
    if (peer == NULL) {
        CHECK(!aiopq_conn_is_client(conn)); /* our own are known from pair_open() on */
        aiopq_conn_ref(conn);
        peer = peer_new(endpoint, conn);
    }
    return peer;
}

static flow_t *flow_of(peer_t *peer, aiopq_stream_t *stream)
{
    flow_t *flow = aiopq_stream_owner(stream);
    if (flow == NULL) {
        aiopq_stream_ref(stream);
        flow = flow_new(peer, stream);
    }
    return flow;
}

static void on_stream_event(peer_t *peer, const aiopq_event_t *event)
{
    flow_t *flow = flow_of(peer, event->stream);
    CHECK(!flow->is_released);
    switch (event->type) {
    case AIOPQ_EVENT_STREAM_READABLE:
        take(flow);
        break;
    case AIOPQ_EVENT_STREAM_RESET:
        CHECK(!flow->is_reset);
        CHECK(!flow->is_fin_received);
        flow->is_reset = true;
        flow->reset_code = event->value;
        break;
    case AIOPQ_EVENT_STREAM_STOPPED:
        CHECK(!flow->is_stopped);
        flow->is_stopped = true;
        flow->stop_code = event->value;
        break;
    case AIOPQ_EVENT_STREAM_WRITABLE:
        flow->writable_count++;
        feed(flow);
        break;
    case AIOPQ_EVENT_STREAM_ACKED:
        flow->acked_count += aiopq_stream_is_acked(flow->stream);
        break;
    default:
        CHECK(event->type == AIOPQ_EVENT_STREAM_RELEASED);
        flow->is_released = true;
        peer->endpoint->released_count++;
        break;
    }
}

static void keep_info(peer_t *peer, const aiopq_conn_info_t *info)
{
    uint8_t *copy = malloc(info->peer_certificates_length + 1);
    CHECK(copy != NULL);
    memcpy(copy, info->peer_certificates, info->peer_certificates_length);
    peer->info = *info;
    peer->peer_certificates = (aiopq_bytes_t){.data = copy, .length = info->peer_certificates_length};
}

static void keep_answer(peer_t *peer, const aiopq_event_t *event)
{
    const aiopq_answer_t *answer = event->detail;
    size_t room = sizeof(peer->answer);
    peer->answer_count++;
    peer->answer_request = event->value;
    peer->is_answer_done = answer->is_done;
    peer->answer_length = answer->length;
    memcpy(peer->answer, answer->bytes, answer->length < room ? answer->length : room);
}

static void keep_id(aiopq_connection_id_t *ids, size_t *count, const aiopq_connection_id_t *id)
{
    if (*count < CONNECTION_IDS) {
        ids[*count] = *id;
    }
    (*count)++;
}

static void keep_message(peer_t *peer, const aiopq_protocol_message_t *message)
{
    peer->message_count++;
    peer->message_kind = message->kind;
    peer->message_uid = message->uid;
    peer->message_length = message->length;
    memcpy(peer->message, message->data,
           message->length < sizeof(peer->message) ? message->length : sizeof(peer->message));
}

static void on_conn_event(peer_t *peer, const aiopq_event_t *event)
{
    switch (event->type) {
    case AIOPQ_EVENT_CONN_CREATED:
        CHECK(!peer->is_created && !peer->is_ready);
        peer->is_created = true;
        break;
    case AIOPQ_EVENT_CONN_READY:
        CHECK(!peer->is_ready);
        CHECK_EQUAL(peer->is_created, aiopq_conn_is_client(peer->conn));
        peer->is_ready = true;
        keep_info(peer, event->detail);
        break;
    case AIOPQ_EVENT_CONN_ID_ISSUED:
        CHECK(peer->is_ready);
        keep_id(peer->issued, &peer->issued_count, event->detail);
        break;
    case AIOPQ_EVENT_CONN_ID_RETIRED:
        CHECK(peer->is_ready);
        keep_id(peer->retired, &peer->retired_count, event->detail);
        break;
    case AIOPQ_EVENT_CONN_CLOSED:
        peer->is_closed = true;
        peer->close = *(aiopq_close_info_t *)event->detail;
        peer->endpoint->closed_count++;
        break;
    case AIOPQ_EVENT_CONN_STATS:
        peer->stats_count++;
        peer->stats = *(aiopq_conn_stats_t *)event->detail;
        break;
    case AIOPQ_EVENT_CONN_STREAMS:
        peer->streams_count++;
        peer->limits = *(aiopq_stream_limits_t *)event->detail;
        break;
    case AIOPQ_EVENT_CONN_PING_ACKED:
        peer->ping_count++;
        peer->ping_uid = event->value;
        break;
    case AIOPQ_EVENT_CONN_ANSWER:
        keep_answer(peer, event);
        break;
    case AIOPQ_EVENT_CONN_PATH:
        CHECK(peer->is_ready);
        peer->path_changes[event->value]++;
        peer->path = *(aiopq_path_event_t *)event->detail;
        break;
    case AIOPQ_EVENT_CONN_PATH_ANSWER: {
        const aiopq_path_answer_t *answer = event->detail;
        peer->path_answers++;
        peer->path_answer = *answer;
        memcpy(peer->paths, answer->paths, answer->path_count * sizeof(peer->paths[0]));
        break;
    }
    case AIOPQ_EVENT_PROTOCOL:
        keep_message(peer, event->detail);
        break;
    case AIOPQ_EVENT_DATAGRAMS_READABLE:
        peer->datagram_readable_count++;
        if (!peer->holds_datagrams) {
            datagrams_take(peer);
        }
        break;
    case AIOPQ_EVENT_DATAGRAMS_WRITABLE:
        peer->datagram_writable_count++;
        break;
    case AIOPQ_EVENT_DATAGRAM_ACKED:
        on_fate(peer, event->value, FATE_ACKED);
        break;
    case AIOPQ_EVENT_DATAGRAM_LOST:
        on_fate(peer, event->value, FATE_LOST);
        break;
    case AIOPQ_EVENT_DATAGRAM_SPURIOUS:
        on_fate(peer, event->value, FATE_SPURIOUS);
        break;
    default:
        CHECK(event->type == AIOPQ_EVENT_CONN_WRITABLE);
        peer->writable_count++;
        for (flow_t *flow = peer->endpoint->flows; flow != NULL; flow = flow->next) {
            if (flow->peer == peer) {
                feed(flow);
            }
        }
        break;
    }
}

static void on_event(endpoint_t *endpoint, const aiopq_event_t *event)
{
    CHECK(!endpoint->is_stopped);
    if (event->conn != NULL) {
        peer_t *peer = peer_of(endpoint, event->conn);
        CHECK(!peer->is_closed); /* CONN_CLOSED is the last event, and comes once */
        if (event->stream != NULL) {
            on_stream_event(peer, event);
        } else {
            on_conn_event(peer, event);
        }
    } else if (event->type == AIOPQ_EVENT_ENGINE_READY) {
        CHECK(!endpoint->is_ready);
        endpoint->is_ready = true;
        endpoint->port = (uint16_t)event->value;
    } else if (event->type == AIOPQ_EVENT_CERTIFICATES_SET) {
        endpoint->certificates_request = event->value;
    } else if (event->type == AIOPQ_EVENT_INCOMING) {
        endpoint->incoming_count++;
        endpoint->incoming = *(aiopq_incoming_info_t *)event->detail;
    } else {
        CHECK(event->type == AIOPQ_EVENT_ENGINE_STOPPED);
        endpoint->is_stopped = true;
        endpoint->stop_error = event->value;
        /* Every connection that the engine took was told its end; one may have been opened too late. */
        for (const peer_t *peer = endpoint->peers; peer != NULL; peer = peer->next) {
            CHECK(peer->is_closed || (aiopq_conn_is_client(peer->conn) && !peer->is_created));
        }
    }
}

void endpoint_drain(endpoint_t *endpoint)
{
    aiopq_event_t event;
    aiopq_engine_begin_drain(endpoint->engine);
    while (aiopq_engine_next_event(endpoint->engine, &event)) {
        on_event(endpoint, &event);
        aiopq_event_release(&event);
    }
    aiopq_engine_end_drain(endpoint->engine);
    aiopq_engine_release_lent(endpoint->engine);
}

/* On a simulated network this thread does the engines' work too. */
static void simulated_turn(endpoint_t *const endpoints[2], aiopq_network_t *network)
{
    (void)aiopq_network_run(network, *aiopq_network_clock(network) + 5000);
    for (int i = 0; i < 2; i++) {
        if (endpoints[i] != NULL && endpoints[i]->engine != NULL) {
            endpoint_drain(endpoints[i]);
        }
    }
}

bool harness_turn(endpoint_t *one, endpoint_t *other, uint64_t deadline_us)
{
    endpoint_t *endpoints[] = {one, other};
    aiopq_network_t *network = (one != NULL ? one : other)->config.network;
    if (network != NULL) {
        simulated_turn(endpoints, network);
        return test_now_us() < deadline_us;
    }
    struct pollfd fds[2];
    for (int i = 0; i < 2; i++) {
        /* poll() passes over negative descriptors. */
        bool is_there = endpoints[i] != NULL && endpoints[i]->engine != NULL;
        fds[i] = (struct pollfd){.fd = is_there ? aiopq_engine_wakeup_fd(endpoints[i]->engine) : -1,
                                 .events = POLLIN};
    }
    /* Some conditions change without an event, so the wait is short. */
    CHECK(poll(fds, 2, 5) >= 0 || errno == EINTR);
    for (int i = 0; i < 2; i++) {
        if (fds[i].fd >= 0 && (fds[i].revents & POLLIN) != 0) {
            endpoint_drain(endpoints[i]);
        }
    }
    return test_now_us() < deadline_us;
}

/* ---- engines ---- */

static struct sockaddr_storage loopback(uint16_t port)
{
    struct sockaddr_storage address;
    memset(&address, 0, sizeof(address));
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)&address;
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = htons(port);
    ipv4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void set_defaults(aiopq_config_t *config)
{
    config->bind_addresses[0] = loopback(0);
    /* AIOPQ_TEST_PORTABLE_LOOP in the environment runs everything over picoquic's packet loop. */
    config->use_portable_loop = getenv("AIOPQ_TEST_PORTABLE_LOOP") != NULL;
    /* AIOPQ_TEST_INLINE: without a network thread. */
    config->is_inline = getenv("AIOPQ_TEST_INLINE") != NULL;
    config->congestion_control = "cubic";
    config->max_connections = 64;
    config->idle_timeout_ms = 30000;
    config->spin_us = 200;
    config->datagram_priority = 9;
    config->max_data = 16u * 1024 * 1024;
    config->max_stream_data = HARNESS_STREAM_MAX;
    config->initial_stream_window = HARNESS_WINDOW;
    config->max_streams_bidi = 64;
    config->max_streams_uni = 64;
    config->send_budget_stream = HARNESS_BUDGET;
    config->send_budget_conn = 4 * HARNESS_BUDGET;
    config->max_datagram_frame_size = 65535;
    config->datagram_queue_bytes = HARNESS_DATAGRAM_BUDGET;
    config->datagram_receive_bytes = HARNESS_DATAGRAM_BUDGET;
}

void pair_simulate(pair_t *pair, uint64_t seed, const aiopq_link_config_t *link)
{
    const struct sockaddr_storage any = {.ss_family = AF_UNSPEC};
    /* One at a time: some tests make a pair and engines that they end by themselves. */
    static aiopq_network_t *network;
    aiopq_network_free(network);
    network = aiopq_network_new(seed, 1000000);
    CHECK(network != NULL);
    CHECK_EQUAL(aiopq_network_set_link(network, &any, &any, link), AIOPQ_OK);
    pair->network = pair->server.config.network = pair->client.config.network = network;
    pair->server.config.simulated_time_us = pair->client.config.simulated_time_us =
        aiopq_network_clock(network);
}

void pair_prepare(pair_t *pair)
{
    memset(pair, 0, sizeof(*pair));
    pair->server.certificate = certificate_make(NULL);
    set_defaults(&pair->server.config);
    pair->server.config.alpn[0] = ALPN;
    pair->server.config.certificate_chain = pair->server.certificate.chain_pem;
    pair->server.config.private_key = pair->server.certificate.key_pem;
    set_defaults(&pair->client.config);
    pair->client.config.is_client = true;
    pair->client.config.verify_peer = true;
    pair->roots[0] = pair->server.certificate.der;
    pair->client.config.trusted_roots = pair->roots;
    pair->client.config.trusted_root_count = 1;
    /* AIOPQ_TEST_SIMULATED in the environment runs everything over a simulated network. */
    if (getenv("AIOPQ_TEST_SIMULATED") != NULL) {
        pair_simulate(pair, 1, &(aiopq_link_config_t){.rate_bps = 1000000000, .delay_us = 100});
    }
}

void endpoint_start(endpoint_t *endpoint)
{
    CHECK_EQUAL(aiopq_engine_new(&endpoint->config, &endpoint->engine), AIOPQ_OK);
    CHECK_EQUAL(aiopq_engine_start(endpoint->engine), AIOPQ_OK);
    CHECK_EQUAL(aiopq_engine_start(endpoint->engine), AIOPQ_STARTED);
}

void endpoint_stop(endpoint_t *endpoint)
{
    if (endpoint->engine != NULL && !endpoint->is_stopped) {
        aiopq_engine_stop(endpoint->engine);
    }
}

void endpoint_dispose(endpoint_t *endpoint)
{
    if (endpoint->engine != NULL) {
        aiopq_engine_join(endpoint->engine);
    }
    while (endpoint->flows != NULL) {
        flow_t *flow = endpoint->flows;
        endpoint->flows = flow->next;
        aiopq_stream_unref(flow->stream);
        free(flow);
    }
    while (endpoint->peers != NULL) {
        peer_t *peer = endpoint->peers;
        endpoint->peers = peer->next;
        aiopq_conn_unref(peer->conn);
        free((void *)(uintptr_t)peer->peer_certificates.data);
        free(peer);
    }
    aiopq_engine_free(endpoint->engine);
    endpoint->engine = NULL;
    certificate_dispose(&endpoint->certificate);
}

uint64_t pair_now_us(pair_t *pair)
{
    return pair->network != NULL ? *aiopq_network_clock(pair->network) : test_now_us();
}

void pair_start(pair_t *pair)
{
    endpoint_start(&pair->server);
    endpoint_start(&pair->client);
    WAIT(pair, pair->server.is_ready && pair->client.is_ready);
    CHECK(pair->server.port != 0 && pair->client.port != 0);
}

peer_t *pair_offer(pair_t *pair, const char *server_name, const char *const *alpn)
{
    aiopq_connect_args_t args = {
        .address = loopback(pair->server.port), .server_name = server_name, .alpn = alpn};
    aiopq_conn_t *conn;
    CHECK_EQUAL(aiopq_conn_open(pair->client.engine, &args, &conn), AIOPQ_OK);
    CHECK(aiopq_conn_is_client(conn));
    return peer_new(&pair->client, conn);
}

peer_t *pair_open(pair_t *pair, const char *server_name, const char *alpn)
{
    const char *const offered[] = {alpn, NULL};
    return pair_offer(pair, server_name, offered);
}

peer_t *pair_connect(pair_t *pair)
{
    uint64_t before = pair->server.peer_count;
    peer_t *peer = pair_open(pair, "localhost", ALPN);
    WAIT(pair, peer->is_ready && pair->server.peer_count > before && pair->server.peers->is_ready);
    return peer;
}

peer_t *pair_begin(pair_t *pair)
{
    pair_prepare(pair);
    pair_start(pair);
    return pair_connect(pair);
}

void pair_dispose(pair_t *pair)
{
    endpoint_stop(&pair->server);
    endpoint_stop(&pair->client);
    WAIT(pair, (pair->server.engine == NULL || pair->server.is_stopped) &&
                   (pair->client.engine == NULL || pair->client.is_stopped));
    endpoint_dispose(&pair->server);
    endpoint_dispose(&pair->client);
    CHECK_NOTHING_ALIVE();
    CHECK_EQUAL(lending_count(), 0);
}
