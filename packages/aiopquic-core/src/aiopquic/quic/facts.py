"""What is known of a connection: the part of QuicConnection that only answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiopquic._sinks import HandshakeInfo
from aiopquic.exceptions import CloseReason
from aiopquic.quic.path_requests import PathRequests
from aiopquic.quic.paths import ConnectionPaths
from aiopquic.quic.snapshots import PathSnapshots

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection

__all__ = ["ConnectionFacts"]


class ConnectionFacts(ConnectionPaths):
    """Reads what the connection's events have left here, and asks for snapshots; changes nothing."""

    def __init__(self, connection: Connection | None) -> None:
        self._connection = connection
        self._info: HandshakeInfo | None = None
        self._close_reason: CloseReason | None = None
        self._own_close: CloseReason | None = None
        "What close() was called with; the end itself is told by an event."
        self._local_ids: list[bytes] = []
        "Ids of ours that the peer has not let go of, the oldest first."
        self._snapshots = PathSnapshots()
        self._paths = PathRequests()

    @property
    def closed(self) -> bool:
        """True once the connection has ended."""
        return self._close_reason is not None

    @property
    def close_reason(self) -> CloseReason | None:
        """Who ended the connection and why; None while it lives."""
        return self._close_reason

    @property
    def is_connected(self) -> bool:
        """True between the end of the handshake and the end of the connection."""
        return self._info is not None and self._close_reason is None

    @property
    def alpn(self) -> str | None:
        """The application protocol that was agreed on."""
        return self._info.alpn if self._info is not None else None

    def peer_address(self) -> tuple[str, int] | None:
        """The peer's address and port, once connected; it follows a client that moves."""
        return self._paths.peer_address or (self._info.peer_address if self._info is not None else None)

    def local_address(self) -> tuple[str, int] | None:
        """Our address and port towards the peer, once connected."""
        return self._paths.local_address or (self._info.local_address if self._info is not None else None)

    @property
    def peer_transport_parameters(self) -> dict[str, int | bool]:
        """What the peer declared in the handshake (RFC 9000 section 18.2); empty before."""
        return dict(self._info.remote_parameters) if self._info is not None else {}

    @property
    def local_transport_parameters(self) -> dict[str, int | bool]:
        """What we declared in the handshake; empty before."""
        return dict(self._info.local_parameters) if self._info is not None else {}

    @property
    def connection_ids(self) -> dict[str, bytes]:
        """``local``, ``remote`` and ``initial`` connection ids; empty before the end of the handshake.

        ``local`` is the oldest id that the peer has not let go of; the others are those of the handshake.
        """
        if self._info is None:
            return {}
        ids = dict(self._info.connection_ids)
        if self._local_ids:
            ids["local"] = self._local_ids[0]
        return ids

    def get_stream_buf_stats(self, stream_id: int) -> tuple[int, int, int, int] | None:
        """Bytes written to the stream and bytes that went into packets, and two zeros where others keep hashes.

        None for a stream that is over or unknown.
        """
        stream = self._connection.streams.get(stream_id) if self._connection is not None else None
        if stream is None:
            return None
        sent = stream.sent
        return sent + stream.send_queued, sent, 0, 0

    def tx_sent_bytes(self, stream_id: int) -> int:
        """Bytes of the stream that went into packets; 0 for a stream that is over or unknown."""
        stream = self._connection.streams.get(stream_id) if self._connection is not None else None
        return stream.sent if stream is not None else 0

    def tx_data_ring_used(self, stream_id: int) -> int:
        """Bytes of the stream that wait to be sent."""
        stream = self._connection.streams.get(stream_id) if self._connection is not None else None
        return stream.send_queued if stream is not None else 0

    def path_quality(self) -> dict[str, int]:
        """The latest snapshot of the path's figures, and a request for a newer one; see :meth:`stats`."""
        if self._connection is not None and self._close_reason is None:
            self._snapshots.ask(self._connection)
        return dict(self._snapshots.latest)

    async def stats(self) -> dict[str, int]:
        """A fresh snapshot: rtt (microseconds), cwin, sent, lost, rates and bytes of the connection's path.

        After the end of the connection, the last one that was taken.

        Cancellation: safe.
        """
        if self._connection is None or self._close_reason is not None:
            return dict(self._snapshots.latest)
        return await self._snapshots.fresh(self._connection)

    @property
    def bytes_sent(self) -> int:
        """Bytes of UDP payload sent, as of the latest snapshot."""
        return self.path_quality().get("bytes_sent", 0)

    @property
    def bytes_received(self) -> int:
        """Bytes of UDP payload received, as of the latest snapshot."""
        return self.path_quality().get("bytes_received", 0)

    def _open_connection(self) -> Connection:
        """The connection, for a command; raises what its end means when it has ended."""
        reason = self._close_reason or self._own_close
        if reason is not None:
            raise reason.exception()
        if self._connection is None:
            raise RuntimeError("the connection was not started: call connect() first")
        return self._connection
