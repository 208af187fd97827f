"""Which host of a simulated network the running code is on.

Set by ``aiopquic.testing.simnet``, read where engines are made.
"""

from __future__ import annotations

import errno
from contextvars import ContextVar
from typing import TYPE_CHECKING

from aiopquic._addresses import ip_version, packed_address
from aiopquic._settings import EngineSettings
from aiopquic.exceptions import BindError

if TYPE_CHECKING:
    from aiopquic._binding._network import Network

__all__ = ["SimulatedPlace", "check_place", "current_place", "placed"]


class SimulatedPlace:
    """One host of one simulated network."""

    def __init__(self, network: Network, addresses: tuple[str, ...], qlog_dir: str | None = None) -> None:
        self.network = network
        self.addresses = addresses
        "A wildcard address stands for the first of each family."
        self.qlog_dir = qlog_dir
        "Where engines write their qlogs that are told nothing else."


current_place: ContextVar[SimulatedPlace | None] = ContextVar("aiopquic_simulated_place", default=None)


def check_place(address: str) -> None:
    """Raise BindError when the code runs on a simulated host that has no such address."""
    place = current_place.get()
    if place is not None and address not in place.addresses:
        text = f"{address} is no address of this simulated host, which has {', '.join(place.addresses)}"
        raise BindError(errno.EADDRNOTAVAIL, text)


def _first_of_each_family(addresses: tuple[str, ...]) -> tuple[str, ...]:
    by_version: dict[int, str] = {}
    for address in addresses:
        by_version.setdefault(ip_version(address), address)
    return tuple(by_version.values())


def placed(settings: EngineSettings) -> EngineSettings:
    """The settings as they are on the host where the code runs: unchanged outside a simulation.

    Raises:
        BindError: the host has no such address.
    """
    place = current_place.get()
    if place is None:
        return settings
    addresses = []
    for address in settings.bind_addresses:
        if not any(packed_address(address)):
            addresses += [own for own in place.addresses if ip_version(own) == ip_version(address)][:1]
        else:
            check_place(address)
            addresses.append(address)
    for address, _ in settings.preferred_addresses:
        check_place(address)
    return settings.replaced(
        network=place.network,
        bind_addresses=tuple(addresses) or _first_of_each_family(place.addresses),
        qlog_dir=settings.qlog_dir or place.qlog_dir,
    )
