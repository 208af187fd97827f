"""The receiving side of a stream."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Self

from aiopquic.exceptions import QuicConnectionError, StreamClosedError, StreamLimitError, StreamResetError
from aiopquic.streams._base import BaseStream, check_code

__all__ = ["ReceiveStream"]

#: What read_all() takes when its caller sets no limit: as much as a peer may send ahead on a stream by default.
READ_ALL_LIMIT = 1 << 24


class ReceiveStream(BaseStream):
    """A stream that this side reads. Accepted with :meth:`Connection.accept_stream`.

    ``async for chunk in stream`` yields the bytes as they arrive, as read-only memoryviews without a copy. As a
    context manager it asks the peer to stop on the way out, unless everything was read.

    One task reads at a time. The peer may send as many new bytes as were handed to the application; nothing is taken
    from the engine before somebody reads, so a stream that is not read holds its peer at the window
    (``initial_stream_window`` at first, up to ``max_stream_data``).

    A reset by the peer discards what it had sent and was not read yet, as RFC 9000 section 3.2 allows: whoever
    resets a stream wants nobody to go on with it. The end of the connection discards nothing: what had arrived can
    be read, and then reading raises the connection's exception.
    """

    __slots__ = ()

    # ---- reading ----

    async def read(self, max_bytes: int = -1) -> bytes:
        """Return what has arrived, at least one byte and at most ``max_bytes``; ``b""`` at the end of the stream.

        Waits only when nothing is there. -1 sets no limit.

        Raises:
            StreamResetError: the peer gave up the stream; ``error_code`` is its code.
            StreamClosedError: this side stopped the stream.
            QuicConnectionError: the connection ended before the stream did.
            RuntimeError: another task is reading this stream.

        Backpressure: the bytes that are returned are credit for the peer to send as many more.

        Cancellation: safe. No byte is lost; the next read returns them.
        """
        _check_count(max_bytes, "max_bytes", -1)
        self._begin()
        while not self._buffered and max_bytes != 0:
            buffers, ends = self._binding.take()
            if ends:
                self._has_end = True
            if buffers:
                if max_bytes < 0:
                    data = bytes(buffers[0]) if len(buffers) == 1 else b"".join(buffers)
                    self._binding.consume(len(data))
                    return data
                self._store(buffers)
            elif self._has_end:
                return b""
            else:
                await self._arrival()
        return self._pop(max_bytes)

    async def readexactly(self, count: int) -> bytes:
        """Return exactly ``count`` bytes; more than the window is no problem, for credit is granted on the way.

        Raises:
            asyncio.IncompleteReadError: the stream ended before; ``partial`` has what there was.
            StreamResetError, StreamClosedError, QuicConnectionError, RuntimeError: as :meth:`read`. After the end of
                the connection, ``read()`` still returns what had arrived.

        Cancellation: safe. No byte is lost; the next read returns them.
        """
        _check_count(count, "count", 0)
        self._begin()
        while self._buffered < count:
            self._fill()
            if self._buffered >= count:
                break
            if self._has_end:
                raise asyncio.IncompleteReadError(self._pop(-1), count)
            self._grant_buffered()
            await self._arrival()
        return self._pop(count)

    async def read_all(self, limit: int = READ_ALL_LIMIT) -> bytes:
        """Return everything up to the end of the stream: at most ``limit`` bytes, 16 MiB if it is not given.

        Raises:
            StreamLimitError: the peer sent more than ``limit``; the stream was stopped with code 0.
            StreamResetError, StreamClosedError, QuicConnectionError, RuntimeError: as :meth:`read`.

        Cancellation: safe. No byte is lost; the next read returns them.
        """
        _check_count(limit, "limit", 0)
        self._begin()
        while True:
            self._fill()
            if self._buffered > limit:
                self.stop(0)
                text = f"the peer sent more than {limit} bytes on stream {self.id}: raise the limit, or read in parts"
                raise StreamLimitError(text, self.id)
            if self._has_end:
                return self._pop(-1)
            self._grant_buffered()
            await self._arrival()

    async def read_chunk(self) -> memoryview | None:
        """Return the next bytes as they lie in memory, without a copy; None at the end of the stream.

        The memoryview is read-only, never empty, and stays valid as long as it is kept, also after the connection.

        Raises:
            StreamResetError, StreamClosedError, QuicConnectionError, RuntimeError: as :meth:`read`.

        Backpressure: the bytes that are returned are credit for the peer to send as many more.

        Cancellation: safe. No byte is lost; the next read returns them.
        """
        self._begin()
        while not self._buffered:
            buffers, ends = self._binding.take()
            if ends:
                self._has_end = True
            if len(buffers) == 1:
                self._binding.consume(len(buffers[0]))
                return buffers[0]
            if buffers:
                self._store(buffers)
            elif self._has_end:
                return None
            else:
                await self._arrival()
        assert self._chunks is not None
        chunk = self._chunks.popleft()
        self._account(len(chunk))
        return chunk

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> memoryview:
        """The next chunk; see :meth:`read_chunk`."""
        chunk = await self.read_chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    def stop(self, code: int = 0) -> None:
        """Ask the peer to stop sending (STOP_SENDING, RFC 9000 section 19.5) and drop what has arrived.

        The peer's writes raise StreamStoppedError with this code; reads here raise StreamClosedError. Harmless when
        receiving is over.

        Raises:
            ValueError: ``code`` is not 0 to 2**62 - 1.
            WouldBlockError: with ``event_ring_capacity`` set, too many commands wait; nothing was done.
        """
        check_code(code)
        if self._is_stopped or self.at_end or self._reset_code is not None:
            return
        if self._connection._end is None and not self._has_end:
            with suppress(QuicConnectionError):  # it ended just now
                self._binding.stop(code)
        self._is_stopped = True
        self._discard()
        self._wake()

    # ---- what is known ----

    @property
    def at_end(self) -> bool:
        """True once every byte of the stream was read and its end was seen."""
        return self._has_end and not self._buffered

    @property
    def reset_code(self) -> int | None:
        """The code with which the peer reset the stream; None as long as it has not."""
        return self._reset_code

    # ---- as a context manager ----

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave_receiving()

    def _leave_receiving(self) -> None:
        """Stop, unless the end is here and nothing is left to read."""
        if not self._has_end and not self._is_stopped and self._reset_code is None:
            self._fill()
        self.stop(0)

    # ---- private ----

    def _begin(self) -> None:
        """Raise what makes reading impossible."""
        if self._reader is not None:
            raise RuntimeError(f"another task is reading stream {self.id}: one reads at a time")
        if self._is_stopped:
            raise StreamClosedError(f"stream {self.id} was stopped by this side: nothing more can be read", self.id)
        if self._reset_code is not None:
            raise self._reset_error(self._reset_code)

    def _reset_error(self, code: int) -> Exception:
        """What the peer's RESET_STREAM means to a reader."""
        return StreamResetError(f"the peer reset stream {self.id} with code {code:#x}", self.id, code)

    async def _arrival(self) -> None:
        """Wait until there is something to look at."""
        self._require_arrivals()
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await self._reader
        finally:
            self._reader = None
        self._begin()

    def _require_arrivals(self) -> None:
        """Raise when nothing more can arrive."""
        if self._connection.close_reason is not None:
            raise self._connection.close_reason.exception()

    def _fill(self) -> None:
        """Take what has arrived."""
        buffers, ends = self._binding.take()
        if ends:
            self._has_end = True
        if buffers:
            self._store(buffers)

    def _store(self, buffers: list[memoryview]) -> None:
        if self._chunks is None:
            self._chunks = deque(buffers)
        else:
            self._chunks.extend(buffers)
        self._buffered += sum(map(len, buffers))

    def _pop(self, max_bytes: int) -> bytes:
        """Up to ``max_bytes`` of what was taken; -1 for all."""
        chunks = self._chunks
        if chunks is None or not self._buffered:
            return b""
        if max_bytes < 0 or max_bytes >= self._buffered:
            data = b"".join(chunks)
            chunks.clear()
        else:
            pieces = []
            left = max_bytes
            while left:
                chunk = chunks.popleft()
                pieces.append(chunk[:left])
                if len(chunk) > left:
                    chunks.appendleft(chunk[left:])
                left -= len(pieces[-1])
            data = b"".join(pieces)
        self._account(len(data))
        return data

    def _account(self, length: int) -> None:
        """The application has ``length`` more of the bytes that were taken: credit, as far as it was not granted."""
        self._buffered -= length
        granted = min(self._credited, length)
        self._credited -= granted
        if length > granted:
            self._binding.consume(length - granted)

    def _grant_buffered(self) -> None:
        """Grant credit for what waits here: somebody wants more than the window holds."""
        if self._buffered > self._credited:
            self._binding.consume(self._buffered - self._credited)
            self._credited = self._buffered

    def _discard(self) -> None:
        """Drop what has arrived, with credit for it: nobody will read it."""
        if not self._has_end:
            self._fill()
        self._grant_buffered()
        self._chunks = None
        self._buffered = self._credited = 0

    def _readable(self) -> None:
        if self._is_stopped:
            self._discard()
        elif self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _peer_reset(self, error_code: int) -> None:
        self._reset_code = error_code
        self._discard()
        self._wake()


def _check_count(value: int, name: str, lowest: int) -> None:
    if not isinstance(value, int) or value < lowest:
        least = "-1 for no limit, or a number of bytes" if lowest < 0 else "a number of bytes"
        raise ValueError(f"{name} is {least}, not {value!r}")
