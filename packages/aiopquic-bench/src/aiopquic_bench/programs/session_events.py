"""``aiopquic.asyncio.webtransport``, by the names that every release of aiopquic has: stream ids and events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from aiopquic.asyncio.webtransport import connect_webtransport, serve_webtransport
from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.events import (
    WebTransportDatagramReceived,
    WebTransportNewStream,
    WebTransportSessionClosed,
    WebTransportStreamDataReceived,
)

from .shape import HOST, Connection, Handler, Job, Stream, free_port, settings_of

__all__ = ["library"]


class _Stream:
    """A stream of a session, by its id."""

    def __init__(self, session: Any, stream_id: int) -> None:
        self._session = session
        self._id = stream_id
        self._events = session.receive_stream_data(stream_id)

    async def write(self, data: bytes, end: bool = False) -> None:
        await self._session.send_stream_data_drained(self._id, data, end)

    async def write_raw(self, data: bytes) -> None:
        while True:
            try:
                self._session.send_stream_data(self._id, data)
            except BufferError:
                await asyncio.sleep(0)
            else:
                return

    async def read_chunk(self) -> memoryview | None:
        async for event in self._events:
            if not isinstance(event, WebTransportStreamDataReceived):
                raise ConnectionError("the stream was reset")
            if event.data:
                return event.data
            if event.end_stream:
                break
        return None


class _Session:
    """A session; its events are the streams that the peer opens, and datagrams."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._incoming: asyncio.Queue[Stream | None] = asyncio.Queue()
        self._datagrams: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def pump(self) -> None:
        """Take the events, to the end of the session."""
        with suppress(ConnectionError):
            async for event in self._session.events():
                if isinstance(event, WebTransportNewStream):
                    self._incoming.put_nowait(_Stream(self._session, event.stream_id))
                elif isinstance(event, WebTransportDatagramReceived):
                    self._datagrams.put_nowait(bytes(event.data))
                elif isinstance(event, WebTransportSessionClosed):
                    break
        self._incoming.put_nowait(None)
        self._datagrams.put_nowait(None)

    async def open_stream(self) -> Stream:
        return _Stream(self._session, await self._session.create_stream())

    async def incoming_streams(self) -> AsyncIterator[Stream]:
        while (stream := await self._incoming.get()) is not None:
            yield stream

    async def incoming_datagrams(self) -> AsyncIterator[bytes]:
        while (datagram := await self._datagrams.get()) is not None:
            yield datagram

    async def send_datagram(self, data: bytes) -> None:
        # Returns 0 and clears the event while there is no room.
        while not self._session.send_datagram_frame(data):
            await self._session.get_datagram_tx_drain_event().wait()

    def abort(self) -> None:
        self._session.close(1)


class library:
    """Sessions, each on a connection of its own."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._settings = settings_of(job)

    @asynccontextmanager
    async def connect(self, port: int) -> AsyncIterator[Connection]:
        configuration = QuicConfiguration(is_client=True, cafile=self._job.authority, **self._settings)
        opening = connect_webtransport(
            HOST, port, "/bench", sni="localhost", configuration=configuration, ca_file=self._job.authority
        )
        async with opening as raw:
            session = _Session(raw)
            pump = asyncio.ensure_future(session.pump())
            try:
                yield session
            finally:
                pump.cancel()

    @asynccontextmanager
    async def serve(self, handler: Handler) -> AsyncIterator[int]:
        tasks: set[asyncio.Future[Any]] = set()

        async def handle(raw: Any) -> None:
            session = _Session(raw)
            pump = asyncio.ensure_future(session.pump())
            tasks.add(pump)
            pump.add_done_callback(tasks.discard)
            await handler(session)

        port = free_port()
        configuration = QuicConfiguration(
            is_client=False, certificate_file=self._job.certificate, private_key_file=self._job.private_key,
            max_connections=4096, max_streams_bidi=4096, **self._settings,
        )  # fmt: skip
        server = await serve_webtransport(
            HOST, port, "/bench", handler=handle, configuration=configuration,
            cert_file=self._job.certificate, key_file=self._job.private_key,
        )  # fmt: skip
        try:
            yield port
        finally:
            for task in tuple(tasks):
                task.cancel()
            await cast("Any", server).aclose()
