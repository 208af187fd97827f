"""What can be asked of a connection beside its streams: the part of QuicConnection that waits for answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiopquic._files import StrPath
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

    async def update_keys(self) -> None:
        """Change the keys of the connection (RFC 9001 section 6); the peer follows with its own.

        That waits for the peer's acknowledgement of the present keys, a round trip or two: two updates never overlap.

        Raises:
            QuicConnectionError: the connection has ended, or ends while this waits.

        Cancellation: the keys change or not; either is safe.
        """
        await self._requests.update_keys(self._open_connection())

    async def start_qlog(self, folder: StrPath) -> None:
        """Begin a qlog file of what happens on this connection from here on, in an existing folder.

        The end of the connection completes it, too. A file of the same connection and side in that folder is replaced.

        Raises:
            ConfigurationError: that is no folder.
            RuntimeError: a file is being written already (``qlog_dir``, for example), or it can't be.
            QuicConnectionError: the connection has ended, or ends while this waits.

        Cancellation: the file is begun or not.
        """
        await self._requests.start_qlog(self._open_connection(), folder)

    async def stop_qlog(self) -> None:
        """Complete the qlog file, whichever setting or call has begun it.

        Raises:
            RuntimeError: none is being written.
            QuicConnectionError: the connection has ended, and the file with it.

        Cancellation: the file is completed or not.
        """
        await self._requests.stop_qlog(self._open_connection())

    def connection_answered(self, request: int, answer: bytes | None) -> None:
        self._requests.answered(request, answer)
