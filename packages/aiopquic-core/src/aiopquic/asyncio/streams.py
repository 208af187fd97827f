"""asyncio's StreamReader and StreamWriter over one QUIC stream."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiopquic.exceptions import StreamClosedError, StreamError, StreamResetError, StreamStoppedError
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import StopSendingReceived, StreamDataReceived, StreamReset
from aiopquic.quic.streams import stream_is_unidirectional

__all__ = ["StreamAdapter"]

#: Bytes that a reader holds before its peer is held at the window.
READER_LIMIT = 1 << 16


class _StreamTransport(asyncio.Transport):
    """What a StreamWriter writes to. Bytes beyond the send budget wait here, and drain() waits for them."""

    def __init__(self, quic: QuicConnection, stream_id: int, loop: asyncio.AbstractEventLoop, can_send: bool) -> None:
        super().__init__({"stream_id": stream_id})
        self._quic = quic
        self._stream_id = stream_id
        self._loop = loop
        self._waiting: list[bytes] = []
        self._can_send = can_send
        self._eof = not can_send
        self._sender: asyncio.Task[None] | None = None
        self._closing = not can_send
        self.failure: BaseException | None = None
        self.protocol: _DrainProtocol | None = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "peername":
            return self._quic.peer_address()
        if name == "sockname":
            return self._quic.local_address()
        return super().get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._can_send:
            text = f"stream {self._stream_id} is the peer's unidirectional stream: it can't be written here"
            raise StreamClosedError(text, self._stream_id)
        if self._eof:
            raise RuntimeError("write after write_eof() or close()")
        if len(data) > 0:
            self._queue(data, end=False)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        if not self._eof:
            self._eof = True
            self._queue(b"", end=True)

    def can_write_eof(self) -> bool:
        return True

    def _queue(self, data: bytes | bytearray | memoryview, end: bool) -> None:
        if self.failure is not None:
            return
        if self._sender is None:
            try:
                self._quic.send_stream_data(self._stream_id, data, end)
                return
            except BufferError:
                pass
            except ValueError as error:
                if isinstance(error, StreamError):
                    self.fail(error)
                    return
            except Exception as error:
                self.fail(error)
                return
            self._waiting.append(bytes(data))
            self._sender = self._loop.create_task(self._send_waiting())
            assert self.protocol is not None
            self.protocol.pause_writing()
        else:
            self._waiting.append(bytes(data))

    async def _send_waiting(self) -> None:
        try:
            while self._waiting:
                data = b"".join(self._waiting)
                self._waiting.clear()
                await self._quic.send_stream_data_drained(self._stream_id, data)
            if self._eof:
                await self._quic.send_stream_data_drained(self._stream_id, b"", end_stream=True)
        except Exception as error:
            self.fail(error)
        finally:
            self._sender = None
            assert self.protocol is not None
            self.protocol.resume_writing()

    def fail(self, error: BaseException) -> None:
        """Nothing can be sent any more; drain() raises ``error``."""
        if self.failure is None:
            self.failure = error
            self._closing = True
            self._waiting.clear()
            assert self.protocol is not None
            self.protocol.fail(error)

    def close(self) -> None:
        """Finish writing: what was written is sent, then FIN. Reading goes on until the peer's end."""
        if not self._closing:
            self._closing = True
            if self.failure is None:
                self.write_eof()

    def is_closing(self) -> bool:
        return self._closing

    def abort(self) -> None:
        """Reset the stream: what waits is dropped."""
        self._closing = True
        if self.failure is None and not self._eof:
            self._eof = True
            with contextlib.suppress(StreamError, ConnectionError):
                self._quic.reset_stream(self._stream_id, 0)

    def pause_reading(self) -> None:
        self._quic.pause_reading(self._stream_id)

    def resume_reading(self) -> None:
        self._quic.resume_reading(self._stream_id)

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._waiting)) + self._quic.tx_data_ring_used(self._stream_id)


class _DrainProtocol(asyncio.streams.FlowControlMixin):
    """What StreamWriter.drain() and wait_closed() ask."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.closed: asyncio.Future[None] = loop.create_future()
        self._failure: BaseException | None = None

    async def _drain_helper(self) -> None:
        if self._failure is not None:
            raise self._failure
        await super()._drain_helper()  # type: ignore[misc]  # asyncio's own, without a stub

    def _get_close_waiter(self, stream: Any) -> asyncio.Future[None]:
        return self.closed

    def finish(self) -> None:
        """wait_closed() returns."""
        if not self.closed.done():
            self.closed.set_result(None)

    def fail(self, error: BaseException) -> None:
        """drain() and wait_closed() raise."""
        self._failure = error
        self.connection_lost(error if isinstance(error, Exception) else None)
        if not self.closed.done():
            self.closed.set_exception(error)
            self.closed.exception()


class StreamAdapter:
    """Feeds the reader, and fails the writer, of one stream."""

    def __init__(self, quic: QuicConnection, stream_id: int, loop: asyncio.AbstractEventLoop) -> None:
        self._stream_id = stream_id
        can_send = quic._streams.is_own(stream_id) or not stream_is_unidirectional(stream_id)
        self._transport = _StreamTransport(quic, stream_id, loop, can_send)
        self._protocol = _DrainProtocol(loop)
        self._transport.protocol = self._protocol
        self.reader = asyncio.StreamReader(limit=READER_LIMIT, loop=loop)
        self.reader.set_transport(self._transport)
        # Without a reader: its failure is none of the writer's, for the directions of a stream end apart.
        self.writer = asyncio.StreamWriter(self._transport, self._protocol, None, loop)

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
        self._transport._closing = True
        self._protocol.finish()

    def connection_lost(self, error: Exception) -> None:
        """The connection ended: a reader that is not at its end, and the writer, raise."""
        if not self.reader.at_eof() and not self.reader._eof:  # type: ignore[attr-defined]
            self.reader.set_exception(error)
        self._transport.fail(error)
