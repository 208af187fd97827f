"""A simulated network for tests: hosts, links with faults, one virtual clock, the same result for the same seed.

The code under test runs unchanged, on an asyncio loop whose time is the network's: ``asyncio.sleep(30)`` takes no real
time, and thirty seconds of a lossy link take a few milliseconds.
"""

from aiopquic.testing.simnet.hosts import Host
from aiopquic.testing.simnet.links import Link
from aiopquic.testing.simnet.loop import SimulatedLoop, SimulationStalled
from aiopquic.testing.simnet.network import LinkCounters, SimulatedNetwork, simulated

__all__ = [
    "Host",
    "Link",
    "LinkCounters",
    "SimulatedLoop",
    "SimulatedNetwork",
    "SimulationStalled",
    "simulated",
]
