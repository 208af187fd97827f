"""The peer on aioquic: draft 02, of which it has the streams and the datagrams; capsules and codes are made here."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.asyncio import serve as listen
from aioquic.buffer import Buffer, encode_uint_var
from aioquic.h3.connection import H3_ALPN, FrameType, H3Connection
from aioquic.h3.events import DatagramReceived, DataReceived, HeadersReceived, WebTransportStreamDataReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import stream_is_client_initiated, stream_is_unidirectional
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StopSendingReceived, StreamReset
from wt_exchange import (
    PATH,
    EndedError,
    ResetError,
    Session,
    Stream,
    answer,
    main,
    run_checks,
    tell,
    until_told,
)

CLOSE_SESSION = 0x2843
#: The codes of WebTransport within those of HTTP/3.
FIRST = 0x52E4A40FA8DB


def to_http(code: int) -> int:
    return FIRST + code + code // 0x1E


def from_http(code: int) -> int:
    shifted = code - FIRST
    return shifted - shifted // 0x1F


class TheirStream(Stream):
    def __init__(self, protocol: Protocol, stream_id: int) -> None:
        self.protocol, self.id = protocol, stream_id
        self.pieces: asyncio.Queue[bytes | int] = asyncio.Queue()
        self.stop_code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def quic(self) -> Any:
        return self.protocol._quic

    async def read(self) -> bytes:
        piece = await self.pieces.get()
        if isinstance(piece, int):
            raise ResetError(piece)
        return piece

    async def write(self, data: bytes, end: bool = False) -> None:
        if not self.stop_code.done():
            self.quic.send_stream_data(self.id, data, end_stream=end)
            self.protocol.transmit()

    async def reset(self, code: int) -> None:
        self.quic.reset_stream(self.id, to_http(code))
        self.protocol.transmit()

    async def stop(self, code: int) -> None:
        self.quic.stop_stream(self.id, to_http(code))
        self.protocol.transmit()

    async def stopped(self) -> int:
        return await asyncio.shield(self.stop_code)


class TheirSession(Session):
    def __init__(self, protocol: Protocol, session_id: int) -> None:
        self.connection, self.id = protocol, session_id
        self.protocol: str | None = None
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.end: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self.capsules = b""
        self.datagrams: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.incoming: dict[bool, asyncio.Queue[TheirStream | None]] = {False: asyncio.Queue(), True: asyncio.Queue()}

    @property
    def h3(self) -> H3Connection:
        return self.connection.h3

    async def open(self, uni: bool = False) -> Stream:
        stream_id = self.h3.create_webtransport_stream(self.id, is_unidirectional=uni)
        if not uni:  # its own HTTP/3 would take what comes back for a response
            with self.h3._get_or_create_stream(stream_id) as known:
                known.frame_type, known.session_id = FrameType.WEBTRANSPORT_STREAM, self.id
        return self.connection.add(stream_id)

    async def accept(self, uni: bool = False) -> Stream:
        stream = await self.incoming[uni].get()
        if stream is None:
            raise EndedError
        return stream

    async def send_datagram(self, data: bytes) -> None:
        self.h3.send_datagram(self.id, data)
        self.connection.transmit()

    async def receive_datagram(self) -> bytes:
        data = await self.datagrams.get()
        if data is None:
            raise EndedError
        return data

    async def close(self, code: int, reason: str) -> None:
        value = code.to_bytes(4, "big") + reason.encode()
        capsule = encode_uint_var(CLOSE_SESSION) + encode_uint_var(len(value)) + value
        self.h3.send_data(self.id, capsule, end_stream=True)
        self.connection.transmit()
        self.ended(code, reason)

    async def closed(self) -> tuple[int, str]:
        return await asyncio.shield(self.end)

    def ended(self, code: int, reason: str) -> None:
        if not self.end.done():
            self.end.set_result((code, reason))
            self.datagrams.put_nowait(None)
            for queue in self.incoming.values():
                queue.put_nowait(None)

    def received(self, data: bytes, ended: bool) -> None:
        """Capsules of the CONNECT stream; its end without one means code 0."""
        self.capsules += data
        while self.capsules:
            buffer = Buffer(data=self.capsules)
            try:
                kind, length = buffer.pull_uint_var(), buffer.pull_uint_var()
                value = buffer.pull_bytes(length)
            except ValueError:
                break
            self.capsules = self.capsules[buffer.tell() :]
            if kind == CLOSE_SESSION:
                self.ended(int.from_bytes(value[:4], "big"), value[4:].decode())
        if ended:
            self.ended(0, "")


class Protocol(QuicConnectionProtocol):
    admit: Callable[[Protocol, int, dict[bytes, bytes]], None]

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.h3 = H3Connection(self._quic, enable_webtransport=True)
        self.sessions: dict[int, TheirSession] = {}
        self.streams: dict[int, TheirStream] = {}

    def add(self, stream_id: int) -> TheirStream:
        stream = self.streams[stream_id] = TheirStream(self, stream_id)
        return stream

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamReset) and event.stream_id in self.streams:
            self.streams[event.stream_id].pieces.put_nowait(from_http(event.error_code))
        elif isinstance(event, StreamReset) and event.stream_id in self.sessions:
            self.sessions[event.stream_id].ended(event.error_code, "reset")
        elif isinstance(event, StopSendingReceived) and event.stream_id in self.streams:
            self.streams[event.stream_id].stop_code.set_result(from_http(event.error_code))
        elif isinstance(event, ConnectionTerminated):
            for session in self.sessions.values():
                session.ended(event.error_code, event.reason_phrase)
        for told in self.h3.handle_event(event):
            self.h3_event_received(told)

    def h3_event_received(self, event: object) -> None:
        if isinstance(event, HeadersReceived):
            headers = dict(event.headers)
            if event.stream_id in self.sessions:
                self.sessions[event.stream_id].protocol = headers.get(b"wt-protocol", b"").decode().strip('"') or None
                self.sessions[event.stream_id].status.set_result(int(headers[b":status"]))
            else:
                self.admit(event.stream_id, headers)
        elif isinstance(event, DataReceived) and event.stream_id in self.sessions:
            self.sessions[event.stream_id].received(event.data, event.stream_ended)
        elif isinstance(event, DatagramReceived) and event.stream_id in self.sessions:
            self.sessions[event.stream_id].datagrams.put_nowait(event.data)
        elif isinstance(event, WebTransportStreamDataReceived):
            self.stream_data_received(event)

    def stream_data_received(self, event: WebTransportStreamDataReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is None:
            stream = self.add(event.stream_id)
            uni = stream_is_unidirectional(event.stream_id)
            assert stream_is_client_initiated(event.stream_id) != self._quic.configuration.is_client
            self.sessions[event.session_id].incoming[uni].put_nowait(stream)
        if event.data:
            stream.pieces.put_nowait(event.data)
        if event.stream_ended:
            stream.pieces.put_nowait(b"")


def configuration(is_client: bool) -> QuicConfiguration:
    return QuicConfiguration(
        is_client=is_client, alpn_protocols=H3_ALPN, max_datagram_frame_size=65536, verify_mode=ssl.CERT_NONE
    )


async def serve(options: dict[str, str]) -> None:
    known = [f'"{name}"' for name in options.get("protocols", "").split(",")]
    tasks = set()

    class Server(Protocol):
        def admit(self, stream_id: int, headers: dict[bytes, bytes]) -> None:
            if headers.get(b":path") != PATH.encode():
                self.h3.send_headers(stream_id, [(b":status", b"404")], end_stream=True)
                return
            offered = headers.get(b"wt-available-protocols", b"").decode().split(",")
            chosen = next((name.strip() for name in offered if name.strip() in known), None)
            answered = [(b":status", b"200"), (b"sec-webtransport-http3-draft", b"draft02")]
            if chosen:
                answered.append((b"wt-protocol", chosen.encode()))
            self.h3.send_headers(stream_id, answered)
            session = self.sessions[stream_id] = TheirSession(self, stream_id)
            session.protocol = chosen.strip('"') if chosen else None
            task = asyncio.create_task(answer(session))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    settings = configuration(is_client=False)
    settings.load_cert_chain(options["certificate"], options["key"])
    server = await listen("127.0.0.1", 0, configuration=settings, create_protocol=Server)
    tell("listening", port=server._transport.get_extra_info("sockname")[1])
    await until_told()
    server.close()


async def client(options: dict[str, str]) -> None:
    protocols = ", ".join(f'"{name}"' for name in options.get("protocols", "").split(",") if name)
    authority = f"localhost:{options['port']}"
    opened: list[Any] = []

    async def dial() -> Session:
        context = connect(
            "127.0.0.1", int(options["port"]), configuration=configuration(True), create_protocol=Protocol
        )
        protocol: Any = await context.__aenter__()
        opened.append(context)
        stream_id = protocol._quic.get_next_available_stream_id()
        headers = [
            (b":method", b"CONNECT"),
            (b":scheme", b"https"),
            (b":authority", authority.encode()),
            (b":path", PATH.encode()),
            (b":protocol", b"webtransport"),
            (b"sec-webtransport-http3-draft02", b"1"),
        ]
        if protocols:
            headers.append((b"wt-available-protocols", protocols.encode()))
        session: TheirSession = TheirSession(protocol, stream_id)
        protocol.sessions[stream_id] = session
        protocol.h3.send_headers(stream_id, headers)
        protocol.transmit()
        status = await asyncio.wait_for(session.status, 10)
        assert status == 200, status
        return session

    try:
        await run_checks(dial)
    finally:
        for context in opened:
            await context.__aexit__(None, None, None)


if __name__ == "__main__":
    main(serve, client)
