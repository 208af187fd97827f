"""Raw QUIC in aioquic's shape and WebTransport sessions on one port."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aiopquic.asyncio.protocol import QuicConnectionProtocol
from aiopquic.asyncio.server import QuicServer, serve
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic_webtransport.compat.server import SessionFactory, event_protocol
from aiopquic_webtransport.origins import OriginRule

__all__ = ["DualStackServer", "serve_dispatch"]


class DualStackServer:
    """A running server. Made by :func:`serve_dispatch`."""

    def __init__(self, server: QuicServer) -> None:
        self._server = server

    @property
    def port(self) -> int:
        """The UDP port, also when 0 was asked for."""
        return self._server.port

    @property
    def _transport(self) -> Any:
        return self._server._transport

    def close(self) -> None:
        """Close every connection and the sockets; :meth:`aclose` waits for it."""
        self._server.close()

    async def aclose(self) -> None:
        """Close, and wait until it is done. Cancellation: safe."""
        await self._server.aclose()


async def serve_dispatch(
    host: str | None,
    port: int,
    *,
    configuration: QuicConfiguration,
    create_protocol: Callable[..., QuicConnectionProtocol] | None = None,
    wt_path: str,
    wt_handler: Callable[[Any], Any],
    wt_session_factory: SessionFactory | None = None,
    wt_supported_protocols: Sequence[str] | None = None,
    origins: OriginRule = None,
) -> DualStackServer:
    """Serve the protocols of ``configuration`` with ``create_protocol``, and WebTransport, by ALPN, on one port.

    The arguments are those of :func:`aiopquic.asyncio.serve` and of ``serve_webtransport``.
    """
    protocol = event_protocol(wt_path, wt_handler, wt_session_factory, wt_supported_protocols, origins)
    return DualStackServer(
        await serve(host, port, configuration=configuration, create_protocol=create_protocol, protocols=[protocol])
    )
