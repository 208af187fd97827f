"""A server's connections: an object of the program for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiopquic.quic.compat import LowLevelEvent, quic_event
from aiopquic.quic.connection import QuicConnection

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection
    from aiopquic.quic.engine import QuicEngine

__all__ = ["Acceptor"]


class Acceptor:
    """Makes a QuicConnection and a protocol for each connection that an engine accepts, and keeps them while it lives.

    ``create_protocol`` is called with ``(quic, stream_handler=...)``. A
    :class:`aiopquic.asyncio.QuicConnectionProtocol` is started on the running loop; of anything else
    ``quic_event_received`` is called with each event.
    """

    def __init__(self, create_protocol: Callable[..., Any], stream_handler: Callable[..., Any] | None) -> None:
        self._create_protocol = create_protocol
        self._stream_handler = stream_handler
        self.protocols: dict[int, Any] = {}
        "By the handle of the connection."
        self._connections: dict[int, QuicConnection] = {}

    def accept(self, engine: QuicEngine, connection: Connection) -> None:
        """Take a connection whose handshake is about to be told; what the program raises closes it."""
        handle = connection.handle
        quic = QuicConnection(configuration=engine.configuration, engine=engine, connection=connection)
        try:
            protocol = self._create_protocol(quic, stream_handler=self._stream_handler)
            start = getattr(protocol, "_start", None)
            if start is not None:
                start(asyncio.get_running_loop())
            else:
                quic.set_handler(protocol.quic_event_received)
        except Exception:
            connection.close(0x1, b"the server could not make a handler for this connection")
            raise
        self.protocols[handle] = protocol
        self._connections[handle] = quic
        quic._on_closed = lambda: self._forget(handle)

    def _forget(self, handle: int) -> None:
        self.protocols.pop(handle, None)
        self._connections.pop(handle, None)

    def route(self, event: LowLevelEvent) -> None:
        """Tell the connection that the tuple names; nobody when it is over or the event is not one of a stream."""
        quic = self._connections.get(event[5])
        told = quic_event(event)
        if quic is not None and told is not None:
            quic._emit(told)
