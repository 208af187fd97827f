"""``aiopquic_webtransport.connect`` and ``serve``: a session in the place of the connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiopquic_webtransport

from .shape import HOST, Connection, Handler, Job, settings_of

__all__ = ["library"]


class _Connection:
    """A session; its streams need no adapter."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.open_stream = session.open_stream
        self.incoming_streams = partial(session.incoming_streams, bidirectional=True)
        self.send_datagram = session.datagrams.send

    def incoming_datagrams(self) -> AsyncIterator[bytes]:
        datagrams: AsyncIterator[bytes] = self._session.datagrams
        return datagrams

    def abort(self) -> None:
        self._session.close(1)


class library:
    """Sessions, each on a connection of its own."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._settings = settings_of(job)

    @asynccontextmanager
    async def connect(self, port: int) -> AsyncIterator[Connection]:
        url = f"https://localhost:{port}/"
        async with aiopquic_webtransport.connect(url, cafile=self._job.authority, **self._settings) as session:
            yield _Connection(session)

    @asynccontextmanager
    async def serve(self, handler: Handler) -> AsyncIterator[int]:
        async def app(request: Any) -> None:
            await handler(_Connection(await request.accept()))

        opening = aiopquic_webtransport.serve(
            app, HOST, 0, certificate=self._job.certificate, private_key=self._job.private_key,
            max_connections=4096, max_streams_bidi=4096, **self._settings,
        )  # fmt: skip
        async with opening as server:
            yield server.port
