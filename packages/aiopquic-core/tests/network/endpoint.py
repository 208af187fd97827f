"""A server or a client of ours, in a process of its own: told what to do, it answers, and tells what happens.

A stream carries two numbers first: how many bytes the client sends behind them, and how many it wants. The server
answers with the SHA-256 of what came, and that many bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import aiopquic

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers"))

from exchange import pattern

ALPN = "network"


def tell(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


def facts(path: aiopquic.PathInfo) -> dict[str, Any]:
    return {name: getattr(path, name) for name in path.__slots__}


class Taken:
    """What is read of a stream: told of at its half."""

    def __init__(self, expected: int) -> None:
        self.length, self.expected = 0, expected
        self._hash = hashlib.sha256()

    def add(self, data: memoryview | bytes) -> None:
        half = self.expected // 2
        if self.length < half <= self.length + len(data):
            tell(event="half")
        self.length += len(data)
        self._hash.update(data)

    def digest(self) -> bytes:
        return self._hash.digest()


async def write(stream: aiopquic.Stream, pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        await stream.write(piece)
    await stream.finish()


class Endpoint:
    """What both have: the events of each connection's paths, and its end."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()

    def begin(self, coroutine: Any) -> None:
        async def run() -> None:
            with suppress(aiopquic.QuicConnectionError, aiopquic.StreamError):  # the end of the connection is told
                await coroutine

        task = asyncio.create_task(run())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def watch(self, connection: aiopquic.Connection) -> None:
        async for event in connection.path_events():
            tell(event="path", kind=event.kind, id=event.path.id, peer_address=event.path.peer_address)
        tell(event="ended", kind=(await connection.wait_closed()).kind.name)


class Server(Endpoint):
    def __init__(self) -> None:
        super().__init__()
        self.connections: list[aiopquic.Connection] = []

    async def handle(self, connection: aiopquic.Connection) -> None:
        self.connections.append(connection)
        self.begin(self.watch(connection))
        async for stream in connection.incoming_streams(bidirectional=True):
            self.begin(self.answer(stream))

    async def answer(self, stream: aiopquic.Stream) -> None:
        there, back = struct.unpack("!QQ", await stream.readexactly(16))
        taken = Taken(there)
        async for chunk in stream:
            taken.add(chunk)
        await stream.write(taken.digest())
        await write(stream, pattern("server", back))

    async def do_connections(self) -> list[Any]:
        return [connection.peer_address for connection in self.connections]

    async def do_paths(self) -> list[dict[str, Any]]:
        return [facts(path) for path in await self.connections[-1].paths()]


class Client(Endpoint):
    def __init__(self, connection: aiopquic.Connection) -> None:
        super().__init__()
        self.connection = connection
        self.begin(self.watch(connection))

    async def do_transfer(self, there: int, back: int) -> dict[str, Any]:
        start = time.monotonic()
        stream = await self.connection.open_stream()
        await stream.write(struct.pack("!QQ", there, back))
        await write(stream, pattern("client", there))
        theirs = await stream.readexactly(32)
        taken = Taken(back)
        async for chunk in stream:
            taken.add(chunk)
        seconds = time.monotonic() - start
        return {"there": theirs.hex(), "back": taken.digest().hex(), "length": taken.length, "seconds": seconds}

    async def do_migrate(self, address: str) -> dict[str, Any]:
        return facts(await self.connection.migrate(address))

    async def do_add_path(self, address: str) -> dict[str, Any]:
        return facts(await self.connection.add_path(address))

    async def do_paths(self) -> list[dict[str, Any]]:
        return [facts(path) for path in await self.connection.paths()]

    async def do_ping(self) -> float:
        return await self.connection.ping()

    async def do_stats(self) -> dict[str, Any]:
        stats = await self.connection.stats()
        return {name: getattr(stats, name) for name in stats.__slots__}


async def obey(endpoint: Endpoint, reader: asyncio.StreamReader) -> None:
    """Each line is a request, which runs beside the others; the end of the input is the end."""

    async def do(request: dict[str, Any]) -> None:
        try:
            result = await getattr(endpoint, f"do_{request.pop('do')}")(**request["with"])
            tell(id=request["id"], result=result)
        except (aiopquic.AiopquicError, OSError) as error:
            tell(id=request["id"], error=f"{type(error).__name__}: {error}")

    while line := await reader.readline():
        endpoint.begin(do(json.loads(line)))


async def standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def serve(reader: asyncio.StreamReader, host: str, settings: dict[str, Any]) -> None:
    endpoint = Server()
    async with await aiopquic.serve(endpoint.handle, host, 0, alpn=[ALPN], **settings) as server:
        tell(event="listening", port=server.port)
        await obey(endpoint, reader)


async def connect(reader: asyncio.StreamReader, host: str, port: int, settings: dict[str, Any]) -> None:
    async with aiopquic.connect(host, port, alpn=[ALPN], **settings) as connection:
        endpoint = Client(connection)
        tell(event="connected", local_address=connection.local_address)
        await obey(endpoint, reader)


async def main(role: str, arguments: dict[str, Any]) -> None:
    reader = await standard_input()
    await (serve if role == "server" else connect)(reader, **arguments)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
