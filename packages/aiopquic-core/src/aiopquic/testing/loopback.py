"""A server and its clients in one process, over the loopback interface."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from aiopquic.asyncio.client import connect
from aiopquic.asyncio.server import QuicServer, serve
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.incoming import IncomingCallback
from aiopquic.quic.protocols import ServerProtocol
from aiopquic.testing.protocols import Changes, Echo, Recorder

__all__ = ["ALPN", "Loopback", "Pair", "RunningServer"]

#: The application protocol of both sides, when ``alpn_protocols`` is not among the settings.
ALPN = "test"

Path = str | os.PathLike[str]
RecorderFactory = Callable[..., Recorder]


@dataclass
class Pair:
    """A client's protocol, and the server's for the same connection."""

    server: QuicServer
    client: Recorder
    peer: Recorder


@dataclass
class RunningServer:
    """A server, and the protocols of the connections that it has accepted so far."""

    server: QuicServer
    host: str
    peers: list[Recorder]
    changes: Changes

    @property
    def port(self) -> int:
        """The UDP port."""
        return self.server.port

    async def peer(self, number: int = 0) -> Recorder:
        """The protocol of the connection that was accepted as the ``number``-th, once there is one."""
        await self.changes.wait_for(lambda: len(self.peers) > number, "no connection was accepted")
        return self.peers[number]


class Loopback:
    """Starts servers with a certificate, and clients that trust it.

    ``settings`` are those of :class:`~aiopquic.quic.configuration.QuicConfiguration`.
    """

    def __init__(self, certificate: Path, private_key: Path) -> None:
        self.certificate = certificate
        self.private_key = private_key

    def client_configuration(self, **settings: Any) -> QuicConfiguration:
        """A client's, that trusts the certificate."""
        settings.setdefault("alpn_protocols", [ALPN])
        settings.setdefault("cafile", self.certificate)
        return QuicConfiguration(is_client=True, **settings)

    def server_configuration(self, **settings: Any) -> QuicConfiguration:
        """A server's, with the certificate and its key."""
        settings.setdefault("alpn_protocols", [ALPN])
        settings.setdefault("certificate_file", self.certificate)
        settings.setdefault("private_key_file", self.private_key)
        return QuicConfiguration(is_client=False, **settings)

    @asynccontextmanager
    async def server(
        self,
        protocol: RecorderFactory = Recorder,
        *,
        host: str = "127.0.0.1",
        stream_handler: Any = None,
        retry: bool = False,
        incoming: IncomingCallback | None = None,
        protocols: Sequence[ServerProtocol] = (),
        **settings: Any,
    ) -> AsyncIterator[RunningServer]:
        """A server on a port that the system chooses; leaving the block closes it."""
        peers: list[Recorder] = []
        changes = Changes()

        def create(quic: QuicConnection, stream_handler: Any = None) -> Recorder:
            peers.append(protocol(quic, stream_handler=stream_handler))
            changes.tell()
            return peers[-1]

        configuration = self.server_configuration(**settings)
        server = await serve(
            host,
            0,
            configuration=configuration,
            create_protocol=create,
            stream_handler=stream_handler,
            retry=retry,
            incoming=incoming,
            protocols=protocols,
        )
        running = RunningServer(server, host, peers, changes)
        try:
            yield running
        finally:
            for peer in peers:
                if isinstance(peer, Echo):
                    peer.close_tasks()
            await server.aclose()

    def connect(
        self,
        server: RunningServer | tuple[str, int],
        protocol: RecorderFactory = Recorder,
        *,
        host: str | None = None,
        stream_handler: Any = None,
        wait_connected: bool = True,
        **settings: Any,
    ) -> AbstractAsyncContextManager[Recorder]:
        """A client of that server, or of a host and a port; the block gets its protocol."""
        address = server if isinstance(server, tuple) else (server.host, server.port)
        manager = connect(
            host or address[0],
            address[1],
            configuration=self.client_configuration(**settings),
            create_protocol=protocol,
            stream_handler=stream_handler,
            wait_connected=wait_connected,
        )
        return cast("AbstractAsyncContextManager[Recorder]", manager)

    @asynccontextmanager
    async def pair(
        self,
        client: RecorderFactory = Recorder,
        server: RecorderFactory = Recorder,
        *,
        client_settings: dict[str, Any] | None = None,
        server_settings: dict[str, Any] | None = None,
        stream_handler: Any = None,
        **settings: Any,
    ) -> AsyncIterator[Pair]:
        """A connection; ``settings`` go to both sides, ``stream_handler`` to the server."""
        async with (
            self.server(server, stream_handler=stream_handler, **settings, **(server_settings or {})) as running,
            self.connect(running, client, **settings, **(client_settings or {})) as protocol,
        ):
            yield Pair(running.server, protocol, await running.peer())
