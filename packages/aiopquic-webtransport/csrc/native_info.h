/* What the extension was built from, and a proof that it and core share one picoquic. */
#ifndef AIOPQUIC_WEBTRANSPORT_NATIVE_INFO_H
#define AIOPQUIC_WEBTRANSPORT_NATIVE_INFO_H

#include <stdint.h>

/* The core that this extension was compiled against. */
int aiopq_wt_built_for_abi(void);
const char *aiopq_wt_built_for_build(void);

/* The picoquic whose headers were compiled in. */
const char *aiopq_wt_picoquic_version(void);

/* The code h3zero closes a stream with when its session is gone. */
uint64_t aiopq_wt_session_gone_code(void);

/* Largest datagram that a context of core's picoquic accepts once picowt has set its transport
 * parameters: picowt writes the structure, picoquic reads it. -1 when there is no memory. */
int64_t aiopq_wt_datagram_size_max(void);

#endif
