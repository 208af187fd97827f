#include "net/stream_credit.h"

#include "net/picoquic_private.h"

/* The peer may have `max_streams` streams open, so its limit is that many above the number of those that are
 * over. picoquic by itself grants in steps of the whole limit, once more than half of one is used up: a peer with
 * a few streams that stay open would wait for ever, and it forgets a stream that is reset before all its bytes
 * have come. */
static void grant(aiopq_conn_t *conn, bool is_unidirectional)
{
    const aiopq_config_t *config = &conn->engine->config;
    uint64_t at_once = is_unidirectional ? config->max_streams_uni : config->max_streams_bidi;
    uint64_t granted = aiopq_max_streams_local(conn->cnx, is_unidirectional);
    uint64_t due = conn->peer_streams_over[is_unidirectional] + at_once;
    if (due <= granted) {
        return;
    }
    /* A frame for a quarter of the limit at a time, unless the peer has used up what it has. */
    if (due - granted >= at_once / 4 ||
        aiopq_streams_opened_by_peer(conn->cnx, is_unidirectional) >= granted) {
        aiopq_grant_streams(conn->cnx, is_unidirectional, due);
    }
}

void aiopq_credit_stream_opened(aiopq_conn_t *conn, uint64_t stream_id)
{
    if (!aiopq_stream_is_ours(conn, stream_id)) {
        grant(conn, aiopq_stream_is_unidirectional(stream_id));
    }
}

void aiopq_credit_stream_over(aiopq_conn_t *conn, uint64_t stream_id)
{
    if (!aiopq_stream_is_ours(conn, stream_id)) {
        conn->peer_streams_over[aiopq_stream_is_unidirectional(stream_id)]++;
        grant(conn, aiopq_stream_is_unidirectional(stream_id));
    }
}
