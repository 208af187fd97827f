"""An asyncio loop that lives by the clock of a simulated network."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import selectors
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

    from aiopquic._binding._network import Network

__all__ = ["SimulatedLoop", "SimulationStalled"]

#: A turn of the loop takes this long when tasks are ready to run: one that waits by sleep(0) sees time pass.
TURN_US = 1

#: Real seconds that the loop waits for a thread of an executor, while the virtual clock stands still.
THREAD_LIMIT = 60.0


class SimulationStalled(RuntimeError):
    """Every task waits, and nothing is left to happen: no timer, no datagram, no thread."""


class _Selector(selectors.BaseSelector):
    """Where other loops sleep, this one lets the network work and moves the clock on."""

    def __init__(self, network: Network) -> None:
        self._real = selectors.DefaultSelector()
        self._network = network
        self.threads = 0
        "Calls in executors that have not come back."

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
        if self.threads:
            return self._wait_for_thread(timeout)
        if timeout is None:
            is_told = self._network.run()
        else:
            wait_us = max(math.ceil(timeout * 1_000_000), TURN_US)
            is_told = self._network.run(self._network.now_us + wait_us)
        ready = self._real.select(0)
        if not ready and timeout is None and not is_told:
            raise SimulationStalled("every task waits for something that can't happen: no timer, no datagram is left")
        return ready

    def _wait_for_thread(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            self._network.run(self._network.now_us + TURN_US)
            return self._real.select(0)
        ready = self._real.select(THREAD_LIMIT)
        if not ready:
            raise SimulationStalled(f"a thread of an executor did not come back within {THREAD_LIMIT:.0f} s")
        return ready

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._real.get_map()


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose time is that of a simulated network, and whose names are those of its hosts.

    The clock stands still while a thread of an executor works, and moves on when every task waits.
    """

    def __init__(self, network: Network, names: Mapping[str, tuple[str, ...]]) -> None:
        self._network = network
        self._names = names
        self._network_selector = _Selector(network)
        super().__init__(self._network_selector)

    def time(self) -> float:
        """Virtual seconds."""
        return self._network.now_us / 1_000_000

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        self._network_selector.threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, *arguments: Any) -> None:
        self._network_selector.threads += 1  # it waits for a thread of its own
        try:
            await super().shutdown_default_executor(*arguments)
        finally:
            self._network_selector.threads -= 1

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self._network_selector.threads -= 1

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
