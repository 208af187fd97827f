/* One QUIC stream as the loop thread sees it. */
#ifndef AIOPQUIC_STREAM_H
#define AIOPQUIC_STREAM_H

#include "aiopquic/abi.h"
#include "aiopquic/chunk.h"
#include "aiopquic/config.h"
#include "aiopquic/event.h"
#include "aiopquic/lent.h"
#include "aiopquic/status.h"
#include "aiopquic/threads.h"

/* Makes a stream of our own; the peer learns of it with the first byte. `stream_id` must be of our kind
 * and not used before. The result is the caller's reference. */
AIOPQ_API aiopq_status_t aiopq_stream_new(aiopq_conn_t *conn, uint64_t stream_id,
                                          aiopq_stream_t **stream) AIOPQ_LOOP;

/* The same in a scope of the connection's protocol (protocol.h). The preface, AIOPQ_PREFACE_MAX bytes at most, is sent
 * at once, in front of what is written, and arrives even if the stream is reset, where the peer knows how. */
AIOPQ_API aiopq_status_t aiopq_stream_new_scoped(aiopq_conn_t *conn, uint64_t stream_id, uint64_t scope,
                                                 aiopq_bytes_t preface, aiopq_stream_t **stream) AIOPQ_LOOP;

/* The scope of a stream; AIOPQ_NO_SCOPE for one that has none. */
AIOPQ_API uint64_t aiopq_stream_scope(const aiopq_stream_t *stream) AIOPQ_LOOP;

AIOPQ_API uint64_t aiopq_stream_id(const aiopq_stream_t *stream);
AIOPQ_API uint64_t aiopq_stream_handle(const aiopq_stream_t *stream);
AIOPQ_API aiopq_conn_t *aiopq_stream_conn(const aiopq_stream_t *stream); /* borrowed */

/* Bytes that a stream may hold whatever the connection's other streams hold: a batch of datagrams, so that a stream on
 * its floor still moves at the speed of full batches. Less when a budget is less. */
#define AIOPQ_SEND_FLOOR (64 * 1024)

/* Queues bytes and, with `fin`, the end of the stream. The bytes are copied. All or nothing: with any
 * answer but AIOPQ_OK nothing was taken and the same call may be repeated. AIOPQ_WOULD_BLOCK means that
 * the stream's or the connection's budget is used up. */
AIOPQ_API aiopq_status_t aiopq_stream_write(aiopq_stream_t *stream, const uint8_t *data, size_t length,
                                            bool fin) AIOPQ_LOOP;

/* The same without the copy, for large writes: the bytes, at least one and no more than UINT32_MAX, are sent from where
 * they are. With AIOPQ_OK, and only then, their release is called once they are in packets or will never be: by
 * aiopq_engine_release_lent(), or by aiopq_engine_free() at the latest. */
AIOPQ_API aiopq_status_t aiopq_stream_lend(aiopq_stream_t *stream, const aiopq_lent_t *lent,
                                           bool fin) AIOPQ_LOOP;

/* Bytes that would fit now: what the stream's budget has room for, and either the connection's or the floor. */
AIOPQ_API uint64_t aiopq_stream_room(const aiopq_stream_t *stream) AIOPQ_LOOP;

/* Asks for one STREAM_WRITABLE once the stream has room again: at most half of its budget is used, and at most half of
 * the connection's budget or of the stream's floor. A write of half the floor fits then. False when that is so
 * already: then no event comes and the caller goes on at once. */
AIOPQ_API bool aiopq_stream_want_writable(aiopq_stream_t *stream) AIOPQ_LOOP;

AIOPQ_API uint64_t aiopq_stream_send_queued(const aiopq_stream_t *stream);
AIOPQ_API uint64_t aiopq_stream_sent(const aiopq_stream_t *stream); /* bytes that went into packets */

/* Asks for one STREAM_ACKED once the peer has acknowledged every byte written so far, and the end if it was
 * written. A further call replaces the wish by what is written then. *will_tell is false when it is so already:
 * then no event comes. Otherwise the wait ends with STREAM_ACKED, or, because nothing more will be acknowledged,
 * with what comes instead: STREAM_STOPPED when the peer asks us to stop, CONN_CLOSED when the connection ends, and
 * the caller's own aiopq_stream_reset(), after which none comes. STREAM_RELEASED never comes before it.
 * AIOPQ_CLOSED, AIOPQ_STREAM_STOPPED or AIOPQ_STREAM_FINISHED when one of these has happened. */
AIOPQ_API aiopq_status_t aiopq_stream_want_acked(aiopq_stream_t *stream, bool *will_tell) AIOPQ_LOOP;

/* True when the last STREAM_ACKED answers the last wish; false for one that was on its way when the wish was
 * replaced. */
AIOPQ_API bool aiopq_stream_is_acked(const aiopq_stream_t *stream) AIOPQ_LOOP;

/* Why the sending side takes no more bytes, AIOPQ_OK while it does. */
AIOPQ_API aiopq_status_t aiopq_stream_send_state(const aiopq_stream_t *stream) AIOPQ_LOOP;

/* RESET_STREAM: bytes that wait are dropped (RFC 9000 section 19.4), but for the first `reliable` ones that were
 * written, the preface of a scope not counted: these arrive where the peer knows RESET_STREAM_AT
 * (draft-ietf-quic-reliable-stream-reset). Only the first reset of a stream counts. */
AIOPQ_API aiopq_status_t aiopq_stream_reset(aiopq_stream_t *stream, uint64_t error_code,
                                            uint64_t reliable) AIOPQ_LOOP;

/* STOP_SENDING: bytes that come later are dropped (RFC 9000 section 19.5). */
AIOPQ_API aiopq_status_t aiopq_stream_stop(aiopq_stream_t *stream, uint64_t error_code) AIOPQ_LOOP;

/* 0 is sent first, 255 last; equal even numbers share, equal odd numbers go in order of their ids. */
AIOPQ_API aiopq_status_t aiopq_stream_set_priority(aiopq_stream_t *stream, uint8_t priority) AIOPQ_LOOP;

/* Takes every byte that has arrived, in order: a list of chunks that the caller owns, NULL when there is
 * none. *fin tells that the end of the stream comes right behind the list. Call after STREAM_READABLE. */
AIOPQ_API aiopq_chunk_t *aiopq_stream_take(aiopq_stream_t *stream, bool *fin) AIOPQ_LOOP;

/* The application is done with `length` more bytes: the peer may send that many more. */
AIOPQ_API void aiopq_stream_consume(aiopq_stream_t *stream, uint64_t length) AIOPQ_LOOP;

/* Nobody will read what is left of a stream: its bytes count as consumed. For the last holder on the loop
 * thread, before aiopq_stream_unref(). */
AIOPQ_API void aiopq_stream_abandon(aiopq_stream_t *stream) AIOPQ_LOOP;

AIOPQ_API void aiopq_stream_ref(aiopq_stream_t *stream);
AIOPQ_API void aiopq_stream_unref(aiopq_stream_t *stream);

/* The Python object that stands for the stream, borrowed; only the loop thread reads or writes it. */
AIOPQ_API void *aiopq_stream_owner(const aiopq_stream_t *stream) AIOPQ_LOOP;
AIOPQ_API void aiopq_stream_set_owner(aiopq_stream_t *stream, void *owner) AIOPQ_LOOP;

#endif
