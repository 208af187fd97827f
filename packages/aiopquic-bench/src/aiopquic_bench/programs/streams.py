"""``aiopquic.connect`` and ``aiopquic.serve``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiopquic

from .shape import ALPN, HOST, Connection, Handler, Job, settings_of

__all__ = ["library"]


class PlainConnection:
    """A connection or a session, whose streams need no adapter."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.open_stream = connection.open_stream
        self.incoming_streams = partial(connection.incoming_streams, bidirectional=True)
        self.incoming_datagrams = connection.incoming_datagrams
        self.send_datagram = connection.send_datagram

    def abort(self) -> None:
        self._connection.close(1)


class library:
    """Connections by the streams API."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._settings = {"alpn": [ALPN], **settings_of(job)}

    @asynccontextmanager
    async def connect(self, port: int) -> AsyncIterator[Connection]:
        async with aiopquic.connect(HOST, port, cafile=self._job.authority, **self._settings) as connection:
            yield PlainConnection(connection)

    @asynccontextmanager
    async def serve(self, handler: Handler) -> AsyncIterator[int]:
        async def handle(connection: Any) -> None:
            await handler(PlainConnection(connection))

        opening = aiopquic.serve(
            handle, HOST, 0, certificate=self._job.certificate, private_key=self._job.private_key,
            max_connections=4096, max_streams_bidi=4096, **self._settings,
        )  # fmt: skip
        async with opening as server:
            yield server.port
