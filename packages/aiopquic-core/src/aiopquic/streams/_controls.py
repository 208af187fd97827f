"""What can be asked of a connection while it lives, beside its streams: keys and logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiopquic._files import StrPath

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection as BindingConnection
    from aiopquic.quic.requests import ConnectionRequests

__all__ = ["Controls"]


class Controls:
    """Coroutines of a :class:`aiopquic.Connection`."""

    __slots__ = ()

    _binding: BindingConnection
    _requests: ConnectionRequests

    if TYPE_CHECKING:

        def _require_open(self) -> None: ...

    async def export_keying_material(self, label: str | bytes, context: bytes = b"", length: int = 32) -> bytes:
        """Return keys for another protocol, the same on both sides (RFC 8446 section 7.5, RFC 5705 section 4).

        Costs one message to the network thread and one back, and no packet.

        Raises:
            ValueError: the label is not 1 to 249 bytes without NUL, or the length not 1 to 8160.
            QuicConnectionError: the connection has ended, or ends while this waits.

        Cancellation: safe.
        """
        self._require_open()
        return await self._requests.export(self._binding, label, context, length)

    async def update_keys(self) -> None:
        """Change the keys of the connection (RFC 9001 section 6); the peer follows with its own.

        That waits for the peer's acknowledgement of the present keys, a round trip or two: two updates never overlap.

        Raises:
            QuicConnectionError: the connection has ended, or ends while this waits.

        Cancellation: the keys change or not; either is safe.
        """
        self._require_open()
        await self._requests.update_keys(self._binding)

    async def start_qlog(self, folder: StrPath) -> None:
        """Begin a qlog file of what happens on this connection from here on, in an existing folder.

        The end of the connection completes it, too. A file of the same connection and side in that folder is replaced.

        Raises:
            ConfigurationError: that is no folder.
            RuntimeError: a file is being written already (``qlog_dir``, for example), or it can't be.
            QuicConnectionError: the connection has ended, or ends while this waits.

        Cancellation: the file is begun or not.
        """
        self._require_open()
        await self._requests.start_qlog(self._binding, folder)

    async def stop_qlog(self) -> None:
        """Complete the qlog file, whichever setting or call has begun it.

        Raises:
            RuntimeError: none is being written.
            QuicConnectionError: the connection has ended, and the file with it.

        Cancellation: the file is completed or not.
        """
        self._require_open()
        await self._requests.stop_qlog(self._binding)
