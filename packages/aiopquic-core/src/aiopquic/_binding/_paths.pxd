from aiopquic.capi cimport aiopq_path_answer_t, aiopq_path_event_t, aiopq_path_request_t, sockaddr_storage


cdef int fill_request(aiopq_path_request_t *target, request, wish, path_id, local_address, peer_address, rtt_change_us,
                      rate_change) except -1
cdef path_event(int change, aiopq_path_event_t *event)
cdef path_addresses(aiopq_path_event_t *event)
cdef path_answer(aiopq_path_answer_t *answer)
