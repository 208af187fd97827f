"""What these tests share: a served folder, a client, files with known content."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

from aiopquic.asyncio import QuicServer, connect, serve
from aiopquic.cli.client import FileClient
from aiopquic.cli.protocol import ALPN
from aiopquic.cli.server import MAX_REQUESTS, FileServerProtocol, Folder
from aiopquic.quic.configuration import QuicConfiguration

MIB = 1 << 20


@dataclass
class Served:
    """A server in this process, and what it said."""

    server: QuicServer
    certificate: Path
    folder: Folder
    lines: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    def configuration(self) -> QuicConfiguration:
        return QuicConfiguration(alpn_protocols=[ALPN], cafile=self.certificate)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[FileClient]:
        async with connect(
            "localhost", self.server.port, configuration=self.configuration(), create_protocol=FileClient
        ) as client:
            yield cast(FileClient, client)


@asynccontextmanager
async def serving(
    root: Path,
    certificate: tuple[Path, Path],
    *,
    writable: bool = False,
    request_timeout: float = 10.0,
    protocol: type[FileServerProtocol] = FileServerProtocol,
) -> AsyncIterator[Served]:
    configuration = QuicConfiguration(is_client=False, alpn_protocols=[ALPN], max_streams_bidi=MAX_REQUESTS)
    configuration.load_cert_chain(*certificate)
    folder = Folder(root, is_writable=writable, request_timeout=request_timeout)
    server = await serve("localhost", 0, configuration=configuration, create_protocol=partial(protocol, folder))
    served = Served(server, certificate[0], folder)
    folder.log = served.lines.put_nowait
    try:
        yield served
    finally:
        await server.aclose()


def content(size: int, seed: int = 0) -> bytes:
    """Bytes that are the same for the same seed, and no others."""
    return hashlib.shake_256(seed.to_bytes(8, "big")).digest(size)


def nothing(count: int) -> None:
    """Report to nobody."""


def total(counts: list[int]) -> Callable[[int], None]:
    """Report into a list."""
    return counts.append
