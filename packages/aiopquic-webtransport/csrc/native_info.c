#include "native_info.h"

#include <stddef.h>

#include "aiopquic/abi.h"
#include "h3zero.h"
#include "h3zero_common.h"
#include "pico_webtransport.h"
#include "picoquic.h"

int aiopq_wt_built_for_abi(void)
{
    return AIOPQ_ABI_VERSION;
}

const char *aiopq_wt_built_for_build(void)
{
    return AIOPQ_WT_BUILT_FOR;
}

const char *aiopq_wt_picoquic_version(void)
{
    return PICOQUIC_VERSION;
}

uint64_t aiopq_wt_session_gone_code(void)
{
    return H3ZERO_WEBTRANSPORT_SESSION_GONE;
}

int64_t aiopq_wt_datagram_size_max(void)
{
    picoquic_quic_t *quic =
        picoquic_create(1, NULL, NULL, NULL, "h3", NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, 0);
    if (quic == NULL) {
        return -1;
    }
    picowt_set_default_transport_parameters(quic);
    int64_t size = (int64_t)picoquic_get_default_tp(quic)->max_datagram_frame_size;
    picoquic_free(quic);
    return size;
}
