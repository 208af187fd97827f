/* Session tickets and address tokens as bytes, so that they can outlive an engine. */
#ifndef AIOPQ_NET_TICKETS_H
#define AIOPQ_NET_TICKETS_H

#include "net/objects.h"

/* Adds what is still valid to the engine's. AIOPQ_INVALID for bytes that are none; what came before
 * the damage is kept. Before the driver runs. */
aiopq_status_t aiopq_tickets_load(aiopq_engine_t *engine, aiopq_bytes_t tickets) AIOPQ_NET;

#endif
