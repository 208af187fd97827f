/* Decisions about connections before their handshake: by clients that behave, and by datagrams made here. */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "harness.h"
#include "initial_maker.h"
#include "net/incoming.h"
#include "net/initial_packet.h"
#include "test.h"

#define CONNECTION_REFUSED 2 /* RFC 9000 section 20.1 */
#define BAD_DATAGRAMS 40     /* together no more than a socket's buffer takes */

static pair_t pair;

static void begin(void)
{
    pair_prepare(&pair);
    pair.server.config.use_portable_loop = false;
    pair.server.config.holds_incoming = true;
}

/* Opens a connection and waits until the server has been asked about it. */
static peer_t *attempt(void)
{
    uint64_t before = pair.server.incoming_count;
    peer_t *peer = pair_open(&pair, "localhost", ALPN);
    WAIT(&pair, pair.server.incoming_count > before);
    CHECK_EQUAL(pair.server.incoming_count, before + 1);
    return peer;
}

static void answer(aiopq_incoming_answer_t value)
{
    CHECK_EQUAL(aiopq_engine_answer_incoming(pair.server.engine, pair.server.incoming.handle, value),
                AIOPQ_OK);
}

static aiopq_engine_counters_t counters(void)
{
    aiopq_engine_counters_t counters;
    aiopq_engine_get_counters(pair.server.engine, &counters);
    return counters;
}

static int64_t waiting(void)
{
    aiopq_live_counts_t counts;
    aiopq_get_live_counts(&counts);
    return counts.attempts;
}

static void check_refused(const peer_t *peer)
{
    CHECK(!peer->is_ready);
    CHECK_EQUAL(peer->close.kind, AIOPQ_CLOSE_TRANSPORT);
    CHECK(peer->close.is_remote);
    CHECK_EQUAL(peer->close.error_code, CONNECTION_REFUSED);
}

/* ---- the three answers ---- */

static void accepted_connection_works(void)
{
    begin();
    pair_start(&pair);
    peer_t *peer = attempt();
    const aiopq_incoming_info_t *info = &pair.server.incoming;
    CHECK(!info->is_validated);
    CHECK(strcmp(info->server_name, "localhost") == 0);
    CHECK_EQUAL(info->alpn_length, strlen(ALPN) + 1);
    CHECK_EQUAL(info->alpn[0], strlen(ALPN));
    CHECK(memcmp(info->alpn + 1, ALPN, strlen(ALPN)) == 0);
    CHECK_EQUAL(ntohs(((const struct sockaddr_in *)&info->peer_address)->sin_port), pair.client.port);
    CHECK_EQUAL(ntohs(((const struct sockaddr_in *)&info->local_address)->sin_port), pair.server.port);
    CHECK(!peer->is_ready && pair.server.peer_count == 0);
    CHECK_EQUAL(waiting(), 1);
    answer(AIOPQ_INCOMING_ACCEPT);
    WAIT(&pair, peer->is_ready && pair.server.peer_count == 1 && pair.server.peers->is_ready);
    CHECK_EQUAL(waiting(), 0);
    flow_t *flow = flow_open(peer, 0);
    flow_send(flow, 100000, true);
    WAIT(&pair, flow_find(&pair.server, 0) != NULL && flow_find(&pair.server, 0)->is_fin_received);
    CHECK_EQUAL(pair.server.incoming_count, 1); /* nobody asks about what is accepted */
    pair_dispose(&pair);
}

static void refused_connection_is_told_at_once(void)
{
    begin();
    pair_start(&pair);
    peer_t *peer = attempt();
    uint64_t start = test_now_us();
    answer(AIOPQ_INCOMING_REFUSE);
    WAIT(&pair, peer->is_closed);
    CHECK(test_now_us() - start < 2000000);
    check_refused(peer);
    CHECK_EQUAL(pair.server.peer_count, 0);
    CHECK_EQUAL(waiting(), 0);
    pair_dispose(&pair);
}

