"""What the handshake settled, and the addresses of now."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection as BindingConnection
    from aiopquic._sinks import HandshakeInfo
    from aiopquic.exceptions import CloseReason
    from aiopquic.quic.path_requests import PathRequests

__all__ = ["HandshakeFacts"]


class HandshakeFacts:
    """Properties of a :class:`aiopquic.Connection`."""

    __slots__ = ()

    _binding: BindingConnection
    _info: HandshakeInfo | None
    _end: CloseReason | None
    _ready_waiters: list[asyncio.Future[None]]
    _paths: PathRequests

    async def wait_connected(self) -> None:
        """Wait until the handshake is complete; at once, unless ``wait_connected=False`` was given.

        At a server that is when the client has proven that it's there now: what came before may be a recording.

        Raises:
            QuicConnectionError: the handshake failed, or the connection ended before.

        Cancellation: safe; nothing changes.
        """
        while self._info is None:
            if self._end is not None:
                raise self._end.exception()
            waiter = asyncio.get_running_loop().create_future()
            self._ready_waiters.append(waiter)
            try:
                await waiter
            finally:
                self._ready_waiters.remove(waiter)

    @property
    def is_connected(self) -> bool:
        """True once the handshake is complete, which :meth:`wait_connected` waits for; still so after the end."""
        return self._info is not None

    @property
    def is_client(self) -> bool:
        """True on the side that connected."""
        return self._binding.is_client

    @property
    def alpn(self) -> str:
        """The application protocol that both sides agreed on (RFC 7301)."""
        return self._handshake.alpn or ""

    @property
    def server_name(self) -> str | None:
        """The name that the client asked for (SNI); None when it gave none."""
        return self._handshake.server_name

    @property
    def version(self) -> int:
        """The QUIC version: 1 is RFC 9000, 0x6b3343cf RFC 9369."""
        return self._handshake.version

    @property
    def peer_address(self) -> tuple[str, int]:
        """The peer's address and port; it follows a client that moves."""
        return self._paths.peer_address or self._handshake.peer_address or ("", 0)

    @property
    def local_address(self) -> tuple[str, int]:
        """Our address and port towards the peer."""
        return self._paths.local_address or self._handshake.local_address or ("", 0)

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's certificate as DER; None when it gave none, as clients do unless they are asked."""
        chain = self._handshake.peer_certificates
        return chain[0] if chain else None

    @property
    def session_resumed(self) -> bool:
        """True when an earlier TLS session was resumed."""
        return self._handshake.is_resumed

    @property
    def early_data_accepted(self) -> bool:
        """True when 0-RTT data went out and the server took it, or came in and was taken (RFC 9001 section 4.6).

        What a server did not take was sent again behind the handshake: nothing is lost, and nothing comes twice.
        """
        return self._handshake.early_data_accepted

    @property
    def ech_accepted(self) -> bool:
        """True when the name that was asked for was encrypted, and the server could read it (RFC 9849)."""
        return self._handshake.ech_accepted

    @property
    def _handshake(self) -> HandshakeInfo:
        if self._info is None:
            raise RuntimeError("the handshake is not complete: await connection.wait_connected()")
        return self._info
