"""What an asyncio StreamWriter writes to, for whatever carries its bytes."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from aiopquic.exceptions import StreamClosedError, StreamError

__all__ = ["DrainProtocol", "Outlet", "StreamTransport"]


class Outlet(Protocol):
    """One stream, as the transport above it uses it. Sending raises what makes it impossible."""

    @property
    def bytes_waiting(self) -> int:
        """Bytes that were taken and are in no packet yet."""

    def send_now(self, data: bytes | bytearray | memoryview, end_stream: bool) -> bool:
        """Take all of ``data`` at once; False when there is no room."""

    async def send(self, data: bytes, end_stream: bool) -> None:
        """Take all of ``data``, waiting for room."""

    def reset(self) -> None:
        """Give up sending."""

    def hold(self) -> None:
        """Hand no more bytes to the reader."""

    def let_go(self) -> None:
        """Undo :meth:`hold`."""

    def closing(self) -> None:
        """The transport was closed: nothing more will be written."""

    def extra_info(self, name: str) -> Any:
        """What ``get_extra_info`` says; None when nothing is known."""


class StreamTransport(asyncio.Transport):
    """Bytes beyond the send budget wait here, and drain() waits for them."""

    def __init__(
        self, outlet: Outlet, stream_id: int, loop: asyncio.AbstractEventLoop, *, can_send: bool = True
    ) -> None:
        super().__init__({"stream_id": stream_id})
        self.protocol = DrainProtocol(loop)
        self._outlet = outlet
        self._stream_id = stream_id
        self._can_send = can_send
        self._loop = loop
        self._waiting: list[bytes] = []
        self._in_hand = 0
        "Bytes that the sender has taken from there and not finished sending."
        self._eof = not can_send
        self._sender: asyncio.Task[None] | None = None
        self._closing = not can_send
        self.failure: BaseException | None = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        value = self._outlet.extra_info(name)
        return value if value is not None else super().get_extra_info(name, default)

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
                if self._outlet.send_now(data, end):
                    return
            except (StreamError, ConnectionError) as error:
                self.fail(error)
                return
            self._sender = self._loop.create_task(self._send_waiting())
            self.protocol.pause_writing()
        self._waiting.append(bytes(data))

    async def _send_waiting(self) -> None:
        try:
            while self._waiting:
                data = b"".join(self._waiting)
                self._waiting.clear()
                self._in_hand = len(data)
                await self._outlet.send(data, False)
            if self._eof:
                await self._outlet.send(b"", True)
        except Exception as error:
            self.fail(error)
        finally:
            self._sender = None
            self._in_hand = 0
            self.protocol.resume_writing()

    async def sent(self) -> None:
        """Wait until nothing waits here. Cancellation: safe."""
        while self._sender is not None:
            await asyncio.wait([self._sender])

    def fail(self, error: BaseException) -> None:
        """Nothing can be sent any more; drain() raises ``error``."""
        if self.failure is None:
            self.failure = error
            self._closing = True
            self._waiting.clear()
            self.protocol.fail(error)

    def finish(self) -> None:
        """The stream is over, and the peer has everything."""
        self._closing = True
        self.protocol.finish()

    def close(self) -> None:
        """Finish writing: what was written is sent, then FIN. Reading goes on until the peer's end."""
        if not self._closing:
            self._closing = True
            if self.failure is None:
                self.write_eof()
            self._outlet.closing()

    def is_closing(self) -> bool:
        return self._closing

    def abort(self) -> None:
        """Reset the stream: what waits is dropped."""
        if self._can_send and self.failure is None:
            self._eof = True
            self._waiting.clear()
            self._outlet.reset()
        if not self._closing:
            self._closing = True
            self._outlet.closing()

    def pause_reading(self) -> None:
        self._outlet.hold()

    def resume_reading(self) -> None:
        self._outlet.let_go()

    def get_write_buffer_size(self) -> int:
        """Bytes that were written and are in no packet yet; some may count twice while they are handed on."""
        return sum(map(len, self._waiting)) + self._in_hand + self._outlet.bytes_waiting


class DrainProtocol(asyncio.streams.FlowControlMixin):
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
