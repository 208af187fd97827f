"""What arrives on the streams of a connection: handed over, held back while paused, dropped when given up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aiopquic.quic.events import StreamDataReceived

if TYPE_CHECKING:
    from aiopquic._binding._stream import Stream

__all__ = ["StreamReading"]


class StreamReading:
    """Which streams of one connection are paused or given up, and what waits on them.

    What is to be told is handed out one event at a time, for the program may pause the stream after each.
    """

    def __init__(self) -> None:
        self.paused: set[int] = set()
        self.stopped: set[int] = set()
        "Given up: no more bytes of them are told, only their end or their reset."
        self.unread: dict[int, tuple[Stream, list[memoryview], bool]] = {}
        "Paused streams that have something to tell: the bytes that were taken already, and whether they are the last."

    def pause(self, stream_id: int) -> None:
        """Tell nothing of this stream until :meth:`resume`."""
        self.paused.add(stream_id)

    def resume(self, stream_id: int) -> tuple[Stream, list[memoryview], bool] | None:
        """Undo :meth:`pause`; what waits is for :meth:`hand_over`."""
        self.paused.discard(stream_id)
        return self.unread.pop(stream_id, None)

    def stop(self, stream: Stream) -> Iterator[StreamDataReceived]:
        """The stream was given up by this side: what waits is dropped, and what comes."""
        self.paused.discard(stream.id)
        self.stopped.add(stream.id)
        return self._drop(stream)

    def readable(self, stream: Stream) -> Iterator[StreamDataReceived]:
        """Bytes or the end of the stream have arrived."""
        if stream.id in self.stopped:
            return self._drop(stream)
        if stream.id in self.paused:
            self.unread.setdefault(stream.id, (stream, [], False))
            return iter(())
        return self.hand_over(stream, [], False)

    def discard(self, stream: Stream) -> bool:
        """Take and forget what the stream holds, for it was given up; True when its end was there too."""
        _, buffers, fin = self.unread.pop(stream.id, (stream, [], False))
        arrived, ends = stream.take()
        stream.consume(sum(map(len, buffers)) + sum(map(len, arrived)))
        return fin or ends

    def over(self, stream_id: int) -> None:
        """Both directions of the stream have ended; what waits on a paused one still does."""
        self.stopped.discard(stream_id)
        if stream_id not in self.unread:
            self.paused.discard(stream_id)

    def _drop(self, stream: Stream) -> Iterator[StreamDataReceived]:
        return iter([StreamDataReceived(stream_id=stream.id, end_stream=True)] if self.discard(stream) else [])

    def hand_over(self, stream: Stream, buffers: list[memoryview], fin: bool) -> Iterator[StreamDataReceived]:
        """``buffers`` and what else has arrived, until somebody pauses the stream."""
        arrived, ends = stream.take()
        buffers = buffers + arrived
        fin = fin or ends
        if fin and not buffers:
            buffers = [memoryview(b"")]
        last = len(buffers) - 1
        for index, data in enumerate(buffers):
            yield StreamDataReceived(stream_id=stream.id, data=data, end_stream=fin and index == last)
            if index != last and stream.id in self.paused:
                self.unread[stream.id] = (stream, buffers[index + 1 :], fin)
                return
