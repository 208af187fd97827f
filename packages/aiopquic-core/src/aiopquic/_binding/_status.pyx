# cython: language_level=3
"""From a status of the engine to a Python exception: the one place that knows."""
from aiopquic.capi cimport (
    AIOPQ_BAD_CERTIFICATE,
    AIOPQ_BAD_ECH_KEY,
    AIOPQ_BAD_KEY,
    AIOPQ_BAD_TRUST_STORE,
    AIOPQ_CLOSED,
    AIOPQ_KEY_MISMATCH,
    AIOPQ_NO_MEMORY,
    AIOPQ_NO_PASSWORD,
    AIOPQ_STARTED,
    AIOPQ_STREAM_FINISHED,
    AIOPQ_STREAM_STOPPED,
    AIOPQ_TOO_LARGE,
    AIOPQ_UNKNOWN_ALGORITHM,
    AIOPQ_WOULD_BLOCK,
    AIOPQ_WRONG_DIRECTION,
    AIOPQ_WRONG_PASSWORD,
    aiopq_status_name,
    aiopq_status_t,
)

from aiopquic import exceptions


cdef object fail(aiopq_status_t status, object stream_id):
    if status == AIOPQ_WOULD_BLOCK:
        raise exceptions.WouldBlockError(
            "the send budget is used up: wait until data has gone out, then send the same data again")
    if status == AIOPQ_TOO_LARGE:
        raise ValueError("the data is larger than the whole send budget: send it in parts, or raise the budget")
    if status == AIOPQ_STREAM_FINISHED:
        raise exceptions.StreamClosedError(
            f"stream {stream_id} was already finished or reset by this side: nothing more can be sent on it", stream_id)
    if status == AIOPQ_STREAM_STOPPED:
        raise exceptions.StreamStoppedError(f"the peer asked us to stop sending on stream {stream_id}", stream_id)
    if status == AIOPQ_WRONG_DIRECTION:
        raise exceptions.StreamClosedError(
            f"stream {stream_id} is unidirectional and flows the other way", stream_id)
    if status == AIOPQ_CLOSED:
        text = "the connection has just ended: its last event says why"
        raise exceptions.QuicConnectionError(exceptions.CloseReason(exceptions.CloseKind.LOCAL_FAILURE, reason=text))
    if status == AIOPQ_NO_MEMORY:
        raise MemoryError("the engine found no memory")
    if status == AIOPQ_STARTED:
        raise RuntimeError("this transport was started already; make another one")
    if status in (AIOPQ_BAD_CERTIFICATE, AIOPQ_BAD_KEY, AIOPQ_NO_PASSWORD, AIOPQ_WRONG_PASSWORD, AIOPQ_KEY_MISMATCH,
                  AIOPQ_BAD_TRUST_STORE):
        raise exceptions.CertificateFileError(aiopq_status_name(status).decode())
    if status == AIOPQ_BAD_ECH_KEY:
        raise exceptions.ConfigurationError(f"ech_keys: {aiopq_status_name(status).decode()}")
    if status == AIOPQ_UNKNOWN_ALGORITHM:
        raise exceptions.ConfigurationError("unknown congestion control algorithm or cipher suite")
    raise RuntimeError(f"the engine refused: {aiopq_status_name(status).decode()}")
