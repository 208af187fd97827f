"""aioquic, and qh3, whose names are the same.

Both queue what is written without a limit and tell nobody how much waits. A sender that does not wait would measure the
growth of that queue. So the receiving side tells the bytes that it has, on a unidirectional stream of its own, and the
sender keeps no more than ``WINDOW`` under way.
"""

from __future__ import annotations

import asyncio
import importlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from .shape import ALPN, HOST, Connection, Handler, Job, Stream, free_port

__all__ = ["library"]

WINDOW = 2 << 20
STEP = 1 << 18
_TOTAL_SIZE = 8


class _Stream:
    def __init__(self, protocol: Any, stream_id: int) -> None:
        self._protocol = protocol
        self._id = stream_id
        self._chunks: deque[bytes] = deque()
        self._has_end = False
        self._reader: asyncio.Future[None] | None = None

    async def write(self, data: bytes, end: bool = False) -> None:
        await self._protocol.send(self._id, data, end)

    async def write_raw(self, data: bytes) -> None:
        await self._protocol.send(self._id, data, False)

    async def read_chunk(self) -> bytes | None:
        while not self._chunks:
            if self._has_end:
                return None
            if self._protocol.is_over:
                raise ConnectionError("the connection ended")
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        return self._chunks.popleft()

    def feed(self, data: bytes, is_end: bool) -> None:
        if data:
            self._chunks.append(data)
        self._has_end = self._has_end or is_end
        self.wake()

    def wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class _Sorter:
    """Sorts the events of a connection by their streams: the part of a protocol that is ours."""

    events: Any
    "The library's module of events."
    transmit: Any
    close: Any

    def __init__(self, quic: Any, stream_handler: Any = None) -> None:
        super().__init__(quic, None)  # type: ignore[call-arg]
        self._connection = quic
        self.is_over = False
        self._streams: dict[int, _Stream] = {}
        self._incoming: asyncio.Queue[Stream | None] = asyncio.Queue()
        self._datagrams: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._sent = self._acked = self._received = self._told = 0
        self._total = b""
        self._total_id: int | None = None
        self._room = asyncio.Event()
        self._is_flushing = False

    def quic_event_received(self, event: Any) -> None:
        if isinstance(event, self.events.StreamDataReceived):
            if event.stream_id & 2:
                self._take_total(event.data)
            else:
                self._take(event)
        elif isinstance(event, self.events.DatagramFrameReceived):
            self._datagrams.put_nowait(event.data)
        elif isinstance(event, self.events.ConnectionTerminated):
            self.is_over = True
            for stream in self._streams.values():
                stream.wake()
            self._streams.clear()
            self._incoming.put_nowait(None)
            self._datagrams.put_nowait(None)
            self._room.set()

    def _take(self, event: Any) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            stream = self._streams[event.stream_id] = _Stream(self, event.stream_id)
            self._incoming.put_nowait(stream)
        stream.feed(event.data, event.end_stream)
        if event.end_stream:
            del self._streams[event.stream_id]
        self._received += len(event.data)
        if self._received - self._told >= STEP:
            self._told = self._received
            if self._total_id is None:
                self._total_id = self._connection.get_next_available_stream_id(is_unidirectional=True)
            self._connection.send_stream_data(self._total_id, self._told.to_bytes(_TOTAL_SIZE, "big"))
            self.flush()

    def _take_total(self, data: bytes) -> None:
        self._total += data
        whole = len(self._total) - len(self._total) % _TOTAL_SIZE
        if whole:
            self._acked = int.from_bytes(self._total[whole - _TOTAL_SIZE : whole], "big")
            self._total = self._total[whole:]
            self._room.set()

    async def send(self, stream_id: int, data: bytes, end: bool) -> None:
        while self._sent - self._acked > WINDOW:
            self._room.clear()
            await self._room.wait()
            if self.is_over:
                raise ConnectionError("the connection ended")
        self._sent += len(data)
        self._connection.send_stream_data(stream_id, data, end)
        self.flush()

    def flush(self) -> None:
        """Send soon, all writes of this turn of the loop at once."""
        if not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        self.transmit()

    async def open_stream(self) -> Stream:
        stream_id = self._connection.get_next_available_stream_id()
        stream = self._streams[stream_id] = _Stream(self, stream_id)
        self._connection.send_stream_data(stream_id, b"")  # the id is taken
        return stream

    async def incoming_streams(self) -> AsyncIterator[Stream]:
        while (stream := await self._incoming.get()) is not None:
            yield stream

    async def incoming_datagrams(self) -> AsyncIterator[bytes]:
        while (datagram := await self._datagrams.get()) is not None:
            yield datagram

    async def send_datagram(self, data: bytes) -> None:
        self._connection.send_datagram_frame(data)
        self.flush()

    def abort(self) -> None:
        self.close(error_code=1)


def _protocol_of(package: str) -> Any:
    """The library's protocol with ours in front."""
    base: Any = importlib.import_module(f"{package}.asyncio").QuicConnectionProtocol
    events: Any = importlib.import_module(f"{package}.quic.events")
    return type("Protocol", (_Sorter, base), {"events": events})


class library:
    """Connections by aioquic.asyncio or qh3.asyncio."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._asyncio: Any = importlib.import_module(f"{job.package}.asyncio")
        self._protocol = _protocol_of(job.package)
        configuration: Any = importlib.import_module(f"{job.package}.quic.configuration").QuicConfiguration
        self._settings = {"alpn_protocols": [ALPN], "max_datagram_frame_size": 65535}
        self._make = configuration

    @asynccontextmanager
    async def connect(self, port: int) -> AsyncIterator[Connection]:
        configuration = self._make(is_client=True, server_name="localhost", **self._settings)
        configuration.load_verify_locations(self._job.authority)
        opening = self._asyncio.connect(HOST, port, configuration=configuration, create_protocol=self._protocol)
        async with opening as protocol:
            yield cast("Connection", protocol)

    @asynccontextmanager
    async def serve(self, handler: Handler) -> AsyncIterator[int]:
        tasks: set[asyncio.Future[None]] = set()

        def create(*arguments: Any, **keywords: Any) -> Any:
            protocol = self._protocol(*arguments, **keywords)
            task = asyncio.ensure_future(handler(protocol))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            return protocol

        port = free_port()
        configuration = self._make(is_client=False, **self._settings)
        configuration.load_cert_chain(self._job.certificate, self._job.private_key)
        server = await self._asyncio.serve(HOST, port, configuration=configuration, create_protocol=create)
        try:
            yield port
        finally:
            for task in tuple(tasks):
                task.cancel()
            server.close()
