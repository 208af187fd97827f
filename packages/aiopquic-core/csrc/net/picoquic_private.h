/* The few facts that picoquic keeps to itself. Nothing else here includes picoquic_internal.h but tls.c,
 * exporter.c, key_exchange.c, path_facts.c, qlog.c, tickets.c and tokens.c. */
#ifndef AIOPQ_NET_PICOQUIC_PRIVATE_H
#define AIOPQ_NET_PICOQUIC_PRIVATE_H

#include <picoquic.h>
#include <stdbool.h>

#include "aiopquic/threads.h"

/* The code of the peer's STOP_SENDING. */
uint64_t aiopq_remote_stop_code(picoquic_cnx_t *cnx, uint64_t stream_id) AIOPQ_NET;

/* The reason phrase of the peer's CONNECTION_CLOSE, NULL without one; borrowed. */
const char *aiopq_remote_close_reason(picoquic_cnx_t *cnx) AIOPQ_NET;

/* The reason phrase that picoquic gave to an error of its own, NULL without one; borrowed. */
const char *aiopq_local_close_reason(picoquic_cnx_t *cnx) AIOPQ_NET;

/* The type of the frame that made us close, 0 when none is to blame. */
uint64_t aiopq_offending_frame_type(picoquic_cnx_t *cnx) AIOPQ_NET;

/* The frame type in the peer's CONNECTION_CLOSE, 0 when it blames none (RFC 9000 section 19.19). */
uint64_t aiopq_remote_frame_type(picoquic_cnx_t *cnx) AIOPQ_NET;

/* The connection id that follows *sequence among those that the peer was given, NULL behind the last; borrowed.
 * *sequence becomes its number; 0 is that of the handshake's own id. */
const picoquic_connection_id_t *aiopq_next_local_id(picoquic_cnx_t *cnx, uint64_t *sequence) AIOPQ_NET;

/* True when 0-RTT packets went out and the server took them, or came in and we did. */
bool aiopq_early_data_was_accepted(picoquic_cnx_t *cnx) AIOPQ_NET;

/* Ends a connection with a transport error; picoquic borrows `reason`, which may be NULL. */
void aiopq_close_transport(picoquic_cnx_t *cnx, uint64_t error_code, uint64_t frame_type,
                           const char *reason) AIOPQ_NET;

/* True while a CONNECTION_CLOSE of ours has not been put into a packet yet. */
bool aiopq_close_is_unsent(picoquic_cnx_t *cnx) AIOPQ_NET;

/* Bytes that were delivered and not consumed: MAX_DATA is granted without them (RFC 9000 section 4.1). */
void aiopq_set_held_bytes(picoquic_cnx_t *cnx, uint64_t held) AIOPQ_NET;

/* Has picoquic prepare a packet in this turn. */
void aiopq_wake_connection(picoquic_cnx_t *cnx, uint64_t now_us) AIOPQ_NET;

uint64_t aiopq_smoothed_rtt_us(picoquic_cnx_t *cnx) AIOPQ_NET;

/* From here on only the calling thread may call picoquic, in builds that check. */
void aiopq_begin_thread_check(picoquic_quic_t *quic) AIOPQ_NET;

/* Lets another thread call picoquic, in builds that check. */
void aiopq_end_thread_check(picoquic_quic_t *quic) AIOPQ_NET;

/* How many streams of a kind we may open in total, by the peer's transport parameters and MAX_STREAMS (RFC 9000
 * section 4.6). 0 before the parameters are there, unless a session is resumed with what it remembers. */
uint64_t aiopq_max_streams_remote(picoquic_cnx_t *cnx, bool is_unidirectional) AIOPQ_NET;

/* Sends STREAMS_BLOCKED (RFC 9000 section 19.14), once for each limit. */
void aiopq_tell_streams_blocked(picoquic_cnx_t *cnx, bool is_unidirectional) AIOPQ_NET;

/* How many streams of a kind the peer may open in total, and has opened. */
uint64_t aiopq_max_streams_local(picoquic_cnx_t *cnx, bool is_unidirectional) AIOPQ_NET;
uint64_t aiopq_streams_opened_by_peer(picoquic_cnx_t *cnx, bool is_unidirectional) AIOPQ_NET;

/* Raises the first of these (MAX_STREAMS, RFC 9000 section 19.11). */
void aiopq_grant_streams(picoquic_cnx_t *cnx, bool is_unidirectional, uint64_t max) AIOPQ_NET;

