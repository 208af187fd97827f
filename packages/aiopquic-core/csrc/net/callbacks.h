/* What picoquic tells us, by stream and by connection. */
#ifndef AIOPQ_NET_CALLBACKS_H
#define AIOPQ_NET_CALLBACKS_H

#include "net/objects.h"

/* picoquic's callback for a connection of ours; `conn_ptr` is the aiopq_conn_t. */
int aiopq_conn_callback(picoquic_cnx_t *cnx, uint64_t stream_id, uint8_t *bytes, size_t length,
                        picoquic_call_back_event_t event, void *conn_ptr, void *stream_ptr) AIOPQ_NET;

/* picoquic's default callback: the first one of an incoming connection; `engine_ptr` is the aiopq_engine_t. */
int aiopq_server_callback(picoquic_cnx_t *cnx, uint64_t stream_id, uint8_t *bytes, size_t length,
                          picoquic_call_back_event_t event, void *engine_ptr, void *stream_ptr) AIOPQ_NET;

/* Ours for one of picoquic's; for an incoming one whose first event has not come yet it is made here. NULL behind
 * aiopq_conn_detach(), and without memory. */
aiopq_conn_t *aiopq_conn_of(picoquic_cnx_t *cnx) AIOPQ_NET;

/* ---- streams (on_stream.c) ---- */
int aiopq_stream_receive(aiopq_conn_t *conn, aiopq_stream_t *stream, const uint8_t *bytes, size_t length,
                         bool is_fin) AIOPQ_NET;
int aiopq_on_stream_reset(aiopq_conn_t *conn, aiopq_stream_t *stream) AIOPQ_NET;
int aiopq_on_stop_sending(aiopq_conn_t *conn, aiopq_stream_t *stream) AIOPQ_NET;
int aiopq_on_prepare_to_send(aiopq_conn_t *conn, aiopq_stream_t *stream, void *context,
                             size_t space) AIOPQ_NET;
int aiopq_on_stream_released(aiopq_conn_t *conn, aiopq_stream_t *stream) AIOPQ_NET;

/* Puts a stream into the connection's list, which takes a reference, and tells picoquic of it. */
void aiopq_stream_attach(aiopq_stream_t *stream) AIOPQ_NET;

/* Takes it out and drops that reference. */
void aiopq_stream_detach(aiopq_stream_t *stream) AIOPQ_NET;

/* Drops what waits to be sent, for good. */
void aiopq_stream_end_sending(aiopq_stream_t *stream) AIOPQ_NET;

/* ---- connections (on_conn.c) ---- */
int aiopq_on_conn_ready(aiopq_conn_t *conn) AIOPQ_NET;
void aiopq_on_conn_closed(aiopq_conn_t *conn, picoquic_call_back_event_t event) AIOPQ_NET;

/* A connection id of ours was given to the peer or retired by it (connection_ids.c). */
void aiopq_on_connection_id(aiopq_conn_t *conn, aiopq_event_type_t type, const uint8_t *id,
                            size_t length) AIOPQ_NET;

/* Tells of the ids that were given before the handshake was complete. */
void aiopq_tell_connection_ids(aiopq_conn_t *conn) AIOPQ_NET;

/* Announces the end of a connection, once. `info` is copied. */
void aiopq_announce_closed(aiopq_conn_t *conn, const aiopq_close_info_t *info) AIOPQ_NET;

/* picoquic's transport parameters as ours. */
void aiopq_copy_parameters(const picoquic_tp_t *from, aiopq_transport_parameters_t *to) AIOPQ_NET;

/* picoquic is done with the connection: forgets it, and gives back the network thread's reference. */
void aiopq_conn_detach(aiopq_conn_t *conn) AIOPQ_NET;

/* picoquic deletes a server's connection when it has drained, and leaves a client's to us: one that has drained
 * is remembered from inside its callback, where it can't be done. */
void aiopq_client_ended(aiopq_engine_t *engine, picoquic_cnx_t *cnx) AIOPQ_NET;
void aiopq_delete_ended(aiopq_engine_t *engine) AIOPQ_NET;

/* Our verifier refused the peer's certificate; the end is announced as soon as picoquic has acted on it. `detail`, words
 * about it or NULL, becomes the connection's. */
void aiopq_conn_failing(aiopq_conn_t *conn, int verify_error, char *detail) AIOPQ_NET;
void aiopq_announce_failing(aiopq_engine_t *engine) AIOPQ_NET;

/* Fills a snapshot, malloc'd. NULL without memory. */
aiopq_conn_stats_t *aiopq_conn_snapshot(aiopq_conn_t *conn) AIOPQ_NET;

/* ALPN: the server's choice among the peer's list, and the client's offer. */
size_t aiopq_select_alpn(picoquic_quic_t *quic, picoquic_iovec_t *list, size_t count) AIOPQ_NET;
int aiopq_on_request_alpn(aiopq_conn_t *conn, void *tls_context) AIOPQ_NET;

#endif
