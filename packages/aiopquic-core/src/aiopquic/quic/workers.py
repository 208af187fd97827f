"""The engines of one server: one, or several that share its port, each with its network thread."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiopquic._driver import runs_inline, uses_portable_loop
from aiopquic._settings import EngineSettings
from aiopquic._simulation import current_place
from aiopquic.exceptions import ConfigurationError
from aiopquic.quic._engine_settings import engine_settings
from aiopquic.quic._identities import CertificateSource, NamedCertificates
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.engine import QuicEngine, bind_error, read_certificates, with_certificates

if TYPE_CHECKING:
    from aiopquic._binding._workers import Workers
    from aiopquic.quic.engine_stats import EngineStats, ServerStats
    from aiopquic.quic.incoming import IncomingCallback, IncomingDesk

__all__ = ["REPLACEMENTS_MAX", "ServerEngines", "check_workers"]

logger = logging.getLogger("aiopquic.server")

REPLACEMENTS_MAX = 3
"How often a worker that has ended by itself gets a successor."

#: Values of the byte that names the worker in a connection id; with QUIC-LB it has five bits.
_WORKERS_MAX = 256
_WORKERS_MAX_QUIC_LB = 32


def check_incoming(callback: IncomingCallback | None) -> None:
    """Raise ConfigurationError unless it can be asked about clients, or there is none."""
    if callback is not None:
        _desk(callback, 1.0)


def _desk(callback: IncomingCallback, timeout: float) -> IncomingDesk:
    from aiopquic.quic.incoming import IncomingDesk  # few want to be asked

    return IncomingDesk(callback, timeout=timeout)


def check_workers(count: int, configuration: QuicConfiguration) -> None:
    """Raise ConfigurationError unless a server of that configuration can have so many engines."""
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= _WORKERS_MAX:
        raise ConfigurationError(
            f"workers is how many engines share the port, each on its thread: 1 to {_WORKERS_MAX}, not {count!r}"
        )
    if count == 1:
        return
    if current_place.get() is not None:
        raise ConfigurationError(
            "workers share a port of the kernel's, which a simulated network has not: use workers=1 in simulations"
        )
    if runs_inline(configuration.driver):
        raise ConfigurationError(
            'workers are network threads, and driver="inline" has none: use driver="thread", or workers=1'
        )
    if uses_portable_loop() or not sys.platform.startswith("linux"):
        raise ConfigurationError(
            "workers need aiopquic's own packet loop, of Linux: with AIOPQUIC_LOOP=portable, or elsewhere, use 1"
        )
    lb = configuration.quic_lb
    if lb is not None and count > _WORKERS_MAX_QUIC_LB:
        raise ConfigurationError(f"with quic_lb workers is 1 to {_WORKERS_MAX_QUIC_LB}, not {count}")
    if lb is not None and lb.encodes_length:
        raise ConfigurationError(
            "quic_lb with encodes_length=True leaves no bits of a connection id to a worker: use encodes_length=False, "
            "or workers=1"
        )


class _Worker:
    """An engine with the desk that decides about its clients; its successors take its place here."""

    def __init__(self) -> None:
        self.engine: QuicEngine
        self.desk: IncomingDesk | None = None
        self.replacements = 0


class ServerEngines:
    """Makes, starts, replaces and ends the engines of one server, on the running loop.

    Several have one set of sockets (:class:`aiopquic._binding._workers.Workers`), and the same secrets: tickets and
    tokens of one are good for all. One that ends by itself takes its connections with it, and gets a successor on the
    same sockets; a server with one engine has no sockets left then, and it is only told of.

    ``make`` is QuicEngine with what both servers give it.
    """

    def __init__(
        self,
        count: int,
        make: Callable[..., QuicEngine],
        *,
        configuration: QuicConfiguration,
        bind_addresses: tuple[str, ...],
        port: int,
        retry: bool,
        incoming: IncomingCallback | None,
        protocols: tuple[object, ...],
    ) -> None:
        check_workers(count, configuration)
        self._configuration = configuration
        self._settings = engine_settings(
            configuration,
            bind_addresses=bind_addresses,
            port=port,
            always_retry=retry,
            holds_incoming=incoming is not None,
            protocols=protocols,
        )
        self._make_engine = make
        self._incoming = incoming
        self._sockets: Workers | None = None
        if count > 1:
            self._settings = _with_secrets(self._settings)
            self._sockets = self._open_sockets(count)
        self._workers = [_Worker() for _ in range(count)]
        for number in range(count):
            self._fill(number)
        self._past: list[EngineStats] = []
        self._failures = 0
        self._is_closing = False
        self._tasks: set[asyncio.Task[None]] = set()

    def _open_sockets(self, count: int) -> Workers:
        from aiopquic._binding._workers import Workers

        try:
            sockets = Workers(self._settings, count, os.environ.get("AIOPQUIC_STEERING") != "off")
        except OSError as error:
            raise bind_error(self._settings, error.errno or 0) from None
        if not sockets.is_steered:
            logger.warning(
                "the kernel does not steer the datagrams of port %d to the workers: they are handed over, at some cost",
                sockets.port,
            )
        return sockets

    def _fill(self, number: int) -> None:
        worker = self._workers[number]
        if self._incoming is not None:
            worker.desk = _desk(self._incoming, self._configuration.handshake_timeout)
        worker.engine = self._make_engine(
            configuration=self._configuration,
            settings=self._settings.replaced(workers=self._sockets, worker=number),
            on_incoming=worker.desk.take if worker.desk is not None else None,
            on_failed=self._failed,
        )
        if worker.desk is not None:
            worker.desk.open(worker.engine.binding)

    # ---- life ----

    async def start(self) -> None:
        """Start all of them; when one can't, none is left."""
        try:
            for engine in self.all:
                engine.start()
                engine.attach(asyncio.get_running_loop())
            for engine in self.all:
                await engine.wait_ready()
        except BaseException:
            await self.aclose()
            raise

    def refuse(self) -> None:
        """End the decisions about clients that wait: they are refused."""
        self._is_closing = True
        for worker in self._workers:
            if worker.desk is not None:
                worker.desk.close()

    async def aclose(self) -> None:
        """End all of them: every peer is told, and the port is free.

        Cancellation: as :meth:`QuicEngine.aclose`.
        """
        self.refuse()
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for engine in self.all:
                engine.stop()
        finally:
            try:
                await asyncio.gather(*(engine.aclose() for engine in self.all))
            finally:
                if self._sockets is not None:
                    self._sockets.close()

    def _failed(self, engine: QuicEngine) -> None:
        """From the drain, behind the ends of the engine's connections."""
        self._failures += 1
        number, count = engine.settings.worker, len(self._workers)
        what = f"worker {number} of {count}" if count > 1 else "the engine"
        worker = self._workers[number]
        is_replaced = self._sockets is not None and not self._is_closing and worker.replacements < REPLACEMENTS_MAX
        logger.error(
            "%s on port %d has ended by itself: %s; its connections are lost, %s",
            what,
            self.port,
            os.strerror(engine.error),
            "another takes its place" if is_replaced else "and nothing takes its place",
        )
        if is_replaced:
            worker.replacements += 1
            task = asyncio.get_running_loop().create_task(self._replace(number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _replace(self, number: int) -> None:
        worker = self._workers[number]
        try:
            await worker.engine.aclose()
            if worker.desk is not None:
                worker.desk.close()
            past = worker.engine.stats()
            self._fill(number)
            self._past.append(past)
            worker.engine.start()
            worker.engine.attach(asyncio.get_running_loop())
            await worker.engine.wait_ready()
        except Exception:
            logger.exception("no other engine could take the place of worker %d on port %d", number, self.port)

    # ---- what is known ----

    @property
    def all(self) -> list[QuicEngine]:
        """By their numbers, those that have ended and got no successor among them."""
        return [worker.engine for worker in self._workers]

    @property
    def port(self) -> int:
        """The UDP port."""
        return self._sockets.port if self._sockets is not None else self._workers[0].engine.port or 0

    def stats(self) -> ServerStats:
        """The figures of this moment."""
        from aiopquic.quic.engine_stats import sum_of

        return sum_of(
            [engine.stats() for engine in self.all],
            self._past,
            workers_failed=self._failures,
            is_steered=self._sockets is None or self._sockets.is_steered,
        )

    async def reload_certificate(
        self,
        certificate: CertificateSource | None,
        private_key: CertificateSource | None,
        password: str | bytes | None,
        certificates: NamedCertificates | None,
    ) -> None:
        """Present other certificates from the next handshake on; see :meth:`aiopquic.Server.reload_certificate`."""
        running = [engine for engine in self.all if not engine.is_stopped]
        if not running:
            raise RuntimeError("the server is closed: it takes no more certificates")
        changed = with_certificates(self._configuration, certificate, private_key, password, certificates)
        identity = await read_certificates(changed)
        await asyncio.gather(*(engine.present(changed, identity) for engine in running))
        self._configuration, self._settings = changed, self._settings.replaced(**identity)


def _with_secrets(settings: EngineSettings) -> EngineSettings:
    """With secrets that all engines have, where none were given."""
    return settings.replaced(
        session_ticket_key=settings.session_ticket_key or os.urandom(32),
        stateless_reset_secret=settings.stateless_reset_secret or os.urandom(16),
    )
