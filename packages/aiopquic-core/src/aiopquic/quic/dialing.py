"""A client's way to its connection: every address of the host is tried, and the first handshake wins (RFC 8305)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from aiopquic._sinks import ConnectionSink, HandshakeInfo
from aiopquic.exceptions import CloseKind, CloseReason, QuicConnectionError, WouldBlockError
from aiopquic.quic._engine_settings import alpn_of, check_host
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.ech import check_hidden_name
from aiopquic.quic.engine import QuicEngine
from aiopquic.quic.pool import EngineLease, acquire_engine
from aiopquic.quic.resolving import Address, resolve

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection

__all__ = ["Bind", "dial"]

#: Gives a connection its sink.
Bind = Callable[["Connection", QuicEngine], ConnectionSink]


async def dial(
    host: str,
    port: int,
    configuration: QuicConfiguration,
    *,
    bind: Bind,
    local_port: int = 0,
    shared: bool = True,
    race: bool = True,
    protocols: tuple[object, ...] = (),
) -> EngineLease:
    """Connect to ``host``, a name or an IP literal; returns the lease of the engine that the connection lives on.

    The addresses are tried one after the other, the next one when one fails or after
    ``configuration.connection_attempt_delay``; when one handshake is complete, the others are closed. ``bind`` is
    called once, from the drain, with the connection that won, right before its sink's ``connection_ready``. With
    ``race=False`` the first address alone is used, ``bind`` is called before its handshake starts, and that may be
    under way on return. ``protocols`` are the halves of application protocols on the network thread.

    ``configuration.handshake_timeout`` bounds all of it, the look-up of the name included.

    Raises:
        ConfigurationError: a setting is wrong; nothing was sent.
        OSError: the name can't be resolved (socket.gaierror), or the local port can't be bound (BindError).
        QuicConnectionError: no handshake succeeded: what became of the first address, with a note for each other.

    Cancellation: safe; what was begun is closed.
    """
    configuration.validate()
    check_host(host, configuration.ip_family)
    check_hidden_name(configuration.server_name or host, configuration)
    attempts = _Race(host, configuration, bind)
    try:
        async with asyncio.timeout(configuration.handshake_timeout):
            lease = await acquire_engine(configuration, local_port=local_port, shared=shared, protocols=protocols)
            try:
                addresses = await resolve(host, port, configuration.ip_family)
                if race:
                    await attempts.run(lease.engine, addresses)
                else:
                    attempts.start_one(lease.engine, addresses[0])
            except BaseException:
                attempts.close_all()
                await lease.release()
                raise
            return lease
    except TimeoutError as error:
        if isinstance(error, QuicConnectionError):
            raise
        raise attempts.failure() from None


class _Race:
    """The handshakes that one call of :func:`dial` has begun."""

    def __init__(self, host: str, configuration: QuicConfiguration, bind: Bind) -> None:
        self._host = host
        self._delay = configuration.connection_attempt_delay
        self._server_name = configuration.server_name or host
        self._alpn = alpn_of(configuration)
        self._bind = bind
        self._attempts: list[_Attempt] = []
        self._won: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, engine: QuicEngine, addresses: list[Address]) -> None:
        """Return when one address has answered and is bound."""
        for address in addresses:
            attempt = self._begin(engine, address)
            delay = None if address is addresses[-1] else self._delay
            await asyncio.wait([self._won, attempt.failed], timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            if self._won.done():
                break
        while not self._won.done():
            pending = [attempt.failed for attempt in self._attempts if not attempt.failed.done()]
            if not pending:
                raise self.failure()
            await asyncio.wait([self._won, *pending], return_when=asyncio.FIRST_COMPLETED)
        self._won.result()

    def start_one(self, engine: QuicEngine, address: Address) -> None:
        """Begin the handshake with this address, for better or worse."""
        attempt = self._begin(engine, address)
        if attempt.connection is None:
            raise self.failure()
        attempt.connection.sink = self._bind(attempt.connection, engine)

    def _begin(self, engine: QuicEngine, address: Address) -> _Attempt:
        attempt = _Attempt(address, partial(self._ready, engine))
        self._attempts.append(attempt)
        attempt.start(engine, self._server_name, self._alpn)
        return attempt

    def _ready(self, engine: QuicEngine, attempt: _Attempt, info: HandshakeInfo) -> None:
        """From the drain: a handshake is complete. The first one wins."""
        if self._won.done() or attempt.connection is None:
            attempt.close()
            return
        try:
            sink = self._bind(attempt.connection, engine)
        except Exception as error:
            self._won.set_exception(error)
            attempt.close()
            return
        self._won.set_result(None)
        for other in self._attempts:
            if other is not attempt:
                other.close()
        attempt.hand_over(sink, info)

    def close_all(self) -> None:
        """Nobody wants a connection any more."""
        self._won.cancel()
        for attempt in self._attempts:
            attempt.close()

    def failure(self) -> BaseException:
        """What became of the first address, with a note for each other."""
        if not self._attempts:
            return _timeout(f"the name {self._host!r} was not resolved in time")
        first, *others = [(attempt.address, attempt.error or _timeout()) for attempt in self._attempts]
        for (host, port), error in [first, *others] if others else []:
            first[1].add_note(f"{host} port {port}: {error}")
        return first[1]


class _Attempt:
    """The handshake with one address: the sink of its connection until somebody is bound to it."""

    def __init__(self, address: Address, on_ready: Callable[[_Attempt, HandshakeInfo], None]) -> None:
        self.address = address
        self.connection: Connection | None = None
        self.error: OSError | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_ready = on_ready
        self._early: list[Callable[[ConnectionSink], None]] = []

    def start(self, engine: QuicEngine, server_name: str, alpn: tuple[str, ...]) -> None:
        try:
            self.connection = engine.binding.connect(*self.address, server_name, alpn)
            self.connection.sink = self
        except OSError as error:  # an address with an unknown zone, an engine that has just ended
            self._fail(error)

    def close(self) -> None:
        if self.connection is not None:
            with contextlib.suppress(WouldBlockError):
                self.connection.close(0, b"")

    def hand_over(self, sink: ConnectionSink, info: HandshakeInfo) -> None:
        """``sink`` receives the connection's events from now on, and those that came before."""
        assert self.connection is not None
        self.connection.sink = sink
        sink.connection_ready(info)
        for event in self._early:
            event(sink)

    def _fail(self, error: OSError) -> None:
        self.error = error
        if not self.failed.done():
            self.failed.set_result(None)

    # ---- ConnectionSink ----

    def connection_ready(self, info: HandshakeInfo) -> None:
        self._on_ready(self, info)

    def connection_closed(self, reason: CloseReason) -> None:
        self._fail(reason.exception())

    def __getattr__(self, name: str) -> Any:
        """What a server sends along with its handshake is told to whoever is bound later."""
        if not name.startswith(("connection_", "stream_", "datagram", "protocol_")):
            raise AttributeError(name)
        return lambda *arguments: self._early.append(lambda sink: getattr(sink, name)(*arguments))


def _timeout(reason: str = "") -> QuicConnectionError:
    return CloseReason(CloseKind.HANDSHAKE_TIMEOUT, reason=reason).exception()