static void retry_proves_the_address(void)
{
    begin();
    pair_start(&pair);
    peer_t *peer = attempt();
    CHECK(!pair.server.incoming.is_validated);
    answer(AIOPQ_INCOMING_RETRY);
    WAIT(&pair, pair.server.incoming_count == 2);
    CHECK(pair.server.incoming.is_validated);
    CHECK(strcmp(pair.server.incoming.server_name, "localhost") == 0);
    CHECK(!peer->is_ready);
    answer(AIOPQ_INCOMING_ACCEPT);
    WAIT(&pair, peer->is_ready && pair.server.peer_count == 1 && pair.server.peers->is_ready);
    pair_dispose(&pair);
}

/* No client can be kept in a circle of Retry packets. */
static void retry_of_a_proven_address_refuses(void)
{
    begin();
    pair_start(&pair);
    peer_t *peer = attempt();
    answer(AIOPQ_INCOMING_RETRY);
    WAIT(&pair, pair.server.incoming_count == 2);
    answer(AIOPQ_INCOMING_RETRY);
    WAIT(&pair, peer->is_closed);
    check_refused(peer);
    CHECK_EQUAL(pair.server.incoming_count, 2);
    pair_dispose(&pair);
}

static void always_retry_asks_about_proven_addresses_only(void)
{
    for (int holds = 0; holds < 2; holds++) {
        begin();
        pair.server.config.always_retry = true;
        pair.server.config.holds_incoming = holds != 0;
        pair_start(&pair);
        peer_t *peer = pair_open(&pair, "localhost", ALPN);
        if (holds != 0) {
            WAIT(&pair, pair.server.incoming_count == 1);
            CHECK(pair.server.incoming.is_validated);
            CHECK_EQUAL(counters().incoming_retried, 1);
            answer(AIOPQ_INCOMING_ACCEPT);
        }
        WAIT(&pair, peer->is_ready && pair.server.peer_count == 1 && pair.server.peers->is_ready);
        pair_dispose(&pair);
    }
}

/* ---- answers that do not fit ---- */

static void answers_about_nobody_are_harmless(void)
{
    begin();
    pair_start(&pair);
    peer_t *peer = attempt();
    uint64_t handle = pair.server.incoming.handle, stale = counters().commands_stale;
    for (uint64_t other = 0; other < 3; other++) {
        CHECK_EQUAL(aiopq_engine_answer_incoming(pair.server.engine, other * 99991, AIOPQ_INCOMING_ACCEPT),
                    AIOPQ_OK);
    }
    CHECK_EQUAL(aiopq_engine_answer_incoming(pair.server.engine, handle, (aiopq_incoming_answer_t)3),
                AIOPQ_INVALID);
    answer(AIOPQ_INCOMING_ACCEPT);
    answer(AIOPQ_INCOMING_REFUSE);
    answer(AIOPQ_INCOMING_RETRY);
    WAIT(&pair, peer->is_ready && counters().commands_stale == stale + 5);
    CHECK(!peer->is_closed);
    pair_dispose(&pair);
}

static void unanswered_attempt_is_dropped(void)
{
    begin();
    pair.server.config.handshake_timeout_us = 50000;
    pair_start(&pair);
    (void)attempt();
    CHECK_EQUAL(waiting(), 1);
    WAIT(&pair, counters().incoming_expired == 1);
    CHECK_EQUAL(waiting(), 0);
    CHECK_EQUAL(pair.server.peer_count, 0);
    uint64_t stale = counters().commands_stale;
    answer(AIOPQ_INCOMING_ACCEPT);
    WAIT(&pair, counters().commands_stale == stale + 1);
    pair_dispose(&pair);
}

static void stopping_engine_refuses_who_waits(void)
{
    begin();
    pair_start(&pair);
    peer_t *peer = attempt();
    endpoint_stop(&pair.server);
    WAIT(&pair, peer->is_closed && pair.server.is_stopped);
    check_refused(peer);
    CHECK_EQUAL(aiopq_engine_answer_incoming(pair.server.engine, 1, AIOPQ_INCOMING_ACCEPT), AIOPQ_CLOSED);
    pair_dispose(&pair);
}

static void joined_engine_frees_who_waits(void)
{
    begin();
    pair_start(&pair);
    (void)attempt();
    endpoint_dispose(&pair.server);
    CHECK_EQUAL(waiting(), 0);
    pair_dispose(&pair);
}

