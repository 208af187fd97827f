"""Connecting as a client."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from aiopquic.asyncio.protocol import QuicConnectionProtocol, StreamHandler
from aiopquic.exceptions import ConfigurationError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.connection import QuicConnection

__all__ = ["connect"]


@asynccontextmanager
async def connect(
    host: str,
    port: int,
    *,
    configuration: QuicConfiguration | None = None,
    create_protocol: Callable[..., QuicConnectionProtocol] | None = QuicConnectionProtocol,
    stream_handler: StreamHandler | None = None,
    wait_connected: bool = True,
    local_port: int = 0,
) -> AsyncIterator[QuicConnectionProtocol]:
    """Connect to a QUIC server; the context manager closes the connection.

    The server's certificate and name are verified unless ``configuration.verify_mode`` is ``ssl.CERT_NONE``.

    Args:
        host: a name or an IP literal.
        port: the server's UDP port.
        configuration: needs at least ``alpn_protocols``.
        create_protocol: called with ``(quic, stream_handler=...)``; QuicConnectionProtocol when left out.
        stream_handler: called with the reader and writer of each stream that the peer opens.
        wait_connected: False enters before the handshake is complete.
        local_port: UDP port of this side; 0 lets the system choose.

    Raises:
        ConfigurationError: a setting is wrong; nothing was sent.
        OSError: the name can't be resolved (socket.gaierror), or the local port can't be bound (BindError).
        QuicConnectionError: the handshake failed; the subclass says why. A dead port is a HandshakeTimeoutError
            after ``configuration.handshake_timeout`` seconds.

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
    loop = asyncio.get_running_loop()
    address = await _resolve(loop, host, port, configuration.ip_family)
    await quic._open(loop, address, host, local_port)
    try:
        protocol._start(loop)
        if wait_connected:
            await QuicConnectionProtocol.wait_connected(protocol)
        yield protocol
    finally:
        await _shut_down(protocol)


async def _shut_down(protocol: QuicConnectionProtocol) -> None:
    """Close, see the end, stop the engine: also when the task is being cancelled."""
    protocol.close()
    await protocol._stop()


async def _resolve(loop: asyncio.AbstractEventLoop, host: str, port: int, family: int | None) -> tuple[str, int]:
    """An address of ``host``, an IPv4 one where it has both; never blocks the loop."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
        return host, port
    except ValueError:
        pass
    found = await loop.getaddrinfo(host, port, family=family or socket.AF_UNSPEC, type=socket.SOCK_DGRAM)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return cast(str, found[0][4][0]), port
