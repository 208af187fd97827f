/* The drivers: what runs an engine. Each is started by a function here and ends by the hooks that it sets in
 * the engine. */
#ifndef AIOPQ_DRIVER_DRIVER_H
#define AIOPQ_DRIVER_DRIVER_H

#include "net/objects.h"

/* One network thread on picoquic's packet loop: any POSIX system. */
aiopq_status_t aiopq_portable_driver_start(aiopq_engine_t *engine) AIOPQ_LOOP;

/* One network thread on a loop of our own with GSO and GRO: Linux. */
aiopq_status_t aiopq_thread_driver_start(aiopq_engine_t *engine) AIOPQ_LOOP;

/* No thread: the loop thread does the network's work in its drains. Linux. */
aiopq_status_t aiopq_inline_driver_start(aiopq_engine_t *engine) AIOPQ_LOOP;

/* No thread: aiopq_network_run() steps the engine on the network that its configuration names. */
aiopq_status_t aiopq_simulated_driver_start(aiopq_engine_t *engine) AIOPQ_LOOP;

/* The two ECN bits that the congestion controller of a configuration wants on what is sent (RFC 3168). */
uint8_t aiopq_ecn_mark(const aiopq_config_t *config);

#endif