/* Has a PING sent in the next packet. False without memory. */
bool aiopq_queue_ping(picoquic_cnx_t *cnx) AIOPQ_NET;

/* What the next packet after the handshake can be told by, and whether it or a later one is acknowledged: its
 * number; with multipath, where each path has numbers of its own, the time. */
uint64_t aiopq_next_packet(picoquic_cnx_t *cnx, uint64_t now_us) AIOPQ_NET;
bool aiopq_is_packet_acked(picoquic_cnx_t *cnx, uint64_t number) AIOPQ_NET;

/* True when the peer has acknowledged the first `length` bytes of a stream; its end counts as one more. False
 * when picoquic has dropped the stream. */
bool aiopq_is_stream_acked_up_to(picoquic_cnx_t *cnx, uint64_t stream_id, uint64_t length) AIOPQ_NET;

/* True when both sides understand RESET_STREAM_AT. */
bool aiopq_knows_reset_stream_at(picoquic_cnx_t *cnx) AIOPQ_NET;

/* The object that stands for a stream, NULL when picoquic has no such stream or nobody took it. */
void *aiopq_stream_context(picoquic_cnx_t *cnx, uint64_t stream_id) AIOPQ_NET;

/* True when picoquic had the stream and has forgotten it; *exists tells whether it still has it. */
bool aiopq_is_stream_forgotten(picoquic_cnx_t *cnx, uint64_t stream_id, bool *exists) AIOPQ_NET;

/* Bytes of the largest DATAGRAM frame that the peer takes and that fits an otherwise empty packet on every path
 * in use; 0 when the peer takes none. */
size_t aiopq_datagram_frame_room(picoquic_cnx_t *cnx) AIOPQ_NET;

/* A server that takes no DATAGRAM frames says so, whatever its client takes (RFC 9221 section 3). */
void aiopq_announce_datagrams_as_configured(picoquic_quic_t *quic);

/* What picoquic rolls dice for on the calling thread, where no secret hangs on it, begins anew. */
void aiopq_seed_public_random(uint64_t seed);

/* The engine leaves these dice alone, so that a seed decides them to the end. */
void aiopq_keep_public_random(picoquic_quic_t *quic);

/* How often the keys of a connection have changed, by either side (RFC 9001 section 6). */
uint64_t aiopq_key_phases(picoquic_cnx_t *cnx) AIOPQ_NET;

/* Changes our keys; the peer follows with its own. For a connection whose peer has acknowledged a packet of the present
 * keys. False before the handshake is confirmed, and until the peer has followed the change of before. */
bool aiopq_update_keys(picoquic_cnx_t *cnx) AIOPQ_NET;

uint32_t aiopq_negotiated_version(picoquic_cnx_t *cnx) AIOPQ_NET;

/* Whether every client proves its address with a Retry (RFC 9000 section 8.1.2), or only those that come while there are too
 * many handshakes. In either case each gets a token for its next connection (section 8.1.3). */
void aiopq_set_retry(picoquic_quic_t *quic, bool is_wanted);

/* True when as many handshakes are under way as may be before that. */
bool aiopq_has_many_handshakes(const picoquic_quic_t *quic) AIOPQ_NET;

/* True when the datagram, which picoquic sends for no connection, is a Retry packet (RFC 9000 section 17.2.5). */
bool aiopq_is_retry(const uint8_t *bytes, size_t length);

/* True when an Initial packet for that destination connection id belongs to a connection. */
bool aiopq_knows_connection(picoquic_quic_t *quic, const uint8_t *id, uint8_t id_length,
                            const struct sockaddr *from) AIOPQ_NET;

/* True when the token of a client's Initial packet, ours by Retry or NEW_TOKEN, proves its address (RFC 9000
 * section 8.1). Tokens count once; looking at one does not use it up. */
bool aiopq_token_is_valid(picoquic_quic_t *quic, const struct sockaddr *from, uint64_t now_us,
                          const picoquic_connection_id_t *destination, uint32_t packet_number,
                          const uint8_t *token, size_t token_length) AIOPQ_NET;

/* How many connections there may be, whatever the tables were made for: their bins hold any number. */
void aiopq_set_max_connections(picoquic_quic_t *quic, uint32_t max_connections);

#endif
