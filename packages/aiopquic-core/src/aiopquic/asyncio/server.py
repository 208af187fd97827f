"""Serving."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aiopquic.asyncio.protocol import QuicConnectionProtocol, StreamHandler
from aiopquic.exceptions import ConfigurationError
from aiopquic.quic.compat import TransportNames
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.engine import QuicEngine
from aiopquic.quic.listening import bind_addresses
from aiopquic.quic.protocols import Hosts, ServerProtocol, with_protocols
from aiopquic.quic.serving import ListeningServer
from aiopquic.quic.workers import ServerEngines

if TYPE_CHECKING:
    from aiopquic.quic.incoming import IncomingCallback

__all__ = ["QuicServer", "serve"]

ProtocolFactory = Callable[..., QuicConnectionProtocol]


class QuicServer(ListeningServer):
    """A server that accepts connections. Made by :func:`serve`; an async context manager that closes it."""

    def __init__(
        self,
        *,
        configuration: QuicConfiguration,
        create_protocol: ProtocolFactory,
        stream_handler: StreamHandler | None,
        bind_addresses: tuple[str, ...],
        port: int,
        retry: bool,
        incoming: IncomingCallback | None,
        protocols: Sequence[ServerProtocol] = (),
        workers: int = 1,
    ) -> None:
        super().__init__(bind_addresses)
        self._others = Hosts(protocols, configuration)
        self._closing: asyncio.Task[None] | None = None
        make = functools.partial(
            QuicEngine,
            create_protocol=create_protocol,
            stream_handler=stream_handler,
            by_alpn=self._others.by_alpn,
        )
        self._engines = ServerEngines(
            workers,
            make,
            configuration=configuration,
            bind_addresses=bind_addresses,
            port=port,
            retry=retry,
            incoming=incoming,
            protocols=self._others.natives,
        )

    @property
    def protocols(self) -> list[QuicConnectionProtocol]:
        """The protocols of the open connections, without those of other ``protocols``."""
        return [protocol for engine in self._engines.all for protocol in engine.protocols]

    @property
    def _transport(self) -> TransportNames:
        return self._engine._transport

    def close(self) -> None:
        """Close every connection and the sockets; :meth:`wait_closed` tells when it is done."""
        if self._closing is None:
            self._others.close()
            self._closing = self._loop.create_task(self._close())

    async def _close(self) -> None:
        self._engines.refuse()
        try:
            await self._others.wait_closed()
        finally:
            await self._engines.aclose()
            self._closed.set()

    async def aclose(self) -> None:
        """Close, and wait until it is done."""
        self.close()
        await self.wait_closed()


async def serve(
    host: str | None,
    port: int,
    *,
    configuration: QuicConfiguration,
    create_protocol: ProtocolFactory | None = QuicConnectionProtocol,
    stream_handler: StreamHandler | None = None,
    retry: bool = False,
    incoming: IncomingCallback | None = None,
    protocols: Sequence[ServerProtocol] = (),
    workers: int = 1,
) -> QuicServer:
    """Serve QUIC on a UDP port; returns once the sockets are bound.

    Args:
        host: an address of this host, or a name for some; None, ``""`` and ``"::"`` bind the wildcard addresses of
            both families (IPv4 alone on a host without IPv6), ``"0.0.0.0"`` those of IPv4.
        port: 0 lets the system choose; ``server.port`` tells.
        configuration: needs ``is_client=False``, ``alpn_protocols``, a certificate and its key.
        create_protocol: called with ``(quic, stream_handler=...)`` for each connection whose handshake is complete.
        stream_handler: called with the reader and writer of each stream that a peer opens.
        retry: every client must prove its address before its handshake begins, which costs it a round trip (RFC 9000
            section 8.1.2).
        incoming: a function or coroutine function that is called with an :class:`aiopquic.quic.incoming.Incoming` for
            each client before its handshake begins, and returns a :class:`aiopquic.quic.incoming.Decision`. It has
            ``handshake_timeout`` seconds. An exception refuses that client and goes to the loop's exception handler.
        protocols: others that are spoken on the same port, such as ``aiopquic_webtransport.WebTransport(app)``; each
            has the connections of its own ALPN, of which ``create_protocol`` does not hear.
        workers: how many engines share the port, each with a network thread of its own (docs/workers.md); Linux only.

    Raises:
        ConfigurationError: a setting is wrong; CertificateFileError for certificates and keys.
        BindError: (an OSError) the address is in use, not of this host, or not allowed.
        socket.gaierror: ``host`` can't be resolved.
    """
    if configuration.is_client:
        raise ConfigurationError("serve() needs a configuration with is_client=False")
    server = QuicServer(
        configuration=with_protocols(configuration, protocols) if protocols else configuration,
        create_protocol=create_protocol if create_protocol is not None else QuicConnectionProtocol,
        stream_handler=stream_handler,
        bind_addresses=await bind_addresses(host, configuration.ip_family),
        port=port,
        retry=retry,
        incoming=incoming,
        protocols=protocols,
        workers=workers,
    )
    await server._engines.start()
    return server
