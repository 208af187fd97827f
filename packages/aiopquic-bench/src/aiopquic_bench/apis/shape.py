"""What the measurements need of an API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from aiopquic.quic.configuration import QuicConfiguration

__all__ = ["Api", "Connection", "Handler", "Server", "Stream"]

HOST = "127.0.0.1"
ALPN = "aiopquic-bench"


class Stream(Protocol):
    """A stream with both directions."""

    async def write(self, data: bytes | memoryview, end_stream: bool = False, /) -> None:
        """Write all of ``data``; waits for room."""

    async def read_chunk(self) -> memoryview | None:
        """The next bytes, None at the end."""


class Connection(Protocol):
    """A connection, client or server."""

    async def open_stream(self) -> Stream: ...

    def incoming_streams(self) -> AsyncIterator[Stream]: ...

    def close(self, code: int = 0, reason: str = "", /) -> None: ...


class Server(Protocol):
    """A server that runs."""

    @property
    def port(self) -> int: ...


Handler = Callable[[Connection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Api:
    """How to connect and how to serve."""

    connect: Callable[[int, QuicConfiguration], AbstractAsyncContextManager[Connection]]
    "Takes the port on this host."
    serve: Callable[[Handler, QuicConfiguration, int], AbstractAsyncContextManager[Server]]
    "The number is that of workers, 1 where ``has_workers`` is False."
    has_datagrams: bool
    "Its connections have ``send_datagram`` and ``incoming_datagrams``."
    has_workers: bool = True
    "Its servers can have several engines on one port."
    connect_early: Callable[[int, QuicConfiguration], AbstractAsyncContextManager[Connection]] | None = None
    "The same, before the handshake is complete; None where there is none."
    finish: Callable[[], None] = lambda: None
    "Ends what its client connections have shared, on their loop."
