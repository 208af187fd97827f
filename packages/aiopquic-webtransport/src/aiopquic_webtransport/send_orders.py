"""W3C's sendOrder over the priorities of QUIC streams."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from aiopquic.exceptions import WouldBlockError

if TYPE_CHECKING:
    from aiopquic_webtransport.streams import SendStream, SessionStream

__all__ = ["MIDDLE", "SendOrders"]

#: The priority of streams with order 0 in a session that uses others. Even numbers take turns among themselves.
MIDDLE = 128
_STEP = 2
_MOST = MIDDLE // _STEP - 1


class SendOrders:
    """The streams of one session that have an order, and the priorities that follow from it."""

    __slots__ = ("_orders", "_priorities")

    def __init__(self) -> None:
        self._orders: dict[SendStream, int] = {}
        self._priorities: dict[int, int] = {0: MIDDLE}

    @property
    def is_used(self) -> bool:
        """True once some stream had an order."""
        return bool(self._orders) or len(self._priorities) > 1

    def set(self, stream: SendStream, order: int) -> None:
        """Give a stream its order; others may have to move for it."""
        first = not self.is_used
        stream._send_order = order
        self._orders[stream] = order
        if order not in self._priorities:
            self._rank(order)
            for other in self._orders:
                self._apply(other)
        else:
            self._apply(stream)
        if first:
            for sibling in stream._session._streams.values():
                self.added(sibling)

    def added(self, stream: SessionStream) -> None:
        """A stream without an order: 0 has a place of its own once others have theirs."""
        if not self.is_used:
            return  # most sessions; and not even the import, which each stream would pay for
        from aiopquic_webtransport.streams import SendStream

        if isinstance(stream, SendStream) and stream not in self._orders:
            self._orders[stream] = 0
            self._apply(stream)

    def forget(self, stream: SessionStream) -> None:
        """The stream is over."""
        self._orders.pop(stream, None)  # type: ignore[call-overload]

    def _rank(self, new: int) -> None:
        """Places for every order in use: spread from the middle, those that find no room share the outermost."""
        orders = {0, new, *self._orders.values()}
        above = sorted(order for order in orders if order > 0)
        below = sorted((order for order in orders if order < 0), reverse=True)
        self._priorities = {0: MIDDLE}
        for rank, order in enumerate(above, 1):
            self._priorities[order] = MIDDLE - _STEP * min(rank, _MOST)
        for rank, order in enumerate(below, 1):
            self._priorities[order] = MIDDLE + _STEP * min(rank, _MOST)

    def _apply(self, stream: SendStream) -> None:
        priority = self._priorities[stream._send_order]
        if stream.priority != priority:
            with suppress(WouldBlockError):  # the network thread is far behind: the next change comes here again
                stream.priority = priority
