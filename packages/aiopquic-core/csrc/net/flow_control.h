/* Receive windows (RFC 9000 section 4): credit follows what the application consumed. */
#ifndef AIOPQ_NET_FLOW_CONTROL_H
#define AIOPQ_NET_FLOW_CONTROL_H

#include "net/objects.h"

/* A fresh stream: its window is counted, and from here on only aiopq_flow_grant() extends it. */
void aiopq_flow_open(aiopq_stream_t *stream) AIOPQ_NET;

/* Tells the peer of new credit when enough was consumed to be worth a frame; grows the window of a
 * stream that is read fast. */
void aiopq_flow_grant(aiopq_stream_t *stream) AIOPQ_NET;

/* The stream receives no more: its window goes back to the connection's budget. */
void aiopq_flow_close(aiopq_stream_t *stream) AIOPQ_NET;

/* Bytes of any stream were delivered to us: the connection's credit is held back until they are consumed. */
void aiopq_flow_conn_received(aiopq_conn_t *conn, uint64_t length) AIOPQ_NET;

/* The application consumed bytes: the connection's credit goes to the peer. */
void aiopq_flow_conn_consumed(aiopq_conn_t *conn) AIOPQ_NET;

/* Credit may be sent from now on; carries out what was asked before. */
void aiopq_flow_conn_ready(aiopq_conn_t *conn) AIOPQ_NET;

#endif
