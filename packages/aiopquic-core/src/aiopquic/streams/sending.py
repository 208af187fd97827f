"""The sending side of a stream."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aiopquic.exceptions import QuicConnectionError, StreamClosedError, StreamStoppedError
from aiopquic.quic.paths import path_id
from aiopquic.streams._base import BaseStream, check_code

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from aiopquic.quic.paths import PathInfo

__all__ = ["SendStream"]


class SendStream(BaseStream):
    """A stream that this side writes. Made by :meth:`Connection.open_send_stream`.

    As a context manager it finishes the stream on the way out, or resets it with code 0 when the block raised.
    """

    __slots__ = ()

    # ---- writing ----

    async def write(self, data: Buffer, end_stream: bool = False) -> None:
        """Write all of ``data``, and the end of the stream with ``end_stream``.

        ``data`` is anything contiguous with the buffer protocol, of any size; it may be changed afterwards, for what
        can change is copied. 64 KiB or more of ``bytes``, or of a memoryview of ``bytes``, are not: they are held until
        they are sent. Writes of several tasks are sent one after the other, in the order in which they were called.

        Raises:
            StreamStoppedError: the peer wants no more of this stream; ``error_code`` is its code.
            StreamClosedError: the stream was finished or reset by this side.
            QuicConnectionError: the connection has ended; ``close_reason`` says why.

        Backpressure: returns when the last byte is within the send budgets (``stream_ring_cap`` of the stream and
        ``tx_max_queued_bytes`` of the connection), at once and without a turn of the loop while there is room. It
        does not wait for the peer; :meth:`wait_acked` does.

        Cancellation: what was within the budget already is sent, the rest of ``data`` is not, and the stream goes on
        behind it. How much that was is not known, so a cancelled write is most often followed by :meth:`reset`.
        """
        try:
            # Most writes end here, where each call of a function is a tenth of one: _write_now() has the rest.
            if (
                not self._writers
                and self._owner._end is None
                and self._connection._end is None
                and self._binding.write_bytes(data, end_stream)
            ):
                if end_stream:
                    self._is_finished = True
            elif not self._write_now(data, end_stream):
                await self._write_in_turn(data, end_stream)
        except (QuicConnectionError, StreamStoppedError, StreamClosedError) as error:
            raise await self._explain(error) from None

    def try_write(self, data: Buffer, end_stream: bool = False) -> bool:
        """Write all of ``data`` at once, or nothing: False when there is no room, or other writes wait.

        Raises:
            ValueError: ``data`` is larger than a whole send budget and will never fit: :meth:`write` takes it.
            StreamStoppedError, StreamClosedError, QuicConnectionError: as :meth:`write`.
        """
        largest = self._connection._sender.budget
        if _size(data) > largest:
            raise ValueError(f"the data is larger than the send budget of {largest} bytes: await write() instead")
        try:
            return self._write_now(data, end_stream)
        except StreamStoppedError:
            raise self._stopped() from None

    async def finish(self) -> None:
        """End the stream: the peer reads what was written, then the end (FIN, RFC 9000 section 19.8).

        Harmless when the stream is finished already.

        Raises:
            StreamStoppedError, QuicConnectionError: as :meth:`write`.
            StreamClosedError: the stream was reset by this side.

        Backpressure: waits only for writes of other tasks that wait for room.

        Cancellation: safe; the stream is finished or it is not, as ``is_finished`` says.
        """
        if not self._is_finished or self._is_reset:
            await self.write(b"", end_stream=True)

    def reset(self, code: int = 0) -> None:
        """Give up sending: what the peer does not have is dropped (RESET_STREAM, RFC 9000 section 19.4).

        The peer's reads raise StreamResetError with this code. Harmless when sending is over.

        Raises:
            ValueError: ``code`` is not 0 to 2**62 - 1.
            WouldBlockError: with ``event_ring_capacity`` set, too many commands wait; nothing was done.
        """
        check_code(code)
        if self._is_reset or self._is_released or self._connection._end is not None:
            return
        try:
            self._binding.reset(code)
        except QuicConnectionError:
            return  # it ended just now
        self._is_reset = True
        self._connection._sender.stream_changed(self._binding.id)
        self._wake()

    async def wait_acked(self) -> None:
        """Wait until the peer has acknowledged every byte written so far, and the end if the stream is finished.

        That is the peer's QUIC stack; whether its application has read them only its own answer can tell.

        Raises:
            StreamStoppedError: the peer gave up reading before.
            StreamClosedError: the stream was reset by this side.
            QuicConnectionError: the connection ended before.

        Cancellation: safe; nothing changes.
        """
        while self._is_sound():
            try:
                if not self._binding.want_acked():
                    return
            except (QuicConnectionError, StreamStoppedError) as error:
                raise await self._explain(error) from None
            waiter = asyncio.get_running_loop().create_future()
            if self._ack_waiters is None:
                self._ack_waiters = []
            self._ack_waiters.append(waiter)
            try:
                if await waiter:
                    return
            finally:
                self._ack_waiters.remove(waiter)

    def _is_sound(self) -> bool:
        """True while there is something to wait for, False when all has arrived; raises when it can't any more."""
        if self._stop_code is not None:
            raise self._stopped()
        if self._is_reset:
            text = f"stream {self.id} was reset by this side: what was written may be lost"
            raise StreamClosedError(text, self.id)
        if self._is_released:
            return False
        if self._connection.close_reason is not None:
            raise self._connection.close_reason.exception()
        return True

    # ---- what is known ----

    @property
    def is_finished(self) -> bool:
        """True once the end was written: :meth:`finish` is done."""
        return self._is_finished

    @property
    def is_reset(self) -> bool:
        """True once :meth:`reset` was called."""
        return self._is_reset

    @property
    def stop_code(self) -> int | None:
        """The code with which the peer asked to stop (STOP_SENDING); None as long as it has not."""
        return self._stop_code

    @property
    def bytes_waiting(self) -> int:
        """Bytes that were written and are in no packet yet."""
        return self._binding.send_queued

    @property
    def priority(self) -> int:
        """Among the streams of the connection: 0 is sent first, 255 last, and 9 is what a stream starts with.

        Streams of an equal priority take turns when the number is even, and are sent one after the other, the oldest
        first, when it is odd.
        """
        return self._priority

    @priority.setter
    def priority(self, value: int) -> None:
        if not isinstance(value, int) or not 0 <= value <= 255:
            raise ValueError(f"a stream priority is 0 to 255, not {value!r}")
        if self._is_released or self._connection._end is not None:
            return
        self._binding.set_priority(value)
        self._priority = value

    def set_path(self, path: PathInfo | int | None) -> None:
        """Send this stream's bytes on that path alone; None: on any, as at the beginning.

        While that path can't be used, its streams wait. One that is deleted lets them go on others.

        Raises:
            QuicConnectionError: the connection has ended.
        """
        self._connection._require_open()
        self._binding.set_path(path_id(path) if path is not None else None)

    # ---- as a context manager ----

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave_sending(error)

    async def _leave_sending(self, error: BaseException | None) -> None:
        """Finish, or reset after an error; nothing when sending is over, by whoever ended it."""
        if error is not None:
            self.reset(0)
        elif not self._is_finished and not self._is_reset and self._stop_code is None:
            try:
                await self.finish()
            except StreamStoppedError:
                pass  # the peer was faster
            except BaseException:
                self.reset(0)
                raise

    # ---- private ----

    def _write_now(self, data: Buffer, end_stream: bool) -> bool:
        """True when all of it was taken."""
        end = self._connection._end
        if end is not None:
            raise end.exception()
        if self._writers or _size(data) > self._connection._sender.budget:
            return False
        if not self._binding.try_write(data, end_stream):
            return False
        if end_stream:
            self._is_finished = True
        return True

    async def _write_in_turn(self, data: Buffer, end_stream: bool) -> None:
        connection = self._connection
        if self._turn is None:
            self._turn = asyncio.Lock()
        self._writers += 1
        try:
            async with self._turn:
                if end_stream and self._is_finished and not _size(data):
                    return  # two tasks finish it
                await connection._sender.write(connection._binding, self._binding, data, end_stream)
                if end_stream:
                    self._is_finished = True
        finally:
            self._writers -= 1
            if not self._writers:
                self._turn = None

    async def _explain(self, error: QuicConnectionError | StreamStoppedError | StreamClosedError) -> Exception:
        """The same error with the code, or with the reason that is on its way from the network thread."""
        if isinstance(error, StreamClosedError):
            return error
        return self._stopped() if isinstance(error, StreamStoppedError) else await self._connection._explain()

    def _stopped(self) -> Exception:
        """What the peer's STOP_SENDING means to a writer."""
        stream_id, code = self._binding.id, self._stop_code or 0
        text = f"the peer asked us to stop sending on stream {stream_id}, with code {code:#x}"
        return StreamStoppedError(text, stream_id, code)

    def _peer_stopped(self, error_code: int) -> None:
        self._stop_code = error_code
        self._connection._sender.stream_changed(self._binding.id)
        self._wake()

    def _acked(self) -> None:
        for waiter in self._ack_waiters or ():
            if not waiter.done():
                waiter.set_result(True)


def _size(data: Buffer) -> int:
    """Bytes of ``data``."""
    if type(data) is bytes:
        return len(data)
    view = memoryview(data)
    if not view.c_contiguous:
        raise ValueError("the data is not contiguous in memory: write bytes(data)")
    return view.nbytes
