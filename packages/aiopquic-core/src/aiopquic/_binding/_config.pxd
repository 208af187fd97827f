from aiopquic.capi cimport aiopq_config_t


# Fills `config` from an EngineSettings. The result is what `config` points into: it lives as long as that.
cdef list fill_config(aiopq_config_t *config, settings)

# The same for its certificates alone.
cdef fill_certificates(aiopq_config_t *config, settings, list keep)
