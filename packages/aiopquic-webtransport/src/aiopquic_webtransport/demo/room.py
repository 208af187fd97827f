"""Everybody who has the page open: who comes and goes, cursors, chat.

From a page: a datagram of 4 bytes is where its cursor is, x and y as shares of 65535; a one-way stream is a message,
its text. To a page: one one-way stream with a line of JSON for each thing that happens, and datagrams of 8 bytes, a
guest's number (4 bytes) and its cursor.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiopquic.exceptions import StreamError
from aiopquic_webtransport import Request, Session, SessionClosedError

__all__ = ["Room"]

logger = logging.getLogger("aiopquic.webtransport.demo")

#: Bytes of a message.
MESSAGE_BYTES = 2000

#: What waits for a page that does not read; with more it is closed.
LINES_MAX = 200

TOO_SLOW = 2
"The code of that close."


class _Guest:
    """One open page."""

    def __init__(self, number: int, session: Session) -> None:
        self.number = number
        self.session = session
        self.lines: asyncio.Queue[bytes] = asyncio.Queue(LINES_MAX)

    def tell(self, **what: object) -> None:
        try:
            self.lines.put_nowait(json.dumps(what).encode() + b"\n")
        except asyncio.QueueFull:
            self.session.close(TOO_SLOW, "this page does not read what it is told")


class Room:
    """The guests of one page."""

    def __init__(self) -> None:
        self._guests: dict[int, _Guest] = {}
        self._count = 0

    async def __call__(self, request: Request) -> None:
        """One guest, from the request to the end of the session."""
        session = await request.accept()
        async with self._guest(session) as guest, asyncio.TaskGroup() as group:
            writing = group.create_task(self._tell(guest))
            cursors = group.create_task(self._cursors(guest))
            async for stream in session.incoming_streams(bidirectional=False):
                try:
                    text = (await stream.read_all(limit=MESSAGE_BYTES)).decode("utf-8", "replace")
                except StreamError as error:
                    logger.info("guest %d: %s", guest.number, error)
                else:
                    self._tell_all(type="chat", guest=guest.number, text=text)
            writing.cancel()
            cursors.cancel()

    @asynccontextmanager
    async def _guest(self, session: Session) -> AsyncIterator[_Guest]:
        self._count += 1
        guest = _Guest(self._count, session)
        guest.tell(type="welcome", guest=guest.number, others=list(self._guests))
        self._tell_all(type="came", guest=guest.number)
        self._guests[guest.number] = guest
        try:
            yield guest
        finally:
            del self._guests[guest.number]
            self._tell_all(type="left", guest=guest.number)

    def _tell_all(self, **what: object) -> None:
        for guest in self._guests.values():
            guest.tell(**what)

    async def _tell(self, guest: _Guest) -> None:
        stream = await guest.session.open_send_stream()
        while True:
            await stream.write(await guest.lines.get())

    async def _cursors(self, guest: _Guest) -> None:
        async for place in guest.session.datagrams:
            if len(place) != 4:
                continue
            moved = struct.pack(">I", guest.number) + place
            for other in self._guests.values():
                if other is not guest:
                    try:
                        other.session.datagrams.try_send(moved)  # a cursor that finds no room is old soon
                    except SessionClosedError:
                        continue
