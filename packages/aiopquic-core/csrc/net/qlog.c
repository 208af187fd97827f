#include "net/qlog.h"

#include <picoquic_internal.h>
#include <picoquic_unified_log.h>

/* What picoquic_set_qlog() registers for a whole context; no header has it. */
extern picoquic_unified_logging_t qlog_fns;

/* Where the connection keeps the state of its file; NULL when there is no room for another kind of log. */
static void **state_of(picoquic_cnx_t *cnx)
{
    picoquic_quic_t *quic = cnx->quic;
    /* Without a folder in its parameters, connections get no file by themselves. Does nothing when it was done before. */
    if (picoquic_register_log_functions(quic, &qlog_fns, NULL) == 0) {
        for (int i = 0; i < PICOQUIC_MAX_LOG_FUNCTIONS; i++) {
            if (quic->log_fns[i] == &qlog_fns) {
                return &cnx->log_ctx[i];
            }
        }
    }
    return NULL;
}

bool aiopq_qlog_start(picoquic_cnx_t *cnx, const char *folder)
{
    void **state = state_of(cnx);
    if (state == NULL || *state != NULL) {
        return false;
    }
    picoquic_set_log_level(cnx->quic, 1); /* every packet, however many there are */
    qlog_fns.log_new_connection(cnx, (void *)(uintptr_t)folder, state);
    return *state != NULL;
}

bool aiopq_qlog_stop(picoquic_cnx_t *cnx)
{
    void **state = state_of(cnx);
    if (state == NULL || *state == NULL) {
        return false;
    }
    qlog_fns.log_close_connection(cnx, *state);
    *state = NULL;
    return true;
}
