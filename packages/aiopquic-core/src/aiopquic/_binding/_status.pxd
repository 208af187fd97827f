from aiopquic.capi cimport aiopq_status_t


# Raises what `status` means; the caller has seen that it is not AIOPQ_OK. `stream_id` is -1 when no stream is
# concerned.
cdef object fail(aiopq_status_t status, object stream_id)
