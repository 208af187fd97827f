/* Two threads touch an engine. The network thread runs picoquic; the loop thread runs asyncio.
 *
 * A function marked AIOPQ_NET may only be called on the network thread, one marked AIOPQ_LOOP only on
 * the loop thread. Before the driver starts and after it was joined there is only the loop thread, and
 * it may do both. Unmarked functions may be called on either. */
#ifndef AIOPQUIC_THREADS_H
#define AIOPQUIC_THREADS_H

#define AIOPQ_NET
#define AIOPQ_LOOP

#endif
