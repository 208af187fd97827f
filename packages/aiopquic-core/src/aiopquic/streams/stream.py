"""A stream with both directions."""

from __future__ import annotations

from types import TracebackType

from aiopquic.streams.receiving import ReceiveStream
from aiopquic.streams.sending import SendStream

__all__ = ["Stream"]


class Stream(SendStream, ReceiveStream):
    """A bidirectional stream: both sides write and read. The directions end apart.

    As a context manager: on a clean way out sending is finished, if it was not finished or reset already, and the
    peer is asked to stop unless everything was read. When the block raised, sending is reset and receiving stopped,
    both with code 0.
    """

    __slots__ = ()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._leave_sending(error)
        finally:
            self._leave_receiving()
