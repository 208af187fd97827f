"""One connection to a file server: list, get, put."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiopquic.cli.paths import check_name
from aiopquic.cli.protocol import (
    Code,
    Digest,
    End,
    Entry,
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
from aiopquic.cli.transfer import Part, Report, failure_of, open_file, receive_file, send_file
from aiopquic.exceptions import QuicConnectionError, StreamStoppedError

__all__ = ["FileClient"]

#: Entries of a listing that are kept in memory.
ENTRIES_MAX = 1_000_000


class FileClient(RequestProtocol):
    """A client's connection. Every method may run many times at once."""

    @asynccontextmanager
    async def _request(self, request: Message, *, end: bool = True) -> AsyncIterator[RequestStream]:
        """Send a request; the stream is given up when the body fails. Disks fail as RequestError, too."""
        stream = self.new_request(self._quic.get_next_available_stream_id())
        try:
            await stream.write_message(request, end)
            yield stream
        except BaseException as error:
            stream.give_up()
            if isinstance(error, OSError) and not isinstance(error, QuicConnectionError):
                raise failure_of(error) from error
            raise
        finally:
            self.end_request(stream)

    async def list(self, name: str, *, with_digest: bool = False) -> AsyncGenerator[Entry]:
        """The files below ``name``; one with an empty name when ``name`` is a file.

        Raises:
            RequestError: the server refuses.
            QuicConnectionError: the connection ended.
        """
        async with self._request(List(name, with_digest)) as stream:
            for _ in range(ENTRIES_MAX):
                message = await stream.read_message(Entry, End)
                if isinstance(message, End):
                    await stream.read_end()
                    return
                check_name(message.name)  # the server is not trusted to name our files
                yield message
            raise RequestError(Code.BAD_REQUEST, f"the folder has more than {ENTRIES_MAX} files")

    async def get(self, name: str, target: Path, *, resume: bool, overwrite: bool, report: Report) -> int:
        """Fetch a file to ``target``; returns the bytes that travelled.

        Raises:
            RequestError: the server refuses, the file exists, the disk is full, or the digests differ.
            QuicConnectionError: the connection ended; what arrived is kept beside the target.

        Cancellation: safe; what arrived is kept.
        """
        part = _open_part(target, resume=resume, overwrite=overwrite)
        try:
            async with self._request(Get(name, part.offset)) as stream:
                head = await stream.read_message(Head)
                if head.offset not in (0, part.offset) or head.offset > head.size:
                    raise RequestError(Code.BAD_REQUEST, "the server sends other bytes than were asked for")
                part.rewind(head.offset)
                report(head.offset)
                await receive_file(stream, part, head.size, head.mtime_ns, report)
                return head.size - head.offset
        finally:
            part.close()

    async def put(self, source: Path, name: str, *, resume: bool, overwrite: bool, report: Report) -> int:
        """Send a file; returns the bytes that travelled.

        Raises:
            RequestError: the server refuses, its disk is full, or the digests differ.
            QuicConnectionError: the connection ended; the server keeps what arrived.

        Cancellation: safe; the server keeps what arrived.
        """
        descriptor, status = _open_source(source)
        try:
            size = status.st_size
            request = Put(name, size, max(0, status.st_mtime_ns), resume, overwrite)
            async with self._request(request, end=False) as stream:
                ready = await stream.read_message(Ready)
                if ready.offset > size:
                    raise RequestError(Code.BAD_REQUEST, "the server wants bytes after the end of the file")
                report(ready.offset)
                with suppress(StreamStoppedError):  # why is what the server says next
                    await send_file(stream, descriptor, size, ready.offset, report)
                await stream.read_message(Digest)
                await stream.read_end()
                return size - ready.offset
        finally:
            os.close(descriptor)

    async def server_stats(self) -> PathStats:
        """The path as the server sees it: when it is the sender, losses are what it knows."""
        async with self._request(Stats()) as stream:
            return await stream.read_message(PathStats)


def _open_part(target: Path, *, resume: bool, overwrite: bool) -> Part:
    try:
        return Part(target, size=(1 << 62), resume=resume, overwrite=overwrite)
    except OSError as error:
        raise failure_of(error) from error


def _open_source(source: Path) -> tuple[int, os.stat_result]:
    try:
        return open_file(source)
    except OSError as error:
        raise failure_of(error) from error
