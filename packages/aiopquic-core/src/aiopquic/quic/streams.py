"""Stream ids (RFC 9000 section 2.1): whose they are, and which were used."""

from __future__ import annotations

__all__ = ["StreamTable", "stream_is_client_initiated", "stream_is_unidirectional"]


def stream_is_client_initiated(stream_id: int) -> bool:
    """True when the client opens streams of this id."""
    return not stream_id & 1


def stream_is_unidirectional(stream_id: int) -> bool:
    """True when bytes flow only from the side that opens the stream."""
    return bool(stream_id & 2)


#: Own ids may be used out of order, but not this far ahead: each one that is left out is remembered.
MAX_GAP = 65536


class StreamTable:
    """Which ids one side has used: four counters, whatever the number of streams."""

    def __init__(self, is_client: bool) -> None:
        self._own_bit = 0 if is_client else 1
        self._highest = [-1, -1, -1, -1]
        "The largest sequence number used or handed out, by the two low bits of the id."
        self._unused: set[int] = set()
        "Own ids up to the highest that were not used yet."

    def is_own(self, stream_id: int) -> bool:
        """True when this side opens streams of that id."""
        return stream_id >= 0 and stream_id & 1 == self._own_bit

    def next_id(self, is_unidirectional: bool) -> int:
        """Hand out the next own id."""
        kind = self._own_bit | (2 if is_unidirectional else 0)
        self._highest[kind] += 1
        stream_id = self._highest[kind] << 2 | kind
        self._unused.add(stream_id)
        return stream_id

    def claim(self, stream_id: int) -> bool:
        """Mark an own id as used; False when it was used before."""
        kind, number = stream_id & 3, stream_id >> 2
        highest = self._highest[kind]
        if number > highest + MAX_GAP:
            raise ValueError(f"stream {stream_id} is too far ahead: ids are used in steps of 4")
        if number > highest:
            self._unused.update(skipped << 2 | kind for skipped in range(highest + 1, number))
            self._highest[kind] = number
            return True
        if stream_id in self._unused:
            self._unused.remove(stream_id)
            return True
        return False

    def seen(self, stream_id: int) -> None:
        """The peer used this id, and with it every lower one of its kind."""
        kind, number = stream_id & 3, stream_id >> 2
        if number > self._highest[kind]:
            self._highest[kind] = number

    def was_open(self, stream_id: int) -> bool:
        """True when the id was used before."""
        return stream_id >= 0 and stream_id >> 2 <= self._highest[stream_id & 3] and stream_id not in self._unused
