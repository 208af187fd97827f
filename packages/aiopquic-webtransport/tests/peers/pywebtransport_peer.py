"""The peer on pywebtransport."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

from pywebtransport import (
    ClientConfig,
    ServerConfig,
    StreamError,
    WebTransportClient,
    WebTransportError,
    WebTransportServer,
    WebTransportSession,
)
from pywebtransport.types import EventType
from wt_exchange import (
    PATH,
    EndedError,
    ResetError,
    Session,
    StoppedError,
    Stream,
    answer,
    main,
    run_checks,
    tell,
    until_told,
)


def first(emitter: Any, event: EventType) -> asyncio.Future[dict[str, Any]]:
    """What the first event of that type says."""
    future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def arrived(told: Any) -> None:
        if not future.done():
            future.set_result(told.data)

    emitter.on(event_type=event, handler=arrived)
    return future


class TheirStream(Stream):
    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.was_reset = first(stream.events, EventType.STREAM_RESET_RECEIVED)
        self.was_stopped = first(stream.events, EventType.STREAM_STOP_SENDING_RECEIVED)

    async def read(self) -> bytes:
        try:
            return bytes(await self.stream.read(max_size=65536))
        except StreamError as error:
            raise ResetError((await self.was_reset)["error_code"]) from error

    async def write(self, data: bytes, end: bool = False) -> None:
        try:
            await self.stream.write_all(data=data, end_stream=end)
        except StreamError as error:
            raise StoppedError(error.error_code) from error

    async def reset(self, code: int) -> None:
        await self.stream.reset(error_code=code)

    async def stop(self, code: int) -> None:
        await self.stream.stop_receiving(error_code=code)

    async def stopped(self) -> int:
        code: int = (await asyncio.shield(self.was_stopped))["error_code"]
        return code


class TheirSession(Session):
    def __init__(self, session: WebTransportSession, protocol: str | None) -> None:
        self.session = session
        self.protocol = protocol
        self.end = first(session.events, EventType.SESSION_CLOSED)
        self.streams = {
            False: session.incoming_bidirectional_streams(),
            True: session.incoming_unidirectional_streams(),
        }

    async def open(self, uni: bool = False) -> Stream:
        create = self.session.create_unidirectional_stream if uni else self.session.create_bidirectional_stream
        return TheirStream(await create())

    async def accept(self, uni: bool = False) -> Stream:
        try:
            return TheirStream(await anext(self.streams[uni]))
        except StopAsyncIteration:
            raise EndedError from None

    async def send_datagram(self, data: bytes) -> None:
        await self.session.send_datagram(data=data)

    async def receive_datagram(self) -> bytes:
        try:
            return bytes(await self.session.read_datagram())
        except WebTransportError:
            raise EndedError from None

    async def close(self, code: int, reason: str) -> None:
        await self.session.close(error_code=code, reason=reason)

    async def closed(self) -> tuple[int, str]:
        end = await asyncio.shield(self.end)
        return end.get("error_code") or 0, end.get("reason") or ""


def free_port() -> int:
    """It refuses port 0: the system is asked for one beforehand."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def serve(options: dict[str, str]) -> None:
    port = free_port()
    config = ServerConfig(
        certfile=options["certificate"], keyfile=options["key"], bind_host="127.0.0.1", bind_port=port
    )
    known = options.get("protocols", "").split(",")
    async with WebTransportServer(config=config) as server:
        await server.listen()
        tell("listening", port=port)

        async def admit(session: WebTransportSession) -> None:
            chosen = next((name for name in session.wt_available_protocols or () if name in known), None)
            if session.path != PATH:
                await session.reject(status_code=404)
                return
            theirs = TheirSession(session, chosen)
            await session.accept(wt_protocol=chosen)
            await answer(theirs)

        async def each_session(connection: Any) -> None:
            async with asyncio.TaskGroup() as sessions:
                async for session in connection.incoming_sessions():
                    sessions.create_task(admit(session))

        async def each_connection() -> None:
            async with asyncio.TaskGroup() as connections:
                async for connection in server.incoming_connections():
                    connections.create_task(each_session(connection))

        serving = asyncio.create_task(each_connection())
        await until_told()
        serving.cancel()


async def client(options: dict[str, str]) -> None:
    config = ClientConfig(verify_mode=ssl.CERT_NONE)
    protocols = [name for name in options.get("protocols", "").split(",") if name]
    url = f"https://127.0.0.1:{options['port']}{PATH}"
    async with WebTransportClient(config=config) as endpoint:

        async def dial() -> Session:
            session = await endpoint.connect(url=url, wt_available_protocols=protocols or None, timeout=10)
            return TheirSession(session, session.wt_protocol)

        await run_checks(dial)


if __name__ == "__main__":
    main(serve, client)
