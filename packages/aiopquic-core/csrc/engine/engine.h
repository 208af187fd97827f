/* What a driver needs of an engine: turns, deadlines, the end. */
#ifndef AIOPQ_ENGINE_ENGINE_H
#define AIOPQ_ENGINE_ENGINE_H

#include "net/incoming.h"

/* Takes one datagram, of a socket or of whatever stands for one. */
void aiopq_engine_receive(aiopq_engine_t *engine, const aiopq_datagram_t *datagram,
                          uint64_t now_us) AIOPQ_NET;

/* The kernel, or what stands for it, has taken datagrams of `segment` bytes each, the last one maybe shorter. */
void aiopq_engine_sent(aiopq_engine_t *engine, size_t length, size_t segment) AIOPQ_NET;

/* Behind a datagram that went out for no connection: counts the Retry packets. */
void aiopq_engine_sent_stateless(aiopq_engine_t *engine, const uint8_t *bytes, size_t length) AIOPQ_NET;

/* Carries out what the loop thread asked for, up to a bound: aiopq_engine_may_sleep() answers false while there is
 * more. `now_us` is the time of the whole turn. True when there was something to carry out. */
bool aiopq_engine_turn(aiopq_engine_t *engine, uint64_t now_us) AIOPQ_NET;

/* Tells the loop thread what happened in this turn. */
void aiopq_engine_flush(aiopq_engine_t *engine) AIOPQ_NET;

/* Microseconds until picoquic must be asked for packets again, `limit_us` at most. */
int64_t aiopq_engine_delay_us(aiopq_engine_t *engine, uint64_t now_us, int64_t limit_us) AIOPQ_NET;

/* Announces that the driver is about to wait. False when a command came in the meantime: then it must
 * take another turn instead. */
bool aiopq_engine_may_sleep(aiopq_engine_t *engine) AIOPQ_NET;

/* The driver is awake again, for whatever reason. */
void aiopq_engine_woke(aiopq_engine_t *engine) AIOPQ_NET;

/* True once a stopping engine has nothing left to send, or has waited long enough. */
bool aiopq_engine_is_done(aiopq_engine_t *engine, uint64_t now_us) AIOPQ_NET;

/* The driver ends: every connection goes, ENGINE_STOPPED is the last event. */
void aiopq_engine_finish(aiopq_engine_t *engine, int system_error) AIOPQ_NET;

#endif
