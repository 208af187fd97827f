"""Serving a folder."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from aiopquic.cli.paths import locate, printable, walk
from aiopquic.cli.protocol import (
    Code,
    Digest,
    End,
    Entry,
    Failure,
    Get,
    Head,
    List,
    Message,
    PathStats,
    Put,
    Ready,
    RequestError,
    Stats,
)
from aiopquic.cli.streams import RequestProtocol, RequestStream
from aiopquic.cli.transfer import Part, failure_of, hash_file, open_file, receive_file, send_file
from aiopquic.exceptions import QuicConnectionError, StreamError
from aiopquic.quic.connection import QuicConnection
from aiopquic.quic.events import ConnectionTerminated, QuicEvent
from aiopquic.quic.streams import stream_is_unidirectional

__all__ = ["MAX_REQUESTS", "FileServerProtocol", "Folder"]

#: Requests of one connection at a time: the server's limit of streams.
MAX_REQUESTS = 64

#: Files of a listing that are looked up at a time.
LIST_BATCH = 256


def _ignore(*_: object) -> None:
    pass


@dataclass(slots=True)
class Folder:
    """What is served, and how."""

    root: Path
    "Resolved."
    is_writable: bool = False
    request_timeout: float = 10.0
    "Seconds that a request may take to arrive."
    log: Callable[[str], None] = _ignore
    "Called with a line for each request that ends."
    on_closed: Callable[[FileServerProtocol], None] = _ignore
    "Called when a connection has ended."


class FileServerProtocol(RequestProtocol):
    """One connection of a client."""

    def __init__(self, folder: Folder, quic: QuicConnection, stream_handler: None = None) -> None:
        super().__init__(quic, stream_handler)
        self._folder = folder
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened = StreamIds()
        self.bytes_in = 0
        self.bytes_out = 0
        self.files = 0
        "Files that were transferred to their ends."

    def quic_event_received(self, event: QuicEvent) -> None:
        super().quic_event_received(event)
        if isinstance(event, ConnectionTerminated):
            self._folder.on_closed(self)

    def stream_opened(self, stream_id: int) -> RequestStream | None:
        if stream_is_unidirectional(stream_id) or not self._opened.add(stream_id):
            return None
        stream = self.new_request(stream_id)
        task = asyncio.get_running_loop().create_task(self._serve(stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return stream

    async def _serve(self, stream: RequestStream) -> None:
        """One request from its first byte to its end; a failure is told to the client."""
        outcome = "done"
        request: Message | None = None
        try:
            try:
                async with asyncio.timeout(self._folder.request_timeout):
                    request = await stream.read_message(List, Get, Put, Stats)
                    if not isinstance(request, Put):
                        await stream.read_end()
                await self._dispatch(request, stream)
            except (StreamError, QuicConnectionError):
                raise  # some are OSErrors too
            except TimeoutError:
                raise RequestError(Code.TIMEOUT) from None
            except OSError as error:
                raise failure_of(error) from error
        except RequestError as error:
            outcome = str(error)
            await self._tell(stream, error)
        except (StreamError, QuicConnectionError) as error:
            outcome = str(error)
            stream.give_up()
        finally:
            self.end_request(stream)
            self._folder.log(f"{self._describe(request)}: {outcome}")

    def _describe(self, request: Message | None) -> str:
        address = self._quic.peer_address()
        who = f"{address[0]} port {address[1]}" if address is not None else "?"
        what = request.type if request is not None else "request"
        return f"{who}: {what} {printable(getattr(request, 'name', ''))}".rstrip()

    async def _tell(self, stream: RequestStream, error: RequestError) -> None:
        """Where a message is due the failure is one; in the middle of a file it is a reset."""
        if not stream.is_sending_file:
            with suppress(StreamError, QuicConnectionError):
                await stream.write_message(Failure(error.code, str(error)), end=True)
            stream.stop(error.code)
        else:
            stream.give_up(error.code)

    async def _dispatch(self, request: Message, stream: RequestStream) -> None:
        if isinstance(request, Get):
            await self._get(request, stream)
        elif isinstance(request, Put):
            await self._put(request, stream)
        elif isinstance(request, List):
            await self._list(request, stream)
        else:
            stats = await self._quic.stats()
            await stream.write_message(PathStats(stats["rtt"], stats["sent"], stats["lost"]), end=True)

    async def _get(self, request: Get, stream: RequestStream) -> None:
        descriptor, status = open_file(locate(self._folder.root, request.name))
        try:
            size = status.st_size
            offset = request.offset if request.offset <= size else 0
            head = Head(size, offset, max(0, status.st_mtime_ns))
            stream.is_sending_file = True
            await send_file(stream, descriptor, size, offset, self._count_out, head)
        finally:
            os.close(descriptor)
        self.files += 1

    async def _put(self, request: Put, stream: RequestStream) -> None:
        if not self._folder.is_writable:
            raise RequestError(Code.READ_ONLY)
        path = locate(self._folder.root, request.name)
        if path == self._folder.root:
            raise RequestError(Code.NOT_A_FILE, "a folder can't be written as a file")
        part = Part(path, request.size, resume=request.resume, overwrite=request.overwrite)
        try:
            if shutil.disk_usage(path.parent).free < request.size - part.offset:
                raise RequestError(Code.NO_SPACE)
            await stream.write_message(Ready(part.offset))
            digest = await receive_file(stream, part, request.size, request.mtime_ns, self._count_in)
        finally:
            part.close()
        self.files += 1
        await stream.write_message(Digest(digest), end=True)

    async def _list(self, request: List, stream: RequestStream) -> None:
        path = locate(self._folder.root, request.name)
        found = self._files_of(path)
        count = 0
        while batch := await asyncio.to_thread(lambda: list(islice(found, LIST_BATCH))):
            for name, status in batch:
                digest = await hash_file(path / name if name else path) if request.with_digest else ""
                await stream.write_message(Entry(name, status.st_size, max(0, status.st_mtime_ns), digest))
            count += len(batch)
        await stream.write_message(End(count), end=True)

    def _files_of(self, path: Path) -> Iterator[tuple[str, os.stat_result]]:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return walk(path, inside=self._folder.root, on_error=_ignore)
        if not stat.S_ISREG(status.st_mode):
            raise RequestError(Code.NOT_A_FILE)
        return iter([("", status)])

    def _count_in(self, count: int) -> None:
        self.bytes_in += count

    def _count_out(self, count: int) -> None:
        self.bytes_out += count


class StreamIds:
    """Which streams of the client were opened: late bytes of one that is over must not open another request.

    Streams open almost in order (RFC 9000 section 2.1), so little more than a counter is kept.
    """

    def __init__(self) -> None:
        self._all_below = 0
        self._above: set[int] = set()

    def add(self, stream_id: int) -> bool:
        """False when it was there before."""
        number = stream_id >> 2
        if number < self._all_below or number in self._above:
            return False
        self._above.add(number)
        while self._all_below in self._above:
            self._above.remove(self._all_below)
            self._all_below += 1
        return True
