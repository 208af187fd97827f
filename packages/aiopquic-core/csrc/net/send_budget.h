/* How many bytes may wait to be sent. A stream has a budget, and the connection one that its streams share; up to a
 * floor a stream may hold bytes whatever the others hold, so that streams which can't be sent, because their peer
 * reads nothing, leave every other one a way on. */
#ifndef AIOPQ_NET_SEND_BUDGET_H
#define AIOPQ_NET_SEND_BUDGET_H

#include "net/objects.h"

/* Half a budget: late enough that one wake-up is worth many packets, early enough that the sender
 * does not run dry while the loop thread fills up again. */
static inline bool aiopq_has_room_again(uint64_t queued, uint64_t budget)
{
    /* Below zero for a moment when bytes leave before their writer has counted them. */
    return (int64_t)queued <= (int64_t)(budget / 2);
}

/* AIOPQ_SEND_FLOOR, or a budget that is smaller. */
static inline uint64_t aiopq_send_floor(const aiopq_config_t *config)
{
    uint64_t floor = AIOPQ_SEND_FLOOR;
    floor = config->send_budget_stream < floor ? config->send_budget_stream : floor;
    return config->send_budget_conn < floor ? config->send_budget_conn : floor;
}

/* What a writer of the stream waits for, with `queued` bytes in the stream and `conn_queued` in all of them. */
static inline bool aiopq_stream_has_room_again(const aiopq_config_t *config, uint64_t queued,
                                               uint64_t conn_queued)
{
    return aiopq_has_room_again(queued, config->send_budget_stream) &&
           (aiopq_has_room_again(conn_queued, config->send_budget_conn) ||
            aiopq_has_room_again(queued, aiopq_send_floor(config)));
}

/* Accounts for bytes that left the send queue and wakes whoever waits for the room. */
void aiopq_account_sent(aiopq_stream_t *stream, uint64_t length) AIOPQ_NET;

/* Tells of room that there may be already; for a stream that enters its connection's list. */
void aiopq_tell_writable(aiopq_stream_t *stream) AIOPQ_NET;

#endif
