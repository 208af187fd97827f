"""One engine and the loop it belongs to: started, drained, stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiopquic._binding._engine import Engine
from aiopquic._settings import EngineSettings
from aiopquic._tickets import Keeper, keeper_of, trust_of
from aiopquic.exceptions import BindError, CloseKind, CloseReason, ConfigurationError
from aiopquic.quic._engine_settings import certificate_settings, engine_settings
from aiopquic.quic._identities import CertificateSource, NamedCertificates
from aiopquic.quic.compat import TransportNames
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.loop_end import close_with_loop
from aiopquic.quic.protocols import Undecided
from aiopquic.quic.requests import ConnectionRequests
from aiopquic.quic.waiters import can_hear

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection
    from aiopquic._sinks import IncomingInfo
    from aiopquic.quic.accepting import Acceptor
    from aiopquic.quic.engine_stats import EngineStats
    from aiopquic.quic.protocols import Accept

__all__ = ["QuicEngine", "bind_error", "read_certificates", "running_engines", "with_certificates"]

logger = logging.getLogger("aiopquic.engine")

#: Opening the sockets takes microseconds; a host that needs longer than this is stuck.
START_TIMEOUT_MS = 5000

#: The engines of this process whose network threads run.
running_engines: weakref.WeakSet[QuicEngine] = weakref.WeakSet()


class QuicEngine:
    """Runs the network side of connections and hands their events over, on one asyncio loop.

    All methods belong to the loop's thread; making one may take tens of milliseconds and may be left to another.
    It ends with its loop at the latest (see :mod:`aiopquic.quic.loop_end`), and with the process.

    With ``create_protocol`` it serves: that is called with ``(quic, stream_handler=...)`` for each connection whose
    handshake is complete, and what it returns gets the events (see :class:`aiopquic.quic.accepting.Acceptor`). Without,
    ``on_accept`` is called with each connection of the bridge. Connections whose application protocol is in ``by_alpn``
    go there instead; ``protocols`` are the halves of such protocols on the network thread. With ``on_incoming`` each
    client waits, before its handshake, for ``binding.answer_incoming``. With ``retry`` every client proves its address
    first (RFC 9000 section 8.1.2). ``settings`` are those of the ``configuration``, where they were read before.
    ``keeper`` keeps a client's address tokens where the configuration names neither a file nor a store.
    ``on_failed`` is called with the engine when it has ended though nobody asked it to.
    """

    def __init__(
        self,
        *,
        configuration: QuicConfiguration,
        on_accept: Callable[[Connection], None] | None = None,
        on_incoming: Callable[[IncomingInfo], None] | None = None,
        create_protocol: Callable[..., Any] | None = None,
        stream_handler: Callable[..., Any] | None = None,
        by_alpn: Mapping[str, Accept] | None = None,
        protocols: tuple[object, ...] = (),
        retry: bool = False,
        bind_addresses: tuple[str, ...] = (),
        port: int = 0,
        settings: EngineSettings | None = None,
        keeper: Keeper | None = None,
        on_failed: Callable[[QuicEngine], None] | None = None,
    ) -> None:
        self.configuration = configuration
        self.settings: EngineSettings = settings or engine_settings(
            configuration,
            bind_addresses=bind_addresses,
            port=port,
            always_retry=retry,
            holds_incoming=on_incoming is not None,
            protocols=protocols,
        )
        self._keeper = keeper_of(self.settings)
        self._trust = trust_of(self.settings) if self._keeper is not None else b""
        self._keeper = self._keeper or keeper
        self._tickets = self._keeper.load_records(self._trust) if self._keeper is not None else b""
        self._engine = self._make(self.settings.replaced(session_tickets=self._tickets))
        self._on_accept = on_accept
        self._acceptor = _acceptor(configuration, create_protocol, stream_handler) if create_protocol else None
        self._by_alpn = by_alpn or {}
        self._on_incoming = on_incoming
        self._on_failed = on_failed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._forget_loop_end: Callable[[], None] | None = None
        self._port: int | None = None
        self._error = 0
        self._is_stopping = False
        self._is_stopped = False
        self._ready_waiter: asyncio.Future[int] | None = None
        self._stopped_waiter: asyncio.Future[None] | None = None
        self._requests = ConnectionRequests()

    def _make(self, settings: EngineSettings) -> Engine:
        engine = Engine(settings)
        engine.sink = self
        return engine

    # ---- life ----

    def start(self) -> None:
        """Start the network thread."""
        self._engine.start()
        running_engines.add(self)

    def stats(self) -> EngineStats:
        """The figures of this moment; cheap: no word to the network thread."""
        from aiopquic.quic.engine_stats import stats_of  # for those who ask

        return stats_of(self)

    def _start_transport(self, port: int = 0, *, retry: bool | None = None) -> None:
        """Start, and wait until the sockets are open: for programs that don't wait on a loop.

        Raises BindError (an OSError) and RuntimeError (started before).
        """
        if self._engine.is_running or self.is_stopped:
            raise RuntimeError("the engine was started before: make another QuicEngine")
        asked = self.settings.replaced(
            local_port=port or self.settings.local_port,
            always_retry=self.settings.always_retry if retry is None else retry,
        )
        if asked != self.settings:
            self.settings = asked
            self._engine.sink = None
            self._engine = self._make(asked.replaced(session_tickets=self._tickets))
        self.start()
        poller = select.poll()
        poller.register(self.eventfd, select.POLLIN)
        while self._port is None and not self._is_stopped:
            if not poller.poll(START_TIMEOUT_MS):
                raise TimeoutError("the network thread did not start")
            self.drain_and_route()
        if self._port is None:
            self._finish()
            raise self._bind_error()

    @property
    def eventfd(self) -> int:
        """Readable while events wait."""
        return self._engine.fileno()

    @property
    def port(self) -> int | None:
        """The local UDP port, once the sockets are open."""
        return self._port

    @property
    def is_stopped(self) -> bool:
        """True when the network thread has ended, or was asked to."""
        return self._is_stopping or self._is_stopped

    @property
    def error(self) -> int:
        """The errno with which it ended; 0 for none."""
        return self._error

    @property
    def protocols(self) -> list[Any]:
        """What ``create_protocol`` has returned for the open connections."""
        return list(self._acceptor.protocols.values()) if self._acceptor is not None else []

    @property
    def _transport(self) -> TransportNames:
        return TransportNames(self)

    @property
    def binding(self) -> Engine:
        """The bridge underneath."""
        return self._engine

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Drain on ``loop`` whenever events wait."""
        self._loop = loop
        loop.add_reader(self.eventfd, self.drain_and_route)
        self._forget_loop_end = close_with_loop(self)

    def detach(self) -> None:
        """Drain no more on the loop."""
        if self._loop is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(self.eventfd)
            self._loop = None
        if self._forget_loop_end is not None:
            self._forget_loop_end()
            self._forget_loop_end = None

    def drain_and_route(self) -> int:
        """Hand waiting events to their connections; a bounded number at a time."""
        return self._engine.drain()

    def route_event(self, event: tuple[Any, ...]) -> None:
        """Tell a connection of ``create_protocol`` what a tuple of the low-level API says of one of its streams.

        For programs that make events of their own; those of the network come with :meth:`drain_and_route`.
        """
        if self._acceptor is not None:
            self._acceptor.route(event)

    async def wait_ready(self) -> int:
        """Wait until the sockets are open; return the local port.

        Raises:
            BindError: the address is in use, or not of this host, or not allowed.
        """
        if self._port is None and not self._is_stopped:
            assert self._loop is not None
            self._ready_waiter = self._loop.create_future()
            await self._ready_waiter
        if self._port is None:
            raise self._bind_error()
        return self._port

    async def reload_certificate(
        self,
        certificate: CertificateSource | None = None,
        private_key: CertificateSource | None = None,
        password: str | bytes | None = None,
        *,
        certificates: NamedCertificates | None = None,
    ) -> None:
        """Present other certificates from the next handshake on; see :meth:`aiopquic.Server.reload_certificate`."""
        changed = with_certificates(self.configuration, certificate, private_key, password, certificates)
        await self.present(changed, await read_certificates(changed))

    async def present(self, configuration: QuicConfiguration, identity: Mapping[str, Any]) -> None:
        """The same with certificates that :func:`read_certificates` has read."""
        if self._is_stopping or self._is_stopped or not self._engine.is_running:
            raise RuntimeError("the server is closed: it takes no more certificates")
        settings = self.settings.replaced(**identity)
        await self._requests.ask(lambda number: self._engine.set_certificates(settings, number))
        self.configuration, self.settings = configuration, settings

    def _bind_error(self) -> BindError:
        return bind_error(self.settings, self._error)

    def stop(self) -> None:
        """Close every connection, with CONNECTION_CLOSE on the wire, and end the network thread."""
        self._is_stopping = True
        if self._engine.is_running and not self._is_stopped:
            self._engine.stop()

    async def aclose(self) -> None:
        """The same, and wait until it is done.

        Cancellation: safe; what is left of the wait, half a second at most, then blocks.
        """
        try:
            if self._engine.is_running:
                self.stop()
                if not self._is_stopped and self._loop is not None:
                    if self._stopped_waiter is None:
                        self._stopped_waiter = self._loop.create_future()
                    await asyncio.shield(self._stopped_waiter)
        finally:
            self._finish()

    def close(self) -> None:
        """The same without a loop: waits for the network thread, half a second at most."""
        self.stop()
        self._finish()

    def _finish(self) -> None:
        running_engines.discard(self)
        self.detach()
        if self._engine.is_running:
            self._engine.join()
            if self._keeper is not None:
                self._keeper.save_records(self._trust, self._engine.session_tickets(), self._tickets)
        while self._engine.drain():
            pass
        # Lets everybody go without a round of the garbage collector.
        self._engine.sink = None
        self._on_accept = None
        self._by_alpn = {}
        self._on_incoming = None
        self._on_failed = None

    # ---- EngineSink ----

    def engine_ready(self, port: int) -> None:
        self._port = port
        if waiter := can_hear(self._ready_waiter):
            waiter.set_result(port)

    def engine_stopped(self, error: int) -> None:
        self._is_stopped = True
        self._error = error
        self._requests.connection_closed(CloseReason(CloseKind.LOCAL_FAILURE, reason="the server was closed"))
        if waiter := can_hear(self._ready_waiter):
            waiter.set_result(0)
        if stopped := can_hear(self._stopped_waiter):
            stopped.set_result(None)
        if self._port is not None and not self._is_stopping and self._on_failed is not None:
            self._on_failed(self)

    def certificates_set(self, request: int) -> None:
        self._requests.answered(request, None)

    def connection_accepted(self, connection: Connection) -> None:
        if self._by_alpn:
            connection.sink = Undecided(connection, self._accept, self._by_alpn)
        else:
            self._accept(connection)

    def _accept(self, connection: Connection) -> None:
        if self._acceptor is not None:
            self._acceptor.accept(self, connection)
        elif self._on_accept is not None:
            self._on_accept(connection)

    def connection_incoming(self, incoming: IncomingInfo) -> None:
        if self._on_incoming is not None:
            self._on_incoming(incoming)

    def handler_failed(self, error: Exception, connection: Connection | None) -> None:
        """Code of the application raised: told to the loop, or logged; the drain goes on."""
        message = "aiopquic: an event handler raised"
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_exception_handler({"message": message, "exception": error, "connection": connection})
        else:
            logger.error(message, exc_info=error)


