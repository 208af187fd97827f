/* From the network thread to the loop thread. */
#ifndef AIOPQ_NET_EVENTS_OUT_H
#define AIOPQ_NET_EVENTS_OUT_H

#include "net/objects.h"

/* Queues one event. References to `conn` and `stream` are taken here; `detail` becomes the event's. Events
 * of a connection whose end was announced are dropped: CONN_CLOSED is the last one. */
void aiopq_emit(aiopq_engine_t *engine, aiopq_event_type_t type, aiopq_conn_t *conn, aiopq_stream_t *stream,
                uint64_t value, void *detail) AIOPQ_NET;

/* CONN_ANSWER without bytes. */
void aiopq_emit_answer(aiopq_conn_t *conn, uint64_t request, bool is_done) AIOPQ_NET;

/* Wakes the loop thread once for all events since the last flush. */
void aiopq_flush_events(aiopq_engine_t *engine) AIOPQ_NET;

#endif