/* picoquic's packet loop would let everybody pass. */
static void portable_loop_can_not_hold(void)
{
    begin();
    pair.server.config.use_portable_loop = true;
    CHECK_EQUAL(aiopq_engine_new(&pair.server.config, &pair.server.engine), AIOPQ_OK);
    CHECK_EQUAL(aiopq_engine_start(pair.server.engine), AIOPQ_INVALID);
    endpoint_dispose(&pair.server);
    CHECK_NOTHING_ALIVE();
}

/* ---- strangers ---- */

static int open_stranger(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(pair.server.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(fd >= 0);
    CHECK_EQUAL(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void say(int fd, const uint8_t *bytes, size_t length)
{
    CHECK_EQUAL(send(fd, bytes, length, 0), length);
}

/* A whole ClientHello in one datagram; TLS finds out later that its key share is missing. */
static size_t seal_hello(maker_t *made, uint8_t *datagram, size_t size)
{
    uint8_t message[512], frames[600];
    size_t length = maker_hello(message, "stranger.example", NULL, 0, 0);
    return maker_seal(made, frames, maker_crypto(frames, 0, message, length), datagram, size);
}

static void two_datagrams_are_one_attempt(void)
{
    begin();
    pair_start(&pair);
    int fd = open_stranger();
    maker_t made = maker();
    uint8_t message[4096], frames[MAKER_DATAGRAM], datagram[MAKER_DATAGRAM];
    size_t length = maker_hello(message, "two.example", NULL, 0, 1500);
    (void)maker_seal(&made, frames, maker_crypto(frames, 0, message, 1000), datagram, sizeof(datagram));
    say(fd, datagram, sizeof(datagram));
    WAIT(&pair, waiting() == 1);
    CHECK_EQUAL(pair.server.incoming_count, 0); /* half of it says nothing yet */
    memmove(message, message + 1000, length - 1000);
    size_t used = maker_crypto(frames, 0, message, length - 1000);
    frames[1] = 0x40 | (1000 >> 8);
    frames[2] = 1000 & 0xff;
    (void)maker_seal(&made, frames, used, datagram, sizeof(datagram));
    say(fd, datagram, sizeof(datagram));
    WAIT(&pair, pair.server.incoming_count == 1);
    CHECK(strcmp(pair.server.incoming.server_name, "two.example") == 0);
    CHECK_EQUAL(waiting(), 1);
    answer(AIOPQ_INCOMING_REFUSE);
    WAIT(&pair, waiting() == 0);
    close(fd);
    pair_dispose(&pair);
}

/* What repeats without end is held in bounds, and asked about once, by what can be read. */
static void repeated_datagrams_are_bounded(void)
{
    begin();
    pair_start(&pair);
    int fd = open_stranger();
    maker_t made = maker();
    uint8_t datagram[MAKER_DATAGRAM];
    static const uint8_t ping[] = {1};
    for (size_t i = 0; i < 3 * AIOPQ_INCOMING_DATAGRAMS; i++) {
        (void)maker_seal(&made, ping, 1, datagram, sizeof(datagram));
        say(fd, datagram, sizeof(datagram));
    }
    WAIT(&pair, pair.server.incoming_count == 1);
    CHECK_EQUAL(pair.server.incoming.server_name_length, 0);
    CHECK_EQUAL(pair.server.incoming.alpn_length, 0);
    answer(AIOPQ_INCOMING_ACCEPT);
    WAIT(&pair, waiting() == 0);
    close(fd);
    pair_dispose(&pair);
}

/* Small datagrams, short ids, packets that do not open: none of them takes any room. */
static void bad_datagrams_are_discarded(void)
{
    begin();
    pair_start(&pair);
    int fd = open_stranger();
    maker_t made = maker();
    uint8_t datagram[MAKER_DATAGRAM];
    uint64_t state = 3;
    (void)seal_hello(&made, datagram, MAKER_DATAGRAM - 1);
    say(fd, datagram, MAKER_DATAGRAM - 1);
    made.destination_length = 7;
    (void)seal_hello(&made, datagram, MAKER_DATAGRAM);
    say(fd, datagram, MAKER_DATAGRAM);
    made.destination_length = 8;
    for (int i = 0; i < BAD_DATAGRAMS; i++) {
        (void)seal_hello(&made, datagram, MAKER_DATAGRAM);
        size_t at = i % 2 == 0 ? MAKER_DATAGRAM - 1 : 0;
        datagram[at] = (uint8_t)(i % 2 == 0 ? datagram[at] ^ 1 : test_random(&state));
        datagram[6 + i % 8] = (uint8_t)test_random(&state);
        datagram[MAKER_DATAGRAM - 2] ^= 4;
        say(fd, datagram, MAKER_DATAGRAM);
    }
    made.packet_number = 0;
    made.destination[0] ^= 0xff;
    (void)seal_hello(&made, datagram, MAKER_DATAGRAM);
    int other = open_stranger();
    say(other, datagram, MAKER_DATAGRAM); /* the only good one, and the last */
    struct sockaddr_in own;
    socklen_t own_length = sizeof(own);
    CHECK_EQUAL(getsockname(other, (struct sockaddr *)&own, &own_length), 0);
    WAIT(&pair, pair.server.incoming_count > 0 && waiting() > 0);
    CHECK_EQUAL(((const struct sockaddr_in *)&pair.server.incoming.peer_address)->sin_port, own.sin_port);
    CHECK_EQUAL(pair.server.incoming_count, 1);
    CHECK_EQUAL(waiting(), 1);
    close(other);
    close(fd);
    pair_dispose(&pair);
}

/* A second connection behind an accepted one in its datagram would come in without being asked about. */
static void nobody_comes_in_behind_another(void)
{
    begin();
    pair_start(&pair);
    int fd = open_stranger();
    maker_t first = maker(), second = maker();
    uint8_t message[512], frames[512], datagram[MAKER_DATAGRAM];
    second.destination[0] ^= 1;
    size_t length = maker_hello(message, "first.example", NULL, 0, 0), used;
    /* Half a ClientHello, which picoquic has nothing against yet, so that it goes on to the packet behind it. */
    size_t at = maker_seal(&first, frames, maker_crypto(frames, 0, message, 50), datagram, 400);
    (void)seal_hello(&second, datagram + at, MAKER_DATAGRAM - at);
    say(fd, datagram, sizeof(datagram));
    used = maker_crypto(frames, 50, message, length - 50);
    (void)maker_seal(&first, frames, used, datagram, MAKER_DATAGRAM);
    say(fd, datagram, sizeof(datagram));
    WAIT(&pair, pair.server.incoming_count == 1);
    answer(AIOPQ_INCOMING_ACCEPT);
    WAIT(&pair, waiting() == 0);
    (void)seal_hello(&second, datagram, MAKER_DATAGRAM);
    say(fd, datagram, sizeof(datagram));
    WAIT(&pair, pair.server.incoming_count == 2); /* not known to picoquic yet */
    close(fd);
    pair_dispose(&pair);
}

/* picoquic speaks versions that nobody looks at here: its own door is closed, also behind an accepted client. */
static void other_versions_are_refused(void)
{
    begin();
    pair_start(&pair);
    peer_t *peer = attempt();
    answer(AIOPQ_INCOMING_ACCEPT);
    WAIT(&pair, peer->is_ready && pair.server.peer_count == 1);
    int fd = open_stranger();
    struct timeval patience = {.tv_sec = 10};
    CHECK_EQUAL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    maker_t made = maker();
    uint8_t datagram[MAKER_DATAGRAM], reply[2048];
    (void)seal_hello(&made, datagram, MAKER_DATAGRAM);
    static const uint8_t draft[] = {0x70, 0x9a, 0x50, 0xc4};
    memcpy(datagram + 1, draft, sizeof(draft));
    datagram[0] = (uint8_t)(0xd0 | (datagram[0] & 0x0f));
    say(fd, datagram, MAKER_DATAGRAM);
    CHECK(recv(fd, reply, sizeof(reply), 0) >
          0); /* an accepted packet would not have opened, and got no reply */
    CHECK(memcmp(reply + 1, draft, sizeof(draft)) == 0);
    CHECK_EQUAL(pair.server.incoming_count, 1);
    CHECK_EQUAL(pair.server.peer_count, 1);
    close(fd);
    pair_dispose(&pair);
}

/* Forged addresses fill half of the table; whoever can prove an address still gets through, and who is connected
 * notices nothing. */
static void flood_is_bounded(void)
{
    begin();
    pair_start(&pair);
    peer_t *before = attempt();
    answer(AIOPQ_INCOMING_ACCEPT);
    WAIT(&pair, before->is_ready && pair.server.peer_count == 1);
    int fd = open_stranger();
    uint8_t datagram[MAKER_DATAGRAM];
    uint64_t flood_end_us = test_now_us() + HARNESS_WAIT_US;
    for (uint64_t i = 0; waiting() < AIOPQ_INCOMING_MAX / 2 || counters().incoming_retried == 0; i++) {
        maker_t made = maker();
        memcpy(made.destination, &i, sizeof(i));
        (void)seal_hello(&made, datagram, MAKER_DATAGRAM);
        say(fd, datagram, MAKER_DATAGRAM);
        if (i % 16 == 0) {
            CHECK(harness_turn(&pair.server, &pair.client, flood_end_us));
        }
        CHECK(waiting() <= AIOPQ_INCOMING_MAX / 2);
    }
    uint64_t asked = pair.server.incoming_count;
    flow_t *flow = flow_open(before, 0);
    flow_send(flow, 10000, true);
    WAIT(&pair, flow_find(&pair.server, 0) != NULL && flow_find(&pair.server, 0)->is_fin_received);
    peer_t *after = pair_open(&pair, "localhost", ALPN);
    WAIT(&pair, pair.server.incoming_count > asked && pair.server.incoming.is_validated);
    answer(AIOPQ_INCOMING_ACCEPT);
    WAIT(&pair, after->is_ready);
    CHECK_EQUAL(counters().incoming_refused, 0);
    close(fd);
    pair_dispose(&pair);
}

/* Looking at a token does not use it up; an accepted connection does. */
static void token_counts_once(void)
{
    begin();
    pair_start(&pair);
    int fd = open_stranger(), other = open_stranger();
    maker_t made = maker();
    uint8_t datagram[MAKER_DATAGRAM], packet[2048], token[256];
    (void)seal_hello(&made, datagram, MAKER_DATAGRAM);
    say(fd, datagram, MAKER_DATAGRAM);
    WAIT(&pair, pair.server.incoming_count == 1);
    answer(AIOPQ_INCOMING_RETRY);
    /* The Retry packet: header, an empty id for us, the server's id, the token, 16 bytes of integrity tag. */
    ssize_t length = recv(fd, packet, sizeof(packet), 0);
    CHECK(length > 7 + 16 && (packet[0] & 0xf0) == 0xf0 && packet[5] == 0);
    made.destination_length = packet[6];
    memcpy(made.destination, packet + 7, packet[6]);
    made.token_length = (size_t)length - 7 - packet[6] - 16;
    memcpy(token, packet + 7 + packet[6], made.token_length);
    made.token = token;
    for (uint64_t look = 2; look <= 4; look++) {
        (void)seal_hello(&made, datagram, MAKER_DATAGRAM);
        say(fd, datagram, MAKER_DATAGRAM);
        WAIT(&pair, pair.server.incoming_count == look);
        CHECK(pair.server.incoming.is_validated);
        answer(look < 4 ? AIOPQ_INCOMING_REFUSE : AIOPQ_INCOMING_ACCEPT);
        WAIT(&pair, waiting() == 0);
    }
    (void)seal_hello(&made, datagram, MAKER_DATAGRAM);
    say(other, datagram, MAKER_DATAGRAM);
    WAIT(&pair, pair.server.incoming_count == 5);
    CHECK(!pair.server.incoming.is_validated);
    close(fd);
    close(other);
    pair_dispose(&pair);
}

static const test_case_t cases[] = {
    TEST(accepted_connection_works),
    TEST(refused_connection_is_told_at_once),
    TEST(retry_proves_the_address),
    TEST(retry_of_a_proven_address_refuses),
    TEST(always_retry_asks_about_proven_addresses_only),
    TEST(answers_about_nobody_are_harmless),
    TEST(unanswered_attempt_is_dropped),
    TEST(stopping_engine_refuses_who_waits),
    TEST(joined_engine_frees_who_waits),
    TEST(portable_loop_can_not_hold),
    TEST(two_datagrams_are_one_attempt),
    TEST(repeated_datagrams_are_bounded),
    TEST(bad_datagrams_are_discarded),
    TEST(nobody_comes_in_behind_another),
    TEST(other_versions_are_refused),
    TEST(flood_is_bounded),
    TEST(token_counts_once),
};

TEST_MAIN(cases)
