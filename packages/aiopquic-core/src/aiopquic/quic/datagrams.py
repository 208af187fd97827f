"""Datagrams of a connection (RFC 9221): the part of QuicConnection that sends and counts them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiopquic.quic.drain_events import set_soon
from aiopquic.quic.facts import ConnectionFacts

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from aiopquic._binding._connection import Connection

__all__ = ["ConnectionDatagrams"]


class ConnectionDatagrams(ConnectionFacts):
    """Sends datagrams, and tells when the queue that was full has room again."""

    def __init__(self, connection: Connection | None) -> None:
        super().__init__(connection)
        self._datagram_drain: asyncio.Event | None = None
        "Made for the first one who asks."
        self._datagram_queue_is_full = False
        "True between a send that found no room and the event that there is some."

    def send_datagram_frame(self, data: Buffer) -> int:
        """Queue a datagram; the bytes are copied. Returns its length, or 0 when the queue is full: nothing was taken.

        Raises:
            DatagramError: (a ValueError) larger than :meth:`max_datagram_payload`, or the peer takes none.
            ConnectionError: the handshake is not complete, or the connection has ended.

        Backpressure: after a 0, await :meth:`get_datagram_tx_drain_event` and send the same data again. An empty
        datagram has the length 0 in any case; for it, the event alone says whether it was taken.
        """
        if self._info is None and (self._close_reason or self._own_close) is None:
            raise ConnectionError("no datagram can be sent before the handshake is complete: await wait_connected()")
        connection = self._open_connection()
        if connection.try_send_datagram(data):
            return memoryview(data).nbytes
        self._datagram_queue_is_full = connection.want_datagrams_writable()
        if self._datagram_drain is not None:
            if self._datagram_queue_is_full:
                self._datagram_drain.clear()
            else:
                set_soon(self._datagram_drain)  # there is room already, and nobody will tell
        return 0

    def get_datagram_tx_drain_event(self) -> asyncio.Event:
        """An event that is set but for the time from a send that found the queue full until half of it is free.

        The end of the connection sets it too.
        """
        if self._datagram_drain is None:
            self._datagram_drain = asyncio.Event()
            if not self._datagram_queue_is_full:
                self._datagram_drain.set()
        return self._datagram_drain

    def max_datagram_payload(self) -> int:
        """Bytes of the largest datagram that can be sent now; 0 before the handshake and when the peer takes none."""
        return self._connection.max_datagram_size if self._connection is not None else 0

    def datagram_ring_stats(self) -> dict[str, int]:
        """Counts of datagrams; empty before the connection was started.

        ``queued`` and ``queued_bytes`` now; ``sent``, ``received``, ``dropped_received``, ``acked``, ``lost`` and
        ``spurious`` (lost first, acknowledged after all) since the beginning.
        """
        return self._connection.datagram_stats if self._connection is not None else {}

    @property
    def datagrams_acked(self) -> int:
        """Datagrams that the peer has acknowledged, those included that were declared lost before."""
        stats = self.datagram_ring_stats()
        return stats["acked"] + stats["spurious"] if stats else 0

    @property
    def datagrams_lost(self) -> int:
        """Datagrams that were declared lost, and not acknowledged after all."""
        stats = self.datagram_ring_stats()
        return stats["lost"] - stats["spurious"] if stats else 0

    # ---- ConnectionSink ----

    def datagrams_writable(self) -> None:
        self._datagram_queue_is_full = False
        if self._datagram_drain is not None:
            self._datagram_drain.set()

    def datagram_fate(self, uid: int, fate: int) -> None:
        """Never asked for: the counts tell how many were lost, not which."""
