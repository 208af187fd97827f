"""The priority of streams that were given none of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiopquic.exceptions import WouldBlockError

if TYPE_CHECKING:
    from aiopquic._binding._stream import Stream

__all__ = ["StreamPriorities"]


class StreamPriorities:
    """Gives each stream the default before its first bytes, unless the program has set another."""

    def __init__(self) -> None:
        self._default: int | None = None
        self._settled: set[int] = set()
        "Open streams that have theirs."

    def set_default(self, priority: int) -> None:
        """For the streams that nothing was sent on yet."""
        if not 0 <= priority <= 255:
            raise ValueError(f"a stream priority is 0 to 255, not {priority}")
        self._default = priority

    def set(self, stream: Stream, priority: int) -> bool:
        """False when the network thread is too far behind with commands."""
        try:
            stream.set_priority(priority)
        except WouldBlockError:
            return False
        self._settled.add(stream.id)
        return True

    def before_send(self, stream: Stream) -> None:
        """Where there is no room for the command, there is none for the bytes: the next try comes here again."""
        if self._default is None or stream.id in self._settled or stream.sent or stream.send_queued:
            return
        self.set(stream, self._default)

    def over(self, stream_id: int) -> None:
        """Both directions of the stream have ended."""
        self._settled.discard(stream_id)
