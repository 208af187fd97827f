"""Application protocols that a server speaks beside the program's own, each on the connections of its ALPN.

What such a protocol is made of, from C to here, is the subject of docs/extending.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from aiopquic._sinks import ConnectionSink, HandshakeInfo
from aiopquic.exceptions import CloseReason, ConfigurationError
from aiopquic.quic.configuration import QuicConfiguration

if TYPE_CHECKING:
    # With new names, for the protocols of other packages.
    from aiopquic._binding._connection import Connection as Connection
    from aiopquic._binding._stream import Stream as Stream

__all__ = ["ConnectionHost", "Hosts", "ServerProtocol", "Undecided", "with_protocols"]

#: Takes a connection whose handshake is about to be told, and gives it its sink.
Accept = Callable[["Connection"], object]


class ConnectionHost(Protocol):
    """Owns the connections of one protocol on one server, with whatever runs on them."""

    def accept(self, connection: Connection) -> object:
        """Take a connection whose handshake is complete: set ``connection.sink``, which is told of it next."""

    def close(self, code: int, reason: str) -> None:
        """Begin to close: each peer is told, nothing new is accepted."""

    async def wait_closed(self) -> None:
        """Wait for the tasks that run on the connections, after :meth:`close`."""


class ServerProtocol(Protocol):
    """What the ``protocols`` of a server are made of; one object may be given to several servers."""

    @property
    def alpn(self) -> str:
        """The name in the handshake (RFC 7301)."""

    @property
    def native(self) -> object | None:
        """The capsule of its half on the network thread; None when it has none."""

    def host(self, configuration: QuicConfiguration) -> ConnectionHost:
        """For one server, on the running loop."""


class Hosts:
    """The hosts of one server's protocols."""

    def __init__(self, protocols: Sequence[ServerProtocol], configuration: QuicConfiguration) -> None:
        self.natives = tuple(protocol.native for protocol in protocols if protocol.native is not None)
        self._hosts = {protocol.alpn: protocol.host(configuration) for protocol in protocols}

    @property
    def by_alpn(self) -> dict[str, Accept]:
        """Who takes the connections of which protocol."""
        return {alpn: host.accept for alpn, host in self._hosts.items()}

    def close(self, code: int = 0, reason: str = "") -> None:
        """Begin to close all of them."""
        for host in self._hosts.values():
            host.close(code, reason)

    async def wait_closed(self) -> None:
        """Wait for all of them, after :meth:`close`."""
        for host in self._hosts.values():
            await host.wait_closed()


def with_protocols(configuration: QuicConfiguration, protocols: Sequence[ServerProtocol]) -> QuicConfiguration:
    """The configuration with the names of these protocols, behind those it has.

    Raises:
        ConfigurationError: something is no protocol, or two have one name.
    """
    names: list[str] = []
    for protocol in protocols:
        if not isinstance(getattr(protocol, "alpn", None), str) or not callable(getattr(protocol, "host", None)):
            raise ConfigurationError(f"protocols are objects with alpn, native and host(), not {protocol!r}")
        if protocol.alpn in names:
            raise ConfigurationError(f"two protocols have the name {protocol.alpn!r}: a server has one of each")
        names.append(protocol.alpn)
    own = list(configuration.alpn_protocols or ())
    return dataclasses.replace(configuration, alpn_protocols=own + [name for name in names if name not in own])


class Undecided:
    """The sink of an accepted connection until its handshake tells which protocol it speaks."""

    def __init__(self, connection: Connection, accept: Accept, by_alpn: Mapping[str, Accept]) -> None:
        self._connection = connection
        self._accept = accept
        self._by_alpn = by_alpn
        self._early: list[tuple[str, tuple[Any, ...]]] = []

    def connection_ready(self, info: HandshakeInfo) -> None:
        connection = self._connection
        self._by_alpn.get(info.alpn or "", self._accept)(connection)
        sink: ConnectionSink | None = connection.sink
        if sink is None or sink is self:
            connection.sink = None
            return
        sink.connection_ready(info)
        for name, arguments in self._early:
            getattr(sink, name)(*arguments)

    def connection_closed(self, reason: CloseReason) -> None:
        """Nobody has heard of it yet."""

    def __getattr__(self, name: str) -> Any:
        """What came before the end of the handshake is told behind it."""
        if not name.startswith(("connection_", "stream_", "datagram", "protocol_")):
            raise AttributeError(name)
        return lambda *arguments: self._early.append((name, arguments))
