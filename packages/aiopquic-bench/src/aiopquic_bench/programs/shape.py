"""What a measurement needs of a library, and what it is told to do."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields
from typing import Any, Protocol, Self

__all__ = ["ALPN", "HOST", "Connection", "Handler", "Job", "Library", "Stream", "free_port", "settings_of"]

HOST = "127.0.0.1"
ALPN = "aiopquic-bench"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One measurement; travels between processes as JSON."""

    adapter: str
    "The module of this package that speaks to the library."
    package: str = "aiopquic"
    "What the adapter imports."
    case: str = ""
    size: int = 0
    "Bytes of a write, a message or a payload."
    streams: int = 1
    at_once: int = 64
    count: int = 0
    "Streams after which churn ends; 0: it ends after the duration."
    duration: float = 3.0
    warm_up: float = 0.5
    deadline: float = 30.0
    "Seconds that the whole measurement may take."
    raw: bool = False
    "Write by the library's plain call, again where it has no room, instead of an awaited one."
    congestion_control: str | None = None
    driver: str | None = None
    "Of aiopquic; None: its own default."
    qlog_dir: str | None = None
    "The folder where aiopquic writes a qlog of each connection; None: it writes none."
    authority: str = ""
    "The root that clients trust."
    certificate: str = ""
    "The server's chain."
    private_key: str = ""
    plant: int = 0
    "Extra passes over each piece that arrives: a slowdown on purpose."

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """From JSON."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


class Stream(Protocol):
    """A bidirectional stream."""

    async def write(self, data: bytes, end: bool = False) -> None:
        """Write all of it; waits for room."""

    async def write_raw(self, data: bytes) -> None:
        """The same by the library's plain call."""

    async def read_chunk(self) -> bytes | memoryview | None:
        """The next bytes, None at the end."""


class Connection(Protocol):
    """A connection, client or server."""

    async def open_stream(self) -> Stream: ...

    def incoming_streams(self) -> AsyncIterator[Stream]: ...

    def incoming_datagrams(self) -> AsyncIterator[bytes]: ...

    async def send_datagram(self, data: bytes) -> None:
        """Hand a datagram over; waits for room where the library tells that there is none."""

    def abort(self) -> None:
        """Close the connection with an error."""


Handler = Callable[[Connection], Awaitable[None]]


class Library(Protocol):
    """A library, as its adapter makes it usable: ``adapter.library(job)``."""

    def connect(self, port: int) -> AbstractAsyncContextManager[Connection]: ...

    def serve(self, handler: Handler) -> AbstractAsyncContextManager[int]:
        """Gives the port."""


def free_port() -> int:
    """A UDP port that nobody has at the moment, for a library that can't tell which one it got."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def settings_of(job: Job) -> dict[str, Any]:
    """What aiopquic is told beside its own defaults."""
    told = {
        "congestion_control_algorithm": job.congestion_control,
        "driver": job.driver,
        "qlog_dir": job.qlog_dir,
    }
    return {name: value for name, value in told.items() if value is not None}
