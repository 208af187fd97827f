"""asyncio's StreamReader and StreamWriter over one QUIC stream."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiopquic.exceptions import StreamError, StreamResetError, StreamStoppedError
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import StopSendingReceived, StreamDataReceived, StreamReset
from aiopquic.quic.stream_transport import StreamTransport
from aiopquic.quic.streams import stream_is_unidirectional

__all__ = ["StreamAdapter"]

#: Bytes that a reader holds before its peer is held at the window.
READER_LIMIT = 1 << 16


class _Outlet:
    """A stream of a QuicConnection, as the transport of its writer uses it."""

    def __init__(self, quic: QuicConnection, stream_id: int) -> None:
        self._quic = quic
        self._stream_id = stream_id

    @property
    def bytes_waiting(self) -> int:
        return self._quic.tx_data_ring_used(self._stream_id)

    def send_now(self, data: bytes | bytearray | memoryview, end_stream: bool) -> bool:
        try:
            self._quic.send_stream_data(self._stream_id, data, end_stream)
        except StreamError:
            raise
        except (BufferError, ValueError):
            return False  # no room, or more than there will ever be at once
        return True

    async def send(self, data: bytes, end_stream: bool) -> None:
        await self._quic.send_stream_data_drained(self._stream_id, data, end_stream)

    def reset(self) -> None:
        with contextlib.suppress(StreamError, ConnectionError):
            self._quic.reset_stream(self._stream_id, 0)

    def hold(self) -> None:
        self._quic.pause_reading(self._stream_id)

    def let_go(self) -> None:
        self._quic.resume_reading(self._stream_id)

    def closing(self) -> None:
        """Reading goes on until the peer's end."""

    def extra_info(self, name: str) -> Any:
        if name == "peername":
            return self._quic.peer_address()
        return self._quic.local_address() if name == "sockname" else None


class StreamAdapter:
    """Feeds the reader, and fails the writer, of one stream."""

    def __init__(self, quic: QuicConnection, stream_id: int, loop: asyncio.AbstractEventLoop) -> None:
        self._stream_id = stream_id
        can_send = quic._streams.is_own(stream_id) or not stream_is_unidirectional(stream_id)
        self._transport = StreamTransport(_Outlet(quic, stream_id), stream_id, loop, can_send=can_send)
        self.reader = asyncio.StreamReader(limit=READER_LIMIT, loop=loop)
        self.reader.set_transport(self._transport)
        # Without a reader: its failure is none of the writer's, for the directions of a stream end apart.
        self.writer = asyncio.StreamWriter(self._transport, self._transport.protocol, None, loop)

    def event_received(self, event: StreamDataReceived | StreamReset | StopSendingReceived) -> None:
        """One event of the stream."""
        if isinstance(event, StreamDataReceived):
            if len(event.data) > 0:
                self.reader.feed_data(event.data)
            if event.end_stream:
                self.reader.feed_eof()
        elif isinstance(event, StreamReset):
            text = f"the peer reset stream {self._stream_id} with code {event.error_code:#x}"
            self.reader.set_exception(StreamResetError(text, self._stream_id, event.error_code))
        else:
            text = f"the peer stopped stream {self._stream_id} with code {event.error_code:#x}"
            self._transport.fail(StreamStoppedError(text, self._stream_id, event.error_code))

    def stream_over(self) -> None:
        """Both directions have ended, and the peer has everything."""
        self._transport.finish()

    def connection_lost(self, error: Exception) -> None:
        """The connection ended: a reader that is not at its end, and the writer, raise."""
        if not self.reader.at_eof() and not self.reader._eof:  # type: ignore[attr-defined]
            self.reader.set_exception(error)
        self._transport.fail(error)
