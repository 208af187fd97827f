/* From a configuration to a picoquic context. */
#ifndef AIOPQ_ENGINE_SETTINGS_H
#define AIOPQ_ENGINE_SETTINGS_H

#include "net/objects.h"

/* Copies what the engine keeps; certificates, keys and roots are only read during aiopq_engine_new(). */
aiopq_status_t aiopq_settings_copy(aiopq_config_t *to, const aiopq_config_t *from);
void aiopq_settings_dispose(aiopq_config_t *config);

/* Makes the picoquic context with every setting but TLS applied. */
aiopq_status_t aiopq_settings_create_quic(aiopq_engine_t *engine, const aiopq_config_t *config);

#endif
