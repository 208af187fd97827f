/* What can only be seen by looking: picoquic has no callback for a MAX_STREAMS of the peer's, for the
 * acknowledgement of a PING, for that of stream bytes, or for a path that is not answered on. Connections for which somebody waits for one of
 * these are in a list of the engine's, which is looked at once a turn; the others cost nothing. */
#ifndef AIOPQ_NET_WATCH_H
#define AIOPQ_NET_WATCH_H

#include "net/objects.h"

/* Looks at the connection once a turn, until there is nothing to look for. */
void aiopq_watch_enter(aiopq_conn_t *conn) AIOPQ_NET;

/* A CONN_STREAMS as soon as the peer allows more streams of one kind than what is known. Replaces an earlier
 * wish of the connection's. */
void aiopq_watch_streams(aiopq_conn_t *conn, uint64_t known_bidi, uint64_t known_uni) AIOPQ_NET;

/* Sends a PING, after the handshake at the earliest; a CONN_PING_ACKED tells of its acknowledgement. `ping` is
 * the watch's from here on. */
void aiopq_watch_ping(aiopq_conn_t *conn, aiopq_ping_t *ping) AIOPQ_NET;

/* A STREAM_ACKED once the peer has acknowledged `target`, made by aiopq_acked_target(). Replaces an earlier wish
 * of the stream's. Ignored when sending was given up or the stream is over. */
void aiopq_watch_acked(aiopq_stream_t *stream, uint64_t target) AIOPQ_NET;

/* Looks at one stream for the last time: picoquic is about to drop it. */
void aiopq_watch_stream_over(aiopq_stream_t *stream) AIOPQ_NET;

/* What the stream was to send is dropped: the wish goes without an event. */
void aiopq_watch_forget_stream(aiopq_stream_t *stream) AIOPQ_NET;

/* All that is watched of a connection goes without an event: its end is announced. */
void aiopq_watch_forget(aiopq_conn_t *conn) AIOPQ_NET;

/* Looks at every watched connection and sends the events that are due. */
void aiopq_watch_look(aiopq_engine_t *engine) AIOPQ_NET;

#endif
