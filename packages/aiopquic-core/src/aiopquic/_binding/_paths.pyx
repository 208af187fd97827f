# cython: language_level=3
"""Paths between the values of Python and those of C."""
from aiopquic._binding._convert cimport fill_address, read_address
from aiopquic.capi cimport (
    aiopq_path_answer_t,
    aiopq_path_event_t,
    aiopq_path_info_t,
    aiopq_path_request_t,
    aiopq_path_wish_t,
)
from libc.string cimport memset

# The classes of aiopquic._paths are imported where they are wanted: few connections have events about their paths.

cdef tuple CHANGES = ("available", "suspended", "deleted", "quality", "moved")   # as aiopq_path_change_t


cdef int fill_request(aiopq_path_request_t *target, request, wish, path_id, local_address, peer_address, rtt_change_us,
                      rate_change) except -1:
    from aiopquic._paths import PATH_WISHES
    memset(target, 0, sizeof(target[0]))
    target.request = request
    target.wish = <aiopq_path_wish_t><int>PATH_WISHES.index(wish)
    target.id = path_id
    target.rtt_change_us = rtt_change_us
    target.rate_change = rate_change
    if local_address is not None:
        fill_address(&target.local_address, local_address[0], local_address[1])
    if peer_address is not None:
        fill_address(&target.peer_address, peer_address[0], peer_address[1])
    return 0


cdef path_info(aiopq_path_info_t *path):
    from aiopquic._paths import PathInfo
    return PathInfo(
        path.id,
        read_address(&path.local_address) or ("", 0),
        read_address(&path.peer_address) or ("", 0),
        <bint>path.is_validated,
        <bint>path.is_backup,
        <bint>path.is_leaving,
        path.rtt / 1e6,
        path.rtt_sample / 1e6,
        path.rtt_min / 1e6,
        path.rtt_max / 1e6,
        path.rtt_variant / 1e6,
        path.cwin,
        path.bytes_in_transit,
        path.pacing_rate,
        path.receive_rate_estimate,
        path.packets_sent,
        path.packets_lost,
        path.spurious_losses,
        path.bytes_sent,
        path.bytes_received,
    )


cdef path_event(int change, aiopq_path_event_t *event):
    from aiopquic._paths import PathEvent
    return PathEvent(CHANGES[change], path_info(&event.path))


cdef path_addresses(aiopq_path_event_t *event):
    return read_address(&event.local_address), read_address(&event.peer_address)


cdef path_answer(aiopq_path_answer_t *answer):
    from aiopquic._paths import PATH_OUTCOMES, PathAnswer
    cdef size_t i
    cdef list paths = []
    for i in range(answer.path_count):
        paths.append(path_info(&answer.paths[i]))
    return PathAnswer(answer.request, PATH_OUTCOMES[<int>answer.outcome], answer.system_error, tuple(paths))
