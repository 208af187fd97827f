"""``aiopquic_webtransport.connect`` and ``serve``: a session in the place of the connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import cast

import aiopquic_webtransport
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic_bench.apis.shape import HOST, Connection, Handler, Server, Stream
from aiopquic_webtransport import Request, Session

__all__ = ["connect", "serve"]

#: What the server's certificate is for.
SERVER_NAME = "localhost"


class SessionConnection:
    """A session, with the names of a connection."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.is_client = session.is_client
        self.open_stream = session.open_stream
        self.close = session.close
        self.send_datagram = session.datagrams.send

    def incoming_streams(self) -> AsyncIterator[Stream]:
        """The peer's bidirectional streams, until the end of the session."""
        return self._session.incoming_streams(bidirectional=True)

    def incoming_datagrams(self) -> AsyncIterator[bytes]:
        """The peer's datagrams, until the end of the session."""
        return self._session.datagrams


@asynccontextmanager
async def connect(port: int, configuration: QuicConfiguration) -> AsyncIterator[Connection]:
    """Open a session on a connection of its own to a port of this host."""
    url = f"https://{SERVER_NAME}:{port}/"
    async with aiopquic_webtransport.connect(url, configuration=configuration) as session:
        yield SessionConnection(session)


def serve(handler: Handler, configuration: QuicConfiguration, workers: int) -> AbstractAsyncContextManager[Server]:
    """Serve on a port that the system chooses."""

    async def app(request: Request) -> None:
        await handler(SessionConnection(await request.accept()))

    opening = aiopquic_webtransport.serve(app, HOST, 0, configuration=configuration, workers=workers)
    return cast("AbstractAsyncContextManager[Server]", opening)
