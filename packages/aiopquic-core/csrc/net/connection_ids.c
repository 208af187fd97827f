/* Connection ids that the peer may send to (RFC 9000 section 5.1), told as they come and go. */
#include <stdlib.h>
#include <string.h>

#include "net/callbacks.h"
#include "net/events_out.h"
#include "net/picoquic_private.h"

static void tell(aiopq_conn_t *conn, aiopq_event_type_t type, const uint8_t *id, size_t length)
{
    aiopq_connection_id_t *detail = calloc(1, sizeof(*detail));
    if (detail != NULL && length <= sizeof(detail->id)) {
        detail->length = (uint8_t)length;
        memcpy(detail->id, id, length);
        aiopq_emit(conn->engine, type, conn, NULL, 0, detail);
    } else {
        free(detail);
    }
}

void aiopq_on_connection_id(aiopq_conn_t *conn, aiopq_event_type_t type, const uint8_t *id, size_t length)
{
    if (conn->is_ready) { /* before, nobody above has the connection; aiopq_tell_connection_ids() follows */
        tell(conn, type, id, length);
    }
}

void aiopq_tell_connection_ids(aiopq_conn_t *conn)
{
    uint64_t sequence = 0;
    const picoquic_connection_id_t *id;
    while ((id = aiopq_next_local_id(conn->cnx, &sequence)) != NULL) {
        tell(conn, AIOPQ_EVENT_CONN_ID_ISSUED, id->id, id->id_len);
    }
}
