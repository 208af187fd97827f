# cython: language_level=3
"""A simulated network: engines that are made with it live there, under its clock. Every method belongs to the loop
thread."""
cimport cython

from aiopquic._binding._convert cimport fill_address
from aiopquic.capi cimport (
    AIOPQ_OK,
    aiopq_link_config_t,
    aiopq_link_counters_t,
    aiopq_network_clock,
    aiopq_network_free,
    aiopq_network_get_counters,
    aiopq_network_new,
    aiopq_network_next_us,
    aiopq_network_rebind,
    aiopq_network_run,
    aiopq_network_set_link,
    aiopq_network_unreachable,
    sockaddr_storage,
)
from libc.stdint cimport UINT64_MAX, uint64_t
from libc.string cimport memset


@cython.final
cdef class Network:
    """Links between addresses, datagrams under way, and the virtual time in microseconds."""

    def __cinit__(self, uint64_t seed, uint64_t start_us):
        if start_us == 0:
            raise ValueError("the clock starts behind 0")
        self._ptr = aiopq_network_new(seed, start_us)
        if self._ptr is NULL:
            raise MemoryError

    def __dealloc__(self):
        aiopq_network_free(self._ptr)

    @property
    def now_us(self):
        """The virtual time."""
        return aiopq_network_clock(self._ptr)[0]

    @property
    def next_us(self):
        """When something happens next by itself; None: never."""
        cdef uint64_t time_us = aiopq_network_next_us(self._ptr)
        return None if time_us == UINT64_MAX else time_us

    @property
    def unreachable(self):
        """Datagrams to an address and port where nobody listened."""
        return aiopq_network_unreachable(self._ptr)

    def run(self, deadline_us=None):
        """Let the engines work until one has events, or until the virtual time is ``deadline_us``.

        True when an engine has events for the loop. Without a deadline the clock stands still where nothing is left
        to happen.
        """
        cdef uint64_t limit = UINT64_MAX if deadline_us is None else deadline_us
        return aiopq_network_run(self._ptr, limit)

    def set_link(self, source, target, dict settings):
        """What happens to datagrams from one IP literal to another; None and None: between all others.

        ``settings`` has the fields of ``aiopq_link_config_t``; those that are left out are 0.
        """
        cdef sockaddr_storage start, end
        cdef aiopq_link_config_t config
        memset(&start, 0, sizeof(start))
        memset(&end, 0, sizeof(end))
        memset(&config, 0, sizeof(config))
        if source is not None:
            fill_address(&start, source, 0)
        if target is not None:
            fill_address(&end, target, 0)
        config.rate_bps = settings.pop("rate_bps", 0)
        config.delay_us = settings.pop("delay_us", 0)
        config.jitter_us = settings.pop("jitter_us", 0)
        config.is_reordering = settings.pop("is_reordering", False)
        config.queue_bytes = settings.pop("queue_bytes", 0)
        config.mark_bytes = settings.pop("mark_bytes", 0)
        config.mtu = settings.pop("mtu", 0)
        config.loss_ppm = settings.pop("loss_ppm", 0)
        config.burst_enter_ppm = settings.pop("burst_enter_ppm", 0)
        config.burst_leave_ppm = settings.pop("burst_leave_ppm", 0)
        config.loss_pattern = settings.pop("loss_pattern", 0)
        config.loss_pattern_length = settings.pop("loss_pattern_length", 0)
        config.duplicate_ppm = settings.pop("duplicate_ppm", 0)
        config.corrupt_ppm = settings.pop("corrupt_ppm", 0)
        config.hold_ppm = settings.pop("hold_ppm", 0)
        config.hold_us = settings.pop("hold_us", 0)
        config.is_down = settings.pop("is_down", False)
        if settings:
            raise TypeError(f"not a setting of a link: {', '.join(settings)}")
        if aiopq_network_set_link(self._ptr, &start, &end, &config) != AIOPQ_OK:
            raise ValueError("a loss pattern has at most 64 datagrams, and a link two ends")

    def counters(self, str source, str target):
        """What became of the datagrams of one direction."""
        cdef sockaddr_storage start, end
        cdef aiopq_link_counters_t counters
        memset(&start, 0, sizeof(start))
        memset(&end, 0, sizeof(end))
        fill_address(&start, source, 0)
        fill_address(&end, target, 0)
        aiopq_network_get_counters(self._ptr, &start, &end, &counters)
        return {
            "sent": counters.sent,
            "sent_bytes": counters.sent_bytes,
            "delivered": counters.delivered,
            "delivered_bytes": counters.delivered_bytes,
            "lost": counters.lost,
            "overflowed": counters.overflowed,
            "too_large": counters.too_large,
            "marked": counters.marked,
            "duplicated": counters.duplicated,
            "corrupted": counters.corrupted,
        }

    def rebind(self, inside, outside):
        """Others see the socket ``inside`` as ``outside`` from now on: each an IP literal and a port."""
        cdef sockaddr_storage near, far
        memset(&near, 0, sizeof(near))
        memset(&far, 0, sizeof(far))
        fill_address(&near, inside[0], inside[1])
        fill_address(&far, outside[0], outside[1])
        if aiopq_network_rebind(self._ptr, &near, &far) != AIOPQ_OK:
            raise MemoryError
