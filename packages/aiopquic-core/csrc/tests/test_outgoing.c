/* Which datagrams leave by one system call. */
#include "driver/outgoing.h"

#include <arpa/inet.h>
#include <string.h>

#include "test.h"

static struct sockaddr_storage address(uint32_t host, uint16_t port)
{
    struct sockaddr_storage result;
    memset(&result, 0, sizeof(result));
    struct sockaddr_in *v4 = (struct sockaddr_in *)&result;
    v4->sin_family = AF_INET;
    v4->sin_addr.s_addr = htonl(host);
    v4->sin_port = htons(port);
    return result;
}

/* Compared and never looked into. */
static picoquic_cnx_t *const one = (picoquic_cnx_t *)0x1000, *const other = (picoquic_cnx_t *)0x2000;
static picoquic_cnx_t *connection;

/* As picoquic fills it in: `segment` is that of a batch, or the largest packet there could have been. */
static void add(aiopq_outgoing_t *outgoing, size_t length, size_t segment, uint16_t port)
{
    size_t room;
    aiopq_run_t *run = aiopq_outgoing_next(outgoing, &room);
    CHECK(run != NULL && length <= room);
    CHECK_EQUAL(run->offset + room, AIOPQ_SEND_MAX);
    run->length = length;
    run->segment = segment;
    run->to = address(INADDR_LOOPBACK, port);
    run->cnx = connection;
    aiopq_outgoing_add(outgoing);
}

static void check_run(const aiopq_outgoing_t *outgoing, size_t place, size_t offset, size_t length,
                      size_t segment)
{
    CHECK(place < outgoing->count);
    CHECK_EQUAL(outgoing->runs[place].offset, offset);
    CHECK_EQUAL(outgoing->runs[place].length, length);
    CHECK_EQUAL(outgoing->runs[place].segment, segment);
}

static aiopq_outgoing_t made(void)
{
    aiopq_outgoing_t outgoing;
    CHECK(aiopq_outgoing_init(&outgoing, true));
    connection = one;
    return outgoing;
}

static void equal_datagrams_join(void)
{
    aiopq_outgoing_t outgoing = made();
    for (int i = 0; i < 5; i++) {
        add(&outgoing, 1130, 1440, 1);
    }
    CHECK_EQUAL(outgoing.count, 1);
    check_run(&outgoing, 0, 0, 5 * 1130, 1130);
    aiopq_outgoing_dispose(&outgoing);
}

static void joining_can_be_done_without(void)
{
    aiopq_outgoing_t outgoing = made();
    outgoing.is_joining = false;
    add(&outgoing, 3 * 1440, 1440, 1);
    add(&outgoing, 1440, 1440, 1);
    CHECK_EQUAL(outgoing.count, 2);
    check_run(&outgoing, 0, 0, 3 * 1440, 1440);
    aiopq_outgoing_dispose(&outgoing);
}

static void a_shorter_one_is_the_last(void)
{
    aiopq_outgoing_t outgoing = made();
    add(&outgoing, 1130, 1440, 1);
    add(&outgoing, 80, 1440, 1);
    check_run(&outgoing, 0, 0, 1130 + 80, 1130);
    add(&outgoing, 80, 1440, 1);
    CHECK_EQUAL(outgoing.count, 2);
    check_run(&outgoing, 1, 1130 + 80, 80, 80);
    aiopq_outgoing_dispose(&outgoing);
}

static void a_longer_one_does_not_join(void)
{
    aiopq_outgoing_t outgoing = made();
    add(&outgoing, 80, 1440, 1);
    add(&outgoing, 1130, 1440, 1);
    check_run(&outgoing, 0, 0, 80, 80);
    check_run(&outgoing, 1, 80, 1130, 1130);
    aiopq_outgoing_dispose(&outgoing);
}

static void batches_of_one_size_join(void)
{
    aiopq_outgoing_t outgoing = made();
    add(&outgoing, 10 * 1440, 1440, 1);
    add(&outgoing, 4 * 1440 + 200, 1440, 1);
    check_run(&outgoing, 0, 0, 14 * 1440 + 200, 1440);
    add(&outgoing, 2 * 1440, 1440, 1); /* behind a shorter one nothing goes */
    CHECK_EQUAL(outgoing.count, 2);
    aiopq_outgoing_dispose(&outgoing);
}

