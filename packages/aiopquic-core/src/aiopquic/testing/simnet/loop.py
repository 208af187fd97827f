"""An asyncio loop that lives by the clock of a simulated network."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import selectors
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

    from aiopquic._binding._network import Network

__all__ = ["SimulatedLoop", "SimulationStalled"]

#: A turn of the loop takes this long when tasks are ready to run: one that waits by sleep(0) sees time pass.
TURN_US = 1


T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class SimulationStalled(RuntimeError):
    """Every task waits, and nothing is left to happen: no timer, no datagram."""


class _Selector(selectors.BaseSelector):
    """Where other loops sleep, this one lets the network work and moves the clock on."""

    def __init__(self, network: Network) -> None:
        self._real = selectors.DefaultSelector()
        self._network = network
        self.limit_us: int | None = None
        "The virtual time at which the run has taken too long."

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready:
            return ready
        self._check_limit()
        if timeout is None:
            is_told = self._network.run(self.limit_us)
        else:
            wait_us = max(math.ceil(timeout * 1_000_000), TURN_US)
            is_told = self._network.run(self._network.now_us + wait_us)
        ready = self._real.select(0)
        if not ready and timeout is None and not is_told and self._network.next_us is None:
            self.limit_us = None  # what the tasks do about their end is theirs
            raise SimulationStalled("every task waits for something that can't happen: no timer, no datagram is left")
        return ready

    def _check_limit(self) -> None:
        if self.limit_us is not None and self._network.now_us >= self.limit_us:
            self.limit_us = None
            raise TimeoutError("the simulated network ran longer than its time limit")

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._real.get_map()


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose time is that of a simulated network, and whose names are those of its hosts.

    The clock stands still while code runs, that of executors included, and moves on when every task waits.
    """

    def __init__(self, network: Network, names: Mapping[str, tuple[str, ...]]) -> None:
        self._network = network
        self._names = names
        self._network_selector = _Selector(network)
        super().__init__(self._network_selector)

    def set_time_limit(self, seconds: float) -> None:
        """Raise TimeoutError from the loop itself that many virtual seconds from now."""
        self._network_selector.limit_us = self._network.now_us + math.ceil(seconds * 1_000_000)

    def time(self) -> float:
        """Virtual seconds."""
        return self._network.now_us / 1_000_000

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Call ``func`` here and now: a thread would come back when it likes, and no run would be like another."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """The addresses of a host of the network, by name or as a literal."""
        name = host.decode() if isinstance(host, bytes) else host
        number = int(port or 0)
        found: list[Any] = []
        for address in self._names.get(name or "", ()) or _literal(name):
            version = ipaddress.ip_address(address).version
            kind = socket.AF_INET if version == 4 else socket.AF_INET6
            if family in (0, kind):
                end = (address, number) if version == 4 else (address, number, 0, 0)
                found.append((kind, socket.SOCK_DGRAM, socket.IPPROTO_UDP, "", end))
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, f"no host of the simulated network is called {name!r}")
        return found


def _literal(name: str | None) -> tuple[str, ...]:
    try:
        return (str(ipaddress.ip_address(name or "")),)
    except ValueError:
        return ()
