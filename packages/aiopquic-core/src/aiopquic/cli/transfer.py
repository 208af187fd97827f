"""One file between a disk and a stream: the same code for both sides and both directions.

What takes long on a disk, or hashes much, runs in a thread; up to ``DIRECT_MAX`` bytes it is quicker done at
once (about 0.1 ms) than handed over.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from aiopquic.cli.paths import part_of
from aiopquic.cli.protocol import Code, Digest, Message, RequestError, encode
from aiopquic.cli.streams import RequestStream

__all__ = ["Hash", "Part", "Report", "failure_of", "hash_file", "open_file", "receive_file", "send_file"]

#: Bytes that are read, hashed or written at a time.
CHUNK = 1 << 20
DIRECT_MAX = 1 << 16

#: Buffers that one writev takes everywhere (POSIX's IOV_MAX is larger where we run).
IOV_MAX = 1024

P = ParamSpec("P")
T = TypeVar("T")

Report = Callable[[int], object]
"Called with numbers of bytes as they move."


class Hash(Protocol):
    """What hashlib returns."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


async def _run(size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that moves ``size`` bytes, in a thread when they are many.

    Cancellation: waits for the thread, which uses a file that is closed next.
    """
    if size <= DIRECT_MAX:
        return function(*args, **kwargs)
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


def failure_of(error: OSError) -> RequestError:
    """What went wrong on a disk, as the peer and the user are told."""
    codes = {
        errno.ENOENT: Code.NOT_FOUND,
        errno.ENOTDIR: Code.NOT_FOUND,
        errno.EACCES: Code.DENIED,
        errno.EPERM: Code.DENIED,
        errno.EROFS: Code.DENIED,
        errno.ENOSPC: Code.NO_SPACE,
        errno.EDQUOT: Code.NO_SPACE,
        errno.EISDIR: Code.NOT_A_FILE,
        errno.ELOOP: Code.NOT_A_FILE,
        errno.ENXIO: Code.NOT_A_FILE,
        errno.ENAMETOOLONG: Code.BAD_NAME,
    }
    code = codes.get(error.errno or 0, Code.DISK_ERROR)
    return RequestError(code, error.strerror or "" if code is Code.DISK_ERROR else "")


def open_file(path: Path) -> tuple[int, os.stat_result]:
    """A descriptor of a regular file and its status."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO must not block
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise RequestError(Code.NOT_A_FILE)
    return descriptor, status


def _read(descriptor: int, offset: int, size: int, digest: Hash) -> bytes:
    data = os.pread(descriptor, size, offset)
    if len(data) != size:
        raise RequestError(Code.CHANGED)
    digest.update(data)
    return data


async def _hash_start(descriptor: int, end: int, digest: Hash) -> None:
    """Hash the bytes before ``end``."""
    for offset in range(0, end, 8 * CHUNK):
        size = min(8 * CHUNK, end - offset)
        await _run(size, _read, descriptor, offset, size, digest)


async def hash_file(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    descriptor, status = open_file(path)
    try:
        digest = hashlib.sha256()
        await _hash_start(descriptor, status.st_size, digest)
        return digest.hexdigest()
    finally:
        os.close(descriptor)


async def send_file(
    stream: RequestStream,
    descriptor: int,
    size: int,
    offset: int,
    report: Report,
    head: Message | None = None,
) -> None:
    """Send ``head``, a file's bytes from ``offset``, its digest, and the end of the stream.

    Backpressure: the file is read as fast as the peer takes it, ``CHUNK`` bytes at a time.
    """
    digest = hashlib.sha256()
    await _hash_start(descriptor, offset, digest)
    waiting = encode(head) if head is not None else b""
    while offset < size:
        count = min(CHUNK, size - offset)
        data = await _run(count, _read, descriptor, offset, count, digest)
        offset += count
        if offset == size:
            waiting += data  # goes out with the digest, in one piece
        else:
            await stream.write(waiting + data if waiting else data)
            waiting = b""
        report(count)
    await stream.write(waiting + encode(Digest(digest.hexdigest())), end=True)


class Part:
    """The unfinished copy of a file beside its place. One transfer at a time has it open."""

    def __init__(self, target: Path, size: int, *, resume: bool, overwrite: bool) -> None:
        self.target = target
        self.path = part_of(target)
        self._overwrite = overwrite
        self._check_target()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise RequestError(Code.NOT_A_FILE, "a folder of this name is a file") from None
        self.descriptor = self._open()
        self.offset = os.fstat(self.descriptor).st_size
        "Bytes that are there already."
        if not resume or self.offset > size:
            os.ftruncate(self.descriptor, 0)
            self.offset = 0
        self._is_open = True

    def _check_target(self) -> None:
        if self.target.is_dir():
            raise RequestError(Code.NOT_A_FILE, "a folder of this name exists")
        if not self._overwrite and os.path.lexists(self.target):
            raise RequestError(Code.EXISTS)

    def _open(self) -> int:
        """Open and lock. A transfer that ends meanwhile moves the file away: then a new one is made."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), os.lstat(self.path)):
                    return descriptor
            except BlockingIOError:
                os.close(descriptor)
                raise RequestError(Code.BUSY) from None
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def rewind(self, offset: int) -> None:
        """Forget the bytes after ``offset``."""
        os.ftruncate(self.descriptor, offset)
        self.offset = offset

    def write(self, pieces: Sequence[memoryview], digest: Hash) -> None:
        """Append, and hash."""
        for start in range(0, len(pieces), IOV_MAX):
            batch = list(pieces[start : start + IOV_MAX])
            written = os.pwritev(self.descriptor, batch, self.offset)
            if written != sum(map(len, batch)):  # the disk is full, or nearly so: the rest tells
                rest = b"".join(batch)[written:]
                self.offset += written
                written = 0
                while rest:
                    count = os.pwrite(self.descriptor, rest, self.offset)
                    self.offset, rest = self.offset + count, rest[count:]
            self.offset += written
        for piece in pieces:
            digest.update(piece)

    def finish(self, mtime_ns: int) -> None:
        """Move the complete file to its place."""
        self._check_target()
        os.utime(self.descriptor, ns=(mtime_ns, mtime_ns))
        os.replace(self.path, self.target)

    def discard(self) -> None:
        """Remove what is there."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go; what is there stays, unless it is nothing."""
        if self._is_open:
            self._is_open = False
            if self.offset == 0 and self.path.exists():
                self._unlink_own()
            os.close(self.descriptor)

    def _unlink_own(self) -> None:
        if os.path.samestat(os.fstat(self.descriptor), os.lstat(self.path)):
            self.path.unlink()


async def receive_file(stream: RequestStream, part: Part, size: int, mtime_ns: int, report: Report) -> str:
    """Receive the rest of a file and its digest; put it into its place. Returns the digest.

    Raises:
        RequestError: the digests differ (the part is discarded), or the peer failed.

    Backpressure: the peer is held at its window while the disk is behind.
    """
    digest = hashlib.sha256()
    await _hash_start(part.descriptor, part.offset, digest)
    while part.offset < size:
        pieces = await stream.read_some(min(CHUNK, size - part.offset))
        if not pieces:
            raise RequestError(Code.CHANGED, "the stream ended before the file did")
        count = sum(map(len, pieces))
        await _run(count, part.write, pieces, digest)
        report(count)
    told = await stream.read_message(Digest)
    await stream.read_end()
    if told.sha256 != digest.hexdigest():
        part.discard()
        raise RequestError(Code.DIGEST_MISMATCH)
    part.finish(mtime_ns)
    return told.sha256
