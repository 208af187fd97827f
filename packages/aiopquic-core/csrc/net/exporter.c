#include "net/exporter.h"

#include <picoquic_internal.h>
#include <picotls.h>

#include <picoquic_crypto_provider_api.h>

bool aiopq_export_secret(picoquic_cnx_t *cnx, const char *label, aiopq_bytes_t context, uint8_t *secret,
                         size_t length)
{
    picoquic_tls_ctx_t *tls = cnx->tls_ctx; /* picoquic_export_secret() takes no context */
    if (tls == NULL || tls->tls == NULL) {
        return false;
    }
    ptls_iovec_t value = ptls_iovec_init(context.data, context.length);
    return ptls_export_secret(tls->tls, secret, length, label, value, 0) == 0;
}
