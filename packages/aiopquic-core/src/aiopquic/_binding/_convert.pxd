from aiopquic.capi cimport (
    aiopq_answer_t,
    aiopq_bytes_t,
    aiopq_close_info_t,
    aiopq_conn_info_t,
    aiopq_conn_stats_t,
    aiopq_connection_id_t,
    aiopq_incoming_info_t,
    aiopq_transport_parameters_t,
    sockaddr_storage,
)
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "<netinet/in.h>" nogil:
    cdef struct sockaddr_in6:
        unsigned short sin6_family
        uint16_t sin6_port
        uint8_t *sin6_addr
        uint32_t sin6_scope_id


cdef class HandshakeInfo:
    cdef readonly str alpn
    cdef readonly str server_name
    cdef readonly uint32_t version
    cdef readonly bint is_resumed
    # 0-RTT data went out and the server took it, or came in and we did (RFC 9001 section 4.6).
    cdef readonly bint early_data_accepted
    # The ClientHello was encrypted, and the server opened it (RFC 9849).
    cdef readonly bint ech_accepted
    # Further paths can be added (draft-ietf-quic-multipath).
    cdef readonly bint has_multipath
    # The peer's chain as DER, its own certificate first; empty when it presented none, as in a resumed session.
    cdef readonly tuple peer_certificates
    cdef sockaddr_in6 _peer_address, _local_address   # of either family: the larger of both
    cdef aiopq_connection_id_t _local_id, _remote_id, _initial_id
    cdef aiopq_transport_parameters_t _local_parameters, _remote_parameters


cdef class IncomingInfo:
    cdef readonly uint64_t handle
    cdef readonly object peer_address
    cdef readonly object local_address
    # A token of ours proves its address (RFC 9000 section 8.1).
    cdef readonly bint is_validated
    cdef readonly str server_name
    cdef readonly tuple alpn


# Python to C. `keep` gets the bytes that the result points into: they live as long as it does.
cdef const char *as_text(value, list keep) except? NULL
cdef int fill_bytes(aiopq_bytes_t *target, bytes value, list keep) except -1
cdef int fill_address(sockaddr_storage *target, str host, uint16_t port) except -1

# C to Python.
cdef answer_bytes(aiopq_answer_t *source)
cdef read_address(sockaddr_storage *source)
cdef close_reason(aiopq_close_info_t *info)
cdef HandshakeInfo handshake_info(aiopq_conn_info_t *source)
cdef bytes connection_id(aiopq_connection_id_t *source)
cdef IncomingInfo incoming_info(aiopq_incoming_info_t *source)
cdef stats_dict(aiopq_conn_stats_t *s)