def bind_error(settings: EngineSettings, error: int) -> BindError:
    """What to raise when the sockets of these settings could not be opened."""
    where = ", ".join(settings.bind_addresses) or "any address"
    return BindError(error, f"UDP port {settings.local_port} of {where} can't be bound: {os.strerror(error)}")


def with_certificates(
    configuration: QuicConfiguration,
    certificate: CertificateSource | None,
    private_key: CertificateSource | None,
    password: str | bytes | None,
    certificates: NamedCertificates | None,
) -> QuicConfiguration:
    """The configuration with other certificates; None leaves those of before.

    Raises:
        ConfigurationError: a key without its certificate.
    """
    changed: dict[str, Any] = {} if certificates is None else {"certificates": certificates}
    if certificate is not None:
        changed["certificate_file"] = certificate
        changed["private_key_file"] = certificate if private_key is None else private_key
        changed["private_key_password"] = password
    elif private_key is not None or password is not None:
        raise ConfigurationError("a private key is of no use without its certificate: give certificate, too")
    return replace(configuration, **changed)


async def read_certificates(configuration: QuicConfiguration) -> Mapping[str, Any]:
    """The fields of the settings that say who we are, read without blocking the loop.

    Raises:
        CertificateFileError: one of them can't be used.
    """
    return await asyncio.get_running_loop().run_in_executor(None, certificate_settings, configuration)


def _acceptor(
    configuration: QuicConfiguration, create_protocol: Callable[..., Any], stream_handler: Callable[..., Any] | None
) -> Acceptor:
    from aiopquic.quic.accepting import Acceptor  # which knows connections, and those their engine

    if configuration.is_client:
        raise ConfigurationError("create_protocol is for servers: use a configuration with is_client=False")
    return Acceptor(create_protocol, stream_handler)
