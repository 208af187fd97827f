"""``TransportContext``: events as tuples, commands as calls. asyncio only watches its descriptor here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiopquic.quic.configuration import QuicConfiguration
from aiopquic_bench.apis.shape import HOST, Connection, Handler, Server
from aiopquic_bench.programs.low import LowTransport

__all__ = ["connect", "finish", "serve"]

#: The transport that the client connections of this process share, until :func:`finish`.
_shared: LowTransport | None = None


def _settings(configuration: QuicConfiguration) -> dict[str, Any]:
    """Of both sides."""
    return {
        "driver": configuration.driver,
        "is_client": configuration.is_client,
        "congestion_control_algorithm": configuration.congestion_control_algorithm,
        "max_connections": configuration.max_connections,
        "initial_max_streams_bidi": configuration.max_streams_bidi,
    }


@asynccontextmanager
async def connect(port: int, configuration: QuicConfiguration) -> AsyncIterator[Connection]:
    """Connect to a port of this host."""
    global _shared
    if _shared is None:
        _shared = LowTransport({**_settings(configuration), "ca_file": str(configuration.cafile)})
    connection = _shared.connect(port)
    try:
        await connection.ready
        yield connection
    finally:
        connection.close()
        await connection.ended.wait()


def finish() -> None:
    """End the transport of the client connections."""
    global _shared
    if _shared is not None:
        _shared.stop()
        _shared = None


@asynccontextmanager
async def serve(handler: Handler, configuration: QuicConfiguration, _: int) -> AsyncIterator[Server]:
    """Serve on a port that the system chooses, with one engine."""
    files = {"cert_file": str(configuration.certificate_file), "key_file": str(configuration.private_key_file)}
    transport = LowTransport({**_settings(configuration), "host": HOST, **files}, handler)
    try:
        yield transport
    finally:
        await transport.aclose()
