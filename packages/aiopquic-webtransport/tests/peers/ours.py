"""The exchange over aiopquic_webtransport, for the tests to run in their own loop."""

from __future__ import annotations

import asyncio

from wt_exchange import PATH, EndedError, ResetError, Session, StoppedError, Stream, Tell, answer

import aiopquic_webtransport as webtransport

__all__ = ["OurSession", "serve_exchange"]

KNOWN = ("exchange-1", "exchange-2")
POLL_INTERVAL = 0.01


class OurStream(Stream):
    def __init__(self, stream: webtransport.Stream | webtransport.SendStream | webtransport.ReceiveStream) -> None:
        self.stream = stream

    async def read(self) -> bytes:
        try:
            return await self.stream.read(65536)
        except webtransport.StreamResetError as error:
            raise ResetError(error.error_code) from error
        except webtransport.SessionClosedError as error:
            raise EndedError from error

    async def write(self, data: bytes, end: bool = False) -> None:
        try:
            await self.stream.write(data, end)
        except webtransport.StreamStoppedError as error:
            raise StoppedError(error.error_code) from error
        except webtransport.SessionClosedError as error:
            raise EndedError from error

    async def reset(self, code: int) -> None:
        self.stream.reset(code)

    async def stop(self, code: int) -> None:
        self.stream.stop(code)

    async def stopped(self) -> int:
        while self.stream.stop_code is None:  # noqa: ASYNC110 - only a write is told
            await asyncio.sleep(POLL_INTERVAL)
        return self.stream.stop_code


class OurSession(Session):
    def __init__(self, session: webtransport.Session) -> None:
        self.session = session
        self.protocol = session.protocol

    async def open(self, uni: bool = False) -> Stream:
        return OurStream(await (self.session.open_send_stream() if uni else self.session.open_stream()))

    async def accept(self, uni: bool = False) -> Stream:
        try:
            return OurStream(await self.session.accept_stream(bidirectional=not uni))
        except webtransport.SessionClosedError as error:
            raise EndedError from error

    async def send_datagram(self, data: bytes) -> None:
        try:
            await self.session.datagrams.send(data)
        except webtransport.SessionClosedError as error:
            raise EndedError from error

    async def receive_datagram(self) -> bytes:
        try:
            return await self.session.datagrams.receive()
        except webtransport.SessionClosedError as error:
            raise EndedError from error

    async def close(self, code: int, reason: str) -> None:
        await self.session.aclose(code, reason)

    async def closed(self) -> tuple[int, str]:
        """Of a session that ended with its connection, what the connection was closed with."""
        end = await self.session.closed
        if end.connection_reason is not None:
            return end.connection_reason.error_code or 0, end.connection_reason.reason
        return end.code, end.reason

    async def drain(self) -> None:
        self.session.drain()


async def serve_exchange(request: webtransport.Request, tell: Tell) -> None:
    """One request of a session: refused but for the path of the exchange."""
    if request.path != PATH:
        await request.reject(404)
        return
    chosen = next((name for name in request.protocols if name in KNOWN), None)
    await answer(OurSession(await request.accept(protocol=chosen)), tell)
