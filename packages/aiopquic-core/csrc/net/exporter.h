/* Keys for other protocols, made from those of a connection (RFC 8446 section 7.5, RFC 5705). */
#ifndef AIOPQ_NET_EXPORTER_H
#define AIOPQ_NET_EXPORTER_H

#include <picoquic.h>
#include <stdbool.h>

#include "aiopquic/config.h"
#include "aiopquic/threads.h"

/* Both sides of a connection get the same bytes for the same label, context and length. False before the keys are
 * there. */
bool aiopq_export_secret(picoquic_cnx_t *cnx, const char *label, aiopq_bytes_t context, uint8_t *secret,
                         size_t length) AIOPQ_NET;

#endif
