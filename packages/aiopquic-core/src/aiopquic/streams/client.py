"""Connecting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from aiopquic.exceptions import ConfigurationError
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.dialing import dial
from aiopquic.streams._opening import Opening
from aiopquic.streams.connection import Connection
from aiopquic.streams.settings import ClientSettings, configuration_of

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection as BindingConnection
    from aiopquic._sinks import ConnectionSink
    from aiopquic.quic.engine import QuicEngine

__all__ = ["connect"]


def connect(
    host: str,
    port: int,
    *,
    alpn: Sequence[str] | None = None,
    configuration: QuicConfiguration | None = None,
    local_port: int = 0,
    shared: bool = True,
    wait_connected: bool = True,
    **settings: Unpack[ClientSettings],
) -> Opening[Connection]:
    """Open a connection to a QUIC server.

    Use the result as ``async with connect(...) as conn``, or ``conn = await connect(...)``.

    The server's certificate and name are verified unless ``verify_mode`` is ``ssl.CERT_NONE``. The addresses of
    ``host`` are tried in turn, each a moment after the one before, and the first that answers wins (RFC 8305).

    Args:
        host: a name or an IP literal.
        port: the server's UDP port.
        alpn: the application protocols that are offered, the most wanted first; ``configuration`` may have them.
        configuration: settings to start from.
        local_port: UDP port of this side; 0 lets the system choose.
        shared: False gives the connection an engine of its own, with its socket and its network thread. Otherwise
            connections with the same settings share one.
        wait_connected: False returns before the handshake is complete, which is tried with the first address only.
            What is written on streams until then goes out at once if a session is resumed (``session_ticket_file``,
            ``session_store``), as 0-RTT data, which **an attacker can replay** (RFC 9001 section 9.2), and again
            behind the handshake if the server does not take that; otherwise it waits for the handshake. See
            :meth:`Connection.wait_connected`.
        settings: fields of :class:`~aiopquic.quic.configuration.QuicConfiguration`, laid over ``configuration``.

    Raises:
        ConfigurationError: a setting is unknown or wrong; raised by the call, before anything is sent.
        OSError: the name can't be resolved (socket.gaierror), or the local port can't be bound (BindError).
        QuicConnectionError: the handshake failed; the subclass says why. A dead port is a HandshakeTimeoutError
            after ``handshake_timeout`` seconds (10); a shorter deadline is ``asyncio.timeout`` around the call. With
            ``wait_connected=False`` what is done with the connection raises it.

    Cancellation: safe; what was begun is closed.
    """
    settled = configuration_of(
        "connect", is_client=True, configuration=configuration, alpn=alpn, settings=dict(settings)
    )
    if not isinstance(port, int) or not 0 < port < 65536:
        raise ConfigurationError(f"a UDP port is 1 to 65535, not {port!r}")
    if not isinstance(host, str) or not host:
        raise ConfigurationError(f"host is a name or an IP literal, not {host!r}")
    return Opening(lambda: _connect(host, port, settled, local_port, shared, wait_connected))


async def _connect(
    host: str, port: int, configuration: QuicConfiguration, local_port: int, shared: bool, wait_connected: bool
) -> Connection:
    made: list[Connection] = []

    def bind(binding: BindingConnection, engine: QuicEngine) -> ConnectionSink:
        made.append(Connection(binding, configuration))
        return made[-1]._events

    lease = await dial(host, port, configuration, bind=bind, local_port=local_port, shared=shared, race=wait_connected)
    made[-1]._hold(lease)
    return made[-1]