static void batches_of_two_sizes_do_not_join(void)
{
    aiopq_outgoing_t outgoing = made();
    add(&outgoing, 10 * 1440, 1440, 1);
    add(&outgoing, 2 * 1200, 1200, 1);
    check_run(&outgoing, 0, 0, 10 * 1440, 1440);
    check_run(&outgoing, 1, 10 * 1440, 2 * 1200, 1200);
    aiopq_outgoing_dispose(&outgoing);
}

static void another_way_is_another_run(void)
{
    aiopq_outgoing_t outgoing = made();
    size_t room;
    add(&outgoing, 1130, 1440, 1);
    add(&outgoing, 1130, 1440, 2);
    CHECK_EQUAL(outgoing.count, 2);
    CHECK(aiopq_outgoing_next(&outgoing, &room) == NULL); /* no third one */
    aiopq_outgoing_pop(&outgoing);
    check_run(&outgoing, 0, 1130, 1130, 1130);
    add(&outgoing, 1130, 1440, 2); /* with what is the oldest now */
    check_run(&outgoing, 0, 1130, 2 * 1130, 1130);
    outgoing.runs[0].from = address(INADDR_LOOPBACK + 1, 7);
    add(&outgoing, 1130, 1440, 2);
    CHECK_EQUAL(outgoing.count, 2);
    aiopq_outgoing_pop(&outgoing);
    aiopq_outgoing_pop(&outgoing);
    add(&outgoing, 1130, 1440, 2);
    check_run(&outgoing, 0, 0, 1130, 1130); /* at the beginning of the buffer again */
    outgoing.runs[0].interface_index = 3;
    add(&outgoing, 1130, 1440, 2);
    CHECK_EQUAL(outgoing.count, 2);
    aiopq_outgoing_dispose(&outgoing);
}

static void connections_do_not_join(void)
{
    aiopq_outgoing_t outgoing = made();
    add(&outgoing, 1130, 1440, 1);
    connection = other;
    add(&outgoing, 1130, 1440, 1);
    CHECK_EQUAL(outgoing.count, 2);
    aiopq_outgoing_pop(&outgoing);
    connection = NULL;
    add(&outgoing, 1130, 1440, 1);
    CHECK_EQUAL(outgoing.count, 2);
    aiopq_outgoing_pop(&outgoing);
    add(&outgoing, 1130, 1440, 1);
    CHECK_EQUAL(outgoing.count, 2); /* stateless answers go one by one */
    aiopq_outgoing_dispose(&outgoing);
}

static void no_more_than_the_kernel_takes(void)
{
    aiopq_outgoing_t outgoing = made();
    for (int i = 0; i < AIOPQ_SEGMENTS_MAX + 1; i++) {
        add(&outgoing, 100, 1440, 1);
    }
    check_run(&outgoing, 0, 0, 100 * AIOPQ_SEGMENTS_MAX, 100);
    check_run(&outgoing, 1, 100 * AIOPQ_SEGMENTS_MAX, 100, 100);
    aiopq_outgoing_dispose(&outgoing);
}

static void a_packet_has_room_or_must_wait(void)
{
    aiopq_outgoing_t outgoing = made();
    size_t room, count = 0;
    while (aiopq_outgoing_next(&outgoing, &room) != NULL) {
        CHECK(room >= PICOQUIC_MAX_PACKET_SIZE);
        add(&outgoing, 1440, 1440, 1);
        count++;
    }
    CHECK(count * 1440 + PICOQUIC_MAX_PACKET_SIZE > AIOPQ_SEND_MAX);
    CHECK_EQUAL(outgoing.count, 1);
    aiopq_outgoing_pop(&outgoing);
    CHECK(aiopq_outgoing_next(&outgoing, &room) != NULL);
    CHECK_EQUAL(room, AIOPQ_SEND_MAX);
    aiopq_outgoing_dispose(&outgoing);
}

static const test_case_t cases[] = {
    TEST(equal_datagrams_join),          TEST(joining_can_be_done_without),
    TEST(a_shorter_one_is_the_last),     TEST(a_longer_one_does_not_join),
    TEST(batches_of_one_size_join),      TEST(batches_of_two_sizes_do_not_join),
    TEST(another_way_is_another_run),    TEST(connections_do_not_join),
    TEST(no_more_than_the_kernel_takes), TEST(a_packet_has_room_or_must_wait),
};
TEST_MAIN(cases)
