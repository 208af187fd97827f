/* HTTP/3 and WebTransport as a protocol of core's engine (aiopquic/protocol.h). */
#ifndef AIOPQUIC_WEBTRANSPORT_PROTOCOL_H
#define AIOPQUIC_WEBTRANSPORT_PROTOCOL_H

#include "aiopquic/protocol.h"

extern const aiopq_protocol_t aiopq_wt_protocol;

#endif
