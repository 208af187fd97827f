"""The cases, as the client sees them. Every byte that arrives is checked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from .adapters import library_of
from .measuring import Figures, Peer, Sample, Tally, Window, check_totals
from .pattern import Checker, Failure, pattern, pieces
from .server import HEADER, NUMBER, WRITES_PER_TURN, Asked, plant, resident_bytes, write_turn
from .shape import Connection, Job, Library, Stream

__all__ = ["CASES"]

#: Streams begin this far apart in the pattern, so that bytes of another stream are found.
APART = 1009

#: How many of them the memory is looked at for, and how many are there before.
CONNECTIONS = 100
STREAMS = 500
FIRST = 20

#: Seconds between two looks at a server to which datagrams may be on the way, and how many are to find no new one.
SETTLE_INTERVAL = 0.05
SETTLE_LOOKS = 10


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the sorted values that ``percent`` of them do not exceed."""
    return values[max(0, -int(-len(values) * percent // 100) - 1)]


async def up(job: Job, peer: Peer) -> Figures:
    """Bytes from client to server."""
    return await _move(job, peer, Asked.SINK)


async def down(job: Job, peer: Peer) -> Figures:
    """Bytes from server to client."""
    return await _move(job, peer, Asked.SOURCE)


async def _move(job: Job, peer: Peer, asked: Asked) -> Figures:
    tally, stop = Tally(), asyncio.Event()
    async with library_of(job).connect(peer.port) as connection:
        async with asyncio.TaskGroup() as tasks:
            for number in range(job.streams):
                tasks.create_task(_one_stream(job, connection, number * APART, asked, tally, stop))
            window = await Window.watch(job, peer, tally)
            stop.set()
        await check_totals(peer, tally)
    return window.throughput()


async def _one_stream(
    job: Job, connection: Connection, position: int, asked: Asked, tally: Tally, stop: asyncio.Event
) -> None:
    stream = await connection.open_stream()
    await stream.write(HEADER.pack(asked, job.size, position))
    reader = asyncio.ensure_future(_read(job, stream, Checker(position + 1), tally))
    try:
        if asked is Asked.SINK:
            await _write(job, stream, position, tally, stop, reader)
        else:
            await asyncio.wait([reader, asyncio.ensure_future(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
        if not reader.done():
            await stream.write(b"", True)
        await reader
    finally:
        reader.cancel()


async def _write(
    job: Job, stream: Stream, position: int, tally: Tally, stop: asyncio.Event, reader: asyncio.Future[None]
) -> None:
    write = stream.write_raw if job.raw else stream.write
    data = pieces(position, job.size)
    while not stop.is_set() and not reader.done():
        written = await write_turn(write, data, job.size)
        tally.sent += written


async def _read(job: Job, stream: Stream, checker: Checker, tally: Tally) -> None:
    while (chunk := await stream.read_chunk()) is not None:
        checker.check(chunk)
        tally.received += len(chunk)
        if job.plant:
            plant(job.plant, chunk)


async def churn(job: Job, peer: Peer) -> Figures:
    """Short streams, each sent back; for some time, or as many as the job says."""
    tally, stop = Tally(), asyncio.Event()
    first, last = asyncio.Event(), asyncio.Event()
    marks = {job.count // 4: first, job.count: last}

    async def open_streams(connection: Connection, number: int) -> None:
        body = job.size - HEADER.size
        while not stop.is_set():
            number += job.at_once
            sent = HEADER.pack(Asked.REPLY, 0, number % (1 << 32)) + pattern(number, body)
            stream = await connection.open_stream()
            tally.sent += body
            await stream.write(sent, True)
            if await _read_all(stream) != sent:
                raise Failure(f"a stream of {job.size} bytes came back otherwise")
            if job.plant:
                plant(job.plant, sent)
            tally.received += body
            tally.count += 1
            if tally.count in marks:
                marks[tally.count].set()

    async with library_of(job).connect(peer.port) as connection:
        async with asyncio.TaskGroup() as tasks:
            for number in range(job.at_once):
                tasks.create_task(open_streams(connection, number))
            if job.count:
                figures = await _counted(peer, tally, first, last)
            else:
                figures = (await Window.watch(job, peer, tally)).per_second()
            stop.set()
        await check_totals(peer, tally)
    return figures


async def _counted(peer: Peer, tally: Tally, first: asyncio.Event, last: asyncio.Event) -> Figures:
    """From one event to the other: how many streams, and how much memory has grown."""
    await first.wait()
    begin, client, server = await Sample.take(peer, tally), resident_bytes(), (await peer.report(True))["memory"]
    await last.wait()
    window = Window(begin, await Sample.take(peer, tally))
    server_after = (await peer.report(True))["memory"]
    grown = {
        "client_mb_grown": (resident_bytes() - client) / 1e6,
        "server_mb_grown": (server_after - server) / 1e6,
    }
    return {**grown, **window.per_second()}


async def echo(job: Job, peer: Peer) -> Figures:
    """A message and its echo, one at a time, on one stream."""
    tally = Tally()
    times: list[float] = []
    async with library_of(job).connect(peer.port) as connection:
        stream = await connection.open_stream()
        await stream.write(HEADER.pack(Asked.ECHO, 0, 0))
        await _read_exactly(stream, HEADER.size)
        begin: Sample | None = None
        start = time.perf_counter()
        while (now := time.perf_counter()) - start < job.warm_up + job.duration or not times:
            if begin is None and now - start >= job.warm_up:
                begin = await Sample.take(peer, tally)
                now = time.perf_counter()
            sent = pattern(tally.sent, job.size)
            await stream.write(sent)
            tally.sent += job.size
            if await _read_exactly(stream, job.size) != sent:
                raise Failure("an echo is not what was sent")
            if job.plant:
                plant(job.plant, sent)
            tally.received += job.size
            if begin is not None:
                times.append(time.perf_counter() - now)
        assert begin is not None
        window = Window(begin, await Sample.take(peer, tally))
        await stream.write(b"", True)
        await check_totals(peer, tally)
    times.sort()
    return {
        **{f"p{percent}_us": percentile(times, percent) * 1e6 for percent in (50, 99)},
        **window.per_second(len(times)),
    }


async def _read_exactly(stream: Stream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = await stream.read_chunk()
        if chunk is None:
            raise Failure("the stream ended too early")
        data = data + bytes(chunk) if data else bytes(chunk)
    return data


async def _read_all(stream: Stream) -> bytes:
    data = b""
    while (chunk := await stream.read_chunk()) is not None:
        data = data + bytes(chunk) if data else bytes(chunk)
    return data


async def datagrams(job: Job, peer: Peer) -> Figures:
    """Datagrams to the server, as fast as the library takes them."""
    tally, sent, stop = Tally(), Tally(), asyncio.Event()

    async def send(connection: Connection) -> None:
        while not stop.is_set():
            for _ in range(WRITES_PER_TURN):
                body = pattern(sent.count, job.size - NUMBER.size)
                await connection.send_datagram(NUMBER.pack(sent.count) + body)
                sent.count += 1
            await asyncio.sleep(0)

    async with library_of(job).connect(peer.port) as connection:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send(connection))
            window = await Window.watch(job, peer, tally)
            stop.set()
        arrived, looks = -1, 0
        while arrived != sent.count and looks < SETTLE_LOOKS:
            before, arrived = arrived, (await peer.report())["datagrams"]
            looks = looks + 1 if arrived == before else 0
            await asyncio.sleep(SETTLE_INTERVAL)
    return {**window.per_second(window.of_server("datagrams")), "lost_percent": 100 * (1 - arrived / sent.count)}


async def handshakes(job: Job, peer: Peer) -> Figures:
    """Connect and close."""
    tally, stop, library = Tally(), asyncio.Event(), library_of(job)

    async def connect() -> None:
        while not stop.is_set():
            async with library.connect(peer.port):
                if job.plant:
                    plant(job.plant, pattern(0, 1 << 16))
                tally.count += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(job.at_once):
            tasks.create_task(connect())
        window = await Window.watch(job, peer, tally)
        stop.set()
    return window.per_second()


async def memory_connection(job: Job, peer: Peer) -> Figures:
    """Connections that have done nothing but their handshakes."""
    library, stop = library_of(job), asyncio.Event()

    async def hold(is_open: asyncio.Event) -> None:
        async with library.connect(peer.port):
            is_open.set()
            await stop.wait()

    async with asyncio.TaskGroup() as tasks:  # they end all at once: some libraries take their time to close

        async def connect() -> None:
            is_open = asyncio.Event()
            tasks.create_task(hold(is_open))
            await is_open.wait()

        figures = await _growth(peer, connect, CONNECTIONS)
        stop.set()
    return figures


async def memory_stream(job: Job, peer: Peer) -> Figures:
    """Streams that have carried a few bytes each way and stay open."""
    library: Library = library_of(job)
    async with library.connect(peer.port) as connection:
        streams = []

        async def open_stream() -> None:
            stream = await connection.open_stream()
            await stream.write(HEADER.pack(Asked.ECHO, 0, 0))
            await _read_exactly(stream, HEADER.size)
            streams.append(stream)

        return await _growth(peer, open_stream, STREAMS)


async def _growth(peer: Peer, make: Callable[[], Awaitable[None]], count: int) -> Figures:
    for _ in range(FIRST):
        await make()
    client, server = resident_bytes(), (await peer.report(True))["memory"]
    for _ in range(count):
        await make()
    server_after = (await peer.report(True))["memory"]
    return {
        "client_kb_each": (resident_bytes() - client) / count / 1e3,
        "server_kb_each": (server_after - server) / count / 1e3,
    }


CASES: dict[str, Callable[[Job, Peer], Awaitable[Figures]]] = {
    "up": up,
    "down": down,
    "churn": churn,
    "echo": echo,
    "datagrams": datagrams,
    "handshakes": handshakes,
    "memory-connection": memory_connection,
    "memory-stream": memory_stream,
}
