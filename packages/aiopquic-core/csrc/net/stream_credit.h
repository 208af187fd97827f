/* The other side of a stream limit: what we grant the peer (MAX_STREAMS, RFC 9000 section 4.6). */
#ifndef AIOPQ_NET_STREAM_CREDIT_H
#define AIOPQ_NET_STREAM_CREDIT_H

#include "net/objects.h"

/* A stream appeared or is over; those of our own change nothing. */
void aiopq_credit_stream_opened(aiopq_conn_t *conn, uint64_t stream_id) AIOPQ_NET;
void aiopq_credit_stream_over(aiopq_conn_t *conn, uint64_t stream_id) AIOPQ_NET;

#endif
