# cython: language_level=3
"""The sockets that several engines of one server share. Every method belongs to the loop thread."""
cimport cython

import os

from aiopquic._binding._config cimport fill_config
from aiopquic._binding._status cimport fail
from aiopquic.capi cimport (
    AIOPQ_FAILED,
    AIOPQ_OK,
    aiopq_config_t,
    aiopq_status_t,
    aiopq_workers_are_steered,
    aiopq_workers_close,
    aiopq_workers_open,
    aiopq_workers_port,
    aiopq_workers_unref,
)
from libc.stdint cimport uint32_t


@cython.final
cdef class Workers:
    """A socket for each of ``count`` engines on each address of the settings, all on one port.

    Raises OSError when one can't be opened. ``is_steered`` gives the kernel the program that chooses among them;
    afterwards it tells whether the kernel took it.
    """

    def __cinit__(self, settings, uint32_t count, bint is_steered=True):
        cdef aiopq_config_t config
        cdef int error = 0
        cdef list keep = fill_config(&config, settings)
        cdef aiopq_status_t status = aiopq_workers_open(&config, count, is_steered, &self._ptr, &error)
        keep.clear()
        if status == AIOPQ_FAILED and error != 0:
            raise OSError(error, os.strerror(error))
        if status != AIOPQ_OK:
            fail(status, None)
        self._port = aiopq_workers_port(self._ptr)

    def __dealloc__(self):
        aiopq_workers_unref(self._ptr)

    @property
    def port(self):
        """The UDP port of all of them."""
        return self._port

    @property
    def is_steered(self):
        """False when the kernel has not taken the program: what it gives to the wrong engine is handed over."""
        return aiopq_workers_are_steered(self._ptr)

    def close(self):
        """Close the sockets, which frees the port; when no engine runs that has them."""
        aiopq_workers_close(self._ptr)
