"""Two engines with the native half of WebTransport, and nothing of the Python API above it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiopquic.quic.configuration import QuicConfiguration
from aiopquic.quic.engine import QuicEngine
from aiopquic.testing.certificates import CertificateFiles
from aiopquic_webtransport import _native

DEADLINE = 20.0

CONNECT, RESPOND, CLOSE_SESSION, DRAIN_SESSION, GOAWAY = range(1, 6)
SETTINGS, REQUEST, RESPONSE, SESSION_CLOSED, SESSION_DRAINING, GOAWAY_TOLD, CAPSULE = range(1, 8)

SESSION_GONE = 0x170D7B68
REJECTED = 0x3994BD84

Headers = list[tuple[bytes, bytes]]


def pack(headers: Headers) -> bytes:
    """A list of header fields as the two threads hand it over."""
    return struct.pack(">H", len(headers)) + b"".join(
        struct.pack(">H", len(name)) + name + struct.pack(">I", len(value)) + value for name, value in headers
    )


def unpack(data: bytes) -> Headers:
    """The inverse of :func:`pack`."""
    (count,), at = struct.unpack_from(">H", data), 2
    headers = []
    for _ in range(count):
        (length,) = struct.unpack_from(">H", data, at)
        name = data[at + 2 : at + 2 + length]
        at += 2 + length
        (length,) = struct.unpack_from(">I", data, at)
        headers.append((name, data[at + 4 : at + 4 + length]))
        at += 4 + length
    assert at == len(data)
    return headers


def varint(value: int) -> bytes:
    """RFC 9000 section 16, for what ids need."""
    return bytes([value]) if value < 64 else struct.pack(">H", value | 0x4000)


def request(path: bytes = b"/app", token: bytes = b"webtransport-h3", *more: tuple[bytes, bytes]) -> Headers:
    """The fields of a CONNECT."""
    return [
        (b":method", b"CONNECT"),
        (b":protocol", token),
        (b":scheme", b"https"),
        (b":authority", b"localhost"),
        (b":path", path),
        (b"origin", b"https://localhost"),
        *more,
    ]


@dataclass
class Received:
    """What came on one stream."""

    stream: Any
    data: bytearray = field(default_factory=bytearray)
    fin: bool = False
    reset: int | None = None
    stopped: int | None = None
    released: bool = False


class Side:
    """The sink of one connection, which keeps account of everything."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.info: Any = None
        self.close_reason: Any = None
        self.events: list[tuple[int, int, bytes]] = []
        self.streams: dict[int, Received] = {}
        self.order: list[int] = []
        self.datagrams: list[tuple[int, bytes]] = []
        self.changed = asyncio.Event()
        connection.sink = self

    def of(self, stream: Any) -> Received:
        if stream.id not in self.streams:
            self.streams[stream.id] = Received(stream)
            self.order.append(stream.id)
        return self.streams[stream.id]

    def open(self, stream_id: int, scope: int) -> Any:
        """A stream in a session."""
        signal = 0x54 if stream_id & 2 else 0x41
        stream = self.connection.open_stream(stream_id, scope, varint(signal) + varint(scope))
        self.of(stream)
        return stream

    def command(self, kind: int, uid: int, data: bytes = b"") -> None:
        self.connection.protocol_command(kind, uid, data)

    def told(self, kind: int) -> list[tuple[int, bytes]]:
        """The events of one kind: ``(uid, data)``."""
        return [(uid, data) for k, uid, data in self.events if k == kind]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for what the condition says."""
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def first(self, kind: int) -> tuple[int, bytes]:
        """The first event of a kind, waited for."""
        await self.until(lambda: self.told(kind))
        return self.told(kind)[0]

    # ---- ConnectionSink ----

    def connection_ready(self, info: Any) -> None:
        self.info = info
        self.changed.set()

    def connection_closed(self, reason: Any) -> None:
        self.close_reason = reason
        self.changed.set()

    def protocol_event(self, kind: int, uid: int, data: bytes) -> None:
        self.events.append((kind, uid, data))
        self.changed.set()

    def datagrams_readable(self) -> None:
        self.datagrams += self.connection.take_datagrams_scoped()
        self.changed.set()

    def stream_readable(self, stream: Any) -> None:
        received = self.of(stream)
        buffers, fin = stream.take()
        for buffer in buffers:
            received.data += buffer
            stream.consume(len(buffer))
        received.fin |= fin
        self.changed.set()

    def stream_reset(self, stream: Any, error_code: int) -> None:
        self.of(stream).reset = error_code
        self.changed.set()

    def stream_stopped(self, stream: Any, error_code: int) -> None:
        self.of(stream).stopped = error_code
        self.changed.set()

    def stream_released(self, stream: Any) -> None:
        self.of(stream).released = True
        self.changed.set()

    def __getattr__(self, name: str) -> Any:
        if not name.startswith(("connection_", "stream_", "datagram")):
            raise AttributeError(name)
        return lambda *arguments: None


@dataclass
class NativePair:
    """Both ends of a connection whose SETTINGS have been exchanged."""

    client: Side
    server: Side

    async def session(self, stream_id: int = 0, token: bytes = b"webtransport-h3") -> None:
        """A session that the server accepts; its id is that of the stream."""
        self.client.command(CONNECT, stream_id, pack(request(token=token)))
        await self.server.until(lambda: stream_id in [uid for uid, _ in self.server.told(REQUEST)])
        self.server.command(RESPOND, stream_id, struct.pack(">H", 200) + pack([]))
        await self.client.until(lambda: stream_id in [uid for uid, _ in self.client.told(RESPONSE)])


async def start(configuration: QuicConfiguration, native: bool = True, **options: Any) -> QuicEngine:
    """An engine that runs on this loop."""
    protocols = (_native.protocol(),) if native else ()
    engine = QuicEngine(configuration=configuration, protocols=protocols, bind_addresses=("127.0.0.1",), **options)
    engine.attach(asyncio.get_running_loop())
    engine.start()
    await engine.wait_ready()
    return engine


@asynccontextmanager
async def native_pair(
    certificate: CertificateFiles,
    *,
    alpn: tuple[str, ...] = ("h3",),
    offered: str = "h3",
    client_speaks_h3: bool = True,
    **settings: Any,
) -> AsyncIterator[NativePair]:
    """A connection between two engines, ready; with HTTP/3 on both sides the SETTINGS have come, too."""
    common: dict[str, Any] = {"max_datagram_frame_size": 65536, **settings}
    accepted: list[Side] = []
    server = await start(
        QuicConfiguration(
            is_client=False,
            alpn_protocols=list(alpn),
            certificate_file=certificate.certificate,
            private_key_file=certificate.private_key,
            **common,
        ),
        on_accept=lambda connection: accepted.append(Side(connection)),
    )
    try:
        client = await start(
            QuicConfiguration(is_client=True, alpn_protocols=[offered], cafile=certificate.certificate, **common),
            native=client_speaks_h3,
        )
        try:
            ours = Side(client.binding.connect("127.0.0.1", server.port, "localhost", (offered,)))
            await ours.until(lambda: ours.info is not None)
            if client_speaks_h3 and offered == "h3":
                await ours.first(SETTINGS)
            await ours.until(lambda: accepted) if accepted else await _until(lambda: accepted)
            theirs = accepted[0]
            await theirs.until(lambda: theirs.info is not None)
            if client_speaks_h3 and offered == "h3":
                await theirs.first(SETTINGS)
            yield NativePair(ours, theirs)
        finally:
            await client.aclose()
    finally:
        await server.aclose()


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.001)
