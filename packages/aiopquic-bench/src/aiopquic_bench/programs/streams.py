"""``aiopquic.connect`` and ``aiopquic.serve``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiopquic

from .shape import ALPN, HOST, Connection, Handler, Job, Stream

__all__ = ["library"]


class _Stream:
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.write = self.write_raw = stream.write
        self.read_chunk = stream.read_chunk


class _Connection:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.incoming_datagrams = connection.incoming_datagrams
        self.send_datagram = connection.send_datagram

    async def open_stream(self) -> Stream:
        return _Stream(await self._connection.open_stream())

    async def incoming_streams(self) -> AsyncIterator[Stream]:
        async for stream in self._connection.incoming_streams(bidirectional=True):
            yield _Stream(stream)

    def abort(self) -> None:
        self._connection.close(1)


class library:
    """Connections by the streams API."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._settings: dict[str, Any] = {"alpn": [ALPN]}
        if job.congestion_control is not None:
            self._settings["congestion_control_algorithm"] = job.congestion_control
        if job.driver is not None:
            self._settings["driver"] = job.driver

    @asynccontextmanager
    async def connect(self, port: int) -> AsyncIterator[Connection]:
        async with aiopquic.connect(HOST, port, cafile=self._job.authority, **self._settings) as connection:
            yield _Connection(connection)

    @asynccontextmanager
    async def serve(self, handler: Handler) -> AsyncIterator[int]:
        async def handle(connection: Any) -> None:
            await handler(_Connection(connection))

        opening = aiopquic.serve(
            handle, HOST, 0, certificate=self._job.certificate, private_key=self._job.private_key,
            max_connections=4096, max_streams_bidi=4096, **self._settings,
        )  # fmt: skip
        async with opening as server:
            yield server.port
