"""What can be asked of a connection beside its streams: the part of QuicConnection that waits for answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiopquic.quic.facts import ConnectionFacts
from aiopquic.quic.requests import ConnectionRequests

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection

__all__ = ["ConnectionControls"]


class ConnectionControls(ConnectionFacts):
    """Asks the network thread, and waits."""

    def __init__(self, connection: Connection | None) -> None:
        super().__init__(connection)
        self._requests = ConnectionRequests()

    async def export_keying_material(self, label: str | bytes, context: bytes = b"", length: int = 32) -> bytes:
        """Keys for another protocol, the same on both sides (RFC 8446 section 7.5, RFC 5705 section 4).

        Raises:
            ValueError: the label is not 1 to 249 bytes without NUL, or the length not 1 to 8160.
            ConnectionError: the handshake is not complete, or the connection has ended (QuicConnectionError).

        Cancellation: safe.
        """
        return await self._requests.export(self._open_connection(), label, context, length)

    def connection_answered(self, request: int, answer: bytes | None) -> None:
        self._requests.answered(request, answer)
