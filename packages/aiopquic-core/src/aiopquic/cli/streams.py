"""Requests on streams: bytes in at the reader's pace, bytes out within the send budgets."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TypeVar, overload

from aiopquic.asyncio.protocol import QuicConnectionProtocol
from aiopquic.cli.protocol import MESSAGE_MAX, Code, Message, RequestError, decode, encode
from aiopquic.exceptions import QuicConnectionError, StreamError
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import ConnectionTerminated, QuicEvent, StreamDataReceived, StreamReset

__all__ = ["RequestProtocol", "RequestStream"]

#: Bytes of one stream that wait for their reader before the peer is held at its window.
READ_AHEAD = 2 << 20

A = TypeVar("A", bound=Message)
B = TypeVar("B", bound=Message)


class RequestStream:
    """One request's stream. One task reads and writes it."""

    def __init__(self, quic: QuicConnection, stream_id: int) -> None:
        self._quic = quic
        self.id = stream_id
        self._waiting: deque[memoryview] = deque()
        self._size = 0
        self._has_ended = False
        self._failure: Exception | None = None
        self._is_paused = False
        self._is_stopped = False
        self._reader: asyncio.Future[None] | None = None
        self.is_sending_file = False
        "True while a message would be taken for bytes of a file."

    # ---- events ----

    def data_received(self, data: memoryview, end: bool) -> None:
        """Bytes arrived."""
        if len(data) > 0 and not self._is_stopped:
            self._waiting.append(data)
            self._size += len(data)
        self._has_ended = self._has_ended or end
        if self._size > READ_AHEAD and not self._is_paused and not self._has_ended:
            self._is_paused = True
            self._quic.pause_reading(self.id)
        self._wake()

    def fail(self, error: Exception) -> None:
        """No more bytes will arrive."""
        if self._failure is None and not self._has_ended:
            self._failure = error
            self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # ---- reading ----

    async def read_some(self, limit: int) -> list[memoryview]:
        """What waits, up to ``limit`` bytes and at least one; nothing at the end of the stream.

        Raises:
            RequestError: the peer reset the stream; the code says why.
            QuicConnectionError: the connection ended first.

        Cancellation: safe.
        """
        await self._wait_for_bytes()
        taken: list[memoryview] = []
        while self._waiting and limit > 0:
            data = self._waiting.popleft()
            if len(data) > limit:
                self._waiting.appendleft(data[limit:])
                data = data[:limit]
            taken.append(data)
            limit -= len(data)
            self._size -= len(data)
        if self._is_paused and self._size <= READ_AHEAD // 2:
            self._is_paused = False
            self._quic.resume_reading(self.id)
        return taken

    async def _wait_for_bytes(self) -> None:
        while not self._waiting and not self._has_ended:
            if self._failure is not None:
                raise self._failure
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None

    @overload
    async def read_message(self, expected: type[A], /) -> A: ...

    @overload
    async def read_message(self, expected: type[A], other: type[B], /) -> A | B: ...

    @overload
    async def read_message(self, *expected: type[Message]) -> Message: ...

    async def read_message(self, *expected: type[Message]) -> Message:
        """The next message.

        Raises:
            RequestError: it is none of those expected, or tells a failure.
            QuicConnectionError: the connection ended first.
        """
        line = bytearray()
        while len(line) < MESSAGE_MAX:
            pieces = await self.read_some(MESSAGE_MAX - len(line))
            if not pieces:
                raise RequestError(Code.BAD_REQUEST, "a message is cut off")
            for index, piece in enumerate(pieces):
                data = bytes(piece)
                end = data.find(b"\n")
                if end >= 0:
                    line += data[:end]
                    self._unread([piece[end + 1 :], *pieces[index + 1 :]])
                    return decode(bytes(line), *expected)
                line += data
        raise RequestError(Code.BAD_REQUEST, f"a message is longer than {MESSAGE_MAX} bytes")

    def _unread(self, pieces: list[memoryview]) -> None:
        for piece in reversed(pieces):
            if len(piece) > 0:
                self._waiting.appendleft(piece)
                self._size += len(piece)

    async def read_end(self) -> None:
        """Wait for the end of the stream.

        Raises:
            RequestError: bytes came instead, or a reset.
        """
        if await self.read_some(1):
            raise RequestError(Code.BAD_REQUEST, "there are bytes after the last message")

    # ---- writing ----

    async def write(self, data: bytes | bytearray | memoryview, end: bool = False) -> None:
        """Queue bytes within the send budgets, which may take as long as the peer likes."""
        await self._quic.send_stream_data_drained(self.id, data, end)

    async def write_message(self, message: Message, end: bool = False) -> None:
        """Queue a message, and the end of the stream with ``end``."""
        await self.write(encode(message), end)

    def give_up(self, code: int = Code.CANCELLED) -> None:
        """Reset what is still to be sent and stop what is still to come. Harmless when both are over."""
        with suppress(StreamError, QuicConnectionError):
            self._quic.reset_stream(self.id, code)
        self.stop(code)

    def stop(self, code: int = Code.CANCELLED) -> None:
        """Ask the peer to send no more, and drop what waits. Harmless when it has finished."""
        self._is_stopped = True
        self._waiting.clear()
        self._size = 0
        if self._is_paused:
            self._is_paused = False
            self._quic.resume_reading(self.id)
        if not self._has_ended and self._failure is None:
            with suppress(StreamError, QuicConnectionError):
                self._quic.stop_stream(self.id, code)


class RequestProtocol(QuicConnectionProtocol):
    """Routes a connection's events to its requests."""

    def __init__(self, quic: QuicConnection, stream_handler: None = None) -> None:
        super().__init__(quic, stream_handler)
        self.requests: dict[int, RequestStream] = {}

    def new_request(self, stream_id: int) -> RequestStream:
        """Receive the events of a stream until :meth:`end_request`."""
        stream = self.requests[stream_id] = RequestStream(self._quic, stream_id)
        return stream

    def end_request(self, stream: RequestStream) -> None:
        """Forget a stream."""
        del self.requests[stream.id]

    def stream_opened(self, stream_id: int) -> RequestStream | None:
        """The first bytes of a stream that the peer opened: what receives them, if anything."""
        return None

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            stream = self.requests.get(event.stream_id) or self.stream_opened(event.stream_id)
            if stream is not None:
                stream.data_received(event.data, event.end_stream)
        elif isinstance(event, StreamReset):
            if event.stream_id in self.requests:
                self.requests[event.stream_id].fail(RequestError(event.error_code))
        elif isinstance(event, ConnectionTerminated):
            assert event.close_reason is not None
            for stream in list(self.requests.values()):
                stream.fail(event.close_reason.exception())
