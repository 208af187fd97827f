/* qlog files of connections that are open already. */
#ifndef AIOPQ_NET_QLOG_H
#define AIOPQ_NET_QLOG_H

#include <picoquic.h>
#include <stdbool.h>

#include "aiopquic/threads.h"

/* Begins a file for the connection in that folder, as picoquic does for those that have one from the beginning. False when
 * one is being written already, or can't be. */
bool aiopq_qlog_start(picoquic_cnx_t *cnx, const char *folder) AIOPQ_NET;

/* Completes the file. False when none is being written. */
bool aiopq_qlog_stop(picoquic_cnx_t *cnx) AIOPQ_NET;

#endif
