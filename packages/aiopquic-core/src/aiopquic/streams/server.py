"""Serving: one task per connection, owned by the server."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from aiopquic.exceptions import ConfigurationError
from aiopquic.quic._identities import CertificateSource
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.engine import QuicEngine
from aiopquic.quic.listening import bind_addresses
from aiopquic.quic.protocols import Hosts, ServerProtocol
from aiopquic.quic.serving import ListeningServer
from aiopquic.quic.workers import ServerEngines, check_incoming, check_workers
from aiopquic.streams._base import check_code
from aiopquic.streams._hosting import HANDLER_FAILED, Handler, Hosting
from aiopquic.streams._opening import Opening
from aiopquic.streams.connection import Connection
from aiopquic.streams.settings import ServerSettings, configuration_of

if TYPE_CHECKING:
    from aiopquic.quic.incoming import IncomingCallback

__all__ = ["HANDLER_FAILED", "Handler", "Server", "serve"]


def serve(
    handler: Handler | None,
    host: str | None,
    port: int,
    *,
    alpn: Sequence[str] | None = None,
    protocols: Sequence[ServerProtocol] = (),
    certificate: CertificateSource | None = None,
    private_key: CertificateSource | None = None,
    incoming: IncomingCallback | None = None,
    retry: bool = False,
    workers: int = 1,
    wait_connected: bool = True,
    configuration: QuicConfiguration | None = None,
    **settings: Unpack[ServerSettings],
) -> Opening[Server]:
    """Accept QUIC connections on a UDP port.

    Use the result as ``async with serve(...) as server``, or ``server = await serve(...)``.

    ``handler`` is called with each connection once its handshake is complete (or see ``wait_connected``), in a task
    that the server owns. When it returns, the connection is closed with code 0, after the peer has acknowledged the
    streams that were finished (see :meth:`Connection.aclose`). When it raises, that is logged (``aiopquic.server``),
    the connection is closed with :data:`HANDLER_FAILED`, and nothing else happens; the end of its own connection is no
    error.

    Args:
        handler: a coroutine function, called with a :class:`Connection`; None where the ``protocols`` are all there is.
        host: an address of this host, or a name for some; None, ``""`` and ``"::"`` bind the wildcard addresses of
            both families (IPv4 alone on a host without IPv6), ``"0.0.0.0"`` those of IPv4.
        port: 0 lets the system choose; ``server.port`` tells.
        alpn: the application protocols, the most wanted first; ``configuration`` may have them.
        protocols: others that are spoken on the same port, such as ``aiopquic_webtransport.WebTransport(app)``; each
            has the connections of its own ALPN, which the handler does not see.
        certificate: the certificate chain, the server's own first: a file, or its content as bytes; PEM or DER.
        private_key: its key in the same ways; None when it is in the same file.
        incoming: a function or coroutine function that sees each client before its handshake, as an
            :class:`aiopquic.Incoming`, and answers with a :class:`aiopquic.Decision`: accept, refuse, or have the
            address proven first.
        retry: True has every client prove its address first, at the cost of a round trip.
        workers: how many engines share the port, each with a network thread of its own (docs/workers.md); Linux only.
        wait_connected: False calls the handler of a connection that brings early data (``early_data=True``) as soon as
            that is there, which saves the client a round trip; every other handler begins behind the handshake all the
            same. **Early data can be a recording that somebody sends again** (RFC 8446 section 8, RFC 9001 section
            9.2): until :meth:`Connection.wait_connected` returns, a handler does nothing that must not be done twice.
            What the handshake settles is not known before, the application protocol included, and an address that is
            not proven gets at most three times the bytes that came from it (RFC 9000 section 8.1).
        configuration: settings to start from, with ``is_client=False``.
        settings: fields of :class:`~aiopquic.quic.configuration.QuicConfiguration`, laid over ``configuration``.

    Raises:
        ConfigurationError: a setting is unknown or wrong; CertificateFileError for certificates and keys.
        BindError: (an OSError) the address is in use, not of this host, or not allowed.
        socket.gaierror: ``host`` can't be resolved.

    Cancellation: safe; what was begun is closed.
    """
    if not callable(handler) and (handler is not None or not protocols):
        raise ConfigurationError(f"handler is a coroutine function that takes a connection, not {handler!r}")
    files: dict[str, object] = {}
    if certificate is not None:
        key = private_key if private_key is not None else certificate
        files = {"certificate_file": certificate, "private_key_file": key}
    elif private_key is not None:
        raise ConfigurationError("a private key is of no use without its certificate: give certificate, too")
    settled = configuration_of(
        "serve",
        is_client=False,
        configuration=configuration,
        alpn=alpn,
        settings={**settings, **files},
        protocols=protocols,
    )
    if host is not None and not isinstance(host, str):
        raise ConfigurationError(f"host is a name, an IP literal or None, not {host!r}")
    if not isinstance(port, int) or not 0 <= port < 65536:
        raise ConfigurationError(f"a UDP port is 0 to 65535, not {port!r}")
    check_incoming(incoming)
    check_workers(workers, settled)
    if not wait_connected:
        _check_early(settled, protocols)

    async def start() -> Server:
        addresses = await bind_addresses(host, settled.ip_family)
        server = Server(
            handler or _nobody, settled, addresses, port, incoming, retry, protocols, workers, wait_connected
        )
        await server._engines.start()
        return server

    return Opening(start)


def _check_early(configuration: QuicConfiguration, protocols: Sequence[ServerProtocol]) -> None:
    """Raise ConfigurationError unless handlers can begin before the handshake is complete."""
    why = "wait_connected=False calls the handler before the handshake is complete"
    if not configuration.early_data:
        raise ConfigurationError(f"{why}, when 0-RTT data has come: give early_data=True, too")
    if configuration.verify_mode not in (None, ssl.CERT_NONE):
        raise ConfigurationError(f"{why}, and nobody knows by then whose certificate the client will show")
    if protocols:
        raise ConfigurationError(f"{why}, and nobody knows by then which of the protocols the connection is for")


class Server(ListeningServer):
    """A server that accepts connections. Made by :func:`serve`; a context manager that closes it."""

    def __init__(
        self,
        handler: Handler,
        configuration: QuicConfiguration,
        addresses: tuple[str, ...],
        port: int,
        incoming: IncomingCallback | None,
        retry: bool,
        protocols: Sequence[ServerProtocol] = (),
        workers: int = 1,
        wait_connected: bool = True,
    ) -> None:
        super().__init__(addresses)
        self._hosting = Hosting(handler, configuration, wait_connected=wait_connected)
        "The handler's connections."
        self._others = Hosts(protocols, configuration)
        self._closing: asyncio.Task[None] | None = None
        self._engines = ServerEngines(
            workers,
            functools.partial(QuicEngine, on_accept=self._hosting.accept, by_alpn=self._others.by_alpn),
            configuration=configuration,
            bind_addresses=addresses,
            port=port,
            retry=retry,
            incoming=incoming,
            protocols=self._others.natives,
        )

    # ---- what is known ----

    @property
    def connections(self) -> list[Connection]:
        """The connections whose handlers run, without those of the ``protocols``."""
        return self._hosting.connections

    # ---- the end ----

    def close(self) -> None:
        """Begin to close, as :meth:`aclose` does, without waiting; :meth:`wait_closed` waits."""
        self._begin_closing(0, "")

    async def aclose(self, code: int = 0, reason: str = "") -> None:
        """Close every connection with this code and reason, end the handlers, and free the port.

        Each peer gets its CONNECTION_CLOSE before the sockets are closed. The handlers' tasks are cancelled and waited
        for: one that swallows its cancellation holds this up, but not the peers. When the server is closing already,
        only waits.

        Raises:
            ValueError: ``code`` is not 0 to 2**62 - 1, or ``reason`` has more than 1024 bytes of UTF-8.

        Cancellation: safe; the closing goes on by itself.
        """
        check_code(code)
        self._begin_closing(code, reason)
        await self.wait_closed()

    def _begin_closing(self, code: int, reason: str) -> None:
        if self._closing is None:
            self._hosting.close(code, reason)
            self._others.close(code, reason)
            self._closing = self._loop.create_task(self._close())

    async def _close(self) -> None:
        self._engines.refuse()
        try:
            await self._hosting.wait_closed()
            await self._others.wait_closed()
        finally:
            await self._engines.aclose()
            self._closed.set()


async def _nobody(connection: Connection) -> None:
    """The handler of a server that has none: every connection is one of its protocols."""
