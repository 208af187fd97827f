"""Clients that are written byte by byte: what no library would send, or not in that order."""

from __future__ import annotations

import aiopquic
from aiopquic_webtransport import EndKind, Request, Session
from aiopquic_webtransport._varint import encode
from aiopquic_webtransport._wire import Setting
from aiopquic_webtransport.error_codes import WT_SESSION_GONE
from aiopquic_webtransport.testing import WebTransportLoopback

from .support import soon, until

DATA, HEADERS, SETTINGS = 0x00, 0x01, 0x04
CONTROL = 0x00
CLOSE_CAPSULE = 0x2843

CONNECT = {
    ":method": "CONNECT",
    ":protocol": "webtransport",
    ":scheme": "https",
    ":authority": "localhost",
    ":path": "/",
}


def frame(kind: int, payload: bytes) -> bytes:
    return encode(kind) + encode(len(payload)) + payload


def settings() -> bytes:
    values = {Setting.ENABLE_CONNECT_PROTOCOL: 1, Setting.H3_DATAGRAM: 1, Setting.ENABLE_WEBTRANSPORT: 1}
    return frame(SETTINGS, b"".join(encode(key) + encode(value) for key, value in values.items()))


def fields(values: dict[str, str]) -> bytes:
    """A field section of literals with literal names (RFC 9204 section 4.5.6)."""
    section = b"\0\0"
    for name, value in values.items():
        length = len(name)
        section += bytes([0x27, length - 7]) if length >= 7 else bytes([0x20 | length])
        section += name.encode() + bytes([len(value)]) + value.encode()
    return frame(HEADERS, section)


def close_capsule(code: int, reason: str) -> bytes:
    value = code.to_bytes(4, "big") + reason.encode()
    return frame(DATA, encode(CLOSE_CAPSULE) + encode(len(value)) + value)


async def test_a_close_behind_a_stop(webtransport: WebTransportLoopback):
    """Who closes stops us as well (draft section 6); where that comes first, the capsule still says how it ended."""
    sessions: list[Session] = []

    async def app(request: Request) -> None:
        sessions.append(await request.accept())
        await sessions[0].closed

    async with (
        webtransport.serve(app) as server,
        aiopquic.connect("127.0.0.1", server.port, alpn=["h3"], cafile=webtransport.certificate) as connection,
    ):
        control = await connection.open_send_stream()
        await control.write(encode(CONTROL) + settings())
        request = await connection.open_stream()
        await request.write(fields(CONNECT))
        await until(lambda: sessions)
        request.stop(WT_SESSION_GONE)
        await connection.ping()  # the server has seen that
        assert not sessions[0].is_closed
        await request.write(close_capsule(7, "grüße"), end_stream=True)
        info = await soon(sessions[0].closed)
        assert (info.code, info.reason, info.kind, info.is_remote) == (7, "grüße", EndKind.CLOSED, True)
