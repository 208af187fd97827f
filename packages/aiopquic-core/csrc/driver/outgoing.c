#if defined(__linux__)
#include "driver/outgoing.h"

#include <picoquic_utils.h>
#include <stdlib.h>
#include <string.h>

bool aiopq_outgoing_init(aiopq_outgoing_t *outgoing, bool is_joining)
{
    memset(outgoing, 0, sizeof(*outgoing));
    outgoing->is_joining = is_joining;
    outgoing->buffer = malloc(AIOPQ_SEND_MAX);
    return outgoing->buffer != NULL;
}

void aiopq_outgoing_dispose(aiopq_outgoing_t *outgoing)
{
    free(outgoing->buffer);
    memset(outgoing, 0, sizeof(*outgoing));
}

aiopq_run_t *aiopq_outgoing_next(aiopq_outgoing_t *outgoing, size_t *room)
{
    size_t end = 0;
    if (outgoing->count > 0) {
        const aiopq_run_t *last = &outgoing->runs[outgoing->count - 1];
        end = last->offset + last->length;
    }
    if (outgoing->count == AIOPQ_RUNS_MAX || AIOPQ_SEND_MAX - end < PICOQUIC_MAX_PACKET_SIZE) {
        return NULL;
    }
    aiopq_run_t *run = &outgoing->runs[outgoing->count];
    memset(run, 0, sizeof(*run));
    run->offset = end;
    *room = AIOPQ_SEND_MAX - end;
    return run;
}

/* Of one connection too: whoever gets a batch whole, as another socket of this machine does, looks at the first
 * datagram alone to see whose it is, and workers that share a port would take others' for their own. */
static bool is_same_way(const aiopq_run_t *a, const aiopq_run_t *b)
{
    return a->cnx != NULL && a->cnx == b->cnx && a->interface_index == b->interface_index &&
           picoquic_compare_addr((const struct sockaddr *)&a->to, (const struct sockaddr *)&b->to) == 0 &&
           picoquic_compare_addr((const struct sockaddr *)&a->from, (const struct sockaddr *)&b->from) == 0;
}

/* All datagrams of a batch are of one size, but for the last, which may be shorter. */
static bool can_join(const aiopq_run_t *first, const aiopq_run_t *second)
{
    bool is_full = first->length % first->segment == 0;
    bool fits = second->segment == first->segment || second->length < first->segment;
    return is_full && fits && first->length + second->length <= first->segment * AIOPQ_SEGMENTS_MAX &&
           is_same_way(first, second);
}

void aiopq_outgoing_add(aiopq_outgoing_t *outgoing)
{
    aiopq_run_t *run = &outgoing->runs[outgoing->count];
    if (run->segment == 0 || run->segment > run->length) {
        run->segment = run->length;
    }
    if (outgoing->is_joining && outgoing->count > 0 && can_join(run - 1, run)) {
        (run - 1)->length += run->length;
    } else {
        outgoing->count++;
    }
}

void aiopq_outgoing_pop(aiopq_outgoing_t *outgoing)
{
    outgoing->count--;
    memmove(&outgoing->runs[0], &outgoing->runs[1], outgoing->count * sizeof(outgoing->runs[0]));
}
#endif
