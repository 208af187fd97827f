"""Events that say when a stream has room to send again, for programs that do the waiting themselves."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING

from aiopquic.quic.facts import ConnectionFacts

if TYPE_CHECKING:
    from aiopquic._binding._connection import Connection
    from aiopquic._binding._stream import Stream

__all__ = ["ConnectionDrains", "set_soon"]


def set_soon(event: asyncio.Event) -> None:
    """At the loop's next turn: there is room, if less than was wanted, and who tries again lets others have a turn."""
    event.clear()
    try:
        asyncio.get_running_loop().call_soon(event.set)
    except RuntimeError:  # no loop runs, so nobody waits
        event.set()


class ConnectionDrains(ConnectionFacts):
    """One :class:`asyncio.Event` a stream, as long as somebody holds it."""

    def __init__(self, connection: Connection | None) -> None:
        super().__init__(connection)
        self._drain_events: weakref.WeakValueDictionary[int, asyncio.Event] | None = None
        "Made for the first one who asks."
        self._drains_armed: set[int] = set()
        "Streams that will tell of room: an event that is made for one of them is not set."

    def get_tx_data_drain_event(self, stream_id: int) -> asyncio.Event:
        """An event that is set once at most half of the stream's budget is used, if that was asked for.

        To wait: clear it, call :meth:`set_tx_data_drain_pending`, look again (``tx_data_ring_used``, or another try to
        send), await it. A send that raises WouldBlockError has cleared it and asked already. The end of the stream
        or of the connection sets it too, so that nobody waits for ever.
        """
        if self._drain_events is None:
            self._drain_events = weakref.WeakValueDictionary()
        event = self._drain_events.get(stream_id)
        if event is None:
            self._drain_events[stream_id] = event = asyncio.Event()
            if stream_id not in self._drains_armed:
                event.set()
        return event

    def set_tx_data_drain_pending(self, stream_id: int) -> None:
        """Ask that the event of the stream be set when there is room; at once when there is, or the stream is over."""
        stream = self._connection.streams.get(stream_id) if self._connection is not None else None
        if stream is not None and self._close_reason is None and stream.want_writable():
            self._drains_armed.add(stream_id)
        elif (event := self._drain_event(stream_id)) is not None:
            set_soon(event)

    def clear_tx_data_drain_pending(self, stream_id: int) -> None:
        """Take the wish back. Whoever awaits the event all the same is woken still."""
        self._drains_armed.discard(stream_id)

    def _drain_event(self, stream_id: int) -> asyncio.Event | None:
        """The event, if somebody holds it."""
        return self._drain_events.get(stream_id) if self._drain_events is not None else None

    def _stream_is_full(self, stream: Stream) -> None:
        """A write found no room: the event says when to try again."""
        event = self._drain_event(stream.id)
        if event is not None:
            event.clear()
        self.set_tx_data_drain_pending(stream.id)

    def _stream_drained(self, stream_id: int) -> None:
        """There is room, or there never will be."""
        self._drains_armed.discard(stream_id)
        event = self._drain_event(stream_id)
        if event is not None:
            event.set()

    def _all_drained(self) -> None:
        """The connection has ended."""
        self._drains_armed.clear()
        for event in list(self._drain_events.values()) if self._drain_events is not None else ():
            event.set()
