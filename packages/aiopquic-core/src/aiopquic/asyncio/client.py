"""Connecting as a client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from aiopquic.asyncio.protocol import QuicConnectionProtocol, StreamHandler
from aiopquic.exceptions import ConfigurationError, QuicConnectionError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.dialing import dial

__all__ = ["connect"]


@contextlib.asynccontextmanager
async def connect(
    host: str,
    port: int,
    *,
    configuration: QuicConfiguration | None = None,
    create_protocol: Callable[..., QuicConnectionProtocol] | None = QuicConnectionProtocol,
    stream_handler: StreamHandler | None = None,
    wait_connected: bool = True,
    local_port: int = 0,
    shared: bool = True,
) -> AsyncIterator[QuicConnectionProtocol]:
    """Connect to a QUIC server; the context manager closes the connection.

    Every address of ``host`` is tried, and the first complete handshake wins (RFC 8305).

    The server's certificate and name are verified unless ``configuration.verify_mode`` is ``ssl.CERT_NONE``.

    Args:
        host: a name or an IP literal.
        port: the server's UDP port.
        configuration: needs at least ``alpn_protocols``.
        create_protocol: called with ``(quic, stream_handler=...)``; QuicConnectionProtocol when left out.
        stream_handler: called with the reader and writer of each stream that the peer opens.
        wait_connected: False enters before the handshake is complete, which is tried with the first address only.
        local_port: UDP port of this side; 0 lets the system choose, and shares it with other connections.
        shared: False gives the connection a socket and a network thread of its own.

    Raises:
        ConfigurationError: a setting is wrong; nothing was sent.
        OSError: the name can't be resolved (socket.gaierror), or the local port can't be bound (BindError).
        QuicConnectionError: no handshake succeeded; the subclass says why for the first address, notes say it for
            the others. A dead port is a HandshakeTimeoutError after ``configuration.handshake_timeout`` seconds,
            which bound the look-up of the name too.

    Cancellation: safe; the connection is closed.
    """
    configuration = configuration if configuration is not None else QuicConfiguration()
    if not configuration.is_client:
        raise ConfigurationError("connect() needs a configuration with is_client=True")
    if not isinstance(port, int) or not 0 < port < 65536:
        raise ConfigurationError(f"a UDP port is 1 to 65535, not {port!r}")
    if not isinstance(host, str) or not host:
        raise ConfigurationError(f"host is a name or an IP literal, not {host!r}")
    quic = QuicConnection(configuration=configuration)
    factory = create_protocol if create_protocol is not None else QuicConnectionProtocol
    protocol = factory(quic, stream_handler=stream_handler)
    protocol._start(asyncio.get_running_loop())
    try:
        lease = await dial(
            host, port, configuration, bind=quic._adopt, local_port=local_port, shared=shared, race=wait_connected
        )
    except QuicConnectionError as error:
        quic.connection_closed(error.close_reason)
        raise
    try:
        yield protocol
    finally:
        try:
            await QuicConnectionProtocol.aclose(protocol)  # a subclass may mean something else by these names
        finally:
            await lease.release()
