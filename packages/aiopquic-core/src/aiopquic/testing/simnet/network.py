"""A simulated network and the runs on it."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import inspect
import os
import shutil
import tempfile
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from aiopquic._binding._network import Network
from aiopquic._simulation import SimulatedPlace, current_place
from aiopquic.exceptions import ConfigurationError
from aiopquic.quic.pool import close_idle_engines
from aiopquic.testing.certificates import CertificateFiles, dev_certificate
from aiopquic.testing.simnet.hosts import Host
from aiopquic.testing.simnet.links import Link
from aiopquic.testing.simnet.loop import SimulatedLoop

__all__ = ["LinkCounters", "SimulatedNetwork", "simulated"]

#: The environment variable that replays a run: its number is used for every seed.
SEED_VARIABLE = "AIOPQUIC_SIMNET_SEED"

#: The clock starts here, for its first instant is not 0.
_START_US = 1_000_000

#: Virtual seconds that a run takes at most.
TIME_LIMIT = 3600.0

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True)
class LinkCounters:
    """What became of the datagrams of one direction."""

    sent: int
    sent_bytes: int
    delivered: int
    delivered_bytes: int
    "Copies included."
    lost: int
    "By chance, by pattern, or while the link was down."
    overflowed: int
    "Dropped by a full queue."
    too_large: int
    marked: int
    duplicated: int
    corrupted: int


class SimulatedNetwork:
    """Hosts and links under one virtual clock.

    Args:
        seed: decides every chance; the same seed gives the same run. ``AIOPQUIC_SIMNET_SEED`` overrides it.
        link: what is between hosts that no :meth:`link` names: 1 ms without limit or fault.
        qlog: write a qlog per connection; kept when the run fails, and named in the error.

    Belongs to one thread. The code under test runs in :meth:`run`.
    """

    def __init__(self, seed: int = 0, *, link: Link | None = None, qlog: bool = False) -> None:
        text = os.environ.get(SEED_VARIABLE)
        try:
            self.seed = int(text) if text else seed
            self._network = Network(self.seed, _START_US)
        except (OverflowError, TypeError, ValueError):
            raise ConfigurationError(f"a seed is a number from 0 to 2**64 - 1, not {text or seed!r}") from None
        self._hosts: dict[str, Host] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._links: dict[tuple[str, str], Link] = {}
        self._default_link = link if link is not None else Link(delay=0.001)
        self._network.set_link(None, None, self._default_link._settings())
        self._folder: Path | None = None
        self._cleanup: weakref.finalize[[Path], SimulatedNetwork] | None = None
        self._qlog_dir: str | None = None
        if qlog:
            folder = self._files() / "qlog"
            folder.mkdir()
            self._qlog_dir = str(folder)

    # ---- what there is ----

    def host(self, name: str, *addresses: str) -> Host:
        """The host of that name, made by the first call; names resolve to it inside :meth:`run`.

        Without ``addresses`` it gets an IPv4 and an IPv6 one.
        """
        if name in self._hosts:
            if addresses and addresses != self._hosts[name].addresses:
                raise ConfigurationError(f"the host {name} is there already, as {self._hosts[name].addresses}")
            return self._hosts[name]
        number = len(self._hosts) + 1
        chosen = addresses or (f"10.0.{number >> 8}.{number & 255}", f"fd00::{number:x}")
        taken = {address for host in self._hosts.values() for address in host.addresses}
        if taken & set(chosen):
            raise ConfigurationError(f"an address of {name} belongs to another host: {', '.join(chosen)}")
        place = SimulatedPlace(self._network, chosen, self._qlog_dir)
        self._names[name] = chosen
        self._hosts[name] = Host(name, place)
        return self._hosts[name]

    def certificate(self) -> CertificateFiles:
        """A new certificate for the names and addresses of all hosts there are, and its key, as PEM files.

        Ed25519, so that every handshake has the same number of bytes. The files go with the network.
        """
        names = [name for host in self._hosts.values() for name in (host.name, *host.addresses)]
        made = dev_certificate(names or ["localhost"], key_type="ed25519")
        return CertificateFiles(*made.write(tempfile.mkdtemp(prefix="certificate-", dir=self._files())))

    def _files(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="aiopquic-simnet-"))
            self._cleanup = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    def link(self, one: Host | str, other: Host | str, link: Link, back: Link | None = None) -> None:
        """Set what is between two hosts: ``link`` from one to the other, and back too unless ``back`` says more.

        An address in place of a host means that one alone, as if it were another interface; the last call counts.
        """
        self._set(one, other, link)
        self._set(other, one, back if back is not None else link)

    def change(self, one: Host | str, other: Host | str, **changes: Any) -> None:
        """Change some fields of both directions between two hosts: ``change(a, b, down=True)`` is a blackhole.

        Datagrams that are under way arrive as they would have.
        """
        for start, end in ((one, other), (other, one)):
            self._set(start, end, dataclasses.replace(self._link_between(start, end), **changes))

    def _link_between(self, start: Host | str, end: Host | str) -> Link:
        """As it was set for the two, or for the hosts that they belong to."""
        for one in (_name(start), self._name_of(start)):
            for other in (_name(end), self._name_of(end)):
                if (one, other) in self._links:
                    return self._links[one, other]
        return self._default_link

    def _name_of(self, end: Host | str) -> str:
        names = (name for name, host in self._hosts.items() if end in host.addresses)
        return end.name if isinstance(end, Host) else next(names, end)

    def _set(self, start: Host | str, end: Host | str, link: Link) -> None:
        self._links[_name(start), _name(end)] = link
        for source in _addresses(start):
            for target in _addresses(end):
                if (":" in source) == (":" in target):
                    self._network.set_link(source, target, link._settings())

    def rebind(self, inside: tuple[str, int], outside: tuple[str, int]) -> None:
        """A NAT moves: others see the socket ``inside`` as ``outside`` from now on, and reach it only there.

        ``inside`` is what ``local_address`` of a connection tells. Links go by the address outside.
        """
        self._network.rebind(inside, outside)

    def counters(self, source: Host | str, target: Host | str) -> LinkCounters:
        """What became of the datagrams from one host to another, over all their addresses."""
        total = dict.fromkeys((field.name for field in dataclasses.fields(LinkCounters)), 0)
        for start in _addresses(source):
            for end in _addresses(target):
                for name, count in self._network.counters(start, end).items():
                    total[name] += count
        return LinkCounters(**total)

    @property
    def unreachable(self) -> int:
        """Datagrams to an address and port where nobody listened."""
        return self._network.unreachable

    @property
    def time(self) -> float:
        """Virtual seconds since the network was made."""
        return (self._network.now_us - _START_US) / 1_000_000

    # ---- running ----

    def run(self, main: Coroutine[Any, Any, T], *, time_limit: float = TIME_LIMIT) -> T:
        """Run a coroutine under the virtual clock, on a host called "localhost" unless it goes to others.

        Raises:
            SimulationStalled: every task waits and nothing is left to happen.
            TimeoutError: after ``time_limit`` virtual seconds.
            Exception: what the coroutine raised, with the seed and the folder of the qlogs as notes.
        """
        try:
            with asyncio.Runner(loop_factory=self._make_loop) as runner:
                loop = runner.get_loop()
                assert isinstance(loop, SimulatedLoop)
                loop.set_time_limit(time_limit)
                return runner.run(self._main(main))
        except BaseException as error:
            for note in self.keep():
                error.add_note(note)
            raise

    def keep(self) -> list[str]:
        """Keep the qlogs, which else go with the network; returns lines that tell how to replay and where they are.

        For the report of a test that fails after :meth:`run`, which does this by itself when it fails.
        """
        notes = [f"simulated network: seed {self.seed}, {self.time:.6f} s; {SEED_VARIABLE}={self.seed} replays"]
        if self._qlog_dir is not None and self._cleanup is not None:
            self._cleanup.detach()
            notes.append(f"qlogs: {self._qlog_dir}")
        return notes

    def _make_loop(self) -> SimulatedLoop:
        return SimulatedLoop(self._network, self._names)

    async def _main(self, main: Awaitable[T]) -> T:
        token = current_place.set(self.host("localhost")._place)
        try:
            return await main
        finally:
            current_place.reset(token)
            await close_idle_engines()


def _name(end: Host | str) -> str:
    return end.name if isinstance(end, Host) else end


def _addresses(end: Host | str) -> tuple[str, ...]:
    return end.addresses if isinstance(end, Host) else (end,)


def simulated(
    *, seed: int = 0, link: Link | None = None, qlog: bool = True
) -> Callable[
    [Callable[Concatenate[SimulatedNetwork, P], Coroutine[Any, Any, T]]],
    Callable[P, T],
]:
    """Make a plain test of a coroutine function: its first argument is a network, and it runs on that network.

    ::

        @simulated(seed=7, link=Link(mbps=10, delay=0.03, loss=0.02))
        async def test_recovers(network): ...

    What pytest gives it as fixtures are its other arguments.
    """

    def decorate(function: Callable[Concatenate[SimulatedNetwork, P], Coroutine[Any, Any, T]]) -> Callable[P, T]:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            network = SimulatedNetwork(seed, link=link, qlog=qlog)
            return network.run(function(network, *args, **kwargs))

        signature = inspect.signature(function)
        run.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])  # type: ignore[attr-defined]
        del run.__wrapped__
        return run

    return decorate
