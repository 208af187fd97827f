from aiopquic.capi cimport (
    aiopq_answer_t,
    aiopq_bytes_t,
    aiopq_close_info_t,
    aiopq_conn_info_t,
    aiopq_conn_stats_t,
    aiopq_connection_id_t,
    aiopq_incoming_info_t,
    sockaddr_storage,
)
from libc.stdint cimport uint16_t


# Python to C. `keep` gets the bytes that the result points into: they live as long as it does.
cdef const char *as_text(value, list keep) except? NULL
cdef int fill_bytes(aiopq_bytes_t *target, bytes value, list keep) except -1
cdef int fill_address(sockaddr_storage *target, str host, uint16_t port) except -1

# C to Python.
cdef answer_bytes(aiopq_answer_t *source)
cdef read_address(sockaddr_storage *source)
cdef close_reason(aiopq_close_info_t *info)
cdef handshake_info(aiopq_conn_info_t *info)
cdef bytes connection_id(aiopq_connection_id_t *source)
cdef incoming_info(aiopq_incoming_info_t *info)
cdef stats_dict(aiopq_conn_stats_t *s)
