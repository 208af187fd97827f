"""h3zero and picowt over the picoquic of core's shared library."""

from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int64_t, uint64_t


cdef extern from "aiopquic/abi.h" nogil:
    int aiopq_abi_version()
    const char *aiopq_build_id()


cdef extern from "native_info.h" nogil:
    int aiopq_wt_built_for_abi()
    const char *aiopq_wt_built_for_build()
    const char *aiopq_wt_picoquic_version()
    uint64_t aiopq_wt_session_gone_code()
    int64_t aiopq_wt_datagram_size_max()


cdef extern from "protocol.h" nogil:
    const char *AIOPQ_PROTOCOL_CAPSULE
    ctypedef struct aiopq_protocol_t:
        pass
    const aiopq_protocol_t aiopq_wt_protocol


cdef object _protocol = PyCapsule_New(<void *>&aiopq_wt_protocol, AIOPQ_PROTOCOL_CAPSULE, NULL)


def protocol():
    """HTTP/3 with WebTransport for the ``protocols`` of an engine, as a capsule.

    It is the same one each time: clients with equal settings share an engine.
    """
    return _protocol


def built_for():
    """ABI number and build id of the core that this extension was compiled against."""
    return aiopq_wt_built_for_abi(), aiopq_wt_built_for_build().decode()


def loaded():
    """ABI number and build id of the core in this process."""
    return aiopq_abi_version(), aiopq_build_id().decode()


def native_info():
    """What the native half is made of."""
    cdef int64_t datagram_size_max
    with nogil:
        datagram_size_max = aiopq_wt_datagram_size_max()
    if datagram_size_max < 0:
        raise MemoryError("picoquic could not create a context")
    return {
        "picoquic_version": aiopq_wt_picoquic_version().decode(),
        "build_id": aiopq_build_id().decode(),
        "session_gone_code": aiopq_wt_session_gone_code(),
        "datagram_size_max": datagram_size_max,
    }
